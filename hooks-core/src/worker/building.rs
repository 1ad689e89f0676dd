//! Building sinks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::panic;
use crate::builders::Builders;
use crate::delivery::DeliveryError;
use crate::hook::Hook;
use crate::sink::{Sink, SinkContext, SinkFactory};

type Built = Result<Box<dyn Sink>, DeliveryError>;

/// Builds a sink, within the time of an attempt if it reads files.
pub(super) async fn build_sink(builders: &Builders, hook: &Hook, context: SinkContext) -> Built {
    let mut files = hook.sink.files();
    files.extend(hook.sink.system_files());
    if files.is_empty() {
        return build(&*hook.sink, &context);
    }
    let this = (Arc::as_ptr(&hook.sink).addr(), context.lane);
    let sink = hook.sink.clone();
    let built = builders.run(this, &files, hook.retry.attempt_timeout, move || build(&*sink, &context)).await;
    built.unwrap_or_else(|why| Err(DeliveryError::endpoint(task(&*hook.sink)).because(why)))
}

fn task(sink: &dyn SinkFactory) -> String {
    format!("build the {} sink", sink.kind())
}

fn build(sink: &dyn SinkFactory, context: &SinkContext) -> Built {
    let failed = || DeliveryError::endpoint(task(sink));
    match catch_unwind(AssertUnwindSafe(|| sink.build(context))) {
        Ok(built) => built.map_err(|error| failed().because(error)),
        Err(panic) => Err(failed().because(format!("it panicked: {}", panic::text(&*panic)))),
    }
}
