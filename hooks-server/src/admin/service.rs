//! Does what operators ask, with a bus and the dispatcher of this process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use hooks_core::{
    Bus, BusError, DispatchError, Dispatcher, Filter, HookId, HookReport, TenantId, bus::Instances, chain, sink::Called,
};
use http::StatusCode;
use parking_lot::Mutex;

use super::definitions::HookDefinitions;
use super::events;
use super::matching::Acceptance;
use super::overview::Overviews;
use super::request::Request;
use super::response::{Done, Problem, Response, Status};
use super::turns::Turns;
use crate::history::History;
use crate::{Reloads, on_own_thread};

/// The state of a hook where no daemon runs.
pub const STOPPED: &str = "stopped";

/// The state of a hook that a daemon should run, and can't.
const NOT_RUNNING: &str = "not running";

/// Does what operators ask of a bus and the dispatcher of this process. Clones are the same service.
#[derive(Clone)]
pub struct AdminService {
    bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    /// The reloads of a daemon, whose dispatcher has the hooks of the config file.
    daemon: Option<Arc<Reloads>>,
    definitions: Option<HookDefinitions>,
    history: Option<History>,
    /// Those that share the bus, and keep histories of their own.
    instances: Option<Arc<dyn Instances>>,
    looks: Turns,
    sendings: Turns,
    follows: Turns,
    lives: Turns,
    overviews: Arc<Overviews>,
    /// False where a tenant asks: no problem names other hooks.
    names_hooks: bool,
    pub(super) acceptance: Arc<Mutex<Acceptance>>,
    /// The filters of hooks that do not run here, where they are known.
    pub(super) filters: Arc<BTreeMap<HookId, Arc<Filter>>>,
}

pub(super) type Outcome = Result<Response, Problem>;

impl AdminService {
    /// For a process that does not deliver for good: its hooks are reported as stopped, unless the dispatcher has them.
    pub fn new(bus: Arc<dyn Bus>, dispatcher: Arc<Dispatcher>) -> Self {
        Self {
            bus,
            dispatcher,
            daemon: None,
            definitions: None,
            history: None,
            instances: None,
            looks: Turns::looks(),
            sendings: Turns::sendings(),
            follows: Turns::follows(),
            lives: Turns::lives(),
            overviews: Arc::default(),
            names_hooks: true,
            acceptance: Arc::default(),
            filters: Arc::default(),
        }
    }

    /// For a daemon, whose dispatcher has all hooks that are configured, and which reports reloads there.
    #[must_use]
    pub fn of_daemon(self, reloads: Arc<Reloads>) -> Self {
        Self { daemon: Some(reloads), ..self }
    }

    /// Manages hooks at run time, too.
    #[must_use]
    pub fn with_definitions(self, definitions: HookDefinitions) -> Self {
        Self { definitions: Some(definitions), ..self }
    }

    /// Shows these attempts.
    #[must_use]
    pub fn with_history(self, history: Option<History>) -> Self {
        Self { history, ..self }
    }

    /// Shows the attempts of these, too.
    #[must_use]
    pub fn with_instances(self, instances: Option<Arc<dyn Instances>>) -> Self {
        Self { instances, ..self }
    }

    /// The same, for one tenant, or for who may see all: a hook may be gone by the time that a problem is told.
    pub(super) fn answering(&self, tenant: Option<&TenantId>) -> Self {
        Self { names_hooks: tenant.is_none(), ..self.clone() }
    }

    pub(crate) fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    pub(super) fn instances(&self) -> Option<&dyn Instances> {
        self.instances.as_deref()
    }

    pub(super) fn definitions(&self) -> Option<&HookDefinitions> {
        self.definitions.as_ref()
    }

    /// # Errors
    /// When hooks are not managed here.
    pub(super) fn managed(&self) -> Result<&HookDefinitions, Problem> {
        self.definitions().ok_or_else(|| {
            let why = "hooks are not managed here: no daemon runs that could deliver them";
            Problem::new(StatusCode::NOT_IMPLEMENTED, why)
        })
    }

    pub(super) fn bus(&self) -> &dyn Bus {
        &*self.bus
    }

    pub(super) fn looks(&self) -> &Turns {
        &self.looks
    }

    pub(super) fn follows(&self) -> &Turns {
        &self.follows
    }

    pub(super) fn lives(&self) -> &Turns {
        &self.lives
    }

    pub(super) fn overviews(&self) -> &Overviews {
        &self.overviews
    }

    pub(super) fn sendings(&self) -> &Turns {
        &self.sendings
    }

    pub(super) fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    pub(super) fn dispatcher_of(&self) -> Arc<Dispatcher> {
        self.dispatcher.clone()
    }

