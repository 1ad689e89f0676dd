//! `cargo xtask crash`: kills programs that publish and deliver, again and again, at random moments, and
//! checks that what was promised holds: a program around the durable bus, the daemon, the daemon with hooks that are
//! managed meanwhile, and the daemon in the middle of a backlog, on disk and, where `HOOKS_NATS_SERVER` names a server, on
//! NATS.
//!
//! A kill takes the process and leaves the page cache: what a power cut takes is shown by the simulated disk in the
//! tests of hooks-bus.

mod backlog;
mod common;
mod daemon;
mod http;
mod managed;
mod nats;
mod process;
mod program;
mod receiver;
mod record;

use std::time::Instant;

use crate::workspace::{self, Done};
use common::{Random, clock};
use record::Totals;

/// Rounds of a run that is part of the checks.
const ROUNDS: u64 = 200;

/// A folder is used for this many kills before everything in it is delivered and counted.
const LIVES: u64 = 10;

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
    eprintln!("{rounds} kills of the bus and of the daemon, seed {seed}");
    let bus = workspace::built("crash_child", &["build", "--package", "hooks-bus", "--example", "crash_child"])?;
    kill("the bus", rounds, seed, |lives, random| program::chain(&bus, lives, random))?;
    let daemon = workspace::built("hooks", &["build", "--package", "hooks-cli", "--bin", "hooks"])?;
    // Half of the daemon's with hooks of a config file, half with hooks that are made, changed and removed.
    let managed = rounds / 2;
    kill("the daemon", rounds - managed, seed, |lives, random| daemon::chain(&daemon, lives, random))?;
    kill("managed hooks", managed, seed, |lives, random| managed::chain(&daemon, lives, random))?;
    // Few lives each, so that most are killed before the end of the backlog.
    let backlogs = rounds / 4;
    kill("a backlog", backlogs, seed, |lives, random| backlog::chain(&daemon, "kind = 'durable'", lives, random))?;
    let Some(program) = std::env::var_os(nats::VARIABLE) else {
        eprintln!("a backlog on NATS: left out, {} names no server", nats::VARIABLE);
        return Ok(());
    };
    kill("a backlog on NATS", backlogs, seed, |lives, random| {
        let server = nats::Server::start(&program)?;
        backlog::chain(&daemon, &server.bus(), lives, random)
    })
}

/// Kills something so many times.
fn kill(what: &str, rounds: u64, seed: u64, mut chain: impl FnMut(u64, &mut Random) -> Result<Totals, String>) -> Done {
    let begin = Instant::now();
    let mut random = Random::new(seed);
    let mut totals = Totals::default();
    let mut done = 0;
    while done < rounds {
        let lives = LIVES.min(rounds - done);
        let of_chain = chain(lives, &mut random);
        totals.add(&of_chain.map_err(|error| format!("{what}: {error} (after {done} kills, --seed {seed})"))?);
        done += lives;
    }
    eprintln!("{what}: {rounds} kills in {} s: {totals}", begin.elapsed().as_secs());
    if totals.accepted < rounds {
        return Err(format!("{what}: only {} events were accepted: too few to show anything", totals.accepted));
    }
    Ok(())
}
