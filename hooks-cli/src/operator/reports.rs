//! The answers of daemons that share hooks, put together. No I/O.

use std::collections::{BTreeMap, HashMap};

use hooks_core::{HookId, HookReport};
use hooks_server::admin::{Response, Status};

/// Each daemon's answer. Those that are gone are not here.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) given: Vec<(String, Response)>,
    /// Those that may be there, and why nothing was heard of them.
    silent: BTreeMap<String, String>,
}

/// The result of asking a daemon.
pub(super) enum Heard {
    Answer(Response),
    /// It may be there. Why nothing was heard of it.
    Silence(String),
    Gone,
}

impl Answers {
    pub(super) fn enter(&mut self, daemon: &str, heard: Heard) {
        match heard {
            Heard::Answer(response) => self.given.push((daemon.to_owned(), response)),
            Heard::Silence(why) => drop(self.silent.insert(daemon.to_owned(), why)),
            Heard::Gone => {}
        }
    }

    /// The reason why some daemons that may be there did not answer.
    pub(super) fn silence(&self) -> Option<String> {
        silence(&self.silent)
    }

    /// The error of the bus, as the first daemon reports it.
    pub(super) fn trouble(&self) -> Option<String> {
        self.given.iter().find_map(|(daemon, response)| match response {
            Response::Status(Status { trouble: Some(why), .. }) => Some(format!("{daemon}: {why}")),
            _ => None,
        })
    }

    /// The reason why a daemon runs with an older config, as the first one reports it.
    pub(super) fn reload(&self) -> Option<String> {
        self.given.iter().find_map(|(daemon, response)| match response {
            Response::Status(Status { reload: Some(why), .. }) => Some(format!("{daemon}: {why}")),
            _ => None,
        })
    }

    /// True if any daemon is there.
    pub(super) fn anybody(&self) -> bool {
        !self.given.is_empty() || !self.silent.is_empty()
    }
}

/// The daemons' reports of hooks.
pub(super) struct Reports {
    /// The reports by hook and daemon.
    given: HashMap<HookId, HashMap<String, HookReport>>,
    silent: BTreeMap<String, String>,
}

impl Reports {
    pub(super) fn new(answers: Answers) -> Self {
        let mut given: HashMap<HookId, HashMap<String, HookReport>> = HashMap::new();
        for (daemon, response) in answers.given {
            let Response::Status(status) = response else { continue };
            for report in status.hooks {
                given.entry(report.id.clone()).or_default().insert(daemon.clone(), report);
            }
        }
        Self { given, silent: answers.silent }
    }

    /// The report of the hook's owner. Of a hook without one, or whose owner says nothing: what NATS keeps of it.
    pub(super) fn of(&mut self, kept: HookReport, owner: Option<&str>) -> HookReport {
        let mut given = self.given.remove(&kept.id).unwrap_or_default();
        if let Some(owner) = owner
            && given.get(owner).is_some_and(runs)
            && let Some(report) = given.remove(owner)
        {
            return HookReport { owner: Some(owner.to_owned()), ..report };
        }
        if let Some((silent, why)) = owner.and_then(|owner| self.silent.get_key_value(owner)) {
            let unheard = HookReport { owner: Some(silent.clone()), last_error: Some(why.clone()), ..kept };
            return in_state(unheard, "unknown");
        }
        let running = given.values().find(|report| runs(report));
        match running {
            Some(report) => {
                let disabled = report.state == DISABLED;
                let kept = HookReport { tenant: report.tenant.clone(), sink: report.sink.clone(), ..kept };
                in_state(kept, if disabled { DISABLED } else { "no owner" })
            }
            // The one that is silent may run it.
            None if !self.silent.is_empty() => {
                in_state(HookReport { last_error: silence(&self.silent), ..kept }, "unknown")
            }
            None => given.into_values().next().unwrap_or(kept),
        }
    }
}

