//! Kills a program around the durable bus, which publishes to itself: `hooks-bus/examples/crash_child.rs`.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::common::{NUMBERS, Random, STEP_TIMEOUT, clock};
use super::record::{Record, Totals, Wanted};
use crate::workspace;

/// The program's hooks, and the events that each receives or refuses.
const HOOKS: [(&str, Wanted); 4] =
    [("all", |_| true), ("some", |number| number.is_multiple_of(3)), ("lanes", |_| true), ("picky", |_| true)];

/// Several lives in one folder, each killed; then everything is delivered and checked.
pub(super) fn chain(program: &Path, lives: u64, random: &mut Random) -> Result<Totals, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a folder for the files: {error}"))?;
    let mut record = Record::default();
    for life in 0..lives {
        // Sometimes at once, sometimes in the middle of a lot, and sometimes long after positions were kept.
        let is_long = random.below(5) == 0;
        let acks = if is_long { u64::MAX } else { random.below(4) * random.below(150) };
        let limit = Duration::from_micros(500 + random.below(if is_long { 600_000 } else { 120_000 }));
        let first = life * NUMBERS;
        live(program, folder.path(), first, acks, limit, &mut record)?;
    }
    let mut drain = Command::new(program);
    let output = workspace::output(drain.arg("drain").arg(folder.path()))?;
    record.drained(&output)?;
    record.check(folder.path(), &HOOKS)
}

/// One life: killed after this many acknowledgements or this time, whichever comes first.
fn live(
    program: &Path,
    folder: &Path,
    first: u64,
    acks: u64,
    limit: Duration,
    record: &mut Record,
) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg("run").arg(folder).arg(first.to_string()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("can't start {}: {error}", program.display()))?;
    let lines = lines(&mut child)?;
    let until = Instant::now() + limit;
    let mut heard = 0;
    let ended = loop {
        let wait = until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(wait) {
            Ok(line) => {
                heard += u64::from(record.heard(&line));
                if heard > acks {
                    break false;
                }
            }
            Err(RecvTimeoutError::Timeout) => break false,
            Err(RecvTimeoutError::Disconnected) => break true,
        }
    };
    let sent = clock();
    child.kill().map_err(|error| format!("can't kill it: {error}"))?;
    let status = child.wait().map_err(|error| format!("can't wait for it: {error}"))?;
    record.killed(sent);
    if ended || status.code().is_some() {
        return Err(format!("it ended by itself: {status}"));
    }
    // What it said before it was killed counts.
    while let Ok(line) = lines.recv_timeout(STEP_TIMEOUT) {
        record.heard(&line);
    }
    HOOKS.iter().try_for_each(|(hook, _)| cut_torn_line(&folder.join(format!("{hook}.out"))))
}

/// Takes away a line that the kill has torn: the program did not come to say that it was delivered.
fn cut_torn_line(path: &Path) -> Result<(), String> {
    let cut = || {
        let written = match std::fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        OpenOptions::new().write(true).open(path)?.set_len(whole as u64)
    };
    cut().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))
}

fn lines(child: &mut Child) -> Result<Receiver<String>, String> {
    let stdout: ChildStdout = child.stdout.take().ok_or("it has no stdout")?;
    let (sender, lines) = sync_channel(1024);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(lines)
}
