//! Hooks that the bus keeps the definition of: restored, changed, removed, and followed by other processes.

use std::sync::Arc;

use hooks_core::{
    BoxError, Bus, ByteSize, DispatchError, Dispatcher, Filter, Hook, HookId, TenantId,
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
async fn a_hook_that_was_read_is_defined_without_reading_its_text_again() {
    let (model, receivers) = (Model::new(Fault::Single), Receivers::default());
    let bus = model.open().await.unwrap();
    let read = |name: &str| receivers.reader()(&id(name), "a").unwrap();
    let early = Dispatcher::new(bus.clone()).define_as(read("x"), "-", Expected::Any).await.unwrap_err();
    assert!(early.to_string().contains("has not restored"), "{early}");
    let dispatcher = restored(&bus, &receivers).await;
    let defined = dispatcher.define_as(read("x"), "no receiver", Expected::Absent).await.unwrap();
    assert_eq!(bus.hooks().definition(&id("x")).await.unwrap().as_ref(), Some(&defined));
    assert_eq!((&*defined.text, dispatcher.revision(&id("x"))), ("no receiver", Some(defined.revision)));
    bus.publish(events(0..1)).await.unwrap();
    receivers.a.has(1).await;

    // Nothing is kept of a hook that can't run, or whose name is another's.
    let never = read("y").batch(batch(10, "0s").max_bytes(ByteSize::new(0)));
    let refused = dispatcher.define_as(never, "a", Expected::Any).await.unwrap_err();
    assert!(matches!(refused, DispatchError::Invalid { .. }), "{refused}");
    dispatcher.add(read("file")).await.unwrap();
    let refused = dispatcher.define_as(read("file"), "a", Expected::Any).await.unwrap_err();
    assert!(matches!(refused, DispatchError::NotDefined(_)), "{refused}");
    assert_eq!(bus.hooks().definitions_of(&[id("y"), id("file")]).await.unwrap(), [None, None]);
}

/// More than one task adds them, and one that can't be added keeps none of the others away.
#[tokio::test(start_paused = true)]
async fn many_hooks_are_restored_and_listed_by_name_and_tenant() {
    let (model, receivers) = (Model::new(Fault::Single), Receivers::default());
    let bus = model.open().await.unwrap();
    let (dispatcher, names) = (restored(&bus, &receivers).await, (0..100).map(|at| id(&format!("h{at:02}"))));
    for name in names.clone() {
        dispatcher.define(&name, "a", Expected::Absent).await.unwrap();
    }
    drop(dispatcher);
    let dispatcher = Dispatcher::new(bus.clone());
    let reader = receivers.reader();
    let tenant = TenantId::new("odd").unwrap();
    let of_tenant = tenant.clone();
    let restored = dispatcher.restore(move |hook: &HookId, text: &str| match hook.as_str() {
        "h50" => Err("it is damaged".into()),
        name if name.ends_with(['1', '3', '5', '7', '9']) => {
            Ok(reader(hook, text)?.filter(Filter::all().tenant(of_tenant.clone())))
        }
        _ => reader(hook, text),
    });
    let restored = restored.await.unwrap();
    assert_eq!((restored.hooks, restored.failed.len()), (99, 1), "{restored:?}");
    let listed = |after: Option<&HookId>, limit, tenant| {
        let page = dispatcher.hooks(after, limit, tenant).into_iter();
        page.map(|running| {
            assert_eq!(running.revision, dispatcher.revision(&running.hook.id));
            running.hook.id.clone()
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 1_000, None), names.filter(|name| *name != id("h50")).collect::<Vec<_>>());
    assert_eq!(listed(Some(&id("h49")), 2, None), [id("h51"), id("h52")]);
    assert_eq!(listed(Some(&id("h49")), 2, Some(&tenant)), [id("h51"), id("h53")]);
    assert_eq!(listed(None, 9, Some(&TenantId::new("even").unwrap())), []);
    assert!(dispatcher.running(&id("h50")).is_none() && dispatcher.running(&id("h51")).is_some());
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
