//! Hooks that the bus keeps the definition of: restored, changed, removed, and followed by other processes.

use std::sync::Arc;

use hooks_core::{
    BoxError, Bus, DispatchError, Dispatcher, Hook, HookId,
    bus::{Expected, Revision},
    conformance::bus::Store as _,
};
use hooks_test::model::{Fault, Model};
use hooks_test::{Receiver, batch, events, id, ids};

/// The text of a definition names the receiver.
#[derive(Clone, Default)]
struct Receivers {
    a: Receiver,
    b: Receiver,
}

impl Receivers {
    fn reader(&self) -> impl Fn(&HookId, &str) -> Result<Hook, BoxError> + Send + Sync + 'static {
        let receivers = self.clone();
        move |hook, text| {
            let receiver = match text {
                "a" => &receivers.a,
                "b" => &receivers.b,
                other => return Err(format!("there is no receiver `{other}`").into()),
            };
            Ok(Hook::new(hook.as_str(), receiver.clone())?.batch(batch(10, "0s")))
        }
    }
}

async fn restored(bus: &Arc<dyn Bus>, receivers: &Receivers) -> Dispatcher {
    let dispatcher = Dispatcher::new(bus.clone());
    let restored = dispatcher.restore(receivers.reader()).await.unwrap();
    assert!(restored.failed.is_empty(), "{restored:?}");
    dispatcher
}

