//! Events on disk: one log for all hooks, and the place of each hook in it.
//!
//! ```text
//!  publish ──▶ writer: one write, one sync for all callers ──▶ dispatch ──▶ hooks that follow
//!                 │                                              (memory)
//!                 ▼
//!   folder:  00…0.log  00…4711.log  …       read in pieces ──▶ hooks that lag
//!            meta.redb  ◀── checkpointer: positions, a few times a second ◀── settle
//! ```
//!
//! The folder holds
//! - `<position>.log`: the segments, see `format.rs` for their bytes;
//! - `meta.redb`: the log's id, the place of every hook, the end of the log at that moment, the definitions of hooks, and
//!   the dead letters;
//! - `probe`: at times, after a segment could not be begun;
//! - `format`: the version of the files' format;
//! - `lock`: locked while a process has the folder.
//!
//! **Safe** means synced: `publish` returns when its events would survive a power cut. The bus never tries a
//! failed write or sync again, since the contents of the disk are unknown then: it accepts no more events until a
//! restart has checked the disk.
//!
//! **After a crash** the bus finds the end of the log from whole records in the last segment, and never writes
//! into an old segment. If the log ends before the end stored with the positions, safe events are gone, and the
//! folder opens only after a [repair](DurableBus::repair).

mod age;
mod append;
mod backend;
mod begun;
mod blocking;
mod cache;
mod checkpoint;
mod checkpointer;
mod config;
mod cursor;
mod dead_letter_table;
mod dead_letters;
mod definition_table;
mod definitions;
mod dirty_set;
mod disk;
mod duplicates;
mod error;
mod facts;
mod folder;
mod format;
mod health;
mod hold;
mod hook_store;
mod hooks;
mod info;
mod inner;
mod inspect;
mod lag;
mod log;
mod monitor;
mod open;
mod overlay;
mod overrides;
mod past;
mod pending;
mod plugin;
mod reader;
mod recover;
mod retention;
mod scan;
mod seek;
mod segment;
mod start;
mod storage;
mod store;
mod subscriber;
mod tail_cache;
mod tenants;
mod tuning;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use hooks_core::{
    Bus, BusError, HookId, Slice,
    bus::{
        BusConfig as _, BusMonitor, BusTraits, HookStore, Past, Published, Reader, Settler, Subscription,
        refuse_reserved,
    },
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

pub use config::{DeadLetterLimits, DurableConfig, OnFull};
pub use error::OpenError;
pub use info::{HookInfo, LogInfo, RetainedInfo, SegmentInfo};
pub use inspect::Verified;

use append::Appender;
use disk::Disk;
use folder::Folder;
use hold::Hold;
use inner::{HookSettle, Inner};
use overlay::Overlay;
use reader::DurableReader;
use retention::Reclaim;
use tuning::Tuning;
use writer::{Request, Writer};

/// Most calls of `publish` that queue for the next commit. More calls wait for a place in the queue.
const MAX_WAITING: usize = 1024;

/// The bus that keeps events on disk.
///
/// Accepted means safe: [`publish`](Bus::publish) returns when the events would survive a power cut, all of
/// them or, after an error, none. Concurrent calls share one sync.
///
/// The bus knows hooks by their id, subscribed or not, until they are [forgotten](HookStore::forget).
/// Subscribe all hooks before publishing: a full log drops the events of unsubscribed hooks first. The log drops
/// nothing before the first `publish` or call of [`all_subscribed`](Bus::all_subscribed).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use hooks_bus::{DurableBus, DurableConfig};
/// use hooks_core::{Bus, Envelope};
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path().join("data");
///
/// let bus = DurableBus::open(&DurableConfig::new(&dir))?;
/// bus.publish(Envelope::from_json(br#"{"type":"invoice.paid"}"#)?.into()).await?;
/// # Ok::<(), hooks_core::BoxError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct DurableBus(Arc<Handle>);

struct Handle {
    inner: Arc<Inner>,
    log: Uuid,
    publisher: Mutex<Option<mpsc::Sender<Request>>>,
    /// True once the writer has ended.
    written: watch::Receiver<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The error after a thread of the log has ended.
const ENDED: &str = "a thread of the log has ended: restart to recover";

impl Handle {
    /// The error if a thread ended before it was told to.
    fn trouble(&self) -> Option<String> {
        let has_ended = || self.threads.lock().iter().any(JoinHandle::is_finished);
        let is_open = !self.inner.is_closed() && self.publisher.lock().is_some();
        (is_open && has_ended()).then(|| ENDED.to_owned())
    }
}

impl DurableBus {
    /// Opens the folder, or sets it up. Blocks while it reads the last segment.
    ///
    /// # Errors
    /// When another process has the folder, it can't be used, a newer version wrote it, or safe events
    /// are gone from it.
    pub fn open(config: &DurableConfig) -> Result<Self, OpenError> {
        config.check()?;
        let folder: Arc<dyn Disk> = Arc::new(Folder::open(&config.dir)?);
        Self::on(folder, config, Tuning::default(), Hold::UntilPublished)
    }

    /// Opens the folder without running all of its hooks: drops no event, whatever its age and however full the log.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_to_operate(config: &DurableConfig) -> Result<Self, OpenError> {
        let folder: Arc<dyn Disk> = Arc::new(Folder::open(&config.dir)?);
        Self::on(folder, config, Tuning::default(), Hold::Always)
    }

    /// Opens the folder without changing it: changes stay in memory.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn look(config: &DurableConfig) -> Result<Self, OpenError> {
        let overlay = Overlay::new(Arc::new(Folder::look(&config.dir)?));
        Self::on(Arc::new(overlay), config, Tuning::default(), Hold::Always)
    }

