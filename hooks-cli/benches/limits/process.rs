//! Running other processes, and what they cost.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hooks_core::BoxError;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::time::{ClockId, clock_gettime};

/// The interval at which a running process is looked at.
const TICK: Duration = Duration::from_millis(10);

/// The cost of one run of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// User and system time.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    /// Most memory that was resident, in MiB.
    pub(crate) peak: f64,
}

/// CPU time of this process, in seconds.
pub(crate) fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Measures a part of this process's work.
pub(crate) struct Clock {
    cpu: f64,
    wall: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { cpu: own_cpu(), wall: Instant::now() }
    }

    /// CPU and wall time since the start, in seconds.
    pub(crate) fn stop(&self) -> Vec<f64> {
        vec![own_cpu() - self.cpu, self.wall.elapsed().as_secs_f64()]
    }
}

/// Resident memory of a process now and at its peak, in MiB.
pub(crate) fn memory(pid: &str) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    let (now, peak): (f64, f64) = (kib("VmRSS:")?, kib("VmHWM:")?);
    Some((now / 1024.0, peak / 1024.0))
}

/// `hooks` with these arguments, fed from a file.
pub(crate) fn hooks(arguments: &[&OsStr], input: &Path) -> Result<Command, BoxError> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hooks"));
    // Into a file: a pipe that nobody empties would stop it.
    let said = File::create(input.with_extension("said"))?;
    command.args(arguments).stdin(File::open(input)?).stdout(Stdio::null()).stderr(said);
    Ok(command)
}

/// Runs another program and prints its CPU seconds and its peak memory in KiB by getrusage(2), which counts
/// microseconds (what a wrapper around Python ran before is not counted); what is left in /proc of a process that has ended counts clock ticks.
const PRECISE: &str = "\
import resource, subprocess, sys
used = lambda: resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = lambda: used().ru_utime + used().ru_stime
before = cpu()
subprocess.run(sys.argv[1:], check=True)
print(cpu() - before, used().ru_maxrss)";

/// The cost of `hooks` with these arguments, also where that is little. By Python, which has the call.
pub(crate) fn precise(arguments: &[&OsStr], input: &Path) -> Result<Cost, BoxError> {
    let mut command = Command::new("python3");
    command.args(["-c", PRECISE, env!("CARGO_BIN_EXE_hooks")]).args(arguments).stdin(File::open(input)?);
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match figures[..] {
        [cpu, peak] => Ok(Cost { cpu, wall: 0.0, peak: peak / 1024.0 }),
        _ => Err(format!("python3 printed no figures: {text}").into()),
    }
}

/// This program in one of its roles, which prints what it measured.
pub(crate) fn role(arguments: &[&str]) -> Result<Vec<f64>, BoxError> {
    let output =
        Command::new(std::env::current_exe()?).arg("--role").args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    text.split_whitespace().map(|figure| figure.parse().map_err(BoxError::from)).collect()
}

/// A role that prints CPU and wall time.
pub(crate) fn cost(arguments: &[&str]) -> Result<Cost, BoxError> {
    match role(arguments)?[..] {
        [cpu, wall, ..] => Ok(Cost { cpu, wall, peak: 0.0 }),
        _ => Err(format!("{arguments:?} printed no figures").into()),
    }
}

/// Runs a command to its end, which has to be a good one.
pub(crate) fn run(mut command: Command) -> Result<Cost, BoxError> {
    let running = Running::start(&mut command)?;
    running.finish(|_| Ok(false))
}

/// A process whose cost is taken when it ends.
pub(crate) struct Running {
    child: Child,
    began: Instant,
    peak: f64,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self, BoxError> {
        Ok(Self { child: command.spawn()?, began: Instant::now(), peak: 0.0 })
    }

    /// Waits for its end. When `is_done`, it is asked to end; whatever it then says is fine.
    pub(crate) fn finish(
        mut self,
        mut is_done: impl FnMut(Duration) -> Result<bool, BoxError>,
    ) -> Result<Cost, BoxError> {
        let pid = Pid::from_child(&self.child);
        let (mut asked, mut wall) = (false, None);
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(pid), look)?.is_none() {
            if let Some((_, peak)) = memory(&self.child.id().to_string()) {
                self.peak = self.peak.max(peak);
            }
            if !asked && is_done(self.began.elapsed())? {
                wall = Some(self.began.elapsed());
                kill_process(pid, Signal::TERM)?;
                asked = true;
            }
            std::thread::park_timeout(TICK);
        }
        let wall = wall.unwrap_or_else(|| self.began.elapsed()).as_secs_f64();
        let cpu = cpu_of(self.child.id())?;
        let status = self.child.wait()?;
        if !asked && !status.success() {
            return Err(format!("it ended with {status}").into());
        }
        Ok(Cost { cpu, wall, peak: self.peak })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that was waited for is not there any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process that runs, or has ended and was not yet waited for: it counts all its threads.
pub(crate) fn cpu_of(pid: u32) -> Result<f64, BoxError> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // proc(5): utime and stime are fields 14 and 15, in clock ticks; the name, field 2, was cut off.
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}
