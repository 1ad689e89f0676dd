//! `hooks pipe`, from a file of events to a webhook and to a file.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hooks_core::BoxError;

use crate::bare;
use crate::contest::{Contestant, Results, Verdict};
use crate::events::Events;
use crate::process::{Cost, cost, hooks, own_cpu, run};
use crate::receiver::Receiver;
use crate::{Report, Setup};

/// To a webhook: arrays of 100, one request at a time.
pub(crate) fn webhook(setup: &Setup) -> Result<Report, BoxError> {
    let receiver = Receiver::start()?;
    let (events, file) = (&setup.events, setup.events.file.display().to_string());
    let (url, address) = (receiver.url(), receiver.address.to_string());
    let config = webhook_config(&setup.folder, &url)?;
    let mut busy = (0.0, 0.0);
    let mut contestants = vec![
        Contestant::new("bare socket", || arrive(&receiver, events, || cost(&["socket", &address, &file]))),
        Contestant::new("bare reqwest", || arrive(&receiver, events, || cost(&["post", &url, &file]))),
        Contestant::new("bare scan", || cost(&["scan", &file])),
        Contestant::new("serde_json scan", || cost(&["serde", &file])),
        Contestant::new("hooks pipe", || {
            let before = own_cpu();
            let cost = arrive(&receiver, events, || pipe(&config, &events.file))?;
            busy = (busy.0 + own_cpu() - before, busy.1 + cost.wall);
            Ok(cost)
        }),
    ];
    if let Some(peers) = &setup.peers {
        let run = || arrive(&receiver, events, || peers.syslog_ng_to_http(&setup.folder, events, &receiver));
        contestants.push(Contestant::new("syslog-ng", run));
    }
    let results = Results::of(contestants, setup.rounds, events.millions())?;
    let by = |others: &[&'static str]| results.ratio("hooks pipe", others);
    let mut verdicts = vec![
        Verdict::at_most("pipe → webhook, by bare reqwest + bare scan", by(&["bare reqwest", "bare scan"]), " ×", 1.1),
        Verdict::at_most("pipe → webhook, by bare reqwest", by(&["bare reqwest"]), " ×", 2.0),
    ];
    if results.has("syslog-ng") {
        let ratio = results.ratio("syslog-ng", &["hooks pipe"]);
        verdicts.push(Verdict::at_least("syslog-ng by pipe → webhook", ratio, " ×", 3.0));
    }
    let note = format!(
        "The receiver was busy {:.0} % of the time of `hooks pipe`; a bare socket shows how fast it can be asked.",
        100.0 * busy.0 / busy.1
    );
    Ok(Report { title: "memory bus → webhook", text: format!("{}\n{note}\n", results.table()), verdicts })
}

/// To a file: the same lines.
pub(crate) fn file(setup: &Setup) -> Result<Report, BoxError> {
    let (events, from) = (&setup.events, setup.events.file.display().to_string());
    let to = setup.folder.join("out.jsonl");
    let config = file_config(&setup.folder, &to)?;
    let target = to.display().to_string();
    let checked = |cost: Cost| match bare::same(&events.file, &to)? {
        true => Ok::<_, BoxError>(cost),
        false => Err("the file does not hold what was sent".into()),
    };
    let clean = || fs::remove_file(&to).or_else(|_| if to.exists() { Err("can't be removed") } else { Ok(()) });
    let mut contestants = vec![
        Contestant::new("bare writer", || cost(&["write", &target, &from]).and_then(checked)),
        Contestant::new("bare scan", || cost(&["scan", &from])),
        Contestant::new("hooks pipe", || {
            clean()?;
            checked(pipe(&config, &events.file)?)
        }),
    ];
    if let Some(peers) = &setup.peers {
        contestants.push(Contestant::new("syslog-ng", || {
            clean()?;
            checked(peers.syslog_ng_to_file(&setup.folder, events, &to)?)
        }));
        contestants.push(Contestant::new("rsyslog", || {
            clean()?;
            checked(peers.rsyslog_to_file(&setup.folder, events, &to)?)
        }));
    }
    let results = Results::of(contestants, setup.rounds, events.millions())?;
    let ratio = results.ratio("hooks pipe", &["bare writer", "bare scan"]);
    let mut verdicts = vec![Verdict::at_most("pipe → file, by bare writer + bare scan", ratio, " ×", 1.2)];
    if results.has("syslog-ng") {
        let ratio = results.ratio("syslog-ng", &["hooks pipe"]);
        verdicts.push(Verdict::at_least("syslog-ng by pipe → file", ratio, " ×", 2.5));
    }
    Ok(Report { title: "memory bus → file", text: results.table(), verdicts })
}

/// Peak memory while the receiver takes its time.
pub(crate) fn memory(setup: &Setup) -> Result<Report, BoxError> {
    let mut text = "| receiver | events | peak MiB |\n|---|---|---|\n".to_owned();
    let mut worst = 0.0_f64;
    for (delay, count) in [(0, setup.events.count), (1, 100_000), (20, 20_000)] {
        let events = Events::prepare(&setup.folder, count, crate::events::SIZE)?;
        let receiver = Receiver::with(Duration::from_millis(delay), std::sync::Arc::new(|_, _| {}))?;
        let config = webhook_config(&setup.folder, &receiver.url())?;
        let cost = arrive(&receiver, &events, || pipe(&config, &events.file))?;
        text.push_str(&format!("| answers after {delay} ms | {count} | {:.1} |\n", cost.peak));
        worst = worst.max(cost.peak);
    }
    let verdicts = vec![Verdict::at_most("peak memory of pipe", worst, " MiB", 32.0)];
    Ok(Report { title: "peak memory", text, verdicts })
}

pub(crate) fn pipe(config: &Path, events: &Path) -> Result<Cost, BoxError> {
    run(hooks(&[OsStr::new("pipe"), OsStr::new("-c"), config.as_os_str()], events)?)
}

/// Runs something and makes sure that it brought the receiver every event.
pub(crate) fn arrive(
    receiver: &Receiver,
    events: &Events,
    run: impl FnOnce() -> Result<Cost, BoxError>,
) -> Result<Cost, BoxError> {
    let before = receiver.arrived();
    let cost = run()?;
    let after = receiver.arrived();
    let (requests, bytes) = (after.0 - before.0, after.1 - before.1);
    if bytes != events.body_bytes(requests) {
        let wanted = events.body_bytes(requests);
        return Err(format!("{bytes} bytes arrived in {requests} requests, {wanted} were sent").into());
    }
    Ok(cost)
}

pub(crate) fn webhook_config(folder: &Path, url: &str) -> Result<PathBuf, BoxError> {
    let text = format!(
        "[[hooks]]\nid = \"bench\"\nbatch = {{ max_events = {} }}\nsink = {{ kind = \"http\", url = \"{url}\" }}\n",
        bare::BATCH
    );
    written(folder.join("webhook.toml"), &text)
}

pub(crate) fn file_config(folder: &Path, to: &Path) -> Result<PathBuf, BoxError> {
    let text = format!("[[hooks]]\nid = \"bench\"\nsink = {{ kind = \"file\", path = \"{}\" }}\n", to.display());
    written(folder.join("file.toml"), &text)
}

pub(crate) fn written(path: PathBuf, text: &str) -> Result<PathBuf, BoxError> {
    fs::write(&path, text)?;
    Ok(path)
}
