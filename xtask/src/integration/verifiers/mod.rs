//! Receivers written with other people's libraries verify and parse what `hooks` sends: `standardwebhooks` and
//! `cloudevents` of npm and PyPI. (That of crates.io is a test of `hooks-sink-http`.)

mod examples;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use super::bench::{Bench, Integration, read, write};
use super::server::Running;
use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "verifiers",
    shows: "standardwebhooks (npm, PyPI) verifies requests, and cloudevents (npm, PyPI) reads them, in binary mode, too",
    needs: &[
        Package { program: "node", package: "nodejs" },
        Package { program: "npm", package: "npm" },
        Package { program: "python3", package: "python3" },
        Package { program: "pip3", package: "python3-pip" },
    ],
    run,
};

/// Two secrets: during a rotation each receiver knows one of them.
const FIRST: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const SECOND: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

/// Events that binary mode has to encode: attributes of any characters, data that is text, bytes, or none.
const ODD: &str = r#"{"specversion":"1.0","id":"é \" % 😀","source":"/odd","type":"odd.text","time":"2026-11-23T10:00:00Z","subject":"100 %","datacontenttype":"text/plain","data":"line\nand \"quote\" é"}
{"specversion":"1.0","id":"odd-bytes","source":"/odd","type":"odd.bytes","time":"2026-11-23T10:00:00Z","datacontenttype":"application/octet-stream","data_base64":"/+8AAQ=="}
{"specversion":"1.0","id":"odd-none","source":"/odd","type":"odd.none","time":"2026-11-23T10:00:00Z"}
"#;

fn run(bench: &Bench) -> Done {
    let folder = bench.folder.path();
    install(folder)?;
    let node = Receiver::start(Command::new("node").arg("receiver.mjs").args([FIRST, PUBLIC, "seen"]), folder)?;
    let python = Receiver::start(Command::new("python3").arg("receiver.py").args([SECOND, "seen"]), folder)?;
    let events = read("examples/github-events.ndjson")? + ODD;
    write(&bench.path("hooks.toml"), &config(&node, &python))?;
    deliver(bench, &events)?;
    seen(folder, &events)?;
    refused(bench)?;
    examples::run(bench)
}

fn install(folder: &Path) -> Done {
    for (name, text) in [("receiver.mjs", include_str!("receiver.mjs")), ("receiver.py", include_str!("receiver.py"))] {
        write(&folder.join(name), text)?;
    }
    packages::npm(folder, &["standardwebhooks@1.1.1", "cloudevents@10.0.0"])?;
    packages::pip(&folder.join("python"), &["standardwebhooks==1.1.0", "cloudevents==2.2.0"])
}

/// A receiver, ended when it is dropped.
struct Receiver {
    _running: Running,
    port: String,
}

impl Receiver {
    /// Starts it in the folder, and waits for it to name its port.
    fn start(command: &mut Command, folder: &Path) -> Result<Self, String> {
        Self::start_printing(command, folder, Stdio::null())
    }

    /// The same, with its output to be read.
    fn start_printing(command: &mut Command, folder: &Path, out: Stdio) -> Result<Self, String> {
        command.current_dir(folder).env("PYTHONPATH", folder.join("python"));
        let mut running = Running::start_printing(command, out)?;
        let port = running.wait_for("port ")?.replace("port ", "").trim().to_owned();
        Ok(Self { _running: running, port })
    }
}

/// Each way to send events, to a receiver that checks it. The last hook signs with a secret that nobody knows.
fn config(node: &Receiver, python: &Receiver) -> String {
    let hook = |id: &str, port: &str, more: &str| {
        format!(
            "[[hooks]]\nid = \"{id}\"\n[hooks.sink]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/{id}\"\n{more}\n"
        )
    };
    let both = format!("secret = [\"{FIRST}\", \"{SECOND}\"]");
    [
        hook("node", &node.port, &both),
        hook("single", &node.port, &format!("mode = \"single\"\n{both}")),
        hook("packed", &node.port, &format!("compression = \"gzip\"\n{both}")),
        hook("asymmetric", &node.port, &format!("secret = \"{PRIVATE}\"")),
        hook("binary", &node.port, &format!("mode = \"single\"\nbody = \"binary\"\n{both}")),
        hook("python", &python.port, &both),
        hook("python-binary", &python.port, &format!("mode = \"single\"\nbody = \"binary\"\n{both}")),
    ]
    .concat()
}

const PATHS: [&str; 7] = ["/node", "/single", "/packed", "/asymmetric", "/binary", "/python", "/python-binary"];

fn deliver(bench: &Bench, events: &str) -> Done {
    let input = bench.path("events.ndjson");
    write(&input, events)?;
    let stdin = std::fs::File::open(&input).map_err(|error| format!("read {}: {error}", input.display()))?;
    let mut pipe = Command::new(&bench.hooks);
    pipe.args(["pipe", "-c"]).arg(bench.path("hooks.toml")).args(["--timeout", "2m"]).stdin(stdin);
    // Ends with 0 only when every receiver took every event.
    workspace::output(&mut pipe).map(drop)
}

fn seen(folder: &Path, events: &str) -> Done {
    let file = folder.join("seen");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("read {}: {error}", file.display()))?;
    let seen: BTreeSet<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let ids: Result<BTreeSet<String>, _> = events.lines().map(id).collect();
    let ids = ids?;
    for path in PATHS {
        let missing = ids.iter().filter(|id| !seen.contains(&(path, id.as_str()))).count();
        if missing > 0 {
            return Err(format!("{missing} of {} events did not come to {path}", ids.len()));
        }
    }
    println!("{} events came to each of {} hooks, every request verified", ids.len(), PATHS.len());
    Ok(())
}

fn id(line: &str) -> Result<String, String> {
    let event: serde_json::Value = serde_json::from_str(line).map_err(|error| format!("an example: {error}"))?;
    event["id"].as_str().map(str::to_owned).ok_or_else(|| "an example has no id".to_owned())
}

/// A receiver refuses what its library does not accept: else this would show nothing.
fn refused(bench: &Bench) -> Done {
    let path = bench.path("wrong.toml");
    let config = std::fs::read_to_string(bench.path("hooks.toml")).map_err(|error| error.to_string())?;
    let wrong = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    write(&path, &config.replace(FIRST, wrong).replace(SECOND, wrong))?;
    for hook in ["node", "single", "packed", "binary", "python", "python-binary"] {
        let mut test = Command::new(&bench.hooks);
        test.args(["test", "-c"]).arg(&path).arg(hook);
        let output = test.output().map_err(|error| format!("can't run {test:?}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if output.status.code() != Some(1) || !said.contains("400 Bad Request") {
            return Err(format!("a wrong secret was not refused by the receiver of `{hook}`: {said}"));
        }
    }
    Ok(())
}
