//! Work that takes a while, on a thread of its own: nobody who serves waits for it, and it waits for nobody else's.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// What came of the work. It goes on to its end, also when nobody waits for it any more.
///
/// # Errors
/// When there can be no more threads.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, done) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || sender.send(work()))?;
    done.await.map_err(io::Error::other)
}
