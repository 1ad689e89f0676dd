//! Upper bounds for the settings of hooks that strangers define.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batcher::BatchLimits;
use crate::bus::{Overflow, QueueLimits};
use crate::config_problem::ConfigProblem;
use crate::envelope::is_reserved;
use crate::filter::{Filter, Pattern, RareParts};
use crate::hook::Hook;
use crate::human::{ByteSize, HumanDuration};
use crate::policy::RetryPolicy;

/// The most that a hook may ask for whose author is not the operator: a customer, by an API.
///
/// A hook's own settings are all free within these bounds; of its sink's only those are that the sink's author marked
/// ([`SinkConfig`](crate::sink::SinkConfig#options-for-strangers)).
///
/// ```
/// use hooks_core::UntrustedLimits;
/// # use hooks_core::{sink::{SinkContext, SinkFactory}, BoxError, Hook, Sink};
/// # #[derive(Debug)]
/// # struct ToStdout;
/// # impl SinkFactory for ToStdout {
/// #     fn kind(&self) -> &str { "stdout" }
/// #     fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> { Err("".into()) }
/// # }
/// let limits = UntrustedLimits::default();
/// let hook = Hook::new("orders", ToStdout)?;
/// assert_eq!(limits.problems(&hook), []);
///
/// let greedy = hook.lanes(64.try_into().unwrap());
/// assert_eq!(limits.problems(&greedy)[0].to_string(), "lanes: 64 is more than 4, the most for a hook like this");
/// # Ok::<(), hooks_core::InvalidHookId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UntrustedLimits {
    /// Most lanes of a hook.
    pub lanes: NonZeroUsize,
    /// Most events of a batch.
    pub batch_events: NonZeroUsize,
    /// Most bytes of a batch, so of a request's body, unless one event alone is longer.
    pub batch_bytes: ByteSize,
    /// Longest wait of a batch's first event.
    pub batch_age: HumanDuration,
    /// Shortest time limit of an attempt.
    pub min_attempt_timeout: HumanDuration,
    /// Longest time limit of an attempt.
    pub attempt_timeout: HumanDuration,
    /// Shortest wait that `retry.initial`, `retry.max`, `retry.schedule` and `warn_after` may set, so that nobody has a dead
    /// receiver asked, or told of, all the time.
    pub min_backoff: HumanDuration,
    /// Memory bus: most events that a hook may hold.
    pub queue_events: NonZeroUsize,
    /// Memory bus: most bytes that a hook may hold.
    pub queue_bytes: ByteSize,
    /// Most patterns of each kind in a hook's filter, and most values that its pattern for `data` compares: publishing
    /// compares each event with them.
    pub patterns: usize,
    /// Longest pattern, and longest name or text in that for `data`, in bytes.
    pub pattern_bytes: ByteSize,
    /// Most bytes that `metadata` adds to each event.
    pub metadata_bytes: ByteSize,
    /// Most entries of a list or a table of free names in the sink's options: of headers, say.
    pub sink_entries: usize,
    /// Most bytes of text in the sink's options: url, headers and secrets together.
    pub sink_bytes: ByteSize,
}

impl Default for UntrustedLimits {
    /// 4 lanes; batches of 10,000 events, 1 MiB, a minute; attempts of 10 to 30 s; waits of at least 1 s; queues as by
    /// default; 64 patterns of 256 bytes; 4 KiB of metadata; 32 headers, and 16 KiB of options for the sink.
    fn default() -> Self {
        let count = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        let seconds = |number| HumanDuration::new(Duration::from_secs(number));
        let QueueLimits { max_events: queue_events, max_bytes: queue_bytes, .. } = QueueLimits::default();
        Self {
            lanes: count(4),
            batch_events: count(10_000),
            batch_bytes: ByteSize::new(1 << 20),
            batch_age: seconds(60),
            min_attempt_timeout: seconds(10),
            attempt_timeout: seconds(30),
            min_backoff: seconds(1),
            queue_events,
            queue_bytes,
            patterns: 64,
            pattern_bytes: ByteSize::new(256),
            metadata_bytes: ByteSize::new(4 << 10),
            sink_entries: 32,
            sink_bytes: ByteSize::new(16 << 10),
        }
    }
}

