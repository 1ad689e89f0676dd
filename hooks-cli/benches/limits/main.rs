//! The cost of delivering, beside what the machine could do at best and beside what others need, all
//! measured in turn in one run. `cargo xtask bench` runs it.
//!
//! The figure of merit is the CPU time (user and system) of the process per million events: it holds on a
//! noisy machine better than throughput does. Each ratio is the median over the rounds of a ratio of two
//! figures of the same round.

mod bare;
mod contest;
mod events;
mod growth;
mod history;
mod inside;
mod keeping;
mod managed;
mod past;
mod peers;
mod pipe;
mod process;
mod receiver;
mod requests;
mod scale;
mod singles;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hooks_core::BoxError;

use contest::{Verdict, verdicts};
use events::{Events, SIZE};
use peers::Peers;

const HELP: &str = "\
What delivering costs, beside the machine's limits and beside others.

Usage: cargo xtask bench [--quick] [--no-peers | --growth] [--folder=DIR] [NAMES]...

  --quick      fewer events: under two minutes
  --no-peers   without syslog-ng and rsyslog, which are otherwise unpacked from Debian's packages
  --growth     instead, whether cost grows linearly with events, their size and hooks
  --folder=DIR where events, logs and files are; /dev/shm, say, where the disk is not to be measured
  NAMES        only these: webhook singles file durable serve requests memory fanout idle tenants patterns managed
               latency past history
";

/// Something that is measured.
type Measured = (&'static str, fn(&Setup) -> Result<Report, BoxError>);

const PATHS: [Measured; 15] = [
    ("webhook", pipe::webhook),
    ("singles", singles::singles),
    ("file", pipe::file),
    ("durable", keeping::durable),
    ("serve", keeping::serve),
    ("requests", requests::requests),
    ("memory", pipe::memory),
    ("fanout", scale::fanout),
    ("idle", scale::idle),
    ("tenants", scale::tenants),
    ("patterns", scale::patterns),
    ("managed", managed::managed),
    ("latency", scale::latency),
    ("past", past::past),
    ("history", history::history),
];

/// The setup that all of them use.
struct Setup {
    folder: PathBuf,
    events: Events,
    rounds: usize,
    /// Hooks that are made over the API.
    managed: usize,
    peers: Option<Peers>,
}

/// The result of one of them.
struct Report {
    title: &'static str,
    text: String,
    verdicts: Vec<Verdict>,
}

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["--role", ref role @ ..] => play(role),
        _ => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The work of this program in a separate process, for another that measures.
fn play(role: &[&str]) -> Result<(), BoxError> {
    let figures = match *role {
        ["post", url, file] => bare::post(url, file),
        ["socket", address, file] => bare::socket(address, file),
        ["write", to, file] => bare::write(to, file),
        ["log", to, file] => bare::log(to, file),
        ["scan", file] => bare::scan(file),
        ["serde", file] => bare::serde(file),
        ["single", kind, at_once, address, file] => singles::bare(kind, at_once, address, file),
        ["fanout", hooks, file] => inside::fanout(hooks, file),
        ["idle", hooks, file] => inside::idle(hooks, file),
        ["tenants", tenants, file] => inside::tenants(tenants, file),
        ["patterns", kind, hooks, file] => inside::patterns(kind, hooks, file),
        ["past", folder, file] => past::look(folder, file),
        ["attempts", folder, attempts] => history::find(folder, attempts),
        ["answer", port] => requests::answer(port),
        ["ask", port, file] => requests::client(port, file),
        ["latency", kind, count] => inside::latency(kind, count),
        _ => Err(format!("no role: {role:?}").into()),
    }?;
    println!("{}", figures.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    Ok(())
}

fn compare(arguments: &[&str]) -> Result<(), BoxError> {
    let (options, names): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|argument| argument.starts_with('-'));
    let (folder, options): (Vec<&str>, Vec<&str>) = options.iter().partition(|option| option.starts_with("--folder="));
    let unknown = options.iter().find(|option| !["--quick", "--no-peers", "--growth"].contains(option));
    if let Some(wrong) = unknown.or(names.iter().find(|name| PATHS.iter().all(|(known, _)| known != *name))) {
        return Err(format!("`{wrong}` is not known\n\n{HELP}").into());
    }
    let folder = folder.last().and_then(|option| option.strip_prefix("--folder="));
    let folder = folder.map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new).join("limits");
    fs::create_dir_all(&folder)?;
    let (count, managed) = if options.contains(&"--quick") { (200_000, 10_000) } else { (1_000_000, 100_000) };
    let grow = options.contains(&"--growth");
    let peers = if grow || options.contains(&"--no-peers") { None } else { peers(&folder) };
    let setup = Setup { events: Events::prepare(&folder, count, SIZE)?, folder, rounds: 5, managed, peers };
    if grow {
        let table = growth::table(&setup)?;
        println!("{}\n\n{table}", machine());
        return Ok(());
    }
    let mut all = Vec::new();
    let mut text = format!("{}\n", machine());
    for (name, measure) in PATHS.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        eprintln!("{name}");
        let report = measure(&setup).map_err(|error| format!("{name}: {error}"))?;
        text.push_str(&format!("\n### {}\n\n{}", report.title, report.text));
        all.extend(report.verdicts);
    }
    text.push_str(&format!("\n### All in all\n\n{}", verdicts(&all)));
    println!("{text}");
    fs::write(setup.folder.join("report.md"), &text)?;
    Ok(())
}

fn peers(folder: &Path) -> Option<Peers> {
    let peers = Peers::fetch(folder);
    peers.inspect_err(|error| eprintln!("without syslog-ng and rsyslog: {error}")).ok()
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field = |name: &str| info.lines().find(|line| line.starts_with(name)).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores ({}), Linux {}", field("model name").unwrap_or("unknown"), kernel.trim())
}
