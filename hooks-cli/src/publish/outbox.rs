//! The events that are sent next, and what is done after each answer.

use std::collections::VecDeque;
use std::time::Duration;

use hooks_core::Envelope;

use super::reply::{Fault, Reply};
use crate::ndjson::Malformed;

/// Events that are not accepted yet, in order.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Events, each with the line that it stands on.
    queue: VecDeque<(u64, Envelope)>,
    /// Most events of a request. Falls when the server takes less, and rises again by and by: it may have been for one
    /// large event.
    max_events: usize,
    /// The most that it may rise to.
    most_events: usize,
    max_bytes: usize,
    /// Requests that were accepted since it fell or rose.
    fitting: u32,
    /// The last line whose event is accepted or refused, as all before it are.
    settled: u64,
    accepted: u64,
    /// The number of accepted events that the server had already.
    duplicates: u64,
    refused: u64,
}

/// After so many requests that fit, twice as many events are tried.
const RISE: u32 = 32;

/// The next step after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Go on; these events were refused, and the others of their request are still to be sent.
    Next(Vec<Malformed>),
    /// The same again, but not before this, if it is set.
    Wait { after: Option<Duration>, why: String },
    /// Nothing can be sent.
    Stop(String),
}

impl Outbox {
    /// Requests of at most so many events, and so many bytes unless one event alone is longer.
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            max_events,
            most_events: max_events,
            max_bytes,
            fitting: 0,
            settled: 0,
            accepted: 0,
            duplicates: 0,
            refused: 0,
        }
    }

    /// These are to be sent, too. Each stands on a line.
    pub(crate) fn push(&mut self, events: impl IntoIterator<Item = (u64, Envelope)>) {
        self.queue.extend(events);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// The number of events that are not sent.
    pub(crate) fn waiting(&self) -> u64 {
        self.queue.len() as u64
    }

    /// The last line whose event is settled, as all before it are; 0 when none is.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// The next request: how many events it has, and its body, one event a line.
    pub(crate) fn next(&self) -> (usize, String) {
        let mut body = String::new();
        let mut count = 0;
        for (_, event) in self.queue.iter().take(self.max_events) {
            if count > 0 && body.len() + event.len() > self.max_bytes {
                break;
            }
            body.push_str(event.json());
            body.push('\n');
            count += 1;
        }
        (count, body)
    }

    /// The request with the first `count` events was answered so.
    pub(crate) fn answered(&mut self, count: usize, reply: Reply) -> Step {
        match reply {
            Reply::Accepted { events: Some(accepted), .. } if accepted != count as u64 => Step::Stop(format!(
                "202 Accepted, but the server says that it accepted {accepted} of {count} events: is it `hooks serve`, and does something on the way change requests?"
            )),
            Reply::Accepted { duplicates, .. } => {
                self.accepted += count as u64;
                self.duplicates += duplicates;
                self.settle(count);
                self.rise();
                Step::Next(Vec::new())
            }
            Reply::Faults(faults) => self.refuse(count, faults),
            Reply::TooLarge(why) if count <= 1 => self.refuse(count, vec![Fault { line: 1, reason: why }]),
            Reply::TooLarge(_) => {
                (self.max_events, self.fitting) = (count / 2, 0);
                Step::Next(Vec::new())
            }
            Reply::Later { after, why, .. } => Step::Wait { after, why },
            Reply::Partly { accepted, rest } => {
                let left = count - self.accept(count, &accepted);
                if left == 0 { Step::Next(Vec::new()) } else { self.answered(left, *rest) }
            }
            Reply::Never(why) => Step::Stop(why),
        }
    }

    fn rise(&mut self) {
        self.fitting += 1;
        if self.fitting == RISE {
            self.max_events = self.max_events.saturating_mul(2).min(self.most_events);
            self.fitting = 0;
        }
    }

    /// Takes out what was refused; the rest of the request stays at the front.
    fn refuse(&mut self, count: usize, faults: Vec<Fault>) -> Step {
        let mut refused = Vec::new();
        for Fault { line, reason } in faults {
            let at = line.checked_sub(1).filter(|at| *at < count);
            match at.and_then(|at| self.queue.get(at)) {
                Some((number, _)) => refused.push(Malformed { line: *number, reason }),
                None => return Step::Stop(format!("400 Bad Request: line {line} of {count}: {reason}")),
            }
        }
        refused.sort_by_key(|refused| refused.line);
        refused.dedup_by_key(|refused| refused.line);
        let gone = |line: &u64| refused.binary_search_by_key(line, |refused| refused.line).is_ok();
        let rest: Vec<_> = self.queue.drain(..count).filter(|(line, _)| !gone(line)).collect();
        if rest.is_empty()
            && let Some(last) = refused.last()
        {
            self.settled = last.line;
        }
        rest.into_iter().rev().for_each(|event| self.queue.push_front(event));
        self.refused += refused.len() as u64;
        Step::Next(refused)
    }

    /// Takes out what was accepted of a request; returns how many that were.
    fn accept(&mut self, count: usize, accepted: &[[usize; 2]]) -> usize {
        let is_accepted = |at: usize| accepted.iter().any(|[from, to]| (*from..=*to).contains(&(at + 1)));
        let request: Vec<_> = self.queue.drain(..count).enumerate().collect();
        let prefix = request.iter().take_while(|(at, _)| is_accepted(*at)).last();
        self.settled = prefix.map_or(self.settled, |(_, (line, _))| *line);
        let rest: Vec<_> = request.into_iter().filter(|(at, _)| !is_accepted(*at)).collect();
        let taken = count - rest.len();
        rest.into_iter().rev().for_each(|(_, event)| self.queue.push_front(event));
        self.accepted += taken as u64;
        taken
    }

    fn settle(&mut self, count: usize) {
        if let Some((line, _)) = self.queue.drain(..count).next_back() {
            self.settled = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(max_events: usize, events: usize) -> Outbox {
        let mut outbox = Outbox::new(max_events, 1 << 20);
        let event = |id: u64| Envelope::from_json(format!(r#"{{"type":"t","id":"{id}"}}"#).as_bytes()).unwrap();
        // Every second line is an event.
        outbox.push((1..=events as u64).map(|id| (id * 2, event(id))));
        outbox
    }

    fn took(events: Option<u64>) -> Reply {
        Reply::Accepted { events, duplicates: 0 }
    }

    fn ids(body: &str) -> Vec<String> {
        body.lines().map(|line| Envelope::from_json(line.as_bytes()).unwrap().id().to_owned()).collect()
    }

    fn fault(line: usize) -> Fault {
        Fault { line, reason: "bad".to_owned() }
    }

    /// Sends everything to a server that answers so, and returns the ids that it accepted.
    fn send(outbox: &mut Outbox, mut answer: impl FnMut(&[String]) -> Reply) -> Vec<String> {
        let mut accepted = Vec::new();
        while !outbox.is_empty() {
            let (count, body) = outbox.next();
            let ids = ids(&body);
            assert_eq!(ids.len(), count);
            let reply = answer(&ids);
            if reply == took(None) {
                accepted.extend(ids);
            }
            assert!(!matches!(outbox.answered(count, reply), Step::Stop(_)));
        }
        accepted
    }

    fn numbers(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
        range.map(|number| number.to_string()).collect()
    }

    #[test]
    fn everything_goes_in_order_through_every_wait() {
        let mut outbox = outbox(3, 8);
        let mut answers = [true, false, false, true, true, false].into_iter();
        let later = Reply::Later { after: None, why: String::new(), is_open: false };
        let accepted = send(&mut outbox, |_| if answers.next().unwrap_or(true) { took(None) } else { later.clone() });
        assert_eq!(accepted, numbers(1..=8));
        assert_eq!((outbox.accepted(), outbox.settled(), outbox.waiting()), (8, 16, 0));
    }

    #[test]
    fn what_is_too_large_is_split_until_it_fits() {
        let mut outbox = outbox(100, 20);
        let too_large = || Reply::TooLarge("413".to_owned());
        let mut largest = 0;
        let accepted = send(&mut outbox, |ids| {
            if ids.len() > 3 || ids.contains(&"7".to_owned()) {
                return too_large();
            }
            largest = largest.max(ids.len());
            took(None)
        });
        assert_eq!(accepted, [numbers(1..=6), numbers(8..=20)].concat());
        assert_eq!((outbox.accepted(), outbox.refused()), (19, 1));
        assert!(largest <= 3);
    }

    #[test]
    fn one_event_that_is_too_large_does_not_keep_requests_small_for_ever() {
        let mut outbox = outbox(64, 20_000);
        let mut sizes = Vec::new();
        let accepted = send(&mut outbox, |ids| {
            sizes.push(ids.len());
            if ids.contains(&"100".to_owned()) { Reply::TooLarge("413".to_owned()) } else { took(None) }
        });
        assert_eq!(accepted, [numbers(1..=99), numbers(101..=20_000)].concat());
        assert!(sizes.contains(&1) && sizes.len() < 600, "{}", sizes.len());
        assert!(sizes.iter().rev().skip(1).take(100).all(|size| *size == 64), "{sizes:?}");
    }

    #[test]
    fn requests_have_a_limit_in_bytes() {
        let mut outbox = Outbox::new(100, 300);
        let event =
            |size: usize| Envelope::from_json(format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(size)).as_bytes());
        outbox.push(
            [10, 10, 1_000, 10]
                .map(|size| event(size).unwrap())
                .into_iter()
                .zip(1..)
                .map(|(event, line)| (line, event)),
        );
        let mut counts = Vec::new();
        while !outbox.is_empty() {
            let (count, _) = outbox.next();
            counts.push(count);
            outbox.answered(count, took(None));
        }
        assert_eq!(counts.iter().sum::<usize>(), 4);
        assert!(counts.contains(&1) && counts[0] <= 2, "{counts:?}");
    }

    #[test]
    fn refused_events_are_named_by_their_line_and_the_others_go_again() {
        let mut outbox = outbox(4, 4);
        let step = outbox.answered(4, Reply::Faults(vec![fault(3), fault(1), fault(1)]));
        let bad = |line| Malformed { line, reason: "bad".to_owned() };
        assert_eq!(step, Step::Next(vec![bad(2), bad(6)]));
        assert_eq!(ids(&outbox.next().1), ["2", "4"]);
        outbox.answered(2, Reply::Faults(vec![fault(1), fault(2)]));
        assert_eq!((outbox.waiting(), outbox.refused(), outbox.settled()), (0, 4, 8));
    }

    #[test]
    fn whoever_accepts_another_number_is_not_believed() {
        let mut outbox = outbox(10, 6);
        let step = outbox.answered(6, took(Some(5)));
        assert!(matches!(step, Step::Stop(why) if why.contains("accepted 5 of 6 events")));
        assert_eq!((outbox.accepted(), outbox.settled()), (0, 0));
        outbox.answered(6, took(Some(6)));
        assert_eq!((outbox.accepted(), outbox.settled()), (6, 12));
    }

    #[test]
    fn what_was_accepted_in_part_is_not_sent_again() {
        let mut outbox = outbox(6, 6);
        let rest = || Box::new(Reply::Later { after: None, why: "507".to_owned(), is_open: false });
        let step = outbox.answered(6, Reply::Partly { accepted: vec![[1, 2], [4, 4]], rest: rest() });
        assert!(matches!(step, Step::Wait { .. }));
        assert_eq!(ids(&outbox.next().1), ["3", "5", "6"]);
        assert_eq!((outbox.accepted(), outbox.settled()), (3, 4), "line 4 has event 2");
        outbox.answered(3, Reply::Partly { accepted: vec![[1, 99]], rest: rest() });
        assert_eq!((outbox.accepted(), outbox.settled(), outbox.waiting()), (6, 12, 0));
    }

    #[test]
    fn a_fault_that_is_nowhere_stops_instead_of_going_on_for_ever() {
        for line in [0, 5] {
            assert!(matches!(outbox(4, 6).answered(4, Reply::Faults(vec![fault(line)])), Step::Stop(_)));
        }
    }
}
