//! A client that makes, changes, disables and removes hooks of its own, and publishes.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::history::{History, Span};
use crate::crash::common::{Random, clock};
use crate::crash::http::{Answer, Client as Connection};
use crate::crash::record::PUBLISHERS;

/// Names that a client has for its hooks.
const NAMES: usize = 4;

/// A hook that is there.
#[derive(Debug, Clone, PartialEq)]
struct Hook {
    /// Its place in the history.
    number: usize,
    /// Where its events go.
    path: Arc<str>,
    revision: u64,
    is_disabled: bool,
    /// A position behind everything that was accepted before the hook was made, and when it was asked for.
    begin: Option<(u64, Span)>,
}

#[derive(Debug, Default)]
struct Name {
    hook: Option<Hook>,
    /// No later one is less.
    last_revision: u64,
}

#[derive(Debug, Clone)]
enum Change {
    /// To where the events go.
    Make(Arc<str>),
    Move(Arc<str>),
    Remove,
    Disable,
    Enable,
    /// To this position, which was known then.
    Back(u64, Span),
    Ahead,
}

/// A header.
const IS_JSON: &str = "content-type: application/json\r\n";

pub(super) struct Client {
    number: u64,
    receiver: SocketAddr,
    random: Random,
    names: Vec<Name>,
    next_event: u64,
    next_path: u64,
    /// What it asked last, if it was not answered.
    unanswered: Option<(usize, Change, Span)>,
    history: History,
}

impl Client {
    pub(super) fn new(number: u64, receiver: SocketAddr, seed: u64) -> Self {
        let names = std::iter::repeat_with(Name::default).take(NAMES).collect();
        let (random, history) = (Random::new(seed), History::default());
        Self { number, receiver, random, names, next_event: number, next_path: 0, unanswered: None, history }
    }

    pub(super) fn into_history(self) -> History {
        self.history
    }

    /// Where the events of its hooks go.
    pub(super) fn hooks(&self) -> impl Iterator<Item = Arc<str>> {
        self.names.iter().filter_map(|name| name.hook.as_ref()).map(|hook| hook.path.clone())
    }

    /// One thing, at random. Returns false once the daemon is gone.
    pub(super) fn act(&mut self, daemon: &mut Connection) -> Result<bool, String> {
        if self.random.below(2) == 0 {
            let count = 1 + self.random.below(7);
            return self.publish(daemon, count);
        }
        let at = self.random.below(NAMES as u64) as usize;
        let change = match &self.names[at].hook {
            None => Change::Make(self.new_path()),
            Some(Hook { begin: None, .. }) => return self.learn_begin(daemon, at),
            Some(Hook { begin: Some((begin, known)), is_disabled, .. }) => match self.random.below(9) {
                0 => Change::Remove,
                6 => Change::Ahead,
                7 => Change::Back(*begin, *known),
                1 | 2 if *is_disabled => Change::Enable,
                1 => Change::Disable,
                _ => Change::Move(self.new_path()),
            },
        };
        self.change(daemon, at, change)
    }

    /// Asks where the log ends, as a hook would have it that is moved there.
    fn learn_begin(&mut self, daemon: &mut Connection, at: usize) -> Result<bool, String> {
        let (begin, path) = (clock(), format!("/v1/hooks/{}/seek", self.id(at)));
        let Some(answer) = daemon.ask("POST", &path, IS_JSON, r#"{"to":"end","dry_run":true}"#) else {
            return Ok(false);
        };
        let json = serde_json::from_str::<Json>(&answer.1).unwrap_or_default();
        let end = json["after"].as_u64().filter(|_| answer.0 == 200).ok_or_else(|| format!("asking: {answer:?}"))?;
        let span = Span { begin, end: clock() };
        self.names[at].hook.iter_mut().for_each(|hook| hook.begin = Some((end, span)));
        Ok(true)
    }

    /// A path that nothing had before, so that what comes there says which change it follows.
    fn new_path(&mut self) -> Arc<str> {
        self.next_path += 1;
        format!("/{}/{}", self.number, self.next_path).into()
    }

