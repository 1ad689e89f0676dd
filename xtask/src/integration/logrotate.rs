//! A file hook's target, rotated by Debian's logrotate while it is written to.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bench::{Bench, Integration, write};
use super::server::{Server, event, wait_until};
use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "logrotate",
    shows: "logrotate rotates the target of a file hook under load, and every event is there once, in order",
    needs: &[LOGROTATE],
    run,
};

pub(super) const LOGROTATE: Package = Package { program: "logrotate", package: "logrotate" };

pub(super) const HOOKS: &str = "
[bus]
kind = 'memory'
[[hooks]]
id = 'file'
sink = { kind = 'file', path = '${CONFIG_DIR}/out.jsonl' }
queue = { max_events = 100_000, max_bytes = '256MiB' }
";

const REQUESTS: usize = 400;
const EVENTS: usize = 50;

/// Fewer show nothing.
const ROTATIONS: usize = 5;

fn run(bench: &Bench) -> Done {
    // The new file is made by logrotate, or by hooks.
    for create in ["create", "nocreate"] {
        let (rotated, requests) = rotate_under_load(bench, create)?;
        if rotated.len() <= ROTATIONS {
            return Err(format!("{create}: only {} files: nothing was shown", rotated.len()));
        }
        let mut lines = Vec::new();
        for file in &rotated {
            lines.extend(read_lines(file)?);
            std::fs::remove_file(file).map_err(|error| format!("remove {}: {error}", file.display()))?;
        }
        if !lines.iter().map(String::as_str).eq((0..events(requests)).map(event).collect::<Vec<_>>()) {
            return Err(format!("{create}: {} of {} events, or not in order", lines.len(), events(requests)));
        }
    }
    Ok(())
}

/// All files that came of it, the oldest first, and the number of requests.
fn rotate_under_load(bench: &Bench, create: &str) -> Result<(Vec<PathBuf>, usize), String> {
    let server = Server::start(bench, HOOKS)?;
    let done = AtomicBool::new(false);
    let enough = bench.path(&format!("out.jsonl.{}", ROTATIONS + 1));
    let mut requests = REQUESTS;
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                rotate(bench, create)?;
            }
            Ok::<(), String>(())
        });
        let published = publish(&server, 0..requests).and_then(|()| {
            wait_until("rotated often enough", || {
                publish(&server, requests..requests + 1)?;
                requests += 1;
                Ok(enough.exists().then_some(()))
            })
        });
        done.store(true, Ordering::Relaxed);
        rotating.join().unwrap_or_else(|_| Err("rotating panicked".to_owned())).and(published)
    })?;
    server.stop()?;
    let mut files: Vec<PathBuf> =
        (1..).map(|number| bench.path(&format!("out.jsonl.{number}"))).take_while(|file| file.exists()).collect();
    files.reverse();
    files.push(bench.path("out.jsonl"));
    files.retain(|file| file.exists());
    Ok((files, requests))
}

/// Publishes the numbered events of these requests.
pub(super) fn publish(server: &Server, requests: Range<usize>) -> Done {
    for request in requests {
        let events: String = (request * EVENTS..(request + 1) * EVENTS).map(|number| event(number) + "\n").collect();
        server.publish(&events)?;
    }
    Ok(())
}

/// The number of events of so many requests.
pub(super) const fn events(requests: usize) -> usize {
    requests * EVENTS
}

/// Has logrotate rotate the file now, if it has anything in it.
pub(super) fn rotate(bench: &Bench, create: &str) -> Done {
    let (file, config) = (bench.path("out.jsonl"), bench.path("logrotate.conf"));
    write(&config, &format!("{} {{\n  rotate 500\n  missingok\n  notifempty\n  {create}\n}}\n", file.display()))?;
    let program = packages::find("logrotate").ok_or("logrotate is gone")?;
    let mut command = Command::new(program);
    command.arg("--force").arg("--state").arg(bench.path("logrotate.state")).arg(&config);
    workspace::output(&mut command).map(drop)
}

pub(super) fn read_lines(file: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("read {}: {error}", file.display()))?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(format!("{} ends in the middle of a line", file.display()));
    }
    Ok(text.lines().map(str::to_owned).collect())
}
