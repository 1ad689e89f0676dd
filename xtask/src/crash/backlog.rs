//! Kills `hooks serve` in the middle of a backlog, sooner than it could deliver it: each life gets on, and what comes
//! again was settled a moment before.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::common::{Random, clock};
use super::daemon::{Place, web_lines};
use super::http::Client;
use super::process::Daemon;
use super::receiver::{Arrival, Receiver};
use super::record::{Record, Totals};

/// Events, more than are delivered in all lives.
const BACKLOG: u64 = 60_000;

/// Events of a request.
const SLICE: u64 = 2_000;

/// A life that delivered for so long must have kept a position. The promise is 100 ms; on a machine that is busy the
/// clock runs on while nobody writes, but hardly in every life.
const LONG: Duration = Duration::from_millis(400);

/// Several lives of a daemon with this bus, each killed; then everything is delivered and checked.
pub(super) fn chain(program: &Path, bus: &str, lives: u64, random: &mut Random) -> Result<Totals, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a folder for the files: {error}"))?;
    let receiver = Receiver::start()?;
    let place = Place { program: program.to_owned(), folder: folder.path().to_owned() };
    place.write(&format!(
        "ingest.listen = '127.0.0.1:0'\nbus = {{ {bus} }}\n\
         [[hooks]]\nid = 'web'\nfrom = 'earliest'\nbatch = {{ max_events = 10 }}\n\
         sink = {{ kind = 'http', url = 'http://{}/' }}\nretry = {{ initial = '1ms', max = '5ms' }}\n",
        receiver.address
    ))?;
    let mut record = Record::default();
    let mut seen = 0;
    let mut delivered = Vec::new();
    for life in 0..lives {
        let mut daemon = place.start()?;
        if life == 0 {
            publish(&daemon, &mut record)?;
        }
        // tidy-allow(thread-sleep): the kill comes at any moment, and nothing is to be waited for
        std::thread::sleep(Duration::from_millis(100 + random.below(700)));
        let sent = clock();
        daemon.kill()?;
        receiver.finish()?;
        record.killed(sent);
        let arrived = receiver.arrived();
        delivered.extend(Life::of(&arrived[seen..]));
        seen = arrived.len();
    }
    let mut last = place.start()?;
    let path: Arc<str> = "/".into();
    let due: BTreeSet<_> = record.accepted().iter().map(|number| (path.clone(), *number)).collect();
    receiver.wait_for(due).map_err(|why| format!("{why}:\n{}", last.said()))?;
    last.stop()?;
    delivered.extend(Life::of(&receiver.arrived()[seen..]));
    gets_on(&delivered)?;
    std::fs::write(place.folder.join("web.out"), web_lines(&receiver)).map_err(|error| format!("web.out: {error}"))?;
    record.check(&place.folder, &[("web", |_| true)])
}

fn publish(daemon: &Daemon, record: &mut Record) -> Result<(), String> {
    let mut client = Client::connect(daemon.address).ok_or("can't connect to the daemon")?;
    for first in (0..BACKLOG).step_by(SLICE as usize) {
        let numbers: Vec<u64> = (first..first + SLICE).collect();
        match client.publish(&numbers) {
            Some((202, _)) => record.accept(numbers),
            other => return Err(format!("a part of the backlog was not accepted: {other:?}\n{}", daemon.said())),
        }
    }
    Ok(())
}

/// What one life delivered: the first number, and for how long.
#[derive(Debug)]
struct Life {
    first: u64,
    lasted: Duration,
}

impl Life {
    /// `None` for one that did not reach the receiver.
    fn of(arrived: &[Arrival]) -> Option<Self> {
        let (first, last) = (arrived.first()?, arrived.last()?);
        Some(Self { first: first.number, lasted: last.at.saturating_sub(first.at) })
    }
}

/// No life goes back behind the one before, and no two that are long leave the next one where they began.
fn gets_on(lives: &[Life]) -> Result<(), String> {
    let mut stuck = 0;
    for (before, after) in lives.iter().zip(lives.iter().skip(1)) {
        stuck = if after.first > before.first { 0 } else { stuck + u32::from(before.lasted >= LONG) };
        if after.first < before.first || stuck == 2 {
            return Err(format!(
                "a life began at {} and lasted {:?}, the next at {}",
                before.first, before.lasted, after.first
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_without_progress_is_noticed() {
        let lives = |lives: &[(u64, u64)]| {
            let life = |&(first, lasted): &(u64, u64)| Life { first, lasted: Duration::from_millis(lasted) };
            gets_on(&lives.iter().map(life).collect::<Vec<_>>())
        };
        assert_eq!(lives(&[(0, 900), (10, 900), (20, 0)]), Ok(()));
        assert_eq!(lives(&[(0, 100), (0, 100), (0, 100), (0, 0)]), Ok(()), "too short");
        assert_eq!(lives(&[(0, 900), (0, 100), (10, 900), (10, 0)]), Ok(()), "each only once");
        assert!(lives(&[(0, 900), (0, 100), (0, 900), (0, 0)]).is_err(), "twice");
        assert!(lives(&[(10, 1), (0, 0)]).is_err(), "back");
    }
}