fn at(revision: Revision) -> Expected {
    Expected::At(revision)
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_defined_runs_at_once_and_after_a_restart() {
    let (model, receivers) = (Model::new(Fault::Single), Receivers::default());
    let bus = model.open().await.unwrap();
    let dispatcher = restored(&bus, &receivers).await;
    let first = dispatcher.define(&id("x"), "a", Expected::Absent).await.unwrap();
    bus.publish(events(0..2)).await.unwrap();
    receivers.a.has(2).await;
    assert_eq!(dispatcher.revision(&id("x")), Some(first.revision));

    let second = dispatcher.define(&id("x"), "b", at(first.revision)).await.unwrap();
    assert!(second.revision > first.revision);
    bus.publish(events(2..4)).await.unwrap();
    receivers.b.has(2).await;
    dispatcher.shutdown(None).await;
    drop((dispatcher, bus));

    let bus = model.open().await.unwrap();
    let dispatcher = restored(&bus, &receivers).await;
    bus.publish(events(4..5)).await.unwrap();
    receivers.b.has(3).await;
    assert_eq!(receivers.b.arrived(), ids(2..5));
    assert!(dispatcher.undefine(&id("x"), at(second.revision)).await.unwrap());
    assert!(!dispatcher.undefine(&id("x"), Expected::Any).await.unwrap());
    assert!(dispatcher.status().is_empty() && bus.hooks().known_hooks().is_empty());
    assert_eq!((receivers.a.arrived(), dispatcher.revision(&id("x"))), (ids(0..2), None));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_changes_nothing() {
    let (model, receivers) = (Model::new(Fault::Single), Receivers::default());
    let bus = model.open().await.unwrap();
    let dispatcher = Dispatcher::new(bus.clone());
    let early = dispatcher.define(&id("x"), "a", Expected::Any).await.unwrap_err();
    assert!(matches!(early, DispatchError::Invalid { .. }), "{early}");
    let dispatcher = restored(&bus, &receivers).await;
    dispatcher.add(receivers.reader()(&id("file"), "a").unwrap()).await.unwrap();
    let defined = dispatcher.define(&id("x"), "a", Expected::Any).await.unwrap();

    for (hook, text, expected, said) in [
        ("x", "a", Expected::Absent, "hook `x` was changed meanwhile: its revision is 1 now"),
        ("x", "a", at(Revision::new(9)), "hook `x` was changed meanwhile: its revision is 1 now"),
        ("y", "a", at(Revision::new(1)), "hook `y` is not defined any more"),
        ("x", "c", Expected::Any, "hook `x`: there is no receiver `c`"),
        ("file", "a", Expected::Any, "there is a hook `file` already, which is not kept by the bus"),
    ] {
        let refused = dispatcher.define(&id(hook), text, expected).await.unwrap_err();
        assert_eq!(refused.to_string(), said);
    }
    for (hook, expected) in [("x", at(Revision::new(9))), ("x", Expected::Absent), ("file", Expected::Any)] {
        dispatcher.undefine(&id(hook), expected).await.unwrap_err();
    }
    assert_eq!(
        dispatcher.add(receivers.reader()(&id("x"), "b").unwrap()).await.unwrap_err().to_string(),
        "there is a hook `x` already"
    );
    assert_eq!(dispatcher.revision(&id("x")), Some(defined.revision));
    bus.publish(events(0..1)).await.unwrap();
    receivers.a.has(2).await;
}

/// Somebody else's hook of this name would go on at its position.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_defined_is_taken_also_before_it_is_restored() {
    let (model, receivers) = (Model::new(Fault::Single), Receivers::default());
    let bus = model.open().await.unwrap();
    let dispatcher = restored(&bus, &receivers).await;
    dispatcher.define(&id("x"), "a", Expected::Any).await.unwrap();
    dispatcher.shutdown(None).await;
    drop((dispatcher, bus));
    let dispatcher = Dispatcher::new(model.open().await.unwrap());
    let refused = dispatcher.add(receivers.reader()(&id("x"), "b").unwrap()).await.unwrap_err();
    assert!(matches!(refused, DispatchError::Defined(_)), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_can_t_be_read_keeps_its_events_until_it_can() {
    let (model, receivers) = (Model::new(Fault::Single), Receivers::default());
    let bus = model.open().await.unwrap();
    let dispatcher = restored(&bus, &receivers).await;
    for (hook, text) in [("x", "a"), ("y", "b")] {
        dispatcher.define(&id(hook), text, Expected::Any).await.unwrap();
    }
    dispatcher.shutdown(None).await;
    drop((dispatcher, bus));

    let bus = model.open().await.unwrap();
    let dispatcher = Dispatcher::new(bus.clone());
    let reader = receivers.reader();
    let without_a =
        move |hook: &HookId, text: &str| if text == "a" { Err("no key".into()) } else { reader(hook, text) };
    let report = dispatcher.restore(without_a).await.unwrap();
    let failed: Vec<_> = report.failed.iter().map(|(hook, error)| format!("{hook} {error}")).collect();
    assert_eq!((report.hooks, failed), (1, vec!["x hook `x`: no key".to_owned()]));
    bus.publish(events(0..2)).await.unwrap();
    receivers.b.has(2).await;
    dispatcher.shutdown(None).await;
    drop((dispatcher, bus));

    let bus = model.open().await.unwrap();
    let _dispatcher = restored(&bus, &receivers).await;
    receivers.a.has(2).await;
}

#[tokio::test(start_paused = true)]
async fn other_processes_follow() {
    let (model, receivers) = (Model::new(Fault::None), Receivers::default());
    let (here, there) = (model.open().await.unwrap(), model.open().await.unwrap());
    let one = restored(&here, &receivers).await;
    let two = restored(&there, &receivers).await;
    one.define(&id("x"), "a", Expected::Any).await.unwrap();
    hooks_test::until("it follows", || two.revision(&id("x")).is_some()).await;
    // Whoever has the hook, each of them can change it.
    let changed = two.define(&id("x"), "b", Expected::Any).await.unwrap();
    hooks_test::until("it follows", || one.revision(&id("x")) == Some(changed.revision)).await;
    here.publish(events(0..1)).await.unwrap();
    there.publish(events(1..2)).await.unwrap();
    receivers.b.has(2).await;
    drop((one, here));
    there.publish(events(2..3)).await.unwrap();
    receivers.b.has(3).await;
}

/// Its text differs, sealed with another key say, and what it makes does not: no worker is stopped for it.
#[tokio::test(start_paused = true)]
async fn a_definition_that_is_rewritten_leaves_its_hook_as_it_is_in_every_process() {
    let (model, receivers) = (Model::new(Fault::None), Receivers::default());
    let reader = || {
        let reader = receivers.reader();
        move |hook: &HookId, text: &str| {
            let mut hook = reader(hook, text.trim())?;
            hook.settings = Some(text.trim().into());
            Ok::<_, BoxError>(hook)
        }
    };
    let (here, there) = (model.open().await.unwrap(), model.open().await.unwrap());
    let (one, two) = (Dispatcher::new(here.clone()), Dispatcher::new(there.clone()));
    one.restore(reader()).await.unwrap();
    two.restore(reader()).await.unwrap();
    let first = one.define(&id("x"), "a", Expected::Any).await.unwrap();
    hooks_test::until("it follows", || two.revision(&id("x")).is_some()).await;
    here.publish(events(0..1)).await.unwrap();
    receivers.a.has(1).await;
    let builds = receivers.a.builds();
    let rewritten = one.rewrite(&id("x"), "a ", first.revision).await.unwrap();
    hooks_test::until("it follows", || two.revision(&id("x")) == Some(rewritten.revision)).await;
    assert_eq!(one.revision(&id("x")), Some(rewritten.revision));
    here.publish(events(1..2)).await.unwrap();
    receivers.a.has(2).await;
    assert_eq!(receivers.a.builds(), builds);
    let late = one.rewrite(&id("x"), "a  ", first.revision).await.unwrap_err();
    assert!(matches!(late, DispatchError::Conflict { .. }), "{late}");
    // A dispatcher that has restored nothing can do it, too.
    let text = Dispatcher::new(there).rewrite(&id("x"), " a", rewritten.revision).await.unwrap().text;
    assert_eq!(&*text, " a");
}
