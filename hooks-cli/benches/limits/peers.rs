//! syslog-ng and rsyslog, as Debian packages them: fed over TCP, with the settings that lose nothing.

use std::fs;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hooks_core::BoxError;

use crate::events::Events;
use crate::pipe::written;
use crate::process::{Cost, Running};
use crate::receiver::Receiver;

/// Debian's packages, unpacked beside the build; nothing is installed.
const PACKAGES: [&[&str]; 2] = [&["syslog-ng-core", "syslog-ng-mod-http"], &["rsyslog"]];

/// Nobody takes longer.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Peers {
    root: PathBuf,
}

impl Peers {
    /// Unpacks the packages where they are not yet. Needs `apt-get` and `dpkg`, and no rights.
    pub(crate) fn fetch(folder: &Path) -> Result<Self, BoxError> {
        let root = folder.join("peers");
        if !root.join("usr/sbin/rsyslogd").exists() {
            eprintln!("unpacking Debian's syslog-ng and rsyslog into {}; nothing is installed", root.display());
            fs::create_dir_all(&root)?;
            for packages in PACKAGES {
                unpack(&root, packages)?;
            }
        }
        Ok(Self { root })
    }

    /// TCP → HTTP array of 100, one worker, with flow control.
    pub(crate) fn syslog_ng_to_http(
        &self,
        folder: &Path,
        events: &Events,
        receiver: &Receiver,
    ) -> Result<Cost, BoxError> {
        let destination = format!(
            r#"http(url("{}") method("POST") headers("Content-Type: application/json") body("${{MESSAGE}}")
            delimiter(",") body-prefix("[") body-suffix("]") batch-lines(100) batch-timeout(1000) workers(1))"#,
            receiver.url()
        );
        let before = receiver.arrived();
        let has_all = || {
            let after = receiver.arrived();
            after.1 - before.1 >= events.body_bytes(after.0 - before.0)
        };
        self.syslog_ng(folder, events, &destination, has_all)
    }

    /// TCP → file.
    pub(crate) fn syslog_ng_to_file(&self, folder: &Path, events: &Events, to: &Path) -> Result<Cost, BoxError> {
        let destination = format!(r#"file("{}" template("${{MESSAGE}}\n"))"#, to.display());
        self.syslog_ng(folder, events, &destination, || size(to) >= events.bytes)
    }

    fn syslog_ng(
        &self,
        folder: &Path,
        events: &Events,
        destination: &str,
        has_all: impl Fn() -> bool,
    ) -> Result<Cost, BoxError> {
        let port = free_port()?;
        let text = format!(
            r#"@version: 3.38
options {{ stats-freq(0); log-msg-size(2097152); }};
source s {{ network(ip("127.0.0.1") port({port}) transport("tcp") flags(no-parse) log-iw-size(10000)); }};
destination d {{ {destination}; }};
log {{ source(s); destination(d); flags(flow-control); }};
"#
        );
        let config = written(folder.join("syslog-ng.conf"), &text)?;
        let mut command = self.command("usr/sbin/syslog-ng");
        let modules = self.root.join("usr/lib/syslog-ng/3.38");
        command.arg("--foreground").arg("--stderr").arg("--no-caps").arg("-f").arg(config);
        command.arg(format!("--module-path={}", modules.display()));
        for (option, name) in [("-R", "persist"), ("-c", "control"), ("-p", "pid")] {
            command.arg(option).arg(folder.join(format!("syslog-ng.{name}")));
        }
        feed(command, port, events, has_all)
    }

    /// TCP → file.
    pub(crate) fn rsyslog_to_file(&self, folder: &Path, events: &Events, to: &Path) -> Result<Cost, BoxError> {
        let port = free_port()?;
        let text = format!(
            r#"global(workDirectory="{0}" maxMessageSize="2m")
main_queue(queue.timeoutEnqueue="120000")
module(load="imptcp")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="out") {{ action(type="omfile" file="{1}" template="raw" ioBufferSize="64k") }}
input(type="imptcp" address="127.0.0.1" port="{port}" ruleset="out")
"#,
            folder.display(),
            to.display()
        );
        let config = written(folder.join("rsyslog.conf"), &text)?;
        let mut command = self.command("usr/sbin/rsyslogd");
        command.arg("-n").arg("-f").arg(config).arg("-i").arg(folder.join("rsyslog.pid"));
        command.arg("-M").arg(self.root.join("usr/lib/x86_64-linux-gnu/rsyslog"));
        feed(command, port, events, || size(to) >= events.bytes)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join(program));
        let libraries =
            ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/syslog-ng"].map(|path| self.root.join(path));
        let path = std::env::join_paths(libraries).unwrap_or_default();
        command.env("LD_LIBRARY_PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

fn unpack(root: &Path, packages: &[&str]) -> Result<(), BoxError> {
    let mut plan = Command::new("apt-get");
    plan.args(["install", "--simulate", "--no-install-recommends"]).args(packages);
    let plan = String::from_utf8(plan.output()?.stdout)?;
    let mut names: Vec<&str> = packages.to_vec();
    names.extend(plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()));
    let downloads = root.join("downloads");
    fs::create_dir_all(&downloads)?;
    succeed(Command::new("apt-get").current_dir(&downloads).args(["download", "--quiet"]).args(names))?;
    for package in fs::read_dir(&downloads)? {
        succeed(Command::new("dpkg").arg("-x").arg(package?.path()).arg(root))?;
    }
    Ok(())
}

fn succeed(command: &mut Command) -> Result<(), BoxError> {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Starts a daemon, sends it all lines over one connection, and ends it when everything arrived.
fn feed(mut command: Command, port: u16, events: &Events, has_all: impl Fn() -> bool) -> Result<Cost, BoxError> {
    let text = fs::read(&events.file)?;
    let running = Running::start(&mut command)?;
    let mut sender: Option<std::thread::JoinHandle<io::Result<()>>> = None;
    let mut text = Some(text);
    let mut sent_at = Instant::now();
    let mut cost = running.finish(|elapsed| {
        if elapsed > LIMIT {
            return Err("it took too long".into());
        }
        if let Some(mut stream) = sender.is_none().then(|| TcpStream::connect(("127.0.0.1", port)).ok()).flatten() {
            sent_at = Instant::now();
            let text = text.take().unwrap_or_default();
            sender = Some(std::thread::spawn(move || stream.write_all(&text)));
        }
        Ok(sender.is_some() && has_all())
    })?;
    cost.wall = cost.wall.min(sent_at.elapsed().as_secs_f64());
    match sender.map(std::thread::JoinHandle::join) {
        Some(Ok(sent)) => sent?,
        _ => return Err("it never listened".into()),
    }
    Ok(cost)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
