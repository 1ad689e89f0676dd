//! Waiting for something to come, and failing when it never does.

use std::time::Duration;

use tokio::sync::Notify;

/// Long enough for anything, however busy the machine is.
pub const LATE: Duration = Duration::from_secs(60);

/// The output of a future that is ready before it is [too late](LATE).
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LATE, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Waits until something outside of the process, or on other threads, is so.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    soon(what, async {
        while !condition() {
            pause().await;
        }
    })
    .await;
}

/// A pause before something is looked at again that rings no bell.
pub async fn pause() {
    // tidy-allow(test-sleep): between two looks at something that tells nobody; nothing depends on how long
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// Waits until something is so, which is looked at whenever the bell rings. On paused time, where nothing else
/// is left to wait for, a test that waits in vain fails at once.
pub async fn before_it_is_late(bell: &Notify, mut reached: impl FnMut() -> bool) {
    const LATE: Duration = Duration::from_secs(10 * 24 * 3600);
    let wait = async {
        loop {
            let changed = bell.notified();
            if reached() {
                return;
            }
            changed.await;
        }
    };
    assert!(tokio::time::timeout(LATE, wait).await.is_ok(), "it never came");
}

/// Runs to the end on a new runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Runs on a thread of its own, on paused time, so that a busy loop fails the test instead of hanging it.
pub fn within_a_minute(test: impl Future<Output = ()> + Send + 'static) {
    let (done, ended) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(test);
        let _ = done.send(());
    });
    assert!(ended.recv_timeout(LATE).is_ok(), "it panicked or never came to an end");
}
