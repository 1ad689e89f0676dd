//! What `/metrics` shows.
//!
//! Hooks that have never attempted a delivery have no series, so a page grows with what happens, not
//! with what is configured.

mod text;

use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::{Bus, Dispatcher, DropReason, EndpointState, HookStatus, Lag};

use crate::ingest::Counters;
use crate::reload::Reloads;
use text::{Exposition, Format};

/// Everything that is counted somewhere.
pub(crate) struct Sources {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) ingest: Arc<Counters>,
    pub(crate) reloads: Arc<Reloads>,
}

/// A hook, and what it has not settled.
struct Hook {
    status: HookStatus,
    lag: Lag,
}

impl Sources {
    /// The page in a format that the client accepts: its media type, and the text.
    pub(crate) fn page(&self, accept: Option<&str>) -> (&'static str, String) {
        let format = Format::accepted(accept);
        let mut page = Exposition::new(format);
        self.process(&mut page);
        let tried = self.dispatcher.status().into_iter().filter(|status| status.attempts > 0);
        let hooks: Vec<Hook> = tried.map(|status| Hook { lag: self.lag(&status), status }).collect();
        events(&mut page, &hooks);
        deliveries(&mut page, &hooks);
        pending(&mut page, &hooks);
        (format.media_type(), page.finish())
    }

    fn lag(&self, status: &HookStatus) -> Lag {
        let in_hand = Lag { events: status.counts.in_hand, exact: true, ..Lag::default() };
        self.bus.lag(&status.id).unwrap_or(in_hand)
    }

    fn process(&self, page: &mut Exposition) {
        let stats = self.bus.stats();
        page.gauge("hooks_build_info", "The version that runs.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
        page.counter("hooks_events_accepted", "Events that the bus accepted.")
            .sample(&[], stats.accepted.max(self.ingest.accepted()));
        let mut requests =
            page.counter("hooks_ingest_requests", "Requests to publish events, by the status they were answered with.");
        for (status, count) in self.ingest.answers() {
            requests.sample(&[("status", &status.to_string())], count);
        }
        if let Some(bytes) = stats.log_bytes {
            page.gauge("hooks_log_bytes", "Bytes of disk that the log takes.").sample(&[], bytes);
        }
        page.gauge("hooks_config_last_reload_successful", "Whether the last reload of the config file was applied.")
            .sample(&[], self.reloads.successful());
        page.gauge(
            "hooks_config_last_reload_success_timestamp_seconds",
            "When a config file was last applied, in seconds since 1970.",
        )
        .sample(&[], self.reloads.applied_at());
    }
}

fn events(page: &mut Exposition, hooks: &[Hook]) {
    let mut delivered = page.counter("hooks_events_delivered", "Events that their destination has.");
    for Hook { status, .. } in hooks {
        delivered.sample(&[("hook", status.id.as_str())], status.counts.delivered);
    }
    let mut dropped = page.counter("hooks_events_dropped", "Events that were given up.");
    for Hook { status, .. } in hooks {
        for reason in DropReason::ALL {
            let labels = [("hook", status.id.as_str()), ("reason", reason.name())];
            dropped.sample(&labels, status.counts.dropped_for(reason));
        }
    }
}

fn deliveries(page: &mut Exposition, hooks: &[Hook]) {
    const STATES: [EndpointState; 5] = [
        EndpointState::Healthy,
        EndpointState::BackingOff,
        EndpointState::Throttled,
        EndpointState::Held,
        EndpointState::Disabled,
    ];
    let mut states = page.gauge("hooks_endpoint_state", "How it stands with a hook's receiver: 1 for its state.");
    for Hook { status, .. } in hooks {
        for state in STATES {
            states.sample(&[("hook", status.id.as_str()), ("state", state.name())], state == status.state);
        }
    }
}

fn pending(page: &mut Exposition, hooks: &[Hook]) {
    let mut events = page.gauge("hooks_pending_events", "Events that a hook has not settled.");
    for Hook { status, lag } in hooks {
        events.sample(&[("hook", status.id.as_str())], lag.events);
    }
    let mut bytes = page.gauge("hooks_pending_bytes", "Bytes of the events that a hook has not settled.");
    for Hook { status, lag } in hooks {
        bytes.sample(&[("hook", status.id.as_str())], lag.bytes);
    }
    let mut ages =
        page.gauge("hooks_oldest_pending_age_seconds", "For how long the oldest event not settled has been accepted.");
    let now = SystemTime::now();
    for Hook { status, lag } in hooks {
        let age = lag.oldest.and_then(|oldest| now.duration_since(oldest).ok());
        ages.sample(&[("hook", status.id.as_str())], age.unwrap_or_default().as_secs_f64());
    }
}
