//! The receivers in `examples/receivers`, which people start from: they verify, work on each event once, and refuse.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use super::super::bench::{Bench, read, write};
use super::{FIRST, Receiver, SECOND, id};
use crate::workspace::{self, Done};

const RECEIVERS: [(&str, &str); 2] = [("node", "receiver.mjs"), ("python3", "receiver.py")];

pub(super) fn run(bench: &Bench) -> Done {
    for (program, file) in RECEIVERS {
        check(bench, program, file).map_err(|why| format!("examples/receivers/{file}: {why}"))?;
        println!("examples/receivers/{file} works on each event once, refuses one, and trusts no other secret");
    }
    Ok(())
}

fn check(bench: &Bench, program: &str, file: &str) -> Done {
    let folder = bench.folder.path();
    let name = format!("example-{file}");
    write(&folder.join(&name), &read(&format!("examples/receivers/{file}"))?)?;
    let printed = folder.join(format!("{name}.out"));
    let out = File::create(&printed).map_err(|error| format!("make {}: {error}", printed.display()))?;
    let mut command = Command::new(program);
    command.arg(&name).arg("0").env("SECRET", FIRST);
    let receiver = Receiver::start_printing(&mut command, folder, out.into())?;

    let events = read("examples/github-events.ndjson")?;
    let config = folder.join(format!("{name}.toml"));
    write(&config, &self::config(&receiver.port, FIRST))?;
    pipe(bench, &config, &events, "")?;
    // Once more, with one that the receiver has no use for.
    pipe(bench, &config, &format!("{events}{{\"type\":\"other\"}}\n"), "1 refused")?;
    worked_once(&printed, &events)?;

    write(&config, &self::config(&receiver.port, SECOND))?;
    let output = Command::new(&bench.hooks).args(["test", "-c"]).arg(&config).arg("example").output();
    let said =
        String::from_utf8_lossy(&output.map_err(|error| format!("can't run hooks: {error}"))?.stdout).into_owned();
    if said.contains("401 Unauthorized") { Ok(()) } else { Err(format!("it trusts another secret: {said}")) }
}

/// The bus takes every event, so that repeats reach the receiver.
fn config(port: &str, secret: &str) -> String {
    format!(
        "[bus]\nkind = \"memory\"\nduplicate_window = \"0s\"\n[[hooks]]\nid = \"example\"\n[hooks.sink]\n\
         kind = \"http\"\nurl = \"http://127.0.0.1:{port}/\"\nsecret = \"{secret}\"\n"
    )
}

/// Delivers events; what is not delivered has to be named with this text.
fn pipe(bench: &Bench, config: &Path, events: &str, shortfall: &str) -> Done {
    let input = bench.path("events.ndjson");
    write(&input, events)?;
    let stdin = File::open(&input).map_err(|error| format!("read {}: {error}", input.display()))?;
    let mut pipe = Command::new(&bench.hooks);
    pipe.args(["pipe", "-c"]).arg(config).args(["--timeout", "2m"]).stdin(stdin);
    if shortfall.is_empty() {
        return workspace::output(&mut pipe).map(drop);
    }
    let output = pipe.output().map_err(|error| format!("can't run {pipe:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(1) && said.contains(shortfall) {
        Ok(())
    } else {
        Err(format!("no `{shortfall}`: {said}"))
    }
}

fn worked_once(printed: &Path, events: &str) -> Done {
    let text = std::fs::read_to_string(printed).map_err(|error| format!("read {}: {error}", printed.display()))?;
    let worked: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    let ids = events.lines().map(id).collect::<Result<BTreeSet<String>, _>>()?;
    let known: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    if worked.len() != known.len() || worked.iter().copied().collect::<BTreeSet<_>>() != known {
        return Err(format!("it worked on {} events, of {} that there are", worked.len(), known.len()));
    }
    Ok(())
}
