//! The processes that share a bus, and questions to them.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::BusError;
use crate::id::HookId;

/// The instances of a [shared](super::BusTraits::shared) bus: which live, which owns a hook, and a channel by which
/// operators ask one of them.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use hooks_core::{bus::{Answering, AskError, HookPlace, Instances}, BusError, HookId, async_trait};
/// use tokio::sync::{mpsc, oneshot};
///
/// type Question = (Vec<u8>, oneshot::Sender<Vec<u8>>);
///
/// /// An instance among tasks of one process, which all have the same table.
/// struct Task {
///     name: &'static str,
///     table: Arc<Mutex<BTreeMap<String, mpsc::Sender<Question>>>>,
/// }
///
/// #[async_trait]
/// impl Instances for Task {
///     fn living(&self) -> Vec<String> { self.table.lock().unwrap().keys().cloned().collect() }
///     fn lapsed(&self) -> Vec<String> { Vec::new() }
///     fn lease(&self) -> Duration { Duration::from_secs(10) }
///     fn place(&self, _hook: &HookId) -> Option<HookPlace> { None }
///     async fn owned(&self, _hook: &HookId) {}
///
///     async fn ask(&self, instance: &str, question: Vec<u8>) -> Result<Vec<u8>, AskError> {
///         let gone = || AskError::Gone(instance.to_owned());
///         let other = self.table.lock().unwrap().get(instance).cloned().ok_or_else(gone)?;
///         let (reply, answer) = oneshot::channel();
///         other.send((question, reply)).await.map_err(|_| gone())?;
///         answer.await.map_err(|_| gone())
///     }
///
///     async fn answer(&self, answer: &Answering) -> Result<(), BusError> {
///         let (sender, mut questions) = mpsc::channel::<Question>(16);
///         self.table.lock().unwrap().insert(self.name.to_owned(), sender);
///         while let Some((question, reply)) = questions.recv().await {
///             // Whoever asked may have given up.
///             let _ = reply.send(answer(question).await);
///         }
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let table = Arc::default();
/// let (one, two) = (Task { name: "one", table: Arc::clone(&table) }, Task { name: "two", table });
/// tokio::spawn(async move { one.answer(&|question| Box::pin(async move { [question, b"!".to_vec()].concat() })).await });
/// tokio::task::yield_now().await;
/// assert_eq!(two.living(), ["one"]);
/// assert_eq!(two.ask("one", b"ready".to_vec()).await?, b"ready!");
/// assert!(matches!(two.ask("three", Vec::new()).await, Err(AskError::Gone(_))));
/// # Ok::<(), AskError>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait Instances: Send + Sync {
    /// The instances that live and have hooks, this one among them if it has any.
    fn living(&self) -> Vec<String>;

    /// Instances that have hooks and whose last sign of life is older than the [lease](Self::lease): they ended, are
    /// cut off, or read a log that is gone, and leave their hooks to others.
    fn lapsed(&self) -> Vec<String>;

    /// How long an instance keeps its hooks after its last sign of life.
    fn lease(&self) -> Duration;

    /// The owner and position of a hook, if the bus knows it.
    fn place(&self, hook: &HookId) -> Option<HookPlace>;

    /// Waits until this instance owns a hook, if it is subscribed to here. That takes as long as another may have it.
    async fn owned(&self, hook: &HookId);

    /// Asks an instance, which answers if it runs [`answer`](Self::answer), and waits as long as it lives.
    ///
    /// # Errors
    /// When it does not answer, because it is gone or for another reason.
    async fn ask(&self, instance: &str, question: Vec<u8>) -> Result<Vec<u8>, AskError>;

    /// Answers the questions to this instance, until the future is dropped. An answer is not empty. An instance that
    /// does not run this is taken for gone by those who ask it.
    ///
    /// # Errors
    /// When the bus does not let it listen.
    async fn answer(&self, answer: &Answering) -> Result<(), BusError>;
}

/// Answers one question.
pub type Answering = dyn Fn(Vec<u8>) -> BoxFuture<'static, Vec<u8>> + Send + Sync;

/// The owner and position of a hook on a shared bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookPlace {
    /// The instance that owns it, if one does that lives.
    pub owner: Option<String>,
    /// It is done with everything up to here, and was within the last 100 ms at most.
    pub position: u64,
}

/// The reason why an instance did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The bus has no connection to it, or its last sign of life is older than the lease: it ended, or is cut off.
    /// Should it come back, it reads the overrides of its hooks before it goes on with them.
    #[error("the instance {0} is gone, or cut off from the bus")]
    Gone(String),
    /// It may be there.
    #[error(transparent)]
    Silent(BusError),
}
