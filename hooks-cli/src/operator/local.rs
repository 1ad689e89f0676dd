//! Operates on the folder itself, while no daemon has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, Bus, Dispatcher, Hook, HookId};

use super::desk::Desk;
use super::protocol::{HookReport, Request, Response};
use crate::bus;
use crate::commands::chain;
use crate::config::BusConfig;

/// This process, in place of a daemon.
pub(crate) enum Local {
    Open(Box<Open>),
    /// No daemon ever ran here: nothing is made that only a daemon has use for.
    Nothing(Vec<HookId>),
}

/// The bus, opened.
pub(crate) struct Open {
    bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    desk: Desk,
    /// Of the config file, not running yet.
    hooks: BTreeMap<HookId, Hook>,
}

impl Local {
    pub(super) async fn open(config: &BusConfig, hooks: Vec<Hook>) -> Result<Self, BoxError> {
        if !bus::exists(config) {
            return Ok(Self::Nothing(hooks.into_iter().map(|hook| hook.id).collect()));
        }
        Ok(Self::Open(Box::new(Open::new(bus::open(config).await?.bus, hooks))))
    }

    pub(super) async fn ask(&mut self, request: Request) -> Response {
        match self {
            Self::Open(open) => open.ask(request).await,
            Self::Nothing(hooks) => match request {
                Request::Status => {
                    Response::Status { hooks: hooks.iter().cloned().map(HookReport::stopped).collect(), running: false }
                }
                _ => Response::Failed {
                    error: "nothing is kept here yet: no daemon has run with this folder".to_owned(),
                },
            },
        }
    }

    pub(super) async fn close(self) {
        if let Self::Open(open) = self {
            open.close().await;
        }
    }
}

impl Open {
    pub(super) fn new(bus: Arc<dyn Bus>, hooks: Vec<Hook>) -> Self {
        let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
        let desk = Desk::new(bus.clone(), dispatcher.clone(), false);
        let hooks = hooks.into_iter().map(|hook| (hook.id.clone(), hook)).collect();
        Self { bus, dispatcher, desk, hooks }
    }

    /// Whether the hook is in the config file.
    #[cfg(feature = "nats")]
    pub(super) fn has(&self, hook: &HookId) -> bool {
        self.hooks.contains_key(hook)
    }

    /// How long an attempt of a hook in the config file may take.
    #[cfg(feature = "nats")]
    pub(super) fn attempt_timeout(&self, hook: &HookId) -> Option<Duration> {
        self.hooks.get(hook).map(|hook| hook.retry.attempt_timeout.0)
    }

    pub(super) async fn ask(&mut self, request: Request) -> Response {
        // A replay delivers, so its hook has to run. A hook that is about to be disabled must not.
        let needed = match &request {
            Request::Replay { hook, .. } => self.hooks.remove(hook),
            Request::Disable { hook } => self.hooks.remove(hook).map(|hook| Hook { enabled: false, ..hook }),
            _ => None,
        };
        if let Some(hook) = needed
            && let Err(error) = self.dispatcher.add(hook).await
        {
            return Response::Failed { error: chain(&error) };
        }
        self.desk.answer(request).await
    }

    pub(super) async fn close(self) {
        self.dispatcher.shutdown(Some(Duration::ZERO)).await;
        self.bus.close().await;
    }
}
