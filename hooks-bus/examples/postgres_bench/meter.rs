//! Events per second, and seconds of CPU per million of them.

use std::process::Child;
use std::time::Instant;

use hooks_core::BoxError;
use tokio_postgres::Client;

pub(crate) struct Meter {
    /// The first process of the server, which the others are children of.
    server: String,
}

pub(crate) struct Begun {
    at: Instant,
    own: f64,
    server: f64,
}

impl Meter {
    pub(crate) async fn new(client: &Client) -> Result<Self, BoxError> {
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let server = stat(&pid.to_string()).get(1).cloned().ok_or("the server is not on this machine")?;
        Ok(Self { server })
    }

    /// `instances`: whose CPU counts, with this process's.
    pub(crate) fn begin(&self, instances: &[Child]) -> Begun {
        Begun { at: Instant::now(), own: own(instances), server: self.server() }
    }

    pub(crate) fn row(&self, what: &str, events: usize, begun: Begun, instances: &[Child]) {
        let millions = events as f64 / 1e6;
        let rate = events as f64 / begun.at.elapsed().as_secs_f64() / 1e3;
        let (own, server) = ((own(instances) - begun.own) / millions, (self.server() - begun.server) / millions);
        println!("| {what} | {rate:.1} k | {own:.1} | {server:.1} |");
    }

    /// Of its processes, and of those that have ended.
    fn server(&self) -> f64 {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let names = processes.filter_map(|process| process.file_name().into_string().ok());
        let children = names.filter(|name| stat(name).get(1) == Some(&self.server));
        children.map(|child| seconds(&child, 2)).sum::<f64>() + seconds(&self.server, 4)
    }
}

fn own(instances: &[Child]) -> f64 {
    if instances.is_empty() {
        return seconds("self", 2);
    }
    instances.iter().map(|child| seconds(&child.id().to_string(), 2)).sum()
}

/// User and system time (fields 14 and 15 of proc(5), in hundredths), or also that of children that have ended (16, 17).
fn seconds(process: &str, fields: usize) -> f64 {
    stat(process).iter().skip(11).take(fields).filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The fields behind the name: state, parent and so on.
fn stat(process: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().map(str::to_owned).collect()
}
