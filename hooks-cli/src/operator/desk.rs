//! Does what is asked, with a bus and the dispatcher of this process.

use std::collections::BTreeSet;
use std::sync::Arc;

use hooks_core::{
    Bus, DeadLetter, DeadLetterId, DeadLetters, Disabled, DispatchError, Dispatcher, HookId, HookReport, ReplayError,
    chain,
};
use hooks_server::{Reloads, on_own_thread};
use tokio::sync::{RwLock, RwLockReadGuard};

use super::protocol::{Letter, Request, Response, Which};
use crate::config::some;

/// Most bytes of events in one page of dead letters; one letter alone may be larger.
const PAGE_BYTES: usize = 4 << 20;

/// Most dead letters in one page.
const PAGE: usize = 256;

/// Answers operators.
#[derive(Clone)]
pub(crate) struct Desk {
    bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    /// The reloads of a daemon, whose dispatcher has the hooks of the config file.
    daemon: Option<Arc<Reloads>>,
    /// Held by every conversation in which something was asked that is not answered yet.
    asked: Arc<RwLock<()>>,
}

type Answer = Result<Response, String>;

/// The state of a hook where no daemon runs.
pub(super) const STOPPED: &str = "stopped";

/// The reason why a daemon does not run a hook that the bus knows.
fn absence(reloads: &Reloads) -> &'static str {
    // It may stand in the file that could not be applied.
    if reloads.failure().is_some() { "not running" } else { "not in the config" }
}

impl Desk {
    pub(crate) fn new(bus: Arc<dyn Bus>, dispatcher: Arc<Dispatcher>, daemon: Option<Arc<Reloads>>) -> Self {
        Self { bus, dispatcher, daemon, asked: Arc::default() }
    }

