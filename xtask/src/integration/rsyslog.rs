//! A file hook's target, shipped by rsyslog while it is written to and rotated.

use std::collections::BTreeMap;
use std::process::Command;

use super::bench::{Bench, Integration, write};
use super::logrotate::{HOOKS, LOGROTATE, events, publish, rotate};
use super::server::{Running, Server, event, wait_until};
use crate::packages::{self, Package};
use crate::workspace::Done;

pub(super) const INTEGRATION: Integration = Integration {
    name: "rsyslog",
    shows: "rsyslog ships the target of a file hook while logrotate rotates it, and every event arrives once",
    needs: &[Package { program: "rsyslogd", package: "rsyslog" }, LOGROTATE],
    run,
};

/// Between them the file is rotated.
const ROUNDS: usize = 4;
const REQUESTS: usize = 100;

fn run(bench: &Bench) -> Done {
    let server = Server::start(bench, HOOKS)?;
    let shipper = start(bench)?;
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            let publishing = scope.spawn(|| publish(&server, round * REQUESTS..(round + 1) * REQUESTS));
            // A file that is rotated before rsyslog knows it is none of its business, so it has to have read
            // something of this round; the rest still comes.
            wait_for(bench, round * events(REQUESTS) + 1)?;
            rotate(bench, "create")?;
            publishing.join().unwrap_or_else(|_| Err("publishing panicked".to_owned()))
        })?;
    }
    server.stop()?;
    let lines = wait_for(bench, ROUNDS * events(REQUESTS))?;
    drop(shipper);
    let mut arrived: BTreeMap<&str, usize> = BTreeMap::new();
    lines.iter().for_each(|line| *arrived.entry(line).or_default() += 1);
    for number in 0..ROUNDS * events(REQUESTS) {
        let times = arrived.get(event(number).as_str()).copied().unwrap_or(0);
        if times != 1 {
            return Err(format!("event {number} arrived {times} times"));
        }
    }
    Ok(())
}

/// Waits until so many lines are shipped, and gives them.
fn wait_for(bench: &Bench, count: usize) -> Result<Vec<String>, String> {
    let mut found = 0;
    let lines = wait_until("rsyslog has shipped everything", || {
        let lines = shipped(bench)?;
        found = lines.len();
        Ok((found >= count).then_some(lines))
    });
    lines.map_err(|why| format!("{why}: {found} of {count}"))
}

/// The lines that have arrived as a whole.
fn shipped(bench: &Bench) -> Result<Vec<String>, String> {
    let path = bench.path("shipped");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("read what was shipped: {error}"))?;
    Ok(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect())
}

/// An rsyslogd that does nothing but ship the file.
fn start(bench: &Bench) -> Result<Running, String> {
    let (config, work) = (bench.path("rsyslog.conf"), bench.path("work"));
    std::fs::create_dir(&work).map_err(|error| format!("make {}: {error}", work.display()))?;
    let text = format!(
        r#"global(workDirectory="{work}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
template(name="line" type="string" string="%msg%\n")
input(type="imfile" file="{file}" tag="hooks" ruleset="ship")
ruleset(name="ship") {{
  action(type="omfile" file="{shipped}" template="line")
}}
"#,
        work = work.display(),
        file = bench.path("out.jsonl").display(),
        shipped = bench.path("shipped").display(),
    );
    write(&config, &text)?;
    let program = packages::find("rsyslogd").ok_or("rsyslogd is gone")?;
    let mut command = Command::new(program);
    command.arg("-n").arg("-f").arg(&config).arg("-i").arg(bench.path("rsyslog.pid"));
    Running::start(&mut command)
}
