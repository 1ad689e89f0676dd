//! Operates on the folder itself, while no daemon has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::settings::Strangers;
use hooks_core::{BoxError, Bus, Dispatcher, Hook, HookId, HookReport, chain};
use hooks_server::Keys;
use hooks_server::admin::{AdminService, HookDefinitions, Problem, Request, Response, STOPPED, Status};
use hooks_server::history::History;

/// This process, in place of a daemon.
pub(crate) enum Local {
    Open(Box<Open>),
    /// No daemon ever ran here: nothing is made that only a daemon has use for.
    Nothing(Nothing),
}

/// A bus that is not there yet, and the hooks of the config file.
pub(crate) struct Nothing {
    why: String,
    hooks: Vec<HookId>,
}

/// The bus, opened.
pub(crate) struct Open {
    pub(super) bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    service: AdminService,
    /// The hooks of the config file that do not run yet.
    hooks: BTreeMap<HookId, Hook>,
}

impl Local {
    pub(super) async fn ask(&mut self, request: Request) -> Response {
        match self {
            Self::Open(open) => {
                let mut response = open.ask(request).await;
                if let Response::Status(status) = &mut response {
                    open.add_newcomers(&mut status.hooks);
                }
                response
            }
            Self::Nothing(nothing) => match request {
                Request::Status => {
                    let hooks = nothing.hooks.iter().cloned().map(stopped).collect();
                    Response::Status(Status { hooks, running: false, trouble: None, reload: None })
                }
                _ => failed(nothing.to_string()),
            },
        }
    }

    /// The dispatcher that delivers.
    pub(super) fn dispatcher(&self) -> Option<Arc<Dispatcher>> {
        match self {
            Self::Open(open) => Some(open.dispatcher.clone()),
            Self::Nothing(_) => None,
        }
    }

    /// The reason why nothing is known of any hook.
    pub(super) fn knows_nothing(&self) -> Option<String> {
        match self {
            Self::Open(_) => None,
            Self::Nothing(nothing) => Some(nothing.to_string()),
        }
    }

    pub(super) async fn close(self) {
        if let Self::Open(open) = self {
            open.close().await;
        }
    }
}

impl Nothing {
    /// For this reason.
    ///
    /// # Errors
    /// Without a config file nothing says that there will be a bus: the folder is a wrong one.
    pub(super) fn new(why: &str, hooks: Vec<Hook>) -> Result<Self, BoxError> {
        if hooks.is_empty() {
            return Err(format!("{why}: --dir takes the `bus.dir` of a durable bus").into());
        }
        let why = format!("{why}: no daemon has run with this config yet, or its `bus.dir` was another one");
        Ok(Self { why, hooks: hooks.into_iter().map(|hook| hook.id).collect() })
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Open {
    pub(super) fn new(bus: Arc<dyn Bus>, hooks: Vec<Hook>) -> Self {
        let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
        let filters = hooks.iter().map(|hook| (hook.id.clone(), hook.filter.clone())).collect();
        let service = AdminService::new(bus.clone(), dispatcher.clone()).with_filters(filters);
        let hooks = hooks.into_iter().map(|hook| (hook.id.clone(), hook)).collect();
        Self { bus, dispatcher, service, hooks }
    }

    /// Reads and seals definitions with these keys.
    pub(super) fn manage_definitions(&mut self, keys: &Keys) {
        let (bus, dispatcher) = (self.bus.clone(), self.dispatcher.clone());
        // No hook is made of them here.
        let definitions = HookDefinitions::new(bus, "", dispatcher, Some(keys), Strangers::default());
        self.service = self.service.clone().with_definitions(definitions);
    }

    /// Shows these attempts.
    pub(super) fn show_history(&mut self, history: Option<History>) {
        self.service = self.service.clone().with_history(history);
    }

    /// True if the hook is in the config file.
    pub(super) fn has(&self, hook: &HookId) -> bool {
        self.hooks.contains_key(hook)
    }

    /// The attempt timeout of a hook in the config file.
    pub(super) fn attempt_timeout(&self, hook: &HookId) -> Option<Duration> {
        self.hooks.get(hook).map(|hook| hook.retry.attempt_timeout.get())
    }

    /// Those of the config file that no daemon has run yet.
    fn add_newcomers(&self, reports: &mut Vec<HookReport>) {
        let known: BTreeSet<HookId> = reports.iter().map(|report| report.id.clone()).collect();
        let new = self.hooks.keys().filter(|hook| !known.contains(*hook));
        reports.extend(new.cloned().map(stopped));
        reports.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Runs a hook of the config file, if it is in it. One that is about to be disabled must not deliver.
    pub(super) async fn run(&mut self, hook: &HookId, enabled: bool) -> Result<(), String> {
        let Some(hook) = self.hooks.remove(hook) else { return Ok(()) };
        let enabled = enabled && hook.enabled;
        self.dispatcher.add(hook.enabled(enabled)).await.map_err(|error| chain(&error))
    }

    pub(super) async fn ask(&mut self, request: Request) -> Response {
        if let Request::Forget { hook } = &request
            && self.hooks.contains_key(hook)
        {
            return failed(format!("hook `{hook}` is in the config file: take it out first, and forget it then"));
        }
        if let Request::Outcomes { position, .. } = &request {
            return failed(format!(
                "no daemon runs, and without its hooks nothing is said of each: `hooks attempts --position {position}` shows what was tried"
            ));
        }
        let ran = match &request {
            // It delivers.
            Request::Replay { hook, .. } => self.run(hook, true).await,
            Request::Resend { hook, which } => self.run(hook, !which.dry_run).await,
            Request::Disable { hook } => self.run(hook, false).await,
            _ => Ok(()),
        };
        if let Err(error) = ran {
            return failed(error);
        }
        self.service.answer(request).await
    }

    pub(super) async fn close(self) {
        self.dispatcher.shutdown(Some(Duration::ZERO)).await;
        self.bus.close().await;
    }
}

/// The report of a hook that no daemon has run yet.
fn stopped(hook: HookId) -> HookReport {
    HookReport::idle(hook, STOPPED)
}

/// It was not done, for this reason.
pub(super) fn failed(why: String) -> Response {
    Response::Failed(Problem::from(why))
}
