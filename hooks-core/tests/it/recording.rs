//! Each attempt is recorded once, with what it was for and what came of it.

use std::sync::Arc;

use hooks_core::{Attempt, AttemptRecorder, Bus, Dispatcher, Hook, Phase, sink::FailureClass};
use hooks_test::model::ModelBus;
use hooks_test::{Answer, Receiver, batch, events, id, ids};
use parking_lot::Mutex;

use crate::dead_letters::hook;
use crate::keeping::Keeping;

/// A line for each attempt.
#[derive(Default)]
struct Recorded(Mutex<Vec<String>>);

impl Recorded {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl AttemptRecorder for Recorded {
    fn record(&self, attempt: &Attempt<'_>) {
        let (number, trigger) = (attempt.number, attempt.trigger.name());
        let outcome = attempt.class().map_or(attempt.outcome().name(), FailureClass::name);
        let positions: Vec<_> =
            attempt.positions().map(|range| format!("{}..={}", range.start(), range.end())).collect();
        let refused: Vec<_> = attempt.refused().map(|position| position.to_string()).collect();
        assert_eq!(attempt.exchange.phases.get(Phase::Connect), None, "this receiver says nothing of it");
        let mut line = format!("{trigger} {number} {outcome} {}", positions.join(" "));
        if !refused.is_empty() {
            line += &format!(" without {}", refused.join(" "));
        }
        self.0.lock().push(line);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_splits_and_refusals_are_told_apart() {
    let (bus, receiver) = (Arc::new(ModelBus::alone()), Receiver::default());
    let recorded = Arc::new(Recorded::default());
    let dispatcher = Dispatcher::new(bus.clone()).with_recorder(recorded.clone());
    dispatcher.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(4, "0s"))).await.unwrap();
    let fails = |class| Answer::Fail(class);
    receiver.answers([fails(FailureClass::Retry), fails(FailureClass::TooLarge), Answer::Names(1)]);
    bus.publish(events(0..4)).await.unwrap();
    receiver.has(2).await;
    dispatcher.shutdown(None).await;
    let wanted =
        ["live 1 retry 0..=3", "live 2 too_large 0..=3", "live 3 partly 0..=1 without 1", "live 3 delivered 2..=3"];
    assert_eq!(recorded.take(), wanted);
}

#[tokio::test(start_paused = true)]
async fn replays_and_tests_are_told_from_live_attempts() {
    let bus = Keeping::new(100).shared();
    let (receiver, recorded) = (Receiver::default(), Arc::new(Recorded::default()));
    let dispatcher = Dispatcher::new(Arc::new(bus.clone())).with_recorder(recorded.clone());
    receiver.refuses(ids(0..1).iter().map(String::as_str));
    dispatcher.add(hook(&receiver).batch(batch(1, "0s"))).await.unwrap();
    bus.publish(events(0..2)).await.unwrap();
    bus.has(1).await;
    receiver.refuses_nothing();
    dispatcher.replay(&id("a"), |_, _| true).await.unwrap();
    dispatcher.test(&id("a")).await.unwrap();
    let wanted = ["live 1 rejected 0..=0", "live 1 delivered 1..=1", "replay 1 delivered 0..=0", "test 1 delivered "];
    assert_eq!(recorded.take(), wanted);
}
