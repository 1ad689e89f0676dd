//! The record of a run: accepted events, and whether they arrived.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::common::clock;

/// Events that share this remainder were published by the same publisher, in rising order.
pub(super) const PUBLISHERS: u64 = 4;

/// Events settled this long before a kill must not be delivered again. The promise is 100 ms; on a machine that is busy
/// the clock runs on while nobody writes.
const REPEATS: Duration = Duration::from_secs(15);

/// A program was killed.
#[derive(Debug)]
struct Kill {
    /// When it was about to be killed: whatever time its end takes is not its own.
    sent: Duration,
    /// When all that it had sent was written down.
    over: Duration,
}

/// The record of the events of a folder.
#[derive(Debug, Default)]
pub(super) struct Record {
    accepted: BTreeSet<u64>,
    kills: Vec<Kill>,
    /// Numbers of the dead letters of each hook.
    dead_letters: HashMap<String, BTreeSet<u64>>,
}

/// Sums for people.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) repeated: u64,
    /// The longest time before a kill at which something arrived that came again.
    oldest: Duration,
    dead_letters: u64,
    /// Of hooks, over the API.
    pub(super) changes: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.oldest = self.oldest.max(other.oldest);
        self.dead_letters += other.dead_letters;
        self.changes += other.changes;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, repeated, oldest, dead_letters, changes } = self;
        write!(
            f,
            "{accepted} events accepted, {delivered} deliveries, {repeated} of them again (from {} ms before a kill at most), {dead_letters} dead letters, {changes} changes of hooks, none lost, all in order",
            oldest.as_millis()
        )
    }
}

impl Record {
    /// A line that the program printed. Whether it acknowledges an event.
    pub(super) fn heard(&mut self, line: &str) -> bool {
        let number: Option<u64> = line.strip_prefix("ack ").and_then(|number| number.parse().ok());
        self.accepted.extend(number);
        number.is_some()
    }

    /// Events that were acknowledged.
    pub(super) fn accept(&mut self, numbers: Vec<u64>) {
        self.accepted.extend(numbers);
    }

    pub(super) fn accepted(&self) -> &BTreeSet<u64> {
        &self.accepted
    }

    /// Killed at `sent`; what came of it is written down now.
    pub(super) fn killed(&mut self, sent: Duration) {
        self.kills.push(Kill { sent, over: clock() });
    }

    /// Takes the output of the last life, which was not killed.
    pub(super) fn drained(&mut self, output: &str) -> Result<(), String> {
        for line in output.lines() {
            if let Some((hook, number)) = line.strip_prefix("letter ").and_then(|rest| rest.split_once(' ')) {
                let number = number.parse().map_err(|_| format!("`{line}`"))?;
                self.dead_letters.entry(hook.to_owned()).or_default().insert(number);
            }
        }
        if output.ends_with("done\n") { Ok(()) } else { Err("the rest was not delivered to its end".to_owned()) }
    }

    /// Checks that all promises were kept.
    pub(super) fn check(&self, folder: &Path, hooks: &[(&str, Wanted)]) -> Result<Totals, String> {
        let mut totals = Totals { accepted: self.accepted.len() as u64, ..Totals::default() };
        for &(hook, concerns) in hooks {
            let path = folder.join(format!("{hook}.out"));
            // No event, no file.
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let arrived = lines(&text).map_err(|error| format!("hook {hook}: {error}"))?;
            let (repeated, oldest) =
                self.check_hook(hook, concerns, &arrived).map_err(|error| format!("hook {hook}: {error}"))?;
            totals.delivered += arrived.len() as u64;
            totals.repeated += repeated;
            totals.oldest = totals.oldest.max(oldest);
        }
        totals.dead_letters = self.dead_letters.values().map(|letters| letters.len() as u64).sum();
        Ok(totals)
    }

    /// Returns how many deliveries were repeats, and of how long before a kill at most.
    fn check_hook(&self, hook: &str, concerns: Wanted, arrived: &[Arrival]) -> Result<(u64, Duration), String> {
        let mut first: BTreeMap<u64, Option<Duration>> = BTreeMap::new();
        let mut newest: HashMap<u64, u64> = HashMap::new();
        let (mut repeated, mut oldest) = (0, Duration::ZERO);
        for (at, number) in arrived {
            if let Some(before) = first.get(number) {
                repeated += 1;
                if let (Some(before), Some(at)) = (before, at) {
                    oldest = oldest.max(self.check_repeat(*number, *before, *at)?);
                }
                continue;
            }
            first.insert(*number, *at);
            let last = newest.insert(number % PUBLISHERS, *number).unwrap_or_default();
            if last > *number {
                return Err(format!("{number} arrived behind {last}"));
            }
        }
        let letters = self.dead_letters.get(hook).cloned().unwrap_or_default();
        if let Some(both) = letters.iter().find(|number| first.contains_key(number)) {
            return Err(format!("{both} was delivered and is a dead letter"));
        }
        let is_there = |number: &u64| first.contains_key(number) || letters.contains(number);
        if let Some(lost) = self.accepted.iter().find(|number| concerns(**number) && !is_there(number)) {
            return Err(format!("{lost} was accepted and is lost"));
        }
        match first.keys().find(|number| !concerns(**number)) {
            Some(other) => Err(format!("{other} does not concern it")),
            None => Ok((repeated, oldest)),
        }
    }

