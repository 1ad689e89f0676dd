//! The dispatcher's own events: state changes of endpoints.
//!
//! Types under `hooks.` reach only hooks whose `types` name them literally, never the hook they are
//! about. A hook that receives such events causes none itself, so there are no echoes. Publishing them
//! never makes a worker wait: they pass through a short queue; an event that finds it full is dropped and logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::bus::{Bus, BusError};
use crate::endpoint_state::EndpointState;
use crate::envelope::Envelope;
use crate::event::{EncodeError, Event};
use crate::hook::Hook;
use crate::id::TenantId;
use crate::watchers::Watchers;

/// Maximum number of notices that wait to be published.
const QUEUE: usize = 256;

/// Takes state changes of endpoints from workers. One pointer, because each worker has it.
#[derive(Debug, Clone)]
pub(crate) struct Notices(Arc<Takers>);

#[derive(Debug)]
struct Takers {
    queue: mpsc::Sender<EndpointChanged>,
    /// Number of hooks that receive such events.
    listeners: AtomicUsize,
    watchers: Watchers,
}

/// An endpoint changed its state.
#[derive(Debug)]
struct EndpointChanged {
    event_type: String,
    hook: String,
    tenant: Option<TenantId>,
    data: serde_json::Value,
}

impl Event for EndpointChanged {
    fn event_type(&self) -> &str {
        &self.event_type
    }

    fn data(&self) -> Result<Option<Box<RawValue>>, EncodeError> {
        crate::event::encode(&self.data)
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.hook)
    }

    /// A tenant hears of its own hooks, and others don't.
    fn extensions(&self) -> Vec<(&str, serde_json::Value)> {
        self.tenant.iter().map(|tenant| ("tenant", tenant.as_str().into())).collect()
    }
}

/// The notices that wait to be published.
#[derive(Debug)]
pub(crate) struct Outbox(mpsc::Receiver<EndpointChanged>);

impl Notices {
    pub(crate) fn new() -> (Self, Outbox) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let takers = Takers { queue, listeners: AtomicUsize::new(0), watchers: Watchers::default() };
        (Self(Arc::new(takers)), Outbox(waiting))
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    /// Adds a hook; returns true if it receives such events. While no hook does, nothing is published.
    pub(crate) fn hook_added(&self, hook: &Hook) -> bool {
        let wants = listens(hook);
        self.0.listeners.fetch_add(usize::from(wants), Ordering::Relaxed);
        wants
    }

    /// Removes a hook.
    pub(crate) fn hook_removed(&self, hook: &Hook) {
        self.0.listeners.fetch_sub(usize::from(listens(hook)), Ordering::Relaxed);
    }

    pub(crate) fn endpoint_changed(
        &self,
        hook: &Hook,
        before: EndpointState,
        state: EndpointState,
        error: Option<&str>,
    ) {
        self.0.watchers.changed(&hook.id);
        if self.0.listeners.load(Ordering::Relaxed) == 0 || listens(hook) {
            return;
        }
        let data =
            json!({ "hook": hook.id.as_str(), "state": state.name(), "previous": before.name(), "error": error });
        let (event_type, tenant) = (state.event_type(), hook.tenant().cloned());
        let notice = EndpointChanged { event_type, hook: hook.id.as_str().to_owned(), tenant, data };
        if self.0.queue.try_send(notice).is_err() {
            tracing::warn!(hook = %hook.id, %state, "an event about an endpoint is dropped: too many endpoints change at once");
        }
    }
}

impl Outbox {
    /// Publishes until the dispatcher is gone or the bus is closed.
    pub(crate) async fn publish(mut self, bus: Arc<dyn Bus>) {
        while let Some(notice) = self.0.recv().await {
            let published = match Envelope::of_dispatcher(&notice) {
                Ok(event) => bus.publish(event.into()).await,
                Err(error) => Err(BusError::Unavailable(error.to_string())),
            };
            match published {
                Ok(_) => {}
                Err(BusError::Closed) => return,
                Err(error) => {
                    tracing::warn!(hook = notice.hook, %error, "an event about an endpoint is dropped: it can't be published")
                }
            }
        }
    }
}

/// Returns true if a hook's filter names events about endpoints.
fn listens(hook: &Hook) -> bool {
    hook.filter.types.iter().any(|pattern| pattern.is_literal() && crate::envelope::is_reserved(pattern.as_str()))
}