impl UntrustedLimits {
    /// Everything that the hook asks for beyond these limits, each with the path of the setting. Nothing of its sink:
    /// [`SinkPlugin::parse_untrusted`](crate::sink::SinkPlugin::parse_untrusted) checks that.
    pub fn problems(&self, hook: &Hook) -> Vec<ConfigProblem> {
        // Whole, so that none is forgotten.
        let Self {
            lanes: most_lanes,
            batch_events,
            batch_bytes,
            batch_age,
            min_attempt_timeout,
            attempt_timeout: longest_attempt,
            min_backoff,
            queue_events,
            queue_bytes,
            metadata_bytes,
            // Of the filter.
            patterns: _,
            pattern_bytes: _,
            // Of the sink.
            sink_entries: _,
            sink_bytes: _,
        } = *self;
        let Hook {
            filter,
            metadata,
            batch,
            retry,
            warn_after,
            queue,
            lanes,
            // Free for everybody, or none of the hook's own settings.
            id: _,
            disable_after: _,
            rate_limit: _,
            enabled: _,
            from: _,
            sink: _,
            files: _,
            settings: _,
        } = hook;
        let BatchLimits { max_events, max_bytes, max_age } = *batch;
        let mut problems = Vec::new();
        most(&mut problems, "lanes", *lanes, most_lanes);
        most(&mut problems, "batch.max_events", max_events, batch_events);
        most(&mut problems, "batch.max_bytes", max_bytes, batch_bytes);
        most(&mut problems, "batch.max_age", max_age, batch_age);
        let RetryPolicy {
            initial,
            max,
            schedule,
            attempt_timeout,
            max_elapsed: _,
            max_attempts: _,
            reject_hold: _,
            max_retry_after: _,
        } = &**retry;
        least(&mut problems, "retry.initial", *initial, min_backoff);
        least(&mut problems, "retry.max", *max, min_backoff);
        if let Some(shortest) = schedule.iter().min() {
            least(&mut problems, "retry.schedule", *shortest, min_backoff);
        }
        if let Some(wait) = warn_after {
            least(&mut problems, "warn_after", *wait, min_backoff);
        }
        least(&mut problems, "retry.attempt_timeout", *attempt_timeout, min_attempt_timeout);
        most(&mut problems, "retry.attempt_timeout", *attempt_timeout, longest_attempt);
        let QueueLimits { max_events, max_bytes, overflow } = *queue;
        most(&mut problems, "queue.max_events", max_events, queue_events);
        most(&mut problems, "queue.max_bytes", max_bytes, queue_bytes);
        if overflow == Overflow::Block {
            let message = "\"block\" would let this hook's receiver stop those who publish: set \"drop_oldest\"";
            problems.push(ConfigProblem::new("queue.overflow", message));
        }
        most(&mut problems, "metadata", ByteSize::new(metadata.most_added() as u64), metadata_bytes);
        self.filter(filter, &mut problems);
        problems
    }

    fn filter(&self, filter: &Filter, problems: &mut Vec<ConfigProblem>) {
        let Filter { types, subjects, tenant: _, rare } = filter;
        let RareParts {
            types_except,
            subjects_except,
            sources,
            sources_except,
            attributes,
            attributes_except,
            data,
            not_about: _,
        } = &**rare;
        let lists = [
            ("types", types),
            ("types_except", types_except),
            ("subjects", subjects),
            ("subjects_except", subjects_except),
            ("sources", sources),
            ("sources_except", sources_except),
        ];
        lists.into_iter().for_each(|(path, patterns)| self.patterns(path, patterns, problems));
        for (setting, table) in [("attributes", attributes), ("attributes_except", attributes_except)] {
            let patterns: Vec<Pattern> = table.values().flatten().cloned().collect();
            self.patterns(setting, &patterns, problems);
            let longest = table.keys().map(String::len).max().unwrap_or(0);
            most(problems, setting, ByteSize::new(longest as u64), self.pattern_bytes);
        }
        if let Some(data) = data {
            let (values, longest) = data.size();
            most(problems, "data", values, self.patterns);
            most(problems, "data", ByteSize::new(longest as u64), self.pattern_bytes);
        }
        if let Some(own) = types.iter().map(Pattern::as_str).find(|pattern| is_reserved(pattern)) {
            let message =
                format!("`{own}` tells of the hooks of others, too: only the operator's hooks may hear of it");
            problems.push(ConfigProblem::new("types", message));
        }
    }

    fn patterns(&self, path: &str, patterns: &[Pattern], problems: &mut Vec<ConfigProblem>) {
        most(problems, path, patterns.len(), self.patterns);
        let longest = patterns.iter().map(|pattern| pattern.as_str().len()).max().unwrap_or(0);
        most(problems, path, ByteSize::new(longest as u64), self.pattern_bytes);
    }
}

fn most<T: PartialOrd + std::fmt::Display>(problems: &mut Vec<ConfigProblem>, path: &str, value: T, limit: T) {
    if value > limit {
        let message = format!("{value} is more than {limit}, the most for a hook like this");
        problems.push(ConfigProblem::new(path, message));
    }
}