    /// To be held from a question to its answer.
    pub(super) async fn asked(&self) -> RwLockReadGuard<'_, ()> {
        self.asked.read().await
    }

    /// Waits until everything that was asked is answered.
    pub(super) async fn all_answered(&self) {
        drop(self.asked.write().await);
    }

    /// Does what is asked and says what came of it.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let answer = match request {
            Request::Status => {
                let desk = self.clone();
                on_own_thread("status", move || desk.status()).await.map_err(|error| error.to_string())
            }
            Request::Log => Ok(Response::Log { details: self.bus.monitor().details() }),
            Request::Enable { hook } => self.set_enabled(&hook, true).await,
            Request::Disable { hook } => self.set_enabled(&hook, false).await,
            Request::Forget { hook } => self.forget(&hook).await,
            Request::Letters { hook, after } => self.letters(&hook, after).await,
            Request::Replay { hook, which } => self.replay(&hook, &which).await,
            Request::Drop { hook, which } => self.drop(&hook, &which).await,
        };
        answer.unwrap_or_else(|error| Response::Failed { error })
    }

    fn status(&self) -> Response {
        let mut hooks: Vec<HookReport> = self.dispatcher.status().into_iter().map(HookReport::from).collect();
        let running: BTreeSet<HookId> = hooks.iter().map(|hook| hook.id.clone()).collect();
        let stopped = self.bus.hooks().known_hooks().into_iter().filter(|hook| !running.contains(hook));
        hooks.extend(stopped.map(|hook| self.stopped(hook)));
        hooks.sort_by(|a, b| a.id.cmp(&b.id));
        let trouble = self.bus.monitor().health().trouble().map(str::to_owned);
        let reload = self.daemon.as_ref().and_then(|reloads| reloads.failure());
        Response::Status { hooks, running: self.daemon.is_some(), trouble, reload }
    }

    /// A hook that the bus knows and that does not run here.
    fn stopped(&self, id: HookId) -> HookReport {
        let disabled = self.bus.hooks().overrides(&id);
        let state = self.daemon.as_ref().map_or(STOPPED, |reloads| absence(reloads));
        let report = HookReport::idle(id, state);
        HookReport {
            last_error: disabled.as_ref().and_then(|disabled| disabled.reason.clone()),
            disabled: disabled.map(Disabled::from),
            lag: self.bus.monitor().lag(&report.id),
            dead_letters: self.bus.hooks().dead_letters(&report.id).map_or(0, |letters| letters.count()),
            ..report
        }
    }

    async fn set_enabled(&self, hook: &HookId, enabled: bool) -> Answer {
        let status = self.dispatcher.hook_status(hook);
        if enabled && status.as_ref().is_some_and(|status| !status.enabled) {
            return Err(format!("hook `{hook}` has `enabled = false` in the config file: change it there and reload"));
        }
        let runs = status.is_some();
        // Without a worker there is only the override to remove.
        if enabled && !runs && self.bus.hooks().known_hooks().contains(hook) {
            let changed = self.bus.hooks().overrides(hook).is_some();
            self.bus.hooks().set_override(hook, None).await.map_err(|error| error.to_string())?;
            return Ok(Response::Done { changed });
        }
        match self.dispatcher.set_enabled(hook, enabled).await {
            Ok(()) => {
                tracing::info!(
                    hook = hook.as_str(),
                    "the hook was {} by an operator",
                    if enabled { "enabled" } else { "disabled" }
                );
                Ok(Response::Done { changed: true })
            }
            Err(DispatchError::UnknownHook(_)) => Err(self.absent(hook, "disabling it")),
            Err(DispatchError::ShutDown) => Err(format!(
                "the daemon is stopping, and hook `{hook}` was not changed: do it again once the daemon has ended, or runs again"
            )),
            Err(error) => Err(chain(&error)),
        }
    }

    async fn forget(&self, hook: &HookId) -> Answer {
        if self.dispatcher.hook_status(hook).is_some() {
            return Err(format!("hook `{hook}` is in the config file and runs: take it out and reload first"));
        }
        let behind = self.bus.monitor().lag(hook).unwrap_or_default().events;
        let changed = self.bus.hooks().forget(hook).await.map_err(|error| error.to_string())?;
        if changed {
            tracing::info!(hook = hook.as_str(), behind, "the hook was forgotten by an operator");
        }
        if changed { Ok(Response::Done { changed }) } else { Err(self.unknown(hook)) }
    }

    async fn letters(&self, hook: &HookId, after: Option<DeadLetterId>) -> Answer {
        let page = self.store(hook)?.list(after, PAGE).await.map_err(|error| error.to_string())?;
        let mut bytes = 0;
        let mut letters = Vec::new();
        for (id, letter) in &page {
            bytes += letter.envelope.len();
            if bytes > PAGE_BYTES && !letters.is_empty() {
                break;
            }
            letters.push(Letter::new(hook, *id, letter).map_err(|error| error.to_string())?);
        }
        Ok(Response::Letters { letters })
    }

    async fn replay(&self, hook: &HookId, which: &Which) -> Answer {
        let mut found = BTreeSet::new();
        let select = |id: DeadLetterId, letter: &DeadLetter| {
            let fits = which.matches(id, letter.envelope.event_type(), letter.reason);
            fits && found.insert(id)
        };
        let report = self.dispatcher.replay(hook, select).await.map_err(|error| match error {
            ReplayError::UnknownHook(_) => self.absent(hook, "a replay"),
            error => chain(&error),
        })?;
        tracing::info!(
            hook = hook.as_str(),
            delivered = report.delivered,
            refused = report.refused,
            left = report.untried,
            error = report.error.as_deref(),
            "an operator replayed dead letters of the hook"
        );
        Ok(Response::Replayed { report, missing: which.missing(&found) })
    }

    async fn drop(&self, hook: &HookId, which: &Which) -> Answer {
        self.store(hook)?;
        let mut found = BTreeSet::new();
        let select = |id: DeadLetterId, letter: &DeadLetter| {
            let fits = which.matches(id, letter.envelope.event_type(), letter.reason);
            fits && found.insert(id)
        };
        let dropped = self.dispatcher.drop_dead_letters(hook, select).await;
        let letters = dropped.map_err(|error| chain(&error))?;
        tracing::info!(hook = hook.as_str(), letters, "an operator dropped dead letters of the hook");
        Ok(Response::Dropped { letters, missing: which.missing(&found) })
    }

    fn store(&self, hook: &HookId) -> Result<Arc<dyn DeadLetters>, String> {
        if self.dispatcher.hook_status(hook).is_none() && !self.bus.hooks().known_hooks().contains(hook) {
            return Err(self.unknown(hook));
        }
        self.bus.hooks().dead_letters(hook).ok_or_else(|| "this bus keeps no dead letters".to_owned())
    }

    /// The reason why this can't be done to a hook that does not run.
    fn absent(&self, hook: &HookId, what: &str) -> String {
        if !self.bus.hooks().known_hooks().contains(hook) {
            return self.unknown(hook);
        }
        format!("hook `{hook}` does not run here: {what} takes the config file it is in")
    }

    fn unknown(&self, hook: &HookId) -> String {
        let Response::Status { hooks, .. } = self.status() else { return String::new() };
        let known = some(hook.as_str(), hooks.iter().map(|hook| hook.id.as_str()));
        format!("there is no hook `{hook}`; known: {known}")
    }
}
