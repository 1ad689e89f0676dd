//! The checks, one function each, by the names that reports have.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::events;
use super::probe::{Probe, describe, drop_after, lines};
use super::run::{Checked, POLLS, Stop};
use crate::batch::Batch;
use crate::delivery::FailureClass;
use crate::envelope::{Envelope, Metadata};

/// A check and its name.
type Check = (&'static str, for<'a> fn(&'a Probe<'a>) -> BoxFuture<'a, Checked>);

macro_rules! checks {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |probe| Box::pin($name(probe)))),*] };
}

/// All checks.
pub(super) const ALL: &[Check] = checks![
    delivers,
    order,
    verbatim,
    metadata,
    large_event,
    large_batch,
    refused_events,
    error_classes,
    cancellation,
    flush_and_close,
    lanes,
    test_delivery,
    secrets,
];

async fn delivers(probe: &Probe<'_>) -> Checked {
    let mut sink = probe.sink()?;
    let mut sent = Vec::new();
    // Many times: a sink that hands over to a task is right now and then.
    for round in 0..20 {
        let batch = Batch::for_test([events::events(&format!("delivers-{round}"), 2)?]);
        probe.doing("deliver a batch, then look before `flush` and `close`");
        probe.deliver(&mut *sink, &batch).await?;
        sent.extend(lines(&batch));
        probe.has_exactly(&sent).await?;
    }
    Ok(())
}

async fn order(probe: &Probe<'_>) -> Checked {
    let mut sink = probe.sink()?;
    let mut sent = Vec::new();
    for (round, size) in [1, 7, 100, 2, 50].into_iter().enumerate() {
        let batch = Batch::for_test([events::events(&format!("order-{round}"), size)?]);
        probe.doing(format!("deliver batch {} of 5", round + 1));
        probe.deliver(&mut *sink, &batch).await?;
        sent.extend(lines(&batch));
    }
    probe.doing("deliver batches of 1, 7, 100, 2 and 50 events, then `close`");
    probe.close(&mut *sink).await?;
    probe.has_exactly(&sent).await
}

async fn verbatim(probe: &Probe<'_>) -> Checked {
    let mut sink = probe.sink()?;
    let batch = Batch::for_test([events::peculiar()?]);
    probe.doing("deliver events in peculiar JSON");
    probe.deliver(&mut *sink, &batch).await?;
    probe.has_exactly(&lines(&batch)).await?;
    probe.passes_json_on()
}

async fn metadata(probe: &Probe<'_>) -> Checked {
    let mut sink = probe.sink()?;
    let metadata =
        Metadata::new([("conformance", "yes".into()), ("other", 7.into())]).map_err(|error| probe.failed(error))?;
    let sample = [events::events("metadata", 3)?, events::peculiar()?];
    let batch = Batch::for_test(sample).with_metadata(Arc::new(metadata));
    probe.doing("deliver a batch of a hook that has metadata (`Batch::lines` applies it)");
    probe.deliver(&mut *sink, &batch).await?;
    probe.has_exactly(&lines(&batch)).await?;
    probe.passes_json_on()
}

async fn large_event(probe: &Probe<'_>) -> Checked {
    let mut sink = probe.sink()?;
    let small = Batch::for_test([events::sized("64-KiB", 64 << 10)?]);
    probe.doing("deliver an event of 64 KiB, which CloudEvents asks everybody to take");
    probe.deliver(&mut *sink, &small).await?;
    probe.has_exactly(&lines(&small)).await?;
    let large = Batch::for_test([events::largest("1-MiB")?]);
    let sent = [lines(&small), lines(&large)].concat();
    probe.doing("deliver an event of 1 MiB");
    if probe.deliver_split(&mut *sink, large).await?.is_empty() {
        return probe.has_exactly(&sent).await;
    }
    probe.has_exactly(&sent[..1]).await?;
    Err(Stop::Skipped("the sink refuses an event of 1 MiB, and says so".to_owned()))
}

