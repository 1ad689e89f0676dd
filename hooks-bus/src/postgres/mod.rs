//! Events in a Postgres database: applications publish inside their own transactions, several instances share the hooks.
//!
//! ```text
//!  INSERT, hooks.publish() ──▶ hooks.outbox ──▶ hooks.log ──▶ read once per instance ──▶ reader per hook ──▶ worker
//!                                      one instance gives                                     │ settle
//!              hooks.cursors: owner, epoch, position ◀── positions, in an order that ◀────────┘ by epoch, ten times
//!              hooks.instances: heartbeats, hooks        follows commits                        a second at most
//! ```
//!
//! Everything is SQL that is one transaction each; what belongs together is a function of the schema (`sql/`). An instance
//! that acquires a hook gives it a new epoch, so that the former owner's next write changes nothing: the hook is lost.
//!
//! | connection | for |
//! |---|---|
//! | `work` | heartbeats, positions, the hook store; hears notices |
//! | `publishing` | what is published through the bus |
//! | `sequence` | the sequencer |
//! | `reading` | the log |
//! | `vacuum` | the outbox, now and then, of the instance that gives positions |

mod ask;
mod background;
mod checkpointer;
mod chunk;
mod config;
mod connect;
mod dead_letters;
mod gaps;
mod hook;
mod hook_store;
mod link;
mod monitor;
pub mod outbox;
mod passfile;
mod past;
mod plugin;
mod publish;
mod reader;
mod rebalance;
mod refresh;
mod registry;
mod retention;
mod rollback;
mod schema;
mod seek;
mod sequencer;
mod tail;
mod tls;
mod vacuum;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64};
use std::time::Duration;

use async_trait::async_trait;
use hooks_core::{
    Bus, BusError, HookId, Slice,
    bus::{
        BusConfig as _, BusMonitor, BusTraits, HookStore, Past, Published, Reader, Settler, Subscription,
        refuse_reserved,
    },
};
use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

pub use config::{PostgresConfig, SslMode};
pub use schema::POSTGRES_SCHEMA;

use hook::{Born, Hook};
use link::{Happening, Link, Purpose};
use monitor::Health;
use publish::Publisher;
use reader::PostgresReader;
use registry::Registry;
use retention::LogSize;
use rollback::Known;
use tail::Tail;

use crate::sharing::{Lease, Mark, Unfollowed, instance};

/// The time limit for the last writes when the process ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit for reading the end of the log when the bus is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Most parts of the log that are being read at a time, for hooks that are behind.
const MAX_FETCHES: usize = 8;

/// Channels of notices, all on one connection.
const LISTEN: &str = "LISTEN hooks_outbox; LISTEN hooks_log; LISTEN hooks_state; LISTEN hooks_ask";

/// The bus that keeps events in a Postgres database.
///
/// Accepted means committed: what a transaction published that was rolled back never was. Events of a call, or of a
/// transaction's call of `hooks.publish`, are accepted all or none. One that is published again within
/// [`duplicate_window`](PostgresConfig::duplicate_window) is accepted and not taken again, if the publisher chose its id.
/// While the database can't be reached, publishing fails at once and nothing is queued.
///
/// **Order.** An event comes before another if its transaction had committed before the other was published, and if both
/// are of one transaction, in the order in which it published them. So of two transactions that change the same row, and
/// publish once they have its lock, the events come in the order of the changes. Between transactions that overlap without
/// that, the order is any, and the same for all hooks. A transaction that stays open delays nothing of others: its events
/// come when it has committed.
///
/// **Instances.** Buses on the same database share the hooks that they have in common: one of them owns each hook, reads
/// its events and holds them. An instance that comes or goes moves as few hooks as possible; one that is killed, hangs or
/// is cut off loses its hooks [`lease`](PostgresConfig::lease) after its last heartbeat, by the database's clock, or as
/// soon as an instance starts on the machine where its process has ended. Who takes over goes on at the position that was
/// written last. What comes again is what was settled since: in the last 100 ms, or in a lease more where it could not be
/// written; and what was in flight, at most a batch per lane.
#[derive(Clone)]
pub struct PostgresBus {
    inner: Arc<Inner>,
    /// The background tasks.
    tasks: Arc<Mutex<JoinSet<()>>>,
    /// The connections.
    _links: Arc<Mutex<JoinSet<()>>>,
}

