//! Compares sent events with received ones.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::envelope::Envelope;

/// Checks that the receiver has the same events, bytes and order, each once.
pub(super) fn exactly(who: &str, sent: &[String], received: &[String]) -> Result<(), String> {
    for (index, (sent, received)) in sent.iter().zip(received).enumerate() {
        if sent != received {
            return Err(mismatch(who, index, sent, received));
        }
    }
    if let Some(missing) = sent.get(received.len()) {
        return Err(format!("{who} has {} of {} events: {} is missing", received.len(), sent.len(), name(missing)));
    }
    match received.get(sent.len()) {
        Some(extra) => Err(format!("{who} has {} in addition to what was sent", name(extra))),
        None => Ok(()),
    }
}

/// Checks that every event arrived at least once and nothing else did, first arrivals in the order of sending.
pub(super) fn at_least_once(sent: &[String], received: &[String]) -> Result<(), String> {
    // Not hashed: long lines differ early.
    let known: BTreeMap<&str, usize> = sent.iter().enumerate().map(|(index, line)| (line.as_str(), index)).collect();
    let mut seen = HashSet::new();
    for line in received {
        let Some(index) = known.get(line.as_str()) else {
            return Err(format!("the destination has {}, which was never sent like that", name(line)));
        };
        let next = seen.len();
        if seen.insert(index) && *index != next {
            return Err(format!("{} arrived before {}, which was sent earlier", name(line), name(&sent[next])));
        }
    }
    match sent.get(seen.len()) {
        Some(missing) => Err(format!("{} never arrived, although `deliver` said it had", name(missing))),
        None => Ok(()),
    }
}

/// Checks the order of these events among others.
pub(super) fn in_order(sent: &[String], received: &[String]) -> Result<(), String> {
    let wanted: BTreeSet<&String> = sent.iter().collect();
    let received: Vec<String> = received.iter().filter(|line| wanted.contains(line)).cloned().collect();
    exactly("the destination", sent, &received)
}

fn mismatch(who: &str, index: usize, sent: &str, received: &str) -> String {
    let (sent_name, received_name) = (name(sent), name(received));
    if sent_name != received_name {
        return format!("event {} at {who} is {received_name} instead of {sent_name}", index + 1);
    }
    format!("{sent_name} differs from what was sent, {}", difference(sent, received))
}

/// The place of the first difference between two texts, and the difference.
pub(super) fn difference(sent: &str, received: &str) -> String {
    let at = sent.bytes().zip(received.bytes()).take_while(|(sent, received)| sent == received).count();
    format!("from byte {} on: `{}` instead of `{}`", at + 1, excerpt(received, at), excerpt(sent, at))
}

/// An event's id, or the beginning of a text that is no event.
fn name(line: &str) -> String {
    match Envelope::from_json(line.as_bytes()) {
        Ok(event) => format!("event `{}`", event.id()),
        Err(_) => format!("`{}`", excerpt(line, 0)),
    }
}

fn excerpt(text: &str, at: usize) -> String {
    const LENGTH: usize = 40;
    let part = String::from_utf8_lossy(text.as_bytes().get(at..).unwrap_or_default());
    let mut excerpt: String = part.chars().take(LENGTH).collect();
    if part.chars().nth(LENGTH).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(ids: &str) -> Vec<String> {
        ids.split_whitespace()
            .map(|id| match id.strip_prefix('!') {
                Some(text) => text.to_owned(),
                None => format!(
                    r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"t","time":"2026-11-23T10:00:00Z"}}"#
                ),
            })
            .collect()
    }

    #[test]
    fn exactly_says_what_is_wrong() {
        let check =
            |sent: &str, received: &str| exactly("the hook", &lines(sent), &lines(received)).err().unwrap_or_default();
        assert_eq!(check("a b", "a b"), "");
        assert_eq!(check("a b", "a"), "the hook has 1 of 2 events: event `b` is missing");
        assert_eq!(check("a", "a b"), "the hook has event `b` in addition to what was sent");
        assert_eq!(check("a b", "b a"), "event 1 at the hook is event `b` instead of event `a`");
        assert_eq!(check("a b", "a !torn"), "event 2 at the hook is `torn` instead of event `b`");
        let spaced = vec![lines("a")[0].replace("\"s\"", " \"s\"")];
        assert_eq!(
            exactly("the hook", &lines("a"), &spaced).unwrap_err(),
            "event `a` differs from what was sent, from byte 40 on: \
             ` \"s\",\"type\":\"t\",\"time\":\"2026-11-23T10:00…` instead of \
             `\"s\",\"type\":\"t\",\"time\":\"2026-11-23T10:00:…`"
        );
    }

    #[test]
    fn at_least_once_says_what_is_wrong() {
        let check =
            |sent: &str, received: &str| at_least_once(&lines(sent), &lines(received)).err().unwrap_or_default();
        assert_eq!(check("a b c", "a b a b c c"), "");
        assert_eq!(check("a b", "a"), "event `b` never arrived, although `deliver` said it had");
        assert_eq!(check("a b", "b a b"), "event `b` arrived before event `a`, which was sent earlier");
        assert_eq!(check("a", "!{\"spec a"), "the destination has `{\"spec`, which was never sent like that");
    }

    #[test]
    fn in_order_looks_at_its_own_events_only() {
        assert_eq!(in_order(&lines("a b"), &lines("x a y b")), Ok(()));
        assert!(in_order(&lines("a b"), &lines("x b y a")).is_err());
    }
}
