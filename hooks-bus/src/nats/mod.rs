//! Events in a JetStream stream: several instances share the hooks.
//!
//! ```text
//!  publish ──▶ stream NAME (NAME.events.<type>) ──▶ ordered consumer per hook, at its owner ──▶ worker
//!                                                              │ settle
//!              bucket NAME-hooks: hook.H = owner, position ◀───┘ updated by revision, ten times a second at most
//!                                 def.H = definition of the hook, with its first position
//!                                 alive.I, hooks.I: heartbeats and hooks of the instance I
//! ```
//!
//! A hook's owner and position are one entry, updated by its revision only. An instance that acquires the hook writes
//! it, so the former owner's next write fails: the hook is lost. An instance, not each hook, sends heartbeats.

mod ask;
mod background;
mod checkpointer;
mod config;
mod connect;
mod dead_letter_counts;
mod dead_letters;
mod define;
mod definitions;
mod examine;
mod feed;
mod fetch;
mod follow;
mod health;
mod hearing;
mod hook;
mod hook_store;
mod inner;
mod limits;
mod members;
mod monitor;
mod past;
mod plugin;
mod publish;
mod reader;
mod rebalance;
mod record;
mod refusal;
mod registry;
mod rollback;
mod seek;
mod settings;
mod start;
mod step;
mod stream;
mod subject;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream as streams};
use hooks_core::{
    Bus, BusError, HookId, Slice,
    bus::{
        BusConfig as _, BusMonitor, BusTraits, HookStore, Past, Published, Reader, Settler, Subscription,
        refuse_reserved,
    },
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

pub use config::{NatsConfig, NatsTls};

use connect::{Connected, Denied};
use dead_letter_counts::DeadLetterCounts;
use health::Health;
use hook::{Hook, Tag};
use inner::Tail;
use limits::Limits;
use publish::Publisher;
use reader::NatsReader;
use record::Key;
use registry::Registry;
use rollback::Rollback;
use step::FeedState;
use stream::Storage;

use crate::sharing::{Lease, Mark, Unfollowed, instance};

/// The time limit for the last writes when the process ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit for reading the end of the stream when the bus is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit for hearing the first own heartbeat.
const WATCH_START_LIMIT: Duration = Duration::from_secs(15);

/// Most consumers that are being made at a time.
const MAX_OPENING: usize = 32;

/// Most looks at the past at a time. Further ones are refused: each takes a consumer.
const MAX_LOOKS: usize = 8;

/// The bus that keeps events in a NATS JetStream stream.
///
/// Accepted means acknowledged by the stream: on as many servers as it has replicas. A server
/// acknowledges before it syncs to its disk (it does so every two minutes), so safety against power loss
/// comes from replicas on separate power. Events that were published before, by `source` and `id`, are
/// acknowledged and not taken again (within the stream's duplicate window). After an error some of a
/// call's events may have been published; publishing all of them again is safe. While the stream can't
/// be reached, publishing fails at once and nothing is queued. What can be known before anything is sent (too long
/// an event, no room in the stream, no connection) refuses all of a call's events; later,
/// [`BusError::Partly`] says which were accepted.
///
/// **Instances.** Buses with the same [`name`](NatsConfig::name) share the hooks that they have in
/// common: one of them owns each hook, reads its events and holds them. An
/// instance that comes or goes moves as few hooks as possible; one that is killed, hangs or is cut off
/// loses its hooks [`lease`](NatsConfig::lease) after its last heartbeat, or as soon as an instance starts on the
/// machine where its process has ended. Who takes over goes on at
/// the position that was written last. What comes again is what was settled since: in the last 100 ms, or
/// in a lease more where the bucket could not be written; and what was in flight, at most a batch per lane.
///
/// **Overrides.** A hook that is disabled through one instance is so in all, as their dispatchers follow. An instance
/// that was cut off reads it before it goes on.
///
/// **What fencing can't stop.** An instance that has lost a hook, or can't prove that it has not, begins
/// no further attempt; but a request that is on the wire at that moment may arrive at its receiver later
/// than the next owner's. It holds events that the next owner delivers again, so they are repeated, and
/// may be late by as long as one attempt takes.
#[derive(Clone)]
pub struct NatsBus {
    inner: Arc<Inner>,
    /// The background tasks.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

struct Inner {
    config: NatsConfig,
    client: Client,
    /// Counts connections.
    connections: watch::Receiver<u64>,
    /// For requests.
    api: Context,
    publisher: Publisher,
    denied: Denied,
    limits: Limits,
    storage: Storage,
    log: Uuid,
    /// The stream's name in entries.
    log_name: String,
    /// This instance.
    me: String,
    lease: Arc<Lease>,
    registry: Mutex<Registry>,
    hooks: Mutex<HashMap<HookId, Arc<Hook>>>,
    /// Wakes the task that writes positions.
    settled: Arc<Notify>,
    /// Wakes the task that acquires and releases hooks.
    rebalance_needed: Notify,
    /// An instance may have joined.
    member_joined: Notify,
    /// Another instance defined or undefined a hook.
    defined: Notify,
    tail: watch::Sender<Tail>,
    rollback: Rollback,
    dead_letter_counts: DeadLetterCounts,
    health: Health,
    /// Hooks were acquired.
    acquired: Notify,
    unfollowed: Unfollowed<Tag, FeedState>,
    accepted: AtomicU64,
    duplicates: AtomicU64,
    opening: Semaphore,
    /// Looks at the past that run.
    looks: Semaphore,
    /// The end of the stream when the bus was closed.
    closing: watch::Sender<Option<u64>>,
}

impl NatsBus {
    /// Connects, finds or creates streams and bucket, and joins the other instances.
    ///
    /// # Errors
    /// When the settings are not valid, no server can be reached, or a stream there has wrong settings.
    pub async fn connect(config: NatsConfig) -> Result<Self, BusError> {
        if let Some(problem) = config.problems().first() {
            return Err(BusError::Unavailable(format!("{}: {}", problem.path, problem.message)));
        }
        let Connected { client, connections, deny, denied } = connect::connect(&config).await?;
        let api = connect::api(&client);
        let storage = stream::open(&api, &config).await.map_err(|error| denied.explain(&config.name, error))?;
        let log = stream::log_id(storage.events.cached_info());
        let log_name = log.simple().to_string()[..8].to_owned();
        let me = instance();
        let lease = Arc::new(Lease::new(config.lease.get(), Mark::set(&me)));
        let inner = Arc::new(Inner {
            publisher: Publisher::new(config.clone(), deny, denied.clone()),
            denied,
            limits: Limits::new(&config.name),
            registry: Mutex::new(Registry::new(me.clone(), log_name.clone(), config.lease.get())),
            log_name,
            config,
            client,
            connections,
            api,
            storage,
            log,
            me,
            lease,
            hooks: Mutex::default(),
            settled: Arc::default(),
            rebalance_needed: Notify::new(),
            member_joined: Notify::new(),
            defined: Notify::new(),
            tail: watch::Sender::new(Tail::default()),
            rollback: Rollback::default(),
            dead_letter_counts: DeadLetterCounts::default(),
            health: Health::default(),
            acquired: Notify::new(),
            unfollowed: Unfollowed::default(),
            accepted: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            opening: Semaphore::new(MAX_OPENING),
            looks: Semaphore::new(MAX_LOOKS),
            closing: watch::Sender::new(None),
        });
        inner.refresh_tail().await?;
        inner.dead_letter_counts.refresh(&inner.storage.dead_letters, &inner.config.name).await?;
        let tasks = Arc::new(Mutex::new(background::start(&inner)));
        timeout(WATCH_START_LIMIT, inner.wait_for_watch()).await.map_err(|_| {
            let why = inner.trouble().map_or_else(String::new, |why| format!(": {why}"));
            BusError::Unavailable(format!("the key-value bucket `{}-hooks` does not answer{why}", inner.config.name))
        })?;
        inner.registry.lock().definitions.begin();
        Ok(Self { inner, tasks })
    }

    /// This instance, as the entries of its hooks name it.
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

#[async_trait]
impl Bus for NatsBus {
    fn log_id(&self) -> Uuid {
        self.inner.log
    }

    fn traits(&self) -> BusTraits {
        NatsConfig::TRAITS
    }

    async fn publish(&self, slice: Slice) -> Result<Published, BusError> {
        refuse_reserved(&slice)?;
        if self.inner.closing.borrow().is_some() {
            return Err(BusError::Closed);
        }
        let _admitted = self.inner.admit(&slice).await?;
        let (acknowledged, result) = self.inner.publisher.publish(&slice).await;
        self.inner.accepted.fetch_add(acknowledged.events, Ordering::Relaxed);
        self.inner.duplicates.fetch_add(acknowledged.duplicates, Ordering::Relaxed);
        let published = Published::new(slice.len()).duplicates(acknowledged.duplicates as usize);
        result.map(|()| published).map_err(|error| acknowledged.into_error(slice.len(), error))
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        let inner = &self.inner;
        let origin = inner.registry.lock().definitions.get(&subscription.hook).map(|(record, _)| record.origin.clone());
        let known = inner.hooks.lock().get(&subscription.hook).cloned();
        let hook = match known {
            Some(hook) if hook.tag.origin == origin => hook,
            known => {
                // It was undefined, and another one has its name now.
                if let Some(before) = known {
                    before.remove();
                    inner.hooks.lock().remove(&before.id);
                }
                let tag = Tag { token: subject::of_hook(subscription.hook.as_str()), origin };
                let hook = Arc::new(Hook::new(&subscription, tag, inner.lease.clone(), inner.settled.clone()));
                inner.ensure_entry(&hook, subscription.from).await?;
                inner.hooks.lock().entry(hook.id.clone()).or_insert(hook).clone()
            }
        };
        let number = hook.attach_reader(&subscription);
        inner.rebalance_needed.notify_one();
        let reader = NatsReader::new(inner.clone(), hook.clone(), number);
        Ok((Box::new(reader), Settler::new(hook, subscription.ledger)))
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        let Some(hook) = self.inner.hooks.lock().remove(hook) else { return Ok(()) };
        hook.remove();
        self.inner.rebalance_needed.notify_one();
        self.inner.release(&hook).await;
        Ok(())
    }

    async fn close(&self) {
        if self.inner.closing.borrow().is_none() {
            let inner = &self.inner;
            let asked = async {
                connect::connected(&inner.client)?;
                inner.refresh_tail().await
            };
            // Closing does not wait long for a server that hangs. The end of what was published here is known.
            let tail = timeout(CLOSE_TIMEOUT, asked).await.ok().and_then(Result::ok).unwrap_or_else(|| inner.tail());
            inner.closing.send_replace(Some(tail.last.max(inner.publisher.last())));
        }
    }

    async fn finish(&self) {
        self.tasks.lock().abort_all();
        let inner = &self.inner;
        if connect::connected(&inner.client).is_err() {
            tracing::warn!("NATS can't be reached: the last events that were settled will be delivered again");
            return;
        }
        let hooks: Vec<_> = inner.hooks.lock().values().cloned().collect();
        let leave = async {
            streams::iter(hooks)
                .for_each_concurrent(checkpointer::MAX_WRITES, |hook| async move { inner.release(&hook).await })
                .await;
            // Others may have them from here on.
            inner.lease.end();
            // Without these, others notice after a lease.
            let _ = inner.storage.bucket.delete(Key::Alive(&inner.me).to_string()).await;
            let _ = inner.storage.bucket.delete(Key::Hooks(&inner.me).to_string()).await;
            let _ = inner.client.flush().await;
        };
        if timeout(FINISH_TIMEOUT, leave).await.is_err() {
            tracing::warn!("NATS does not answer: the last events that were settled will be delivered again");
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

impl std::fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsBus")
            .field("name", &self.inner.config.name)
            .field("instance", &self.inner.me)
            .finish_non_exhaustive()
    }
}