async fn large_batch(probe: &Probe<'_>) -> Checked {
    let mut sink = probe.sink()?;
    let batch = Batch::for_test([events::events("large", 4_096)?]);
    let sent = lines(&batch);
    probe.doing("deliver a batch of 4,096 events, split where the sink says that it is too large");
    match probe.deliver_split(&mut *sink, batch).await?.first() {
        Some(id) => Err(probe.failed(format!("event `{id}` is refused"))),
        None => probe.has_exactly(&sent).await,
    }
}

async fn refused_events(probe: &Probe<'_>) -> Checked {
    let sample = events::events("refused", 7)?;
    let bad = ["refused-2", "refused-6"];
    for id in bad {
        if !probe.destination.refuse(id).await {
            return Err(Stop::Skipped("the destination refuses no single event (`refuse` is `false`)".to_owned()));
        }
    }
    let mut sink = probe.sink()?;
    let batch = Batch::for_test([sample]);
    let is_good = |event: &&Envelope| !bad.contains(&event.id());
    let good: Vec<String> = batch.events().filter(is_good).map(|event| event.json().to_owned()).collect();
    probe.doing("deliver a batch of which the destination refuses events 2 and 6, split where it is rejected");
    let refused = probe.deliver_split(&mut *sink, batch).await?;
    if refused != bad {
        return Err(probe.failed(format!("the sink names {refused:?} as refused instead of {bad:?}")));
    }
    probe.has_exactly(&good).await
}

async fn error_classes(probe: &Probe<'_>) -> Checked {
    let mut sink = probe.sink()?;
    let mut sent = Vec::new();
    for class in FailureClass::ALL.iter().copied() {
        let batch = Batch::for_test([events::events(&format!("{class:?}"), 3)?]);
        if !probe.destination.fail(class).await {
            continue;
        }
        probe.doing(format!("deliver while the destination fails with {class:?}"));
        match sink.deliver(&batch).await {
            Ok(_) => return Err(probe.failed("the sink says `Ok`")),
            Err(error) if error.class != class => return Err(probe.failed(describe(&error))),
            Err(error) if error.doing.is_empty() => return Err(probe.failed("the error does not say what was done")),
            Err(_) => {}
        }
        probe.destination.heal().await;
        probe.doing(format!("deliver again when {class:?} is over"));
        probe.deliver(&mut *sink, &batch).await?;
        sent.extend(lines(&batch));
        probe.has_at_least_once(&sent).await?;
    }
    if sent.is_empty() {
        return Err(Stop::Skipped("the destination never fails (`fail` is `false`)".to_owned()));
    }
    Ok(())
}

async fn cancellation(probe: &Probe<'_>) -> Checked {
    let mut sent = Vec::new();
    for size in ["small", "bulky"] {
        for polls in POLLS {
            let name = format!("{size}-{polls}");
            let first = if size == "small" { events::events(&name, 3)? } else { events::bulky(&name)? };
            let next = events::events(&format!("{name}-next"), 2)?;
            let (first, next) = (Batch::for_test([first]), Batch::for_test([next]));
            let mut sink = probe.sink()?;
            probe.doing(format!("deliver a {size} batch and drop the future after {polls} polls"));
            let done = drop_after(polls, sink.deliver(&first)).await;
            let dropped = format!("after the future of `deliver` was dropped ({size} batch, {polls} polls)");
            probe.doing(format!("{dropped}, deliver the batch again"));
            probe.deliver(&mut *sink, &first).await?;
            probe.doing(format!("{dropped}, deliver the batch again and the next one"));
            probe.deliver(&mut *sink, &next).await?;
            probe.close(&mut *sink).await?;
            sent.extend(lines(&first));
            sent.extend(lines(&next));
            probe.has_at_least_once(&sent).await?;
            if done {
                break;
            }
        }
    }
    Ok(())
}

async fn flush_and_close(probe: &Probe<'_>) -> Checked {
    let mut idle = probe.sink()?;
    probe.doing("`flush` and `close` a sink that delivered nothing");
    probe.flush(&mut *idle).await?;
    probe.close(&mut *idle).await?;
    let mut sent = Vec::new();
    for round in 0..2 {
        let mut sink = probe.sink()?;
        for part in 0..2 {
            let batch = Batch::for_test([events::events(&format!("flush-{round}-{part}"), 3)?]);
            probe.doing("deliver, then `flush` twice");
            probe.deliver(&mut *sink, &batch).await?;
            sent.extend(lines(&batch));
            probe.flush(&mut *sink).await?;
            probe.flush(&mut *sink).await?;
            probe.has_exactly(&sent).await?;
        }
        probe.doing("`close` after `flush`");
        probe.close(&mut *sink).await?;
        drop(sink);
        probe.has_exactly(&sent).await?;
    }
    Ok(())
}

