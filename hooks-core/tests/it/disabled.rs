//! A disabled hook stays disabled until somebody enables it or, where its receiver did it, its sink changes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use hooks_core::{
    BoxError, Bus, DisabledBy, DispatchError, Dispatcher, EndpointState, Hook, Override, RetryPolicy, Secret, Sink,
    async_trait,
    sink::{Batch, Delivered, DeliveryError, FailureClass, SinkContext, SinkFactory},
};
use hooks_test::model::ModelBus;
use hooks_test::{Receiver, batch, disabled, events, id, together};

use crate::keeping::Keeping;

/// Settings that are shown, a receiver that is not, and a secret.
#[derive(Clone)]
struct At(&'static str, Receiver, &'static str);

impl std::fmt::Debug for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl SinkFactory for At {
    fn kind(&self) -> &str {
        "at"
    }

    fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(Through(self.1.build(context)?)))
    }

    fn secrets(&self) -> Vec<Secret> {
        vec![Secret::new(self.2)]
    }
}

struct Through(Box<dyn Sink>);

#[async_trait]
impl Sink for Through {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        self.0.deliver(batch).await
    }

    async fn close(&mut self) -> Result<(), DeliveryError> {
        self.0.close().await
    }
}

fn hook(at: &'static str, receiver: &Receiver) -> Hook {
    signed(at, receiver, "open sesame")
}

fn signed(at: &'static str, receiver: &Receiver, secret: &'static str) -> Hook {
    Hook::new("a", At(at, receiver.clone(), secret)).unwrap().batch(batch(4, "0s"))
}

fn state(dispatcher: &Dispatcher) -> (EndpointState, Option<DisabledBy>) {
    let status = dispatcher.status().remove(0);
    (status.state, status.disabled.map(|disabled| disabled.by))
}

const GONE: (EndpointState, Option<DisabledBy>) = (EndpointState::Disabled, Some(DisabledBy::Receiver));
const OFF: (EndpointState, Option<DisabledBy>) = (EndpointState::Disabled, Some(DisabledBy::Operator));

/// A hook that its receiver disabled, with two events pending.
async fn gone() -> (Keeping, Dispatcher, Receiver) {
    gone_with(None).await
}

/// So, when its sink's files held this.
async fn gone_with(files: Option<&str>) -> (Keeping, Dispatcher, Receiver) {
    let (bus, receiver) = (Keeping::new(0), Receiver::default());
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    receiver.fails(FailureClass::Gone, 1);
    dispatcher.add(reading(&receiver, files)).await.unwrap();
    bus.publish(events(0..2)).await.unwrap();
    assert_eq!(disabled(&dispatcher).await, id("a"));
    assert_eq!(state(&dispatcher), GONE);
    assert_eq!(dispatcher.status()[0].disabled.clone().unwrap().reason.unwrap(), "scripted");
    (bus, dispatcher, receiver)
}