    /// The reason why the config file was not applied when it was last read again.
    pub(super) fn reload_failure(&self) -> Option<String> {
        self.daemon.as_ref().and_then(|reloads| reloads.failure())
    }

    /// Does what is asked and says what came of it. Over HTTP: see [`router`](Self::router).
    pub async fn answer(&self, request: Request) -> Response {
        let outcome = match request {
            Request::Status => {
                let service = self.clone();
                let status = on_own_thread("status", move || service.status()).await;
                status.map(Response::Status).map_err(|error| unavailable(error.to_string()))
            }
            Request::Overview => self.whole_overview().await,
            Request::Log => Ok(Response::Log(self.bus.monitor().details())),
            Request::Enable { hook } => self.set_enabled(&hook, true).await,
            Request::Disable { hook } => self.set_enabled(&hook, false).await,
            Request::Forget { hook } => self.forget(&hook).await,
            Request::Seek { hook, seek } => self.seek(&hook, seek).await,
            Request::DeadLetters { hook, after } => self.dead_letters(&hook, after).await,
            Request::Replay { hook, which } => self.replay(&hook, &which).await,
            Request::Drop { hook, which } => self.drop(&hook, &which).await,
            Request::Grant { secret, headers } => call_back(&self.dispatcher, &secret, &headers).map(Response::Done),
            Request::Resend { hook, which } => self.resend(&hook, &which).await,
            Request::Events { query } => events::page(&*self.bus, &query).await.map(Response::Events),
            Request::Outcomes { position, after } => {
                self.outcomes(position, after.as_ref(), None).await.map(Response::Outcomes)
            }
            Request::Attempts { which } => self.own_attempts(which).await.map(Response::Attempts),
            Request::Rekey { dry_run } => match self.managed() {
                Ok(definitions) => definitions.rekey(dry_run).await.map(Response::Rekeyed),
                Err(problem) => Err(problem),
            },
        };
        outcome.into()
    }

    /// The same, in JSON: as instances of a shared bus ask each other.
    pub async fn answer_json(&self, request: &[u8]) -> Vec<u8> {
        let response = match serde_json::from_slice(request) {
            Ok(request) => self.answer(request).await,
            Err(error) => Response::Failed(Problem::new(StatusCode::BAD_REQUEST, format!("not understood: {error}"))),
        };
        serde_json::to_vec(&response).unwrap_or_default()
    }

    fn status(&self) -> Status {
        let mut hooks: Vec<HookReport> = self.dispatcher.status().into_iter().map(HookReport::from).collect();
        let running: BTreeSet<HookId> = hooks.iter().map(|hook| hook.id.clone()).collect();
        let stopped = self.bus.hooks().known_hooks().into_iter().filter(|hook| !running.contains(hook));
        hooks.extend(stopped.map(|hook| self.stopped(hook)));
        hooks.sort_by(|a, b| a.id.cmp(&b.id));
        let trouble = self.bus.monitor().health().trouble().map(str::to_owned);
        let reload = self.reload_failure();
        Status { hooks, running: self.daemon.is_some(), trouble, reload }
    }

    /// A hook that the bus knows and that does not run here.
    fn stopped(&self, id: HookId) -> HookReport {
        let disabled = self.bus.hooks().overrides(&id);
        let state = self.daemon.as_ref().map_or(STOPPED, |reloads| absence(reloads));
        let failure = self.definitions.as_ref().and_then(|definitions| definitions.failure(&id));
        let report = HookReport::idle(id, if failure.is_some() { NOT_RUNNING } else { state });
        HookReport {
            last_error: failure.or_else(|| disabled.as_ref().and_then(|disabled| disabled.reason.clone())),
            disabled: disabled.map(Into::into),
            lag: self.bus.monitor().lag(&report.id),
            dead_letters: self.bus.hooks().dead_letters(&report.id).map_or(0, |letters| letters.count()),
            ..report
        }
    }

