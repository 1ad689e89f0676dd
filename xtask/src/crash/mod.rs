//! `cargo xtask crash`: kills a program that publishes and delivers, again and again, at random moments,
//! and checks that what was promised holds.
//!
//! A kill takes the process and leaves the page cache: what a power cut takes is shown by the simulated disk in the
//! tests of hooks-bus.

mod books;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{Done, workspace};
use books::Books;

/// Rounds of a run that is part of the checks.
const ROUNDS: u64 = 200;

/// A folder is used for this many kills before everything in it is delivered and counted.
const LIVES: u64 = 10;

/// Numbers that one life has for its events.
const NUMBERS: u64 = 10_000_000;

/// How long anything may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs what the arguments ask for: `--rounds N`, `--seed S`.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let (mut rounds, mut seed) = (ROUNDS, clock().as_nanos() as u64);
    let mut rest = arguments;
    while let [name, value, more @ ..] = rest {
        let number = value.parse().map_err(|_| format!("{name}: `{value}` is no number"))?;
        match *name {
            "--rounds" => rounds = number,
            "--seed" => seed = number,
            _ => return Err(format!("`{name}`: expected --rounds or --seed")),
        }
        rest = more;
    }
    if let [unknown] = rest {
        return Err(format!("`{unknown}`: expected --rounds N or --seed S"));
    }
    let program = build()?;
    let begin = Instant::now();
    let mut random = Random(seed | 1);
    eprintln!("{rounds} kills, seed {seed}");
    let mut totals = books::Totals::default();
    let mut done = 0;
    while done < rounds {
        let lives = LIVES.min(rounds - done);
        let totals_of = chain(&program, lives, &mut random);
        totals.add(&totals_of.map_err(|error| format!("{error} (after {done} kills, --seed {seed})"))?);
        done += lives;
    }
    let seconds = begin.elapsed().as_secs();
    eprintln!("{rounds} kills in {seconds} s: {totals}");
    if totals.accepted < rounds {
        return Err(format!("only {} events were accepted: too few to show anything", totals.accepted));
    }
    Ok(())
}

fn build() -> Result<PathBuf, String> {
    let mut cargo = workspace::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "-p",
        "hooks-bus",
        "--example",
        "crash_child",
        "--message-format=json",
    ]);
    let messages = workspace::output(&mut cargo)?;
    let executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.last().ok_or_else(|| "cargo built no crash_child".to_owned())
}

/// Several lives in one folder, each killed; then everything is delivered and checked.
fn chain(program: &Path, lives: u64, random: &mut Random) -> Result<books::Totals, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a folder for the files: {error}"))?;
    let mut books = Books::default();
    for life in 0..lives {
        // Sometimes at once, sometimes in the middle of a lot, and sometimes long after positions were kept.
        let is_long = random.below(5) == 0;
        let acks = if is_long { u64::MAX } else { random.below(4) * random.below(150) };
        let limit = Duration::from_micros(500 + random.below(if is_long { 600_000 } else { 120_000 }));
        let first = life * NUMBERS;
        live(program, folder.path(), first, acks, limit, &mut books)?;
    }
    let mut drain = Command::new(program);
    let output = workspace::output(drain.arg("drain").arg(folder.path()))?;
    books.drained(&output)?;
    books.check(folder.path())
}

/// One life: killed after this many acknowledgements or this time, whichever comes first.
fn live(
    program: &Path,
    folder: &Path,
    first: u64,
    acks: u64,
    limit: Duration,
    books: &mut Books,
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
                heard += u64::from(books.heard(&line));
                if heard > acks {
                    break false;
                }
            }
            Err(RecvTimeoutError::Timeout) => break false,
            Err(RecvTimeoutError::Disconnected) => break true,
        }
    };
    child.kill().map_err(|error| format!("can't kill it: {error}"))?;
    books.killed(clock());
    let status = child.wait().map_err(|error| format!("can't wait for it: {error}"))?;
    if ended || status.code().is_some() {
        return Err(format!("it ended by itself: {status}"));
    }
    // What it said before it was killed counts.
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        books.heard(&line);
    }
    Ok(())
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

/// Since 1970.
fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Xorshift (Marsaglia, 2003): a seed repeats a run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}
