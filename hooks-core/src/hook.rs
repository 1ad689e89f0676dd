//! A hook: a named subscription with a filter and a sink.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::batcher::BatchLimits;
use crate::bus::{QueueLimits, StartAt};
use crate::config_problem::ConfigProblem;
use crate::envelope::Metadata;
use crate::filter::Filter;
use crate::human::{ByteSize, HumanDuration};
use crate::id::{HookId, InvalidHookId, TenantId};
use crate::policy::{RateLimit, RetryPolicy};
use crate::setters::setters;
use crate::sink::SinkFactory;

/// A named subscription: its events, their delivery, and their sink.
///
/// Built with the defaults of its sink. Each setting is a field and a setter of the same name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Hook {
    /// The hook's name. The position in the log belongs to the name.
    pub id: HookId,
    /// The events it receives.
    pub filter: Arc<Filter>,
    /// Extension attributes to set on delivered events.
    pub metadata: Arc<Metadata>,
    /// Limits of a batch.
    pub batch: BatchLimits,
    /// The policy for repeating failed attempts.
    pub retry: Arc<RetryPolicy>,
    /// The hook is disabled after this time of nothing but failures. Not set: never.
    pub disable_after: Option<HumanDuration>,
    /// An endpoint that has accepted nothing for so long is said to fail: [`hooks.endpoint.failing`](Filter). `None`: five
    /// minutes.
    pub warn_after: Option<HumanDuration>,
    /// The rate limit over all its lanes.
    pub rate_limit: Option<RateLimit>,
    /// Limits of its queue in memory.
    pub queue: QueueLimits,
    /// Parallel workers. Events that share a `partitionkey`, else a `subject`, keep their order.
    pub lanes: NonZeroUsize,
    /// A disabled hook keeps its events and delivers none.
    pub enabled: bool,
    /// The start on a bus that does not know the hook yet. `None`: the end.
    pub from: Option<Box<StartAt>>,
    /// The sink.
    pub sink: Arc<dyn SinkFactory>,
    /// A fingerprint of the files that the sink reads, if it was taken. A hook that its receiver disabled is enabled
    /// again when it changes. Reveals nothing of the files.
    pub files: Option<Box<str>>,
    /// The settings that it was read from, as a JSON object without secrets. `None` where it was built in code.
    pub settings: Option<Box<str>>,
}

impl Hook {
    /// A hook that receives every event.
    ///
    /// # Errors
    /// When the id is illegal.
    pub fn new(id: &str, sink: impl SinkFactory + 'static) -> Result<Self, InvalidHookId> {
        Ok(Self::with_sink(HookId::new(id)?, Arc::new(sink)))
    }

    /// A hook that receives every event.
    pub fn with_sink(id: HookId, sink: Arc<dyn SinkFactory>) -> Self {
        Self {
            id,
            filter: Arc::default(),
            metadata: Arc::default(),
            batch: sink.batch_limits(),
            retry: RetryPolicy::shared_default(),
            disable_after: None,
            warn_after: None,
            rate_limit: None,
            queue: QueueLimits::default(),
            lanes: NonZeroUsize::MIN,
            enabled: true,
            from: None,
            sink,
            files: None,
            settings: None,
        }
    }

    /// The tenant whose hook it is: its [filter](Self::filter) says so. `None`: the operator's.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.filter.tenant.as_ref()
    }

    /// True if it was read from the same settings, with the same secrets and files. Of hooks that were built in code nobody
    /// knows.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.settings.is_some()
            && self.settings == other.settings
            && self.files == other.files
            && self.enabled == other.enabled
            && format!("{:?}", self.sink) == format!("{:?}", other.sink)
            && self.sink.secrets() == other.sink.secrets()
    }

    /// The start on a bus that does not know the hook yet.
    pub(crate) fn starts_at(&self) -> StartAt {
        self.from.as_deref().copied().unwrap_or_default()
    }

    /// Contradictions between the settings, each with the path of the setting.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.filter.problems();
        let lanes = self.lanes.get();
        if self.lanes.get() > MAX_LANES {
            problems.push(ConfigProblem::new("lanes", format!("{lanes} lanes are more than {MAX_LANES}")));
        }
        let held = self.batch.max_events.get().saturating_mul(lanes);
        if self.queue.max_events.get() < held {
            problems.push(ConfigProblem::new(
                "queue.max_events",
                format!("a queue of {} events never fills a batch of {} on each of {lanes} lane(s): raise it to at least {held}, or lower batch.max_events", self.queue.max_events, self.batch.max_events),
            ));
        }
        let bytes = self.batch.max_bytes.bytes().saturating_mul(lanes as u64);
        if self.queue.max_bytes.bytes() < bytes {
            problems.push(ConfigProblem::new(
                "queue.max_bytes",
                format!("a queue of {} never fills a batch of {} on each of {lanes} lane(s): raise it to at least {}, or lower batch.max_bytes", self.queue.max_bytes, self.batch.max_bytes, ByteSize::new(bytes)),
            ));
        }
        for (path, bytes) in [("batch.max_bytes", self.batch.max_bytes), ("queue.max_bytes", self.queue.max_bytes)] {
            if bytes.bytes() == 0 {
                problems.push(ConfigProblem::new(path, "0 bytes hold no event: set at least 1".to_owned()));
            }
        }
        self.retry.problems(&mut problems);
        for (path, limit) in [("disable_after", self.disable_after), ("warn_after", self.warn_after)] {
            if limit.is_some_and(|limit| limit.get().is_zero()) {
                problems.push(ConfigProblem::new(path, "must be longer than 0s".to_owned()));
            }
        }
        if let (Some(warns), Some(disables)) = (self.warn_after, self.disable_after)
            && warns >= disables
        {
            let message =
                format!("{warns} is not shorter than disable_after, {disables}: the hook would be disabled first");
            problems.push(ConfigProblem::new("warn_after", message));
        }
        problems.extend(self.sink.problems(&self.batch, &self.retry));
        if self.rate_limit.is_some_and(|limit| limit.requests.is_none() && limit.events.is_none()) {
            problems
                .push(ConfigProblem::new("rate_limit", "limits nothing: set `requests`, `events` or both".to_owned()));
        }
        problems
    }
}

setters!(Hook {
    filter: impl Into<Arc<Filter>> => Into::into,
    metadata: impl Into<Arc<Metadata>> => Into::into,
    batch: BatchLimits,
    retry: impl Into<Arc<RetryPolicy>> => Into::into,
    disable_after: HumanDuration => Some,
    warn_after: HumanDuration => Some,
    rate_limit: RateLimit => Some,
    queue: QueueLimits,
    lanes: NonZeroUsize,
    enabled: bool,
    from: StartAt => behind_end,
    files: Box<str> => Some,
});

/// Most hooks begin at the end, and need no memory for that.
fn behind_end(from: StartAt) -> Option<Box<StartAt>> {
    (from != StartAt::End).then(|| from.into())
}

/// Maximum number of lanes of a hook.
pub const MAX_LANES: usize = 1024;

#[cfg(test)]
impl Hook {
    /// A hook whose sink can't be built.
    pub(crate) fn for_test(id: &str) -> Self {
        Self::new(id, Nowhere).unwrap()
    }
}

#[cfg(test)]
#[derive(Debug)]
struct Nowhere;

#[cfg(test)]
impl SinkFactory for Nowhere {
    fn kind(&self) -> &str {
        "nowhere"
    }

    fn build(&self, _: &crate::sink::SinkContext) -> Result<Box<dyn crate::sink::Sink>, crate::BoxError> {
        Err("nowhere".into())
    }
}