    async fn set_enabled(&self, hook: &HookId, enabled: bool) -> Outcome {
        let status = self.dispatcher.hook_status(hook);
        if enabled && status.as_ref().is_some_and(|status| !status.enabled) {
            let why = match self.dispatcher.revision(hook) {
                Some(_) => format!("hook `{hook}` has `enabled = false` in its settings: PATCH it to `true`"),
                None => format!("hook `{hook}` has `enabled = false` in the config file: change it there and reload"),
            };
            return Err(conflict(why));
        }
        let runs = status.is_some();
        // Without a worker there is only the override to remove.
        if enabled && !runs && self.knows(hook) {
            let changed = self.bus.hooks().overrides(hook).is_some();
            self.bus.hooks().set_override(hook, None).await.map_err(refused)?;
            return Ok(Response::Done(Done { changed }));
        }
        let changed = if enabled { self.dispatcher.enable(hook).await } else { self.dispatcher.disable(hook).await };
        match changed {
            Ok(()) => {
                tracing::info!(
                    hook = hook.as_str(),
                    "the hook was {} by an operator",
                    if enabled { "enabled" } else { "disabled" }
                );
                Ok(Response::Done(Done { changed: true }))
            }
            Err(DispatchError::UnknownHook(_)) => Err(self.absent(hook, "disabling it")),
            Err(DispatchError::ShutDown) => Err(unavailable(format!(
                "the daemon is stopping, and hook `{hook}` was not changed: do it again once the daemon has ended, or runs again"
            ))),
            Err(error) => Err(unavailable(chain(&error))),
        }
    }

    async fn forget(&self, hook: &HookId) -> Outcome {
        if self.dispatcher.revision(hook).is_some() {
            return Err(conflict(format!("hook `{hook}` was made over the API and runs: `hooks delete` removes it")));
        }
        if self.dispatcher.hook_status(hook).is_some() {
            let why = format!("hook `{hook}` is in the config file and runs: take it out and reload first");
            return Err(conflict(why));
        }
        if self.bus.hooks().definition(hook).await.map_err(refused)?.is_some() {
            let why = format!(
                "hook `{hook}` was made over the API, and does not run: `hooks get {hook}` says why; `hooks delete` removes it, with its events"
            );
            return Err(conflict(why));
        }
        let behind = self.bus.monitor().lag(hook).unwrap_or_default().events;
        if !self.bus.hooks().forget(hook).await.map_err(refused)? {
            return Err(self.unknown(hook));
        }
        tracing::info!(hook = hook.as_str(), behind, "the hook was forgotten by an operator");
        Ok(Response::Done(Done { changed: true }))
    }

    /// # Errors
    /// When there is no such hook.
    pub(super) fn must_know(&self, hook: &HookId) -> Result<(), Problem> {
        let is_known = self.dispatcher.hook_status(hook).is_some() || self.knows(hook);
        if is_known { Ok(()) } else { Err(self.unknown(hook)) }
    }

    fn knows(&self, hook: &HookId) -> bool {
        self.bus.hooks().known_hooks().contains(hook)
    }

    /// The reason why this can't be done to a hook that does not run.
    pub(super) fn absent(&self, hook: &HookId, what: &str) -> Problem {
        if !self.knows(hook) {
            return self.unknown(hook);
        }
        conflict(format!("hook `{hook}` does not run here: {what} takes the config file it is in"))
    }

    pub(super) fn unknown(&self, hook: &HookId) -> Problem {
        if !self.names_hooks {
            return Problem::new(StatusCode::NOT_FOUND, format!("there is no hook `{hook}`"));
        }
        let known = self.status().hooks;
        let known = hooks_core::names::some(hook.as_str(), known.iter().map(|hook| hook.id.as_str()));
        Problem::new(StatusCode::NOT_FOUND, format!("there is no hook `{hook}`; known: {known}"))
    }
}

impl fmt::Debug for AdminService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminService").field("of_daemon", &self.daemon.is_some()).finish_non_exhaustive()
    }
}

/// A receiver called the address that it was given.
///
/// # Errors
/// When nobody waits for that here, or what it says is wrong.
pub(crate) fn call_back(dispatcher: &Dispatcher, secret: &str, headers: &[(String, String)]) -> Result<Done, Problem> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match dispatcher.call_back(secret, &headers) {
        Called::Heard(hooks) => {
            let hooks: Vec<_> = hooks.iter().map(HookId::as_str).collect();
            tracing::info!(hooks = hooks.join(", "), "a receiver called back and wants to be delivered to");
            Ok(Done { changed: true })
        }
        Called::Refused(why) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why)),
        _ => {
            let why = "nobody waits for this call: it was heard already, its time is over, the receiver was asked anew since, or the address is not whole";
            Err(Problem::new(StatusCode::NOT_FOUND, why))
        }
    }
}

/// The reason why a daemon does not run a hook that the bus knows.
fn absence(reloads: &Reloads) -> &'static str {
    // It may stand in the file that could not be applied.
    if reloads.failure().is_some() { NOT_RUNNING } else { "not in the config" }
}

pub(super) fn conflict(why: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, why)
}

pub(super) fn unavailable(why: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)
}

pub(super) fn refused(error: BusError) -> Problem {
    unavailable(error.to_string())
}