    fn on(disk: Arc<dyn Disk>, config: &DurableConfig, tuning: Tuning, hold: Hold) -> Result<Self, OpenError> {
        let opened = open::open(&disk, &config.dir)?;
        for what in &opened.found.damage {
            tracing::error!(dir = %config.dir.display(), "the log is damaged: {what}");
        }
        let log = opened.known.log;
        // A crash left it with its initial size.
        if let (Some(last), Some(used)) = (opened.found.segments.last(), opened.found.used) {
            last.trim(used);
        }
        let inner = Arc::new(Inner::new(&disk, config, opened, tuning, hold).map_err(|error| {
            OpenError::io(&config.dir, "read the dead letters in", std::io::Error::other(error.to_string()))
        })?);
        let appender = Appender::new(disk, inner.storage.log.clone(), log, config.segment_size.bytes());
        let (publisher, requests) = mpsc::channel(MAX_WAITING);
        let (ended, written) = watch::channel(false);
        let writer = Writer::new(inner.clone(), appender);
        let writing = spawn(&config.dir, "hooks-log", move || {
            writer.run(requests);
            ended.send_replace(true);
        })?;
        let checkpointer = inner.clone();
        let keeping = spawn(&config.dir, "hooks-positions", move || checkpointer::run(&checkpointer))?;
        let threads = Mutex::new(vec![writing, keeping]);
        Ok(Self(Arc::new(Handle { inner, log, publisher: Mutex::new(Some(publisher)), written, threads })))
    }

    /// Damage found when the folder was opened.
    pub fn damage(&self) -> &[String] {
        &self.0.inner.storage.damage
    }

    /// Writes the places of all hooks now rather than within 100 ms. Returns when they would survive a crash.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn sync_positions(&self) -> Result<(), BusError> {
        self.0.inner.blocking(|inner| inner.checkpoint().and_then(|()| inner.reclaim(Reclaim::Aged)).map(drop)).await
    }

    /// Bytes of memory in use for events, blocks counted once and whole.
    pub fn memory_used(&self) -> usize {
        self.0.inner.cache.budget.used().bytes
    }

    /// A description of the folder's contents.
    pub fn info(&self) -> LogInfo {
        info::of(&self.0.inner, self.0.log)
    }
}

#[async_trait]
impl Bus for DurableBus {
    fn log_id(&self) -> Uuid {
        self.0.log
    }

    fn traits(&self) -> BusTraits {
        DurableConfig::TRAITS
    }

    async fn publish(&self, slice: Slice) -> Result<Published, BusError> {
        refuse_reserved(&slice)?;
        let publisher = self.0.publisher.lock().clone().ok_or(BusError::Closed)?;
        if slice.is_empty() {
            return Ok(Published::default());
        }
        let (answer, answered) = oneshot::channel();
        let sent = publisher.send(Request { slice, answer }).await;
        sent.map_err(|_| self.0.trouble().map_or(BusError::Closed, BusError::Unavailable))?;
        drop(publisher);
        answered.await.unwrap_or_else(|_| Err(BusError::Unavailable(ENDED.to_owned())))
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        let inner = &self.0.inner;
        if inner.is_closed() && inner.hooks.get(&subscription.hook).is_none() {
            return Err(BusError::Closed);
        }
        let ledger = subscription.ledger.clone();
        let start = inner.start(&subscription.hook, subscription.from).await?;
        let subscriber = inner.subscriber(&subscription, start);
        let number = subscriber.take_over(&subscription, inner.storage.log.begin());
        let reader = DurableReader::new(inner.clone(), subscriber.clone(), number);
        let settle = HookSettle::new(inner.clone(), subscriber);
        Ok((Box::new(reader), Settler::new(Arc::new(settle), ledger)))
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        self.0.inner.unsubscribe(hook);
        Ok(())
    }

    async fn count_tenants(&self) -> Result<(), BusError> {
        self.0.inner.blocking(Inner::count_tenants).await
    }

    fn all_subscribed(&self) {
        self.0.inner.retention.holding.release();
        self.0.inner.dirty.wake();
    }

    async fn close(&self) {
        drop(self.0.publisher.lock().take());
        // An error means that the writer has ended, too.
        let _ = self.0.written.clone().wait_for(|written| *written).await;
        self.0.inner.closed.store(true, Ordering::Release);
        self.0.inner.hooks.subscribed().iter().for_each(|subscriber| subscriber.readable.notify_one());
        self.0.inner.dirty.wake();
    }

    async fn finish(&self) {
        let begin = self.0.inner.storage.log.begin();
        self.0.inner.hooks.subscribed().iter().for_each(|subscriber| subscriber.abandon(begin));
    }

    fn hooks(&self) -> &dyn HookStore {
        self
    }

    fn monitor(&self) -> &dyn BusMonitor {
        self
    }

    fn past(&self) -> Option<&dyn Past> {
        Some(self)
    }
}

impl fmt::Debug for DurableBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableBus")
            .field("dir", &self.0.inner.storage.dir)
            .field("log", &self.0.log)
            .finish_non_exhaustive()
    }
}

/// Writes all published events and positions before it returns.
impl Drop for Handle {
    fn drop(&mut self) {
        self.publisher.get_mut().take();
        let mut threads = std::mem::take(self.threads.get_mut()).into_iter();
        // The writer first: it dispatches what it writes.
        let writer = threads.next().map(JoinHandle::join);
        self.inner.dirty.stop();
        let checkpointer = threads.next().map(JoinHandle::join);
        if writer.into_iter().chain(checkpointer).any(|ended| ended.is_err()) {
            tracing::error!(dir = %self.inner.storage.dir.display(), "a thread of the log has panicked");
        }
    }
}

fn spawn(dir: &Path, name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map_err(|source| OpenError::io(dir, "start a thread for", source))
}