struct Inner {
    config: Arc<PostgresConfig>,
    log: Uuid,
    /// This instance.
    me: String,
    work: Link,
    publishing: Link,
    sequence: Link,
    reading: Link,
    publisher: Publisher,
    lease: Arc<Lease>,
    registry: Arc<Mutex<Registry>>,
    /// Held for writing while everything is read, and for reading by those who change the registry themselves.
    refreshing: RwLock<()>,
    hooks: Arc<Mutex<HashMap<HookId, Arc<Hook>>>>,
    tail: Arc<Tail>,
    health: Health,
    log_size: LogSize,
    unfollowed: Unfollowed<Born, ()>,
    /// Wakes the task that writes positions.
    settled: Arc<Notify>,
    /// Wakes the task that acquires and releases hooks.
    rebalance_needed: Notify,
    heard: Arc<Heard>,
    /// Another instance defined or undefined a hook.
    defined: Notify,
    accepted: AtomicU64,
    /// The number of these that were known.
    known: AtomicU64,
    /// Most calls whose events get positions at a time.
    step: AtomicI32,
    fetches: Semaphore,
    /// Looks at the past that run.
    looks: Semaphore,
    /// The end of the log when the bus was closed.
    closing: watch::Sender<Option<u64>>,
}

/// What notices of the database wake.
struct Heard {
    /// Events may be in the outbox.
    outbox: Notify,
    /// Others have written something.
    state: Notify,
    /// Somebody has asked or answered.
    asked: Notify,
}

impl Heard {
    fn hears(&self, tail: &Tail, happening: &Happening<'_>) {
        match happening {
            Happening::Connected => {
                self.outbox.notify_one();
                self.state.notify_one();
                self.asked.notify_waiters();
            }
            Happening::Notice("hooks_outbox", _) => self.outbox.notify_one(),
            Happening::Notice("hooks_log", last) => tail.reached(last.parse().unwrap_or(0)),
            Happening::Notice("hooks_state", _) => self.state.notify_one(),
            Happening::Notice(..) => self.asked.notify_waiters(),
        }
    }
}

