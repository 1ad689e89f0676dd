//! Operates on the folder itself, while no daemon has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, Bus, Dispatcher, Hook, HookId};

use super::desk::Desk;
use super::protocol::{Request, Response};
use crate::bus;
use crate::commands::chain;
use crate::config::Config;

/// This process, in place of a daemon.
pub(crate) struct Local {
    bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    desk: Desk,
    /// Of the config file, not running yet.
    hooks: BTreeMap<HookId, Hook>,
}

impl Local {
    pub(super) async fn open(config: Config) -> Result<Self, BoxError> {
        let bus = bus::open(&config.bus).await?;
        let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
        let desk = Desk::new(bus.clone(), dispatcher.clone(), false);
        let hooks = config.hooks.into_iter().map(|hook| (hook.hook.id.clone(), hook.hook)).collect();
        Ok(Self { bus, dispatcher, desk, hooks })
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