    fn publish(&mut self, daemon: &mut Connection, count: u64) -> Result<bool, String> {
        let numbers: Vec<u64> = (0..count).map(|index| self.next_event + index * PUBLISHERS).collect();
        self.next_event += count * PUBLISHERS;
        let begin = clock();
        let answer = daemon.publish(&numbers);
        self.history.published(numbers, Span { begin, end: clock() }, answer.is_some());
        match answer {
            None => Ok(false),
            Some((202, _)) => Ok(true),
            Some(other) => Err(format!("publishing: {other:?}")),
        }
    }

    /// Publishes one more event, and returns its number.
    pub(super) fn publish_last(&mut self, daemon: &mut Connection) -> Result<u64, String> {
        let number = self.next_event;
        if self.publish(daemon, 1)? { Ok(number) } else { Err("it is gone while events are delivered".to_owned()) }
    }

    pub(super) fn enable_all(&mut self, daemon: &mut Connection) -> Result<(), String> {
        for at in 0..NAMES {
            let is_disabled = self.names[at].hook.as_ref().is_some_and(|hook| hook.is_disabled);
            if is_disabled && !self.change(daemon, at, Change::Enable)? {
                return Err("it is gone while hooks are enabled".to_owned());
            }
        }
        Ok(())
    }

    fn change(&mut self, daemon: &mut Connection, at: usize, change: Change) -> Result<bool, String> {
        let begin = clock();
        let answer = self.ask(daemon, at, &change);
        let span = Span { begin, end: clock() };
        let expected = if matches!(change, Change::Make(_)) { 201 } else { 200 };
        match answer {
            None => {
                self.unanswered = Some((at, change, span));
                Ok(false)
            }
            // It has not come so far yet.
            Some((409, _)) if matches!(change, Change::Back(..)) => Ok(true),
            Some((200, body)) if matches!(change, Change::Back(..)) && !body.contains("\"reached\":true") => {
                Err(format!("{change:?} of {}: {body}", self.id(at)))
            }
            Some((status, body)) if status == expected => {
                let revision = serde_json::from_str::<Json>(&body).ok().and_then(|hook| hook["revision"].as_u64());
                self.changed(at, &change, span, revision)?;
                Ok(true)
            }
            Some(other) => Err(format!("{change:?} of {}: {other:?}", self.id(at))),
        }
    }

    fn id(&self, at: usize) -> String {
        format!("c{}-{at}", self.number)
    }

