//! `/metrics`, as Prometheus and its own checker read it.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::bench::{Bench, Integration, write};
use super::server::{Running, Server, event, get, wait_until};
use super::{monitoring, packages};
use crate::packages::Package;
use crate::workspace::Done;

pub(super) const INTEGRATION: Integration = Integration {
    name: "prometheus",
    shows: "promtool finds nothing wrong with /metrics and examples/monitoring, and a Prometheus that scrapes it knows what was delivered",
    needs: &[
        Package { program: "promtool", package: "prometheus" },
        Package { program: "prometheus", package: "prometheus" },
    ],
    run,
};

/// A hook that delivers, one that can't, and one that never has anything to do.
const HOOKS: &str = "
[[hooks]]
id = 'file'
sink = { kind = 'file', path = '${CONFIG_DIR}/out.jsonl' }
[[hooks]]
id = 'nobody-listens'
sink = { kind = 'http', url = 'http://127.0.0.1:9/' }
[[hooks]]
id = 'never'
types = ['never']
sink = { kind = 'file', path = '${CONFIG_DIR}/never.jsonl' }
";

const EVENTS: usize = 1000;

fn run(bench: &Bench) -> Done {
    let server = Server::start(bench, HOOKS)?;
    let events: String = (0..EVENTS).map(|number| event(number) + "\n").collect();
    server.publish(&events)?;
    wait_until("both hooks try to deliver", || {
        let page = get(server.address, "/metrics", "")?;
        let tried = ["file", "nobody-listens"].iter().all(|hook| page.contains(&format!("{{hook=\"{hook}\"")));
        Ok(tried.then_some(()))
    })?;
    let page = get(server.address, "/metrics", "")?;
    check(bench, &page)?;
    monitoring::check(bench, &page)?;
    let (prometheus, address) = start(bench, server.address)?;
    let events = EVENTS.to_string();
    for (expression, value) in [
        ("up", "1"),
        ("hooks_events_delivered_total{hook=\"file\"}", &events),
        ("hooks_events_accepted_total", &events),
        ("hooks_pending_events{hook=\"nobody-listens\"}", &events),
        ("hooks_endpoint_state{hook=\"nobody-listens\",state=\"backing_off\"}", "1"),
        ("count(hooks_delivery_duration_seconds_count)", "2"),
        ("hooks_config_last_reload_successful", "1"),
    ] {
        let mut found = None;
        let is_so = wait_until(expression, || {
            found = query(address, expression)?;
            Ok((found.as_deref() == Some(value)).then_some(()))
        });
        is_so.map_err(|why| format!("{why}: {found:?} instead of {value}"))?;
    }
    for expression in monitoring::expressions()? {
        let answer = ask(address, &expression)?;
        if answer["status"] != "success" {
            return Err(format!("Prometheus does not understand `{expression}` of the dashboard: {answer}"));
        }
    }
    match query(address, "count({hook=\"never\"})")? {
        None => {}
        Some(series) => return Err(format!("a hook that never delivered has {series} series")),
    }
    drop((prometheus, server));
    Ok(())
}

/// `promtool check metrics` has nothing to say.
fn check(bench: &Bench, page: &str) -> Done {
    let file = bench.path("page");
    write(&file, page)?;
    let input = std::fs::File::open(&file).map_err(|error| format!("read the page: {error}"))?;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::from(input));
    let output = promtool.output().map_err(|error| format!("can't run promtool: {error}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() && said.trim().is_empty() { Ok(()) } else { Err(format!("promtool: {said}\n{page}")) }
}

/// A Prometheus that scrapes this address, and where it answers.
fn start(bench: &Bench, target: SocketAddr) -> Result<(Running, SocketAddr), String> {
    let config = bench.path("prometheus.yml");
    let scrape = format!(
        "scrape_configs:\n- job_name: hooks\n  scrape_interval: 2s\n  scrape_timeout: 2s\n  static_configs:\n  - targets: ['{target}']\n"
    );
    write(&config, &scrape)?;
    let program = packages::find("prometheus").ok_or("prometheus is gone")?;
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", bench.path("tsdb").display()));
    command.arg("--web.listen-address=127.0.0.1:0");
    let mut running = Running::start(&mut command)?;
    let line = running.wait_for("msg=\"Listening on\"")?;
    let address = line.split(['=', ' ']).find_map(|word| word.parse().ok());
    Ok((running, address.ok_or_else(|| format!("no address in `{line}`"))?))
}

/// The value of an expression that has one.
fn query(address: SocketAddr, expression: &str) -> Result<Option<String>, String> {
    Ok(ask(address, expression)?["data"]["result"][0]["value"][1].as_str().map(str::to_owned))
}

/// What Prometheus answers; nothing until it is ready, when it answers with a text.
fn ask(address: SocketAddr, expression: &str) -> Result<Value, String> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = get(address, &format!("/api/v1/query?query={encoded}"), "")?;
    Ok(serde_json::from_str(&answer).unwrap_or_default())
}
