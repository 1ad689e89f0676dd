//! Runs work that takes a while on its own thread: no server task waits for it, and it waits for no other work.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// The result of the work. It goes on to its end, also when its caller has gone.
///
/// # Errors
/// When there can be no more threads.
pub async fn on_own_thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, done) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || sender.send(work()))?;
    done.await.map_err(io::Error::other)
}
