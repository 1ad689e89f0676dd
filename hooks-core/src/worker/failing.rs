//! Since when a receiver has accepted nothing, across restarts and takeovers: the bus keeps it for hooks that are disabled
//! after a time of that.

use std::time::{Duration, SystemTime};

use super::clock::now;
use super::endpoint::EndpointHealth;
use super::hook_context::HookContext;
use crate::endpoint_state::EndpointState;
use crate::human::HumanDuration;

/// A receiver has to fail for so long, or a sixteenth of `disable_after`, before it is kept: one that fails now and then
/// costs no writes.
const KEPT_AFTER: Duration = Duration::from_secs(60);

impl HookContext {
    /// Before an attempt counts: goes on with the failures that another run has seen.
    pub(super) fn recall_failing(&self, endpoint: &mut EndpointHealth) {
        if self.hook.disable_after.is_none() || endpoint.failing_since().is_some() {
            return;
        }
        let Some(since) = self.bus.hooks().failing_since(&self.hook.id) else { return };
        let lasted = SystemTime::now().duration_since(since).unwrap_or_default();
        endpoint.recall_failing(now().checked_sub(lasted));
    }

    /// Behind an attempt: keeps since when there are nothing but failures, or that it is over. Of a hook that is disabled,
    /// whoever keeps that forgets this.
    pub(super) async fn keep_failing(&self) {
        let since = {
            let endpoint = self.endpoint.state.lock();
            if endpoint.state() == EndpointState::Disabled {
                return;
            }
            endpoint.failing_since()
        };
        let is_kept = self.bus.hooks().failing_since(&self.hook.id).is_some();
        let least = self.hook.disable_after.map(|limit| KEPT_AFTER.min(HumanDuration::get(limit) / 16));
        let lasted = since.map(|since| now().saturating_duration_since(since));
        let to = match (lasted, least) {
            (Some(lasted), Some(least)) if !is_kept && lasted >= least => SystemTime::now().checked_sub(lasted),
            (None, _) if is_kept => None,
            _ => return,
        };
        if let Err(error) = self.bus.hooks().set_failing_since(&self.hook.id, to).await {
            tracing::warn!(hook = %self.hook.id, %error, "the bus can't keep since when the receiver fails: `disable_after` may begin anew");
        }
    }

    /// Another process may have delivered since: what this one knows of failures is over, unless the bus keeps it.
    pub(super) fn forget_failing(&self) {
        if self.bus.traits().shared {
            self.endpoint.state.lock().recall_failing(None);
        }
    }
}
