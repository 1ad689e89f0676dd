//! A sink whose file gives no answer holds its own hook, and nothing else.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hooks_core::{
    BoxError, Hook, HumanDuration, RetryPolicy, Sink, TestError,
    sink::{SinkContext, SinkFactory},
};
use hooks_test::{Receiver, World, batch, events, id};
use parking_lot::Mutex;

/// Reads a file on a disk that hangs until somebody holds the answer back no longer.
#[derive(Debug)]
struct Hung {
    receiver: Receiver,
    file: &'static str,
    disk: Mutex<mpsc::Receiver<()>>,
    reads: Arc<AtomicUsize>,
}

impl SinkFactory for Hung {
    fn kind(&self) -> &str {
        "hung"
    }

    fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let _ = self.disk.lock().recv();
        self.receiver.build(context)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.into()]
    }
}

fn quick(hook: Hook) -> Hook {
    let soon = HumanDuration::new(Duration::from_millis(10));
    hook.batch(batch(4, "0s")).retry(RetryPolicy::default().initial(soon).max(soon).attempt_timeout(soon))
}

// On real time: paused time stands still while a thread blocks.
#[tokio::test]
async fn a_file_that_gives_no_answer_holds_its_own_hook_alone() {
    let (world, hung, well) = (World::new(), Receiver::default(), Receiver::default());
    let (silent, disk) = mpsc::sync_channel(0);
    let reads = Arc::<AtomicUsize>::default();
    let sink = Hung { receiver: hung.clone(), file: "/mnt/token", disk: disk.into(), reads: reads.clone() };
    world.add(quick(Hook::new("hung", sink).unwrap())).await;
    world.add(Hook::new("well", well.clone()).unwrap().batch(batch(4, "0s"))).await;
    world.publish(&events(0..4)).await;
    well.has(4).await;
    while world.status("hung").attempts < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(reads.load(Ordering::Relaxed), 1, "one thread waits, however often it is tried");
    let Err(TestError::Failed { error, .. }) = world.dispatcher.test(&id("hung")).await else { panic!("it arrived") };
    assert_eq!(error.chain(), "build the hung sink: it still waits for its file /mnt/token");
    drop(silent);
    hung.has(4).await;
    world.finish().await;
}

/// They took all places that there are until now.
#[tokio::test]
async fn files_of_a_disk_that_hangs_leave_room_for_those_elsewhere() {
    const HUNG: usize = 100;
    let (world, hung, well) = (World::new(), Receiver::default(), Receiver::default());
    let sink = |receiver: &Receiver, file| {
        let (silent, disk) = mpsc::sync_channel(0);
        (silent, Hung { receiver: receiver.clone(), file, disk: disk.into(), reads: Arc::default() })
    };
    let mut silent = Vec::new();
    for number in 0..HUNG {
        let (never, sink) = sink(&hung, "/mnt/token");
        silent.push(never);
        world.add(quick(Hook::new(&format!("hung-{number}"), sink).unwrap())).await;
    }
    world.publish(&events(0..1)).await;
    for number in 0..HUNG {
        while world.status(&format!("hung-{number}")).attempts == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (_, sink) = sink(&well, "/etc/hooks/token");
    world.add(Hook::new("well", sink).unwrap().batch(batch(4, "0s"))).await;
    world.publish(&events(1..2)).await;
    let arrived = tokio::time::timeout(Duration::from_secs(60), well.has(1)).await;
    silent.clear();
    arrived.unwrap();
    hung.has(2 * HUNG).await;
    world.finish().await;
}
