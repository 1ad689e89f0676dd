//! Work that goes on to its end when nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;

/// A future that runs where it is awaited, and from where that is dropped on a task of its own. So it takes one only for
/// whoever goes away.
pub(super) struct Finishing<F>(Option<Pin<Box<F>>>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F> Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    pub(super) fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F> Future for Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Polled again after its end, it waits forever.
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let output = ready!(work.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<F> Drop for Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        // Without a runtime nothing goes on any more.
        if let Some((work, runtime)) = self.0.take().zip(Handle::try_current().ok()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_nobody_waits_for_goes_on_to_its_end() {
        let ((go, gone), (done, ended)) = (oneshot::channel::<u8>(), oneshot::channel());
        let mut work = Box::pin(Finishing::new(async move { done.send(gone.await.unwrap()) }));
        assert!((&mut work).now_or_never().is_none());
        drop(work);
        go.send(7).unwrap();
        assert_eq!(ended.await, Ok(7));
    }

    #[tokio::test]
    async fn what_is_waited_for_is_done_once() {
        let (done, ended) = oneshot::channel();
        assert!(Finishing::new(async move { done.send(7) }).await.is_ok());
        assert_eq!(ended.await, Ok(7));
    }
}