async fn lanes(probe: &Probe<'_>) -> Checked {
    let first_context = probe.context("conformance")?;
    let mut second_context = first_context.clone();
    second_context.lane = 1;
    let mut sinks = Vec::new();
    for context in [first_context, second_context, probe.context("other-hook")?] {
        sinks.push(probe.sink_for(context)?);
    }
    let mut sent = vec![Vec::new(); sinks.len()];
    for round in 0..5 {
        probe.doing("deliver through two lanes and another hook at the same time");
        let mut batches = Vec::new();
        for lane in 0..sinks.len() {
            batches.push(Batch::for_test([events::events(&format!("lane-{lane}-{round}"), 20)?]));
        }
        let deliveries = sinks.iter_mut().zip(&batches).map(|(sink, batch)| probe.deliver(&mut **sink, batch));
        futures_util::future::try_join_all(deliveries).await?;
        sent.iter_mut().zip(&batches).for_each(|(sent, batch)| sent.extend(lines(batch)));
    }
    has_all_lanes(probe, &sent).await?;
    probe.doing("deliver through one lane when the others are closed");
    for mut other in sinks.drain(1..) {
        probe.close(&mut *other).await?;
    }
    let last = Batch::for_test([events::events("lane-0-last", 2)?]);
    probe.deliver(&mut *sinks[0], &last).await?;
    sent[0].extend(lines(&last));
    has_all_lanes(probe, &sent).await
}

/// Checks that each lane's events arrived in the lane's order, and nothing else.
async fn has_all_lanes(probe: &Probe<'_>, sent: &[Vec<String>]) -> Checked {
    let received = probe.destination.received().await;
    for lane in sent {
        super::compare::in_order(&probe.expected(lane), &received).map_err(|why| probe.failed(why))?;
    }
    let total: usize = sent.iter().map(Vec::len).sum();
    if received.len() == total {
        Ok(())
    } else {
        Err(probe.failed(format!("the destination has {} events or fragments instead of {total}", received.len())))
    }
}

async fn test_delivery(probe: &Probe<'_>) -> Checked {
    if !probe.factory.takes_tests() {
        return Err(Stop::Skipped("the sink takes no test events (`takes_tests` is `false`)".to_owned()));
    }
    let mut context = probe.context("conformance")?;
    context.test = true;
    let mut sink = probe.sink_for(context)?;
    let batch = Batch::for_test([events::events("test", 1)?]);
    probe.doing("deliver through a sink that was built for a test");
    probe.deliver(&mut *sink, &batch).await?;
    probe.has_exactly(&lines(&batch)).await?;
    probe.close(&mut *sink).await
}

async fn secrets(probe: &Probe<'_>) -> Checked {
    let secrets = probe.destination.secrets();
    if secrets.is_empty() {
        return Err(Stop::Skipped("the sink has no secrets (`secrets` is empty)".to_owned()));
    }
    let reveals = |text: &str| secrets.iter().any(|secret| text.contains(secret));
    probe.doing("print the settings with `Debug`");
    if reveals(&format!("{:?} {:#?}", probe.factory, probe.factory)) {
        return Err(probe.failed("a secret shows"));
    }
    let mut sink = probe.sink()?;
    let batch = Batch::for_test([events::events("secrets", 1)?]);
    for class in FailureClass::ALL.iter().copied() {
        if !probe.destination.fail(class).await {
            continue;
        }
        probe.doing(format!("print the error of a delivery that fails with {class:?}"));
        if let Err(error) = sink.deliver(&batch).await
            && reveals(&format!("{} {error:?} {error:#?}", error.chain()))
        {
            return Err(probe.failed("a secret shows"));
        }
        probe.destination.heal().await;
    }
    Ok(())
}