    fn ask(&mut self, daemon: &mut Connection, at: usize, change: &Change) -> Option<Answer> {
        let path = format!("/v1/hooks/{}", self.id(at));
        let revision = self.names[at].hook.as_ref().map_or(0, |hook| hook.revision);
        let at_revision = format!("content-type: application/json\r\nif-match: \"{revision}\"\r\n");
        let to = |path: &str| json!({ "sink": { "kind": "http", "url": format!("http://{}{path}", self.receiver) } });
        match change {
            Change::Make(to_path) => {
                let absent = "content-type: application/json\r\nif-none-match: *\r\n";
                daemon.ask("PUT", &path, absent, &to(to_path).to_string())
            }
            Change::Move(to_path) => {
                let method = if self.next_path.is_multiple_of(2) { "PUT" } else { "PATCH" };
                daemon.ask(method, &path, &at_revision, &to(to_path).to_string())
            }
            Change::Remove => daemon.ask("DELETE", &path, &at_revision, ""),
            Change::Disable => daemon.ask("POST", &format!("{path}/disable"), "", ""),
            Change::Enable => daemon.ask("POST", &format!("{path}/enable"), "", ""),
            Change::Back(begin, _) => {
                daemon.ask("POST", &format!("{path}/seek"), IS_JSON, &json!({ "to": begin }).to_string())
            }
            Change::Ahead => daemon.ask("POST", &format!("{path}/seek"), IS_JSON, r#"{"to":"end","skip":true}"#),
        }
    }

    /// A change holds.
    fn changed(&mut self, at: usize, change: &Change, span: Span, revision: Option<u64>) -> Result<(), String> {
        let id = self.id(at);
        let Name { hook, last_revision } = &mut self.names[at];
        if let Change::Make(_) | Change::Move(_) = change {
            let revision = revision.ok_or_else(|| format!("{id} has no revision"))?;
            if revision <= *last_revision {
                return Err(format!("{id}: {change:?} has revision {revision} behind {last_revision}"));
            }
            *last_revision = revision;
        }
        let revision = *last_revision;
        match (change, hook.as_mut()) {
            (Change::Make(path), None) => {
                let number = self.history.made(path.clone(), span);
                *hook = Some(Hook { number, path: path.clone(), revision, is_disabled: false, begin: None });
            }
            (Change::Move(path), Some(hook)) => {
                self.history.moved(hook.number, path.clone(), span);
                *hook = Hook { path: path.clone(), revision, ..hook.clone() };
            }
            (Change::Remove, Some(removed)) => {
                self.history.removed(removed.number, span);
                *hook = None;
            }
            (Change::Disable, Some(hook)) => {
                self.history.disabled(hook.number, span);
                hook.is_disabled = true;
            }
            (Change::Enable, Some(hook)) => {
                self.history.enabled(hook.number, span);
                hook.is_disabled = false;
            }
            (Change::Back(_, known), Some(hook)) => self.history.went_back(hook.number, *known, span),
            (Change::Ahead, Some(hook)) => self.history.went_ahead(hook.number, span),
            (change, hook) => return Err(format!("{id}: {change:?} of {hook:?}")),
        }
        Ok(())
    }

    /// Compares its hooks with what it was answered. What was not answered is done or not done.
    pub(super) fn settle(&mut self, daemon: &mut Connection) -> Result<(), String> {
        for at in 0..NAMES {
            let id = self.id(at);
            let path = format!("/v1/hooks/{id}");
            let (status, body) = daemon.ask("GET", &path, "", "").ok_or("it does not answer")?;
            let there = match status {
                404 => None,
                200 => Some(There::read(&body).ok_or_else(|| format!("{id}: {body}"))?),
                _ => return Err(format!("{id}: {status} {body}")),
            };
            if let Some((_, change, span)) = self.unanswered.take_if(|(changing, ..)| *changing == at)
                && is_done(&change, there.as_ref())
            {
                let revision = there.as_ref().map(|there| there.revision);
                self.changed(at, &change, Span { end: clock(), ..span }, revision)?;
            }
            let known = self.names[at].hook.as_ref().map(There::of);
            if known != there {
                return Err(format!("{id} is {there:?} instead of {known:?}: {body}"));
            }
        }
        Ok(())
    }
}

/// What is shown of a hook.
#[derive(Debug, PartialEq)]
struct There {
    path: Arc<str>,
    revision: u64,
    is_disabled: bool,
}

impl There {
    fn of(hook: &Hook) -> Self {
        Self { path: hook.path.clone(), revision: hook.revision, is_disabled: hook.is_disabled }
    }

    fn read(body: &str) -> Option<Self> {
        let hook: Json = serde_json::from_str(body).ok()?;
        let url = hook["settings"]["sink"]["url"].as_str()?;
        let (_, path) = url.strip_prefix("http://")?.split_once('/')?;
        let is_disabled = hook["status"]["state"].as_str()?.starts_with("disabled");
        Some(Self { path: format!("/{path}").into(), revision: hook["revision"].as_u64()?, is_disabled })
    }
}

fn is_done(change: &Change, there: Option<&There>) -> bool {
    match (change, there) {
        (Change::Make(path) | Change::Move(path), Some(there)) => there.path == *path,
        (Change::Make(_) | Change::Move(_), None) => false,
        (Change::Remove, there) => there.is_none(),
        (Change::Disable, there) => there.is_some_and(|there| there.is_disabled),
        // Nobody was told so.
        (Change::Back(..), _) => false,
        // It may be.
        (Change::Ahead, _) => true,
        (Change::Enable, there) => there.is_some_and(|there| !there.is_disabled),
    }
}