fn silence(silent: &BTreeMap<String, String>) -> Option<String> {
    let why: Vec<&str> = silent.values().map(String::as_str).collect();
    (!why.is_empty()).then(|| why.join(", "))
}

const DISABLED: &str = "disabled";

/// True if the daemon that reports a hook has it in its config.
fn runs(report: &HookReport) -> bool {
    report.sink.is_some()
}

/// That a hook is disabled, NATS knows; nothing else of it does.
fn in_state(report: HookReport, state: &str) -> HookReport {
    let state = if report.disabled.is_some() { DISABLED } else { state };
    HookReport { state: state.to_owned(), ..report }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: &str, sink: bool) -> HookReport {
        let report = HookReport::idle(HookId::new("a").unwrap(), state);
        HookReport { sink: sink.then(|| "http".to_owned()), ..report }
    }

    fn status(hooks: Vec<HookReport>) -> Response {
        Response::Status(Status { hooks, running: true, trouble: None, reload: None })
    }

    /// State, owner and error of a hook of which daemons reported this.
    fn of(
        given: &[(&str, &str, bool)],
        silent: &[&str],
        owner: Option<&str>,
    ) -> (String, Option<String>, Option<String>) {
        let mut answers = Answers::default();
        for (daemon, state, sink) in given {
            let hooks = vec![report(state, *sink)];
            answers.given.push(((*daemon).to_owned(), status(hooks)));
        }
        silent.iter().for_each(|daemon| answers.enter(daemon, Heard::Silence(format!("{daemon} is silent"))));
        let told = Reports::new(answers).of(report("stopped", false), owner);
        (told.state, told.owner, told.last_error)
    }

    #[test]
    fn only_the_owner_knows_how_a_hook_is() {
        let owned = |state: &str, owner: &str| (state.to_owned(), Some(owner.to_owned()), None);
        let nobodys = |state: &str| (state.to_owned(), None, None);
        let both = [("x", "healthy", true), ("y", "held", true)];
        assert_eq!(of(&both, &[], Some("x")), owned("healthy", "x"));
        assert_eq!(of(&both, &[], Some("y")), owned("held", "y"));
        assert_eq!(of(&both, &[], None), nobodys("no owner"));
        assert_eq!(of(&both, &[], Some("gone")), nobodys("no owner"));
        assert_eq!(of(&[("x", "disabled", true)], &[], None), nobodys("disabled"));
        assert_eq!(of(&[("x", "not in the config", false)], &[], Some("x")), nobodys("not in the config"));
        assert_eq!(of(&[], &[], None), nobodys("stopped"));
    }

    #[test]
    fn what_the_bus_keeps_holds_whoever_is_silent() {
        let kept = r#"{"by":"operator","since":"2026-11-27T10:00:00Z"}"#;
        let kept = || HookReport { disabled: serde_json::from_str(kept).unwrap(), ..report("stopped", false) };
        let told = |answers, owner| Reports::new(answers).of(kept(), owner).state;
        let mut silent = Answers::default();
        silent.enter("x", Heard::Silence("silent".to_owned()));
        assert_eq!(told(silent, Some("x")), DISABLED);
        let other = status(vec![report("healthy", true)]);
        let other = Answers { given: vec![("x".to_owned(), other)], ..Answers::default() };
        assert_eq!(told(other, Some("gone")), DISABLED);
    }

    #[test]
    fn who_is_silent_is_named() {
        let silent = |owner: Option<&str>, who: &str| {
            ("unknown".to_owned(), owner.map(str::to_owned), Some(format!("{who} is silent")))
        };
        let other = [("x", "healthy", true)];
        assert_eq!(of(&other, &["y", "z"], Some("z")), silent(Some("z"), "z"));
        assert_eq!(of(&other, &["y"], Some("x")).0, "healthy");
        assert_eq!(of(&[], &["y"], None), silent(None, "y"));
    }
}
