//! `examples/monitoring`: its alerts pass their own tests, say what to do, and name metrics that there are; and a real
//! Prometheus understands what the dashboard asks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::bench::{Bench, read, write};
use crate::workspace::{self, Done};

const ALERTS: &str = "examples/monitoring/alerts.yml";

/// The alerts, as promtool understands them, with a page of metrics beside them.
pub(super) fn check(bench: &Bench, page: &str) -> Done {
    let (alerts, folder) = (read(ALERTS)?, bench.folder.path());
    write(&folder.join("alerts.yml"), &alerts)?;
    write(&folder.join("alerts_test.yml"), &read("examples/monitoring/alerts_test.yml")?)?;
    promtool(folder, &["check", "rules", "alerts.yml"])?;
    promtool(folder, &["test", "rules", "alerts_test.yml"])?;
    described(&alerts)?;
    let expressions = expressions()?;
    let known: BTreeSet<&str> = page.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for name in [&alerts, &expressions.join("\n")].into_iter().flat_map(|text| metrics(text)) {
        if !known.contains(name) {
            return Err(format!("no daemon shows `{name}`, which examples/monitoring asks for"));
        }
    }
    Ok(())
}

/// Every alert has a test, and a section that says what to do.
fn described(alerts: &str) -> Done {
    let (tests, document) = (read("examples/monitoring/alerts_test.yml")?, read("docs/monitoring.md")?);
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let is_tested = tests.contains(&format!("runbook: docs/monitoring.md#{}\n", name.to_lowercase()));
        if !is_tested || !document.contains(&format!("### {name}\n")) {
            return Err(format!("{name} needs a test in alerts_test.yml and a section in docs/monitoring.md"));
        }
    }
    Ok(())
}

/// What the dashboard asks Prometheus, of everything.
pub(super) fn expressions() -> Result<Vec<String>, String> {
    let dashboard: Value = serde_json::from_str(&read("examples/monitoring/dashboard.json")?)
        .map_err(|error| format!("dashboard.json: {error}"))?;
    let panels = dashboard["panels"].as_array().ok_or("dashboard.json has no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let all = |text: &str| text.replace("$instance", ".*").replace("$hook", ".*");
    let expressions: Vec<_> = targets.filter_map(|target| target["expr"].as_str()).map(all).collect();
    if expressions.len() < panels.len() {
        Err("a panel of dashboard.json asks nothing".to_owned())
    } else {
        Ok(expressions)
    }
}

/// The metrics of hooks that a text names.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|char: char| !char.is_ascii_lowercase() && char != '_');
    words.filter(|word| word.starts_with("hooks_"))
}

fn promtool(folder: &Path, arguments: &[&str]) -> Done {
    workspace::output(Command::new("promtool").current_dir(folder).args(arguments)).map(drop)
}