#[tokio::test(start_paused = true)]
async fn a_change_of_anything_but_the_sink_leaves_it_disabled() {
    let (_, dispatcher, receiver) = gone().await;
    dispatcher.replace(hook("x", &receiver).batch(batch(1, "0s"))).await.unwrap();
    assert_eq!(state(&dispatcher), GONE);
    assert_eq!(receiver.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_sink_tries_again() {
    let (_, dispatcher, receiver) = gone().await;
    dispatcher.replace(hook("y", &receiver)).await.unwrap();
    receiver.has(2).await;
    assert_eq!(state(&dispatcher), (EndpointState::Healthy, None));
}

/// At 0, 10, 20 and 30 s.
#[tokio::test(start_paused = true)]
async fn nothing_but_failures_for_a_time_disables_it_and_a_change_of_the_sink_tries_again() {
    let (bus, receiver) = (Keeping::new(0), Receiver::default());
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    let duration = |text: &str| text.parse().unwrap();
    let failing = |at| {
        let retry = RetryPolicy::default().schedule(vec![duration("10s")]);
        hook(at, &receiver).retry(retry).disable_after(duration("30s"))
    };
    receiver.is_down(true);
    dispatcher.add(failing("x")).await.unwrap();
    bus.publish(events(0..2)).await.unwrap();
    let mut changes = dispatcher.changes();
    let hook = loop {
        let hook = changes.next().await.unwrap();
        if hook.is_disabled_by(DisabledBy::Failures) {
            break hook;
        }
    };
    assert_eq!(receiver.attempts().len(), 4);
    let reason = hook.disabled.unwrap().reason.unwrap();
    assert!(reason.starts_with("nothing but failures for 30s: "), "{reason}");
    dispatcher.replace(failing("x").batch(batch(1, "0s"))).await.unwrap();
    assert_eq!(state(&dispatcher), (EndpointState::Disabled, Some(DisabledBy::Failures)));
    receiver.is_down(false);
    dispatcher.replace(failing("y")).await.unwrap();
    receiver.has(2).await;
    assert_eq!(state(&dispatcher), (EndpointState::Healthy, None));
}

/// What another run has seen counts, until the receiver accepts something or the hook is disabled for it.
#[tokio::test(start_paused = true)]
async fn failures_of_an_earlier_run_count() {
    for is_down in [true, false] {
        let (bus, receiver) = (Arc::new(ModelBus::lasting()), Receiver::default());
        let dispatcher = Dispatcher::new(bus.clone());
        bus.hooks().set_failing_since(&id("a"), Some(SystemTime::now() - Duration::from_secs(3600))).await.unwrap();
        receiver.is_down(is_down);
        dispatcher.add(hook("x", &receiver).disable_after("30m".parse().unwrap())).await.unwrap();
        bus.publish(events(0..1)).await.unwrap();
        let wanted = if is_down { EndpointState::Disabled } else { EndpointState::Healthy };
        while bus.hooks().failing_since(&id("a")).is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!((state(&dispatcher).0, receiver.attempts().len()), (wanted, 1));
        dispatcher.shutdown(None).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_secret_or_of_what_a_file_holds_tries_again() {
    let (bus, dispatcher, receiver) = gone().await;
    let kept = serde_json::to_string(&bus.hooks().overrides(&id("a"))).unwrap();
    assert!(!kept.contains("sesame"), "{kept}");
    dispatcher.replace(signed("x", &receiver, "another")).await.unwrap();
    receiver.has(2).await;
    assert_eq!(state(&dispatcher), (EndpointState::Healthy, None));

    let (_, dispatcher, receiver) = gone_with(Some("old")).await;
    for files in [Some("old"), None] {
        dispatcher.replace(reading(&receiver, files)).await.unwrap();
        assert_eq!(state(&dispatcher), GONE, "the same, or not looked at");
    }
    dispatcher.replace(reading(&receiver, Some("new"))).await.unwrap();
    receiver.has(2).await;
}

fn reading(receiver: &Receiver, files: Option<&str>) -> Hook {
    let mut hook = hook("x", receiver);
    hook.files = files.map(Into::into);
    hook
}

/// As versions have kept it, the first of which knew nothing of secrets.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_version_kept_holds() {
    let (bus, dispatcher, receiver) = gone_with(Some("old")).await;
    drop(dispatcher);
    let now = serde_json::to_value(bus.hooks().overrides(&id("a")).unwrap()).unwrap();
    let [sink, secrets, files] = ["sink", "secrets", "files"].map(|field| &now[field]);
    let first = format!(r#"{{"by":"receiver","reason":"scripted","since":1,"sink":{sink}}}"#);
    let secrets = first.replace('}', &format!(r#","secrets":{secrets}}}"#));
    let files = secrets.replace('}', &format!(r#","files":{files}}}"#));
    for kept in [&first, &secrets, &files] {
        let read: Override = serde_json::from_str(kept).unwrap();
        assert_eq!(&serde_json::to_string(&read).unwrap(), kept);
        bus.hooks().set_override(&id("a"), Some(read)).await.unwrap();
        let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
        dispatcher.add(reading(&receiver, Some("old"))).await.unwrap();
        assert_eq!((state(&dispatcher), receiver.attempts().len()), (GONE, 1), "{kept}");
    }
    let operator: Override = serde_json::from_str(r#"{"by":"operator","reason":null,"since":1,"sink":1}"#).unwrap();
    assert_eq!((operator.by, operator.since), (DisabledBy::Operator, 1));
}

#[tokio::test(start_paused = true)]
async fn enabling_tries_again() {
    let (bus, dispatcher, receiver) = gone().await;
    dispatcher.enable(&id("a")).await.unwrap();
    receiver.has(2).await;
    assert_eq!((state(&dispatcher), bus.hooks().overrides(&id("a"))), ((EndpointState::Healthy, None), None));
}

#[tokio::test(start_paused = true)]
async fn it_is_disabled_after_a_restart() {
    let (bus, dispatcher, receiver) = gone().await;
    drop(dispatcher);
    let dispatcher = Dispatcher::new(Arc::new(bus));
    dispatcher.add(hook("x", &receiver)).await.unwrap();
    assert_eq!((state(&dispatcher), disabled(&dispatcher).await), (GONE, id("a")));
    assert_eq!(receiver.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_another_sink_tries_again() {
    let (bus, dispatcher, receiver) = gone().await;
    drop(dispatcher);
    let dispatcher = Dispatcher::new(Arc::new(bus));
    dispatcher.add(hook("y", &receiver)).await.unwrap();
    receiver.has(2).await;
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_disabled_stays_so_whatever_the_sink() {
    let (bus, receiver) = (Keeping::new(0), Receiver::default());
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("x", &receiver)).await.unwrap();
    dispatcher.disable(&id("a")).await.unwrap();
    dispatcher.replace(hook("y", &receiver)).await.unwrap();
    assert_eq!(state(&dispatcher), OFF);
    drop(dispatcher);
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("z", &receiver)).await.unwrap();
    bus.publish(events(0..2)).await.unwrap();
    assert_eq!((state(&dispatcher), receiver.attempts().len()), (OFF, 0));
    dispatcher.enable(&id("a")).await.unwrap();
    receiver.has(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_was_left_and_is_used_again_starts_afresh() {
    let (bus, dispatcher, receiver) = gone().await;
    dispatcher.replace(hook("y", &receiver)).await.unwrap();
    receiver.has(2).await;
    dispatcher.replace(hook("x", &receiver)).await.unwrap();
    assert_eq!((state(&dispatcher), bus.hooks().overrides(&id("a"))), ((EndpointState::Healthy, None), None));
}

/// No other override disables the hook by then, and it does not deliver yet.
#[tokio::test(start_paused = true)]
async fn a_hook_that_is_being_enabled_is_enabled_by_its_settings() {
    let (_, dispatcher, receiver) = following_none().await;
    dispatcher.disable(&id("a")).await.unwrap();
    let mut between = 0;
    let name = id("a");
    let mut enabling = pin!(dispatcher.enable(&name));
    loop {
        let status = dispatcher.hook_status(&id("a")).unwrap();
        assert!(status.enabled);
        between += usize::from(status.state == EndpointState::Disabled && status.disabled.is_none());
        tokio::select! {
            biased;
            done = &mut enabling => break done.unwrap(),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(between > 0, "it was enabled at once");
    dispatcher.replace(hook("x", &receiver).enabled(false)).await.unwrap();
    assert!(!dispatcher.hook_status(&id("a")).unwrap().enabled);
}

fn operator() -> Override {
    Override::disabled(DisabledBy::Operator, None, std::time::SystemTime::now())
}

/// A dispatcher with a hook.
async fn following_none() -> (Keeping, Dispatcher, Receiver) {
    let (bus, receiver) = (Keeping::new(0), Receiver::default());
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("x", &receiver)).await.unwrap();
    (bus, dispatcher, receiver)
}

/// The same, whose override another process sets, and for which two events come.
async fn following(to: Override) -> (Keeping, Dispatcher, Receiver) {
    let (bus, dispatcher, receiver) = following_none().await;
    bus.override_elsewhere(Some(to)).await;
    bus.publish(events(0..2)).await.unwrap();
    (bus, dispatcher, receiver)
}

#[tokio::test(start_paused = true)]
async fn what_another_process_sets_holds_here() {
    let gone = gone().await.0.hooks().overrides(&id("a")).unwrap();
    let (bus, dispatcher, receiver) = following(gone).await;
    assert_eq!((state(&dispatcher), receiver.attempts().len()), (GONE, 0));
    assert_eq!(dispatcher.status()[0].last_error.as_deref(), Some("scripted"));
    // Enabled elsewhere, and disabled by somebody else.
    bus.override_elsewhere(None).await;
    receiver.has(2).await;
    assert_eq!(state(&dispatcher), (EndpointState::Healthy, None));
    bus.override_elsewhere(Some(operator())).await;
    assert_eq!(state(&dispatcher), OFF);
    dispatcher.enable(&id("a")).await.unwrap();
    assert_eq!((state(&dispatcher), bus.hooks().overrides(&id("a"))), ((EndpointState::Healthy, None), None));
}

/// Disabling one whose attempt is on its way takes as long as that.
#[tokio::test(start_paused = true)]
async fn a_hook_that_is_slow_to_change_delays_no_override_of_another() {
    let (bus, dispatcher, receiver) = following_none().await;
    bus.publish(events(0..1)).await.unwrap();
    receiver.has(1).await;
    receiver.hangs_at_close();
    dispatcher.add(Hook::new("b", Receiver::default()).unwrap()).await.unwrap();
    let began = tokio::time::Instant::now();
    bus.override_other("a", Some(operator())).await;
    // Set again while it is followed.
    tokio::task::yield_now().await;
    bus.override_other("a", Some(operator())).await;
    bus.override_other("b", Some(operator())).await;
    bus.followed().await;
    let off = |hook: &str| dispatcher.hook_status(&id(hook)).unwrap().state == EndpointState::Disabled;
    assert!(off("b") && began.elapsed().is_zero(), "after {:?}", began.elapsed());
    bus.followed().await;
    assert!(off("a") && !began.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_said_elsewhere_to_another_sink_is_left_alone() {
    let (theirs, dispatcher, receiver) = gone().await;
    dispatcher.replace(hook("y", &receiver)).await.unwrap();
    receiver.has(2).await;
    receiver.fails(FailureClass::Gone, 1);
    theirs.publish(events(2..3)).await.unwrap();
    disabled(&dispatcher).await;
    let other = theirs.hooks().overrides(&id("a")).unwrap();
    let (bus, dispatcher, receiver) = following(other.clone()).await;
    receiver.has(2).await;
    assert_eq!((state(&dispatcher), bus.hooks().overrides(&id("a"))), ((EndpointState::Healthy, None), Some(other)));
}

/// A run that reads all of its input at once spends its time there.
#[tokio::test(start_paused = true)]
async fn a_hook_that_is_disabled_elsewhere_while_a_shutdown_delivers_is_left_behind() {
    let (bus, dispatcher, receiver) = following_none().await;
    receiver.fails(FailureClass::Retry, 1000);
    bus.publish(events(0..2)).await.unwrap();
    let disabled = async {
        receiver.was_tried(2).await;
        bus.override_other("a", Some(operator())).await;
    };
    let (report, ()) = tokio::join!(dispatcher.shutdown(None), disabled);
    assert_eq!((state(&dispatcher), report.hooks[0].left_behind().events), (OFF, 2));
    drop(dispatcher);
    assert_eq!(Arc::strong_count(&bus.dead_letters), 1, "something still has the bus");
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_is_dropped_follows_nobody() {
    let (bus, dispatcher, _) = following_none().await;
    drop(dispatcher);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&bus.dead_letters), 1, "something still has the bus");
}

/// Whoever asks is told that a restart, or another process, knows nothing of it; and can ask again.
#[tokio::test(start_paused = true)]
async fn what_the_bus_can_t_keep_of_it_holds_here_and_is_said() {
    let (bus, receiver) = (Keeping::new(10), Receiver::default());
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("one", &receiver)).await.unwrap();
    let forgets = |forgets| bus.keeps_no_override.store(forgets, Ordering::Relaxed);
    let operator = (EndpointState::Disabled, Some(DisabledBy::Operator));

    forgets(true);
    let refused = dispatcher.disable(&id("a")).await.unwrap_err();
    assert!(matches!(&refused, DispatchError::NotRemembered { hook, .. } if *hook == id("a")), "{refused}");
    assert!(refused.to_string().contains("in this process alone, until it ends"), "{refused}");
    assert_eq!((state(&dispatcher), bus.hooks().overrides(&id("a"))), (operator, None));
    forgets(false);
    dispatcher.disable(&id("a")).await.unwrap();
    assert!(bus.hooks().overrides(&id("a")).is_some());

    forgets(true);
    let refused = dispatcher.enable(&id("a")).await.unwrap_err();
    assert!(matches!(refused, DispatchError::NotRemembered { .. }), "{refused}");
    bus.publish(together(&events(0..1))).await.unwrap();
    receiver.has(1).await;
    forgets(false);
    dispatcher.enable(&id("a")).await.unwrap();
    assert_eq!((state(&dispatcher).1, bus.hooks().overrides(&id("a"))), (None, None));
}
