//! Bounds that change while the bus fails, and while a hook is defined.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hooks_bus::MemoryBus;
use hooks_core::bus::{
    BusTraits, DefineError, HookStore, Published, Reader as BusReader, Settler, StartAt, Subscription,
};
use hooks_core::{BusError, Slice, TenantId, async_trait};
use hooks_sink_http as _;
use serde_json::json;
use uuid::Uuid;

use super::*;

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A bus in memory that fails to read single definitions when it is told to, and does something else while one is written.
struct Odd {
    bus: MemoryBus,
    fails: AtomicBool,
    reads: AtomicUsize,
    meanwhile: Mutex<Option<Meanwhile>>,
}

#[async_trait]
impl Bus for Odd {
    fn log_id(&self) -> Uuid {
        self.bus.log_id()
    }

    fn traits(&self) -> BusTraits {
        self.bus.traits()
    }

    async fn publish(&self, slice: Slice) -> Result<Published, BusError> {
        self.bus.publish(slice).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn BusReader>, Settler), BusError> {
        self.bus.subscribe(subscription).await
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        self.bus.unsubscribe(hook).await
    }

    async fn close(&self) {
        self.bus.close().await;
    }

    fn hooks(&self) -> &dyn HookStore {
        self
    }
}

#[async_trait]
impl HookStore for Odd {
    async fn define(
        &self,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Result<Definition, DefineError> {
        if let Some(meanwhile) = self.meanwhile.lock().take() {
            meanwhile();
        }
        self.bus.hooks().define(hook, text, expected, from).await
    }

    async fn definition(&self, hook: &HookId) -> Result<Option<Definition>, BusError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            return Err(BusError::Closed);
        }
        self.bus.hooks().definition(hook).await
    }

    async fn definitions(&self, after: Option<&HookId>, limit: usize) -> Result<Vec<Definition>, BusError> {
        self.bus.hooks().definitions(after, limit).await
    }
}

/// Hooks over HTTP are allowed, and `acme` has one.
struct Hooks {
    bus: Arc<Odd>,
    keys: Keys,
    definitions: HookDefinitions,
}

impl Hooks {
    async fn start() -> Self {
        let bus = MemoryBus::default();
        let bus = Arc::new(Odd {
            bus,
            fails: AtomicBool::default(),
            reads: AtomicUsize::default(),
            meanwhile: Mutex::default(),
        });
        let (keys, dispatcher) = (Keys::random().unwrap(), Arc::new(Dispatcher::new(bus.clone())));
        let allowed = Strangers::with_sinks(["http"]);
        let definitions = HookDefinitions::new(bus.clone(), "memory", dispatcher, Some(&keys), allowed);
        definitions.restore().await.unwrap();
        Self { bus, keys, definitions }
    }

    async fn put(&self, hook: &HookId) {
        let table = json!({ "tenant": "acme", "sink": { "kind": "http", "url": "https://hooks.example/" } });
        self.definitions.change(hook, Change::Put(table), &Condition::default(), &Owner::default()).await.unwrap();
    }

    fn runs(&self, hook: &HookId) -> bool {
        self.definitions.0.dispatcher.hook(hook).is_some()
    }

    async fn shown_to_acme(&self) -> HookPage {
        let selection = page::Selection { limit: 10, tenant: TenantId::new("acme").ok(), ..Default::default() };
        self.definitions.page(&selection).await.unwrap()
    }
}

#[tokio::test]
async fn hooks_that_could_not_be_read_again_are_by_the_next_call() {
    let (hooks, hook) = (Hooks::start().await, HookId::new("a").unwrap());
    hooks.put(&hook).await;
    hooks.definitions.set(Some(&hooks.keys), Strangers::default(), 10);
    hooks.bus.fails.store(true, Ordering::Relaxed);
    assert!(matches!(hooks.definitions.restore().await, Err(DispatchError::Definitions(_))));
    assert!(hooks.runs(&hook));
    hooks.bus.fails.store(false, Ordering::Relaxed);
    hooks.bus.reads.store(0, Ordering::Relaxed);
    let failed = hooks.definitions.restore().await.unwrap().failed;
    assert!(matches!(&failed[..], [(stopped, DispatchError::Invalid { .. })] if *stopped == hook), "{failed:?}");
    assert!(!hooks.runs(&hook));
    assert_eq!(hooks.bus.reads.load(Ordering::Relaxed), 1, "each is read once");
}

#[tokio::test]
async fn a_hook_that_was_checked_before_the_bounds_changed_does_not_run_after() {
    let (hooks, hook) = (Hooks::start().await, HookId::new("a").unwrap());
    let (definitions, keys) = (hooks.definitions.clone(), hooks.keys.clone());
    let meanwhile = move || definitions.set(Some(&keys), Strangers::default(), 10);
    *hooks.bus.meanwhile.lock() = Some(Box::new(meanwhile));
    hooks.put(&hook).await;
    assert!(!hooks.runs(&hook));
    assert!(hooks.definitions.failure(&hook).is_some());
    let page = hooks.shown_to_acme().await;
    assert!(page.hooks.len() == 1 && page.hooks[0].error.is_some(), "{page:?}");
}