fn least<T: PartialOrd + std::fmt::Display>(problems: &mut Vec<ConfigProblem>, path: &str, value: T, limit: T) {
    if value < limit {
        let message = format!("{value} is less than {limit}, the least for a hook like this");
        problems.push(ConfigProblem::new(path, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Metadata;
    use crate::event_pattern::EventPattern;
    use crate::policy::RetryPolicy;
    use std::sync::Arc;

    fn paths(change: impl FnOnce(&mut Hook)) -> Vec<String> {
        let mut hook = Hook::for_test("h");
        change(&mut hook);
        let problems = UntrustedLimits::default().problems(&hook);
        problems.into_iter().map(|problem| problem.path).collect()
    }

    fn filter(hook: &mut Hook, change: impl FnOnce(&mut Filter)) {
        let mut filter = Filter::default();
        change(&mut filter);
        hook.filter = filter.into();
    }

    #[test]
    fn each_setting_has_a_bound() {
        let span = |text: &str| text.parse::<HumanDuration>().unwrap();
        let size = |text: &str| text.parse::<ByteSize>().unwrap();
        let count = |number| NonZeroUsize::new(number).unwrap();
        let retry = |change: fn(&mut RetryPolicy, HumanDuration), text| {
            paths(|hook| change(Arc::make_mut(&mut hook.retry), span(text)))
        };
        assert_eq!(paths(|_| {}), [""; 0]);
        assert_eq!(paths(|hook| hook.lanes = count(5)), ["lanes"]);
        assert_eq!(paths(|hook| hook.batch.max_events = count(10_001)), ["batch.max_events"]);
        assert_eq!(paths(|hook| hook.batch.max_bytes = size("2MiB")), ["batch.max_bytes"]);
        assert_eq!(paths(|hook| hook.batch.max_age = span("61s")), ["batch.max_age"]);
        assert_eq!(retry(|retry, wait| retry.initial = wait, "1ms"), ["retry.initial"]);
        assert_eq!(retry(|retry, wait| retry.max = wait, "999ms"), ["retry.max"]);
        assert_eq!(retry(|retry, wait| retry.schedule = vec![wait], "999ms"), ["retry.schedule"]);
        assert_eq!(paths(|hook| hook.warn_after = Some(span("999ms"))), ["warn_after"]);
        assert_eq!(retry(|retry, limit| retry.attempt_timeout = limit, "9s"), ["retry.attempt_timeout"]);
        assert_eq!(retry(|retry, limit| retry.attempt_timeout = limit, "31s"), ["retry.attempt_timeout"]);
        assert_eq!(paths(|hook| hook.queue.max_events = count(10_001)), ["queue.max_events"]);
        assert_eq!(paths(|hook| hook.queue.max_bytes = size("65MiB")), ["queue.max_bytes"]);
        assert_eq!(paths(|hook| hook.queue.overflow = Overflow::Block), ["queue.overflow"]);
        let long = Metadata::new([("env", serde_json::json!("x".repeat(5_000)))]).unwrap();
        assert_eq!(paths(|hook| hook.metadata = long.into()), ["metadata"]);
    }

    #[test]
    fn filters_are_short_and_hear_of_no_other_hook() {
        let many = || vec![Pattern::new("a"); 65];
        assert_eq!(paths(|hook| filter(hook, |filter| filter.types = many())), ["types"]);
        assert_eq!(paths(|hook| filter(hook, |filter| filter.rare.subjects_except = many())), ["subjects_except"]);
        let long = || vec![Pattern::new("x".repeat(257))];
        assert_eq!(paths(|hook| filter(hook, |filter| filter.subjects = long())), ["subjects"]);
        assert_eq!(paths(|hook| filter(hook, |filter| filter.rare.sources = many())), ["sources"]);
        let by_name = |name: &str, patterns| [(name.to_owned(), patterns)].into();
        assert_eq!(paths(|hook| filter(hook, |filter| filter.rare.attributes = by_name("a", long()))), ["attributes"]);
        let names = || (0..65).map(|name| (name.to_string(), vec![Pattern::new("a")])).collect();
        assert_eq!(paths(|hook| filter(hook, |filter| filter.rare.attributes_except = names())), ["attributes_except"]);
        let data = |json| move |filter: &mut Filter| filter.rare.data = Some(EventPattern::new(&json).unwrap().into());
        let many = serde_json::json!({ "a": (0..65).collect::<Vec<_>>() });
        assert_eq!(paths(|hook| filter(hook, data(many))), ["data"]);
        let groups: Vec<_> = (0..9).map(|number| serde_json::json!({ "b": [number] })).collect();
        let others: Vec<_> = (0..9).map(|number| serde_json::json!({ "c": [number] })).collect();
        let both = serde_json::json!({ "$or": groups, "a": { "$or": others } });
        assert_eq!(paths(|hook| filter(hook, data(both))), ["data"]);
        let long = serde_json::json!({ "a": { "x".repeat(257): [1] } });
        assert_eq!(paths(|hook| filter(hook, data(long))), ["data"]);
        let own = || vec![Pattern::new("orders.*"), Pattern::new("hooks.endpoint.held")];
        assert_eq!(paths(|hook| filter(hook, |filter| filter.types = own())), ["types"]);
    }
}
