//! Hooks are made at one daemon, events published at another at once, and the hook's owner is killed in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hooks_test::LATE;
use hooks_test::http::{Receiver, answer};
use parking_lot::{Condvar, Mutex};
use serde_json::json;

use super::managed::{ask, config, start};
use super::{Server, status};
use crate::command::event;
use crate::serve::{Daemon, LINES};

/// Rounds, where the environment names no other number.
const ROUNDS: usize = 100;

/// Events of a slice.
const SLICE: usize = 3;

/// A hook is removed so many rounds after it was made; every third stays.
const LASTS: usize = 7;

/// The numbers of events that came to each path, in their order.
type ByPath = HashMap<String, Vec<usize>>;

/// What came, and a bell for more.
#[derive(Clone, Default)]
struct Came(Arc<(Mutex<ByPath>, Condvar)>);

impl Came {
    fn receiver(&self) -> Receiver {
        let came = self.clone();
        let number = |element: &String| -> usize {
            let event: serde_json::Value = serde_json::from_str(element).unwrap();
            event["id"].as_str().unwrap().parse().unwrap()
        };
        Receiver::answering(move |seen| {
            let numbers = seen.elements().iter().map(number).collect::<Vec<_>>();
            came.0.0.lock().entry(seen.path().to_owned()).or_default().extend(numbers);
            came.0.1.notify_all();
            answer(200, "")
        })
    }

    fn at(&self, path: &str) -> Vec<usize> {
        self.0.0.lock().get(path).cloned().unwrap_or_default()
    }

    /// Waits until this one has come to a path.
    fn wait_for(&self, path: &str, number: usize) {
        let mut came = self.0.0.lock();
        let is_missing = |came: &mut ByPath| !came.get(path).is_some_and(|came| came.contains(&number));
        let waited = self.0.1.wait_while_for(&mut came, is_missing, LATE);
        assert!(!waited.timed_out(), "{number} never came to {path}: {:?}", came.get(path));
    }
}

/// A hook that was made, by the numbers of events: the first that comes after the answer, and, once it is removed, after
/// that answer.
#[derive(Debug, Clone, Copy)]
struct Made {
    from: usize,
    until: Option<usize>,
}

struct Rounds {
    daemons: Vec<Daemon>,
    receiver: Receiver,
    /// By round.
    made: BTreeMap<usize, Made>,
    /// Number of the next event.
    next: usize,
    /// Daemons that were killed while they owned the hook that had just been made.
    owners: usize,
}

impl Rounds {
    /// Publishes a slice at a daemon.
    fn publish(&mut self, at: usize) {
        let lines: String = (self.next..self.next + SLICE).map(|number| event(number) + "\n").collect();
        let answer = self.daemons[at].post(LINES, lines);
        assert_eq!(answer.status, 202, "{answer:?}");
        self.next += SLICE;
    }

    fn owner(&self, round: usize) -> Option<usize> {
        let hooks = status(&self.daemons[0].place);
        let hook = hooks.iter().find(|hook| hook["id"] == format!("h{round}"))?;
        let owner = hook["owner"].as_str()?;
        self.daemons.iter().position(|daemon| owner.contains(&format!("-{}-", daemon.running.id())))
    }

    /// Makes a hook at one, publishes at another, and kills the hook's owner, or the one that was asked.
    fn round(&mut self, round: usize) {
        let (one, other) = (round % 3, (round + 1 + round / 3 % 2) % 3);
        let hook =
            json!({ "batch": { "max_age": "0s" }, "sink": { "kind": "http", "url": self.receiver.url(&path(round)) } });
        let made = ask(&self.daemons[one], "PUT", &format!("/v1/hooks/h{round}"), &hook.to_string());
        assert_eq!(made.status, 201, "{made:?}");
        self.made.insert(round, Made { from: self.next, until: None });
        if round % 4 < 2 {
            self.publish(other);
        }
        let owner = if round.is_multiple_of(2) { self.owner(round) } else { None };
        self.owners += usize::from(owner.is_some());
        let killed = owner.unwrap_or(one);
        let place = self.daemons.remove(killed).kill();
        // At one of the two that are left.
        self.publish(round % 2);
        if let Some(old) = round.checked_sub(LASTS).filter(|old| old % 3 > 0) {
            let gone = ask(&self.daemons[round / 2 % 2], "DELETE", &format!("/v1/hooks/h{old}"), "");
            assert_eq!(gone.status, 200, "{gone:?}");
            self.made.get_mut(&old).unwrap().until = Some(self.next);
            self.publish((round / 2 + 1) % 2);
        }
        self.daemons.insert(killed, Daemon::again(place));
    }

    /// Waits until every hook that is there has had the last event.
    fn deliver(&mut self, came: &Came) {
        self.publish(0);
        let stay = self.made.iter().filter(|(_, made)| made.until.is_none());
        for (round, _) in stay {
            came.wait_for(&path(*round), self.next - 1);
        }
    }
}

fn path(round: usize) -> String {
    format!("/{round}")
}

impl Made {
    /// Each event once at least, from the first one that was accepted after it was made, in their order. Returns how many
    /// came again.
    fn check(self, came: &[usize], published: usize) -> usize {
        let mut first = Vec::new();
        for number in came {
            if !first.contains(number) {
                first.push(*number);
            }
        }
        match self.until {
            None => assert_eq!(first, (self.from..published).collect::<Vec<_>>(), "{self:?}"),
            // Some of them went with it.
            Some(_) => assert!(first.iter().copied().eq(self.from..self.from + first.len()), "{self:?}: {first:?}"),
        }
        came.len() - first.len()
    }

    /// How many came that were accepted after it was removed.
    fn late(self, came: &[usize]) -> usize {
        self.until.map_or(0, |until| came.iter().filter(|number| **number >= until).count())
    }
}

#[test]
fn every_event_reaches_a_hook_made_elsewhere_just_before_its_owner_was_killed() {
    let Some(server) = Server::start() else { return };
    let rounds = std::env::var("HOOKS_NATS_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let came = Came::default();
    let config = config(&server);
    let daemons = (0..3).map(|_| start(&config)).collect();
    let mut all = Rounds { daemons, receiver: came.receiver(), made: BTreeMap::new(), next: 0, owners: 0 };
    (0..rounds).for_each(|round| all.round(round));
    all.deliver(&came);
    let (mut deliveries, mut repeats, mut late) = (0, 0, 0);
    for (round, made) in &all.made {
        let came = came.at(&path(*round));
        deliveries += came.len();
        repeats += made.check(&came, all.next);
        late += made.late(&came);
    }
    eprintln!(
        "{rounds} rounds, {} of them killed the owner; {} events, {deliveries} deliveries, {repeats} of them again, {late} behind a removal",
        all.owners, all.next
    );
}