impl PostgresBus {
    /// Connects, finds or creates the schema, and joins the other instances.
    ///
    /// # Errors
    /// When the settings are not valid, no server can be reached, or the schema there is missing or of another version.
    pub async fn connect(config: PostgresConfig) -> Result<Self, BusError> {
        if let Some(problem) = config.problems().first() {
            return Err(BusError::Unavailable(format!("{}: {}", problem.path, problem.message)));
        }
        let config = Arc::new(config);
        let log = schema::open(connect::connect(&config, "schema").await?, config.create).await?;
        let heard = Arc::new(Heard { outbox: Notify::new(), state: Notify::new(), asked: Notify::new() });
        let me = instance();
        let tail = Arc::new(Tail::new());
        let registry = Arc::new(Mutex::new(Registry::new(me.clone())));
        let known = Known { tail: tail.clone(), hooks: Arc::default(), registry: registry.clone() };
        let mut links = JoinSet::new();
        let mut link = |purpose, hearing| {
            let (link, task) = Link::new(config.clone(), purpose, hearing, known.clone());
            links.spawn(task);
            link
        };
        let hearing = {
            let (heard, tail) = (heard.clone(), tail.clone());
            Box::new(move |happening: Happening<'_>| heard.hears(&tail, &happening))
        };
        let work = link(Purpose { begin: LISTEN, ..Purpose::new("work") }, hearing);
        let [publishing, sequence, reading] = [Purpose::new("publishing"), sequencer::PURPOSE, Purpose::new("reading")]
            .map(|purpose| link(purpose, Box::new(|_: Happening<'_>| {})));
        let links_of = [&work, &publishing, &sequence, &reading];
        for link in links_of {
            link.connected().await?;
        }
        link::have_sessions(&links_of).await?;
        let (publisher, calls) = Publisher::new();
        let inner = Arc::new(Inner {
            log,
            lease: Arc::new(Lease::new(config.lease.get(), Mark::set(&me))),
            registry,
            me,
            config,
            work,
            publishing,
            sequence,
            reading,
            publisher,
            refreshing: RwLock::new(()),
            hooks: known.hooks,
            tail,
            health: Health::default(),
            log_size: LogSize::default(),
            unfollowed: Unfollowed::default(),
            settled: Arc::default(),
            rebalance_needed: Notify::new(),
            heard,
            defined: Notify::new(),
            accepted: AtomicU64::new(0),
            known: AtomicU64::new(0),
            step: AtomicI32::new(sequencer::MOST),
            fetches: Semaphore::new(MAX_FETCHES),
            looks: Semaphore::new(past::MAX_LOOKS),
            closing: watch::Sender::new(None),
        });
        inner.begin_tail().await?;
        // Also reads what others have written.
        inner.send_heartbeat().await?;
        // What is asked of a bus that was just opened is answered, too: its size, and what was refused.
        inner.keep_house().await;
        let mut tasks = JoinSet::new();
        background::start(&inner, calls, &mut tasks);
        Ok(Self { inner, tasks: Arc::new(Mutex::new(tasks)), _links: Arc::new(Mutex::new(links)) })
    }

    /// This instance, as the rows of its hooks name it.
    pub fn instance(&self) -> &str {
        &self.inner.me
    }

    /// The hooks that this instance owns now, by name.
    pub fn owned(&self) -> Vec<HookId> {
        let hooks = self.inner.hooks.lock();
        let mut owned: Vec<_> = hooks.values().filter(|hook| hook.is_owned()).map(|hook| hook.id.clone()).collect();
        owned.sort();
        owned
    }
}

impl Inner {
    /// True if another living instance owns the hook.
    fn is_owned_elsewhere(&self, hook: &Hook) -> bool {
        !hook.is_owned() && self.registry.lock().is_owned_by_another(&hook.id)
    }
}

#[async_trait]
impl Bus for PostgresBus {
    fn log_id(&self) -> Uuid {
        self.inner.log
    }

    fn traits(&self) -> BusTraits {
        PostgresConfig::TRAITS
    }

    async fn publish(&self, slice: Slice) -> Result<Published, BusError> {
        refuse_reserved(&slice)?;
        if self.inner.closing.borrow().is_some() {
            return Err(BusError::Closed);
        }
        if let Some(why) = self.inner.publishing.trouble() {
            return Err(BusError::Unavailable(why));
        }
        let events = slice.len();
        let known = if events > 0 { self.inner.publisher.publish(slice).await? } else { 0 };
        Ok(Published::new(events).duplicates(known))
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        let inner = &self.inner;
        let born = inner.begin(&subscription.hook, subscription.from).await?;
        let hook = {
            let mut hooks = inner.hooks.lock();
            match hooks.get(&subscription.hook) {
                Some(hook) if hook.tag.get() == born => hook.clone(),
                known => {
                    // It was removed, and another one has its name now.
                    known.into_iter().for_each(|before| before.remove());
                    let hook =
                        Arc::new(Hook::new(&subscription, Born::new(born), inner.lease.clone(), inner.settled.clone()));
                    hooks.insert(hook.id.clone(), hook.clone());
                    hook
                }
            }
        };
        let number = hook.attach_reader(&subscription);
        inner.rebalance_needed.notify_one();
        let reader = PostgresReader::new(inner.clone(), hook.clone(), number);
        Ok((Box::new(reader), Settler::new(hook, subscription.ledger)))
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        let Some(hook) = self.inner.hooks.lock().remove(hook) else { return Ok(()) };
        hook.remove();
        self.inner.rebalance_needed.notify_one();
        self.inner.checkpoint(&[hook], false).await;
        self.inner.tell().await;
        Ok(())
    }

    async fn close(&self) {
        if self.inner.closing.borrow().is_none() {
            // What was accepted gets its position. Closing does not wait long for a server that hangs.
            let flushed = timeout(CLOSE_TIMEOUT, self.inner.flush()).await;
            let last = flushed.ok().and_then(Result::ok).unwrap_or_else(|| self.inner.tail.last());
            self.inner.closing.send_replace(Some(last));
        }
    }

    async fn finish(&self) {
        self.tasks.lock().abort_all();
        let inner = &self.inner;
        let hooks: Vec<_> = inner.hooks.lock().values().cloned().collect();
        let leave = async {
            inner.checkpoint(&hooks, false).await;
            // Others may have them from here on.
            inner.lease.end();
            inner.leave().await
        };
        if !matches!(timeout(FINISH_TIMEOUT, leave).await, Ok(true)) {
            tracing::warn!("Postgres does not answer: the last events that were settled will be delivered again");
        }
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

impl std::fmt::Debug for PostgresBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresBus")
            .field("database", &self.inner.config.database)
            .field("instance", &self.inner.me)
            .finish_non_exhaustive()
    }
}
