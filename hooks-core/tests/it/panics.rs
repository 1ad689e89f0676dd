//! Panics outside of an attempt.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hooks_core::{
    BatchLimits, BoxError, Hook, Sink, TestError,
    sink::{Batcher, SinkContext, SinkFactory, SizeBatcher},
};
use hooks_test::{Answer, Receiver, World, batch, events, id, ids, within_a_minute};
use tokio::time::Instant;

/// A factory that panics the first times that it is asked for something.
#[derive(Debug, Default)]
struct Explosive {
    receiver: Receiver,
    bad_builds: AtomicUsize,
    bad_batchers: AtomicUsize,
}

/// Panics as often as the number says.
fn panic_while(left: &AtomicUsize) {
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    assert!(before.is_err(), "scripted");
}

impl SinkFactory for Explosive {
    fn kind(&self) -> &str {
        "explosive"
    }

    fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        panic_while(&self.bad_builds);
        self.receiver.build(context)
    }

    fn batcher(&self, limits: BatchLimits, overhead: usize) -> Box<dyn Batcher> {
        panic_while(&self.bad_batchers);
        Box::new(SizeBatcher::new(limits, overhead))
    }
}

#[test]
fn a_sink_that_panics_when_it_is_built_keeps_the_worker_spinning() {
    within_a_minute(async {
        let (world, receiver) = (World::new(), Receiver::default());
        let began = Instant::now();
        world
            .add(
                Hook::new("a", Explosive { receiver: receiver.clone(), bad_builds: 5.into(), ..Explosive::default() })
                    .unwrap()
                    .batch(batch(3, "0s")),
            )
            .await;
        world.publish(&events(0..3)).await;
        receiver.has(3).await;
        assert!(began.elapsed() > Duration::ZERO, "there is a pause between the attempts");
        assert_eq!(world.status("a").attempts, 6);
        assert!(world.dispatcher.test(&id("a")).await.is_ok());
        world.finish().await;
    });
}

#[test]
fn a_test_delivery_through_a_sink_that_panics_when_it_is_built_panics() {
    within_a_minute(async {
        let world = World::new();
        world.add(Hook::new("a", Explosive { bad_builds: 5.into(), ..Explosive::default() }).unwrap()).await;
        let Err(TestError::Failed { error, .. }) = world.dispatcher.test(&id("a")).await else { panic!("it arrived") };
        assert_eq!(error.chain(), "build the explosive sink: it panicked: scripted");
        world.finish().await;
    });
}

#[test]
fn what_a_sink_said_when_it_panicked_is_nowhere() {
    within_a_minute(async {
        let (world, receiver) = (World::new(), Receiver::default());
        receiver.answers([Answer::Panic]);
        world.add(Hook::new("a", receiver).unwrap()).await;
        let Err(TestError::Failed { error, .. }) = world.dispatcher.test(&id("a")).await else { panic!("it arrived") };
        assert_eq!(error.chain(), "the sink panicked: scripted");
        world.finish().await;
    });
}

#[test]
fn a_worker_that_panics_spins_until_it_no_longer_does() {
    within_a_minute(async {
        let (world, receiver) = (World::new(), Receiver::default());
        let began = Instant::now();
        let sink = Explosive { receiver: receiver.clone(), bad_batchers: 50.into(), ..Explosive::default() };
        world.add(Hook::new("a", sink).unwrap().batch(batch(3, "0s"))).await;
        world.publish(&events(0..3)).await;
        receiver.has(3).await;
        assert!(began.elapsed() >= Duration::from_secs(50), "{:?}", began.elapsed());
        world.finish().await;
    });
}

#[test]
fn a_worker_that_panics_while_it_drains_leaves_its_events_behind() {
    within_a_minute(async {
        let (world, receiver) = (World::new(), Receiver::default());
        let sink = Explosive { receiver: receiver.clone(), bad_batchers: 3.into(), ..Explosive::default() };
        world.add(Hook::new("a", sink).unwrap().batch(batch(3, "1h"))).await;
        world.publish(&events(0..7)).await;
        world.finish().await;
        assert_eq!(receiver.arrived(), ids(0..7));
    });
}