    /// Repeats come only after a kill, and only of what was delivered shortly before it. Returns how shortly.
    fn check_repeat(&self, number: u64, before: Duration, again: Duration) -> Result<Duration, String> {
        let kills = self.kills.iter().filter(|kill| before <= kill.over && kill.over <= again);
        let shortest = kills.map(|kill| kill.sent.saturating_sub(before)).min();
        let shortest = shortest.filter(|shortest| *shortest <= REPEATS);
        let no_reason =
            || format!("{number} was delivered again for no reason, {:?} later", again.saturating_sub(before));
        shortest.ok_or_else(no_reason)
    }
}

/// True if a hook gets the event with this number.
pub(super) type Wanted = fn(u64) -> bool;

/// The time at which an event arrived, where that is known, and its number.
type Arrival = (Option<Duration>, u64);

/// Milliseconds (or `-`) and numbers. Every line must be whole.
fn lines(text: &str) -> Result<Vec<Arrival>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line is not whole".to_owned());
    }
    let parse = |line: &str| {
        let (at, number) = line.split_once(' ')?;
        let at = if at == "-" { None } else { Some(Duration::from_millis(at.parse().ok()?)) };
        Some((at, number.parse().ok()?))
    };
    text.lines().map(|line| parse(line).ok_or_else(|| format!("`{line}` is no line of ours"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Each kill is sent at its first time, and over at its second.
    fn record(accepted: &[u64], kills: &[(u64, u64)]) -> Record {
        let kills = kills.iter().map(|&(sent, over)| Kill { sent: at(sent), over: at(over) }).collect();
        Record { accepted: accepted.iter().copied().collect(), kills, dead_letters: HashMap::new() }
    }

    fn check(record: &Record, arrived: &[(u64, u64)]) -> Result<u64, String> {
        let arrived: Vec<_> = arrived.iter().map(|&(time, number)| (Some(at(time)), number)).collect();
        record.check_hook("all", |_| true, &arrived).map(|(repeated, _)| repeated)
    }

    #[test]
    fn broken_promises_are_noticed() {
        let two = record(&[4, 8], &[(100, 100)]);
        assert_eq!(check(&two, &[(1, 4), (2, 8)]), Ok(0));
        assert_eq!(check(&two, &[(1, 4), (200, 4), (201, 8)]), Ok(1), "again after the kill");
        assert_eq!(check(&two, &[(1, 4)]), Err("8 was accepted and is lost".to_owned()));
        assert_eq!(check(&two, &[(1, 8), (2, 4)]), Err("4 arrived behind 8".to_owned()));
        assert!(check(&two, &[(1, 4), (2, 4), (3, 8)]).unwrap_err().starts_with("4 was delivered again"));
        let late = record(&[4], &[(60_000, 60_000)]);
        assert!(check(&late, &[(1, 4), (60_001, 4)]).unwrap_err().starts_with("4 was delivered again"));
        let slow = record(&[4], &[(100, 60_000)]);
        assert_eq!(check(&slow, &[(1, 4), (60_001, 4)]), Ok(1), "the kill took long, and counts from its begin");
        assert_eq!(check(&slow, &[(101, 4), (60_001, 4)]), Ok(1), "what came meanwhile comes again");
        assert!(check(&slow, &[(1, 4), (101, 4)]).unwrap_err().starts_with("4 was delivered again"), "not so soon");
        let mut refused = record(&[4], &[]);
        refused.drained("letter all 4\ndone\n").unwrap();
        assert_eq!(check(&refused, &[]), Ok(0));
        assert_eq!(check(&refused, &[(1, 4)]), Err("4 was delivered and is a dead letter".to_owned()));
        assert!(refused.drained("letter all 4\n").is_err());
    }

    #[test]
    fn lines_are_whole() {
        assert_eq!(lines("5 17\n- 18\n").unwrap(), [(Some(Duration::from_millis(5)), 17), (None, 18)]);
        assert!(lines("5 17").is_err() && lines("5 1x\n").is_err() && lines("").unwrap().is_empty());
    }
}
