//! A disabled hook stays disabled until somebody enables it or, where its receiver did it, its sink changes.

use std::pin::pin;
use std::sync::Arc;

use hooks_core::{
    Batch, BoxError, Bus, Delivered, DeliveryError, DisabledBy, Dispatcher, EndpointState, FailureClass, Hook, Secret,
    Sink, SinkContext, SinkFactory, async_trait,
};

use crate::keeping::Keeping;
use crate::receiver::{Receiver, batch, events, id};

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
    assert_eq!(dispatcher.disabled().await, id("a"));
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

#[tokio::test(start_paused = true)]
async fn a_change_of_a_secret_or_of_what_a_file_holds_tries_again() {
    let (bus, dispatcher, receiver) = gone().await;
    let note = bus.noted(&id("a")).unwrap();
    assert!(!note.contains("sesame"), "{note}");
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
    Hook { files: files.map(Into::into), ..hook("x", receiver) }
}

/// Of a version that knew nothing of secrets.
#[tokio::test(start_paused = true)]
async fn a_note_that_says_nothing_of_secrets_holds() {
    let (bus, dispatcher, receiver) = gone().await;
    drop(dispatcher);
    let note = bus.noted(&id("a")).unwrap();
    let old = note.split_once(",\"secrets\"").unwrap().0.to_owned() + "}";
    bus.note(&id("a"), Some(old)).await.unwrap();
    let dispatcher = Dispatcher::new(Arc::new(bus));
    dispatcher.add(hook("x", &receiver)).await.unwrap();
    assert_eq!((state(&dispatcher), receiver.attempts().len()), (GONE, 1));
}

#[tokio::test(start_paused = true)]
async fn enabling_tries_again() {
    let (bus, dispatcher, receiver) = gone().await;
    dispatcher.set_enabled(&id("a"), true).await.unwrap();
    receiver.has(2).await;
    assert_eq!((state(&dispatcher), bus.noted(&id("a"))), ((EndpointState::Healthy, None), None));
}

#[tokio::test(start_paused = true)]
async fn it_is_disabled_after_a_restart() {
    let (bus, dispatcher, receiver) = gone().await;
    drop(dispatcher);
    let dispatcher = Dispatcher::new(Arc::new(bus));
    dispatcher.add(hook("x", &receiver)).await.unwrap();
    assert_eq!((state(&dispatcher), dispatcher.disabled().await), (GONE, id("a")));
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
    dispatcher.set_enabled(&id("a"), false).await.unwrap();
    dispatcher.replace(hook("y", &receiver)).await.unwrap();
    assert_eq!(state(&dispatcher), OFF);
    drop(dispatcher);
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("z", &receiver)).await.unwrap();
    bus.publish(events(0..2)).await.unwrap();
    assert_eq!((state(&dispatcher), receiver.attempts().len()), (OFF, 0));
    dispatcher.set_enabled(&id("a"), true).await.unwrap();
    receiver.has(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_was_left_and_is_used_again_starts_afresh() {
    let (bus, dispatcher, receiver) = gone().await;
    dispatcher.replace(hook("y", &receiver)).await.unwrap();
    receiver.has(2).await;
    dispatcher.replace(hook("x", &receiver)).await.unwrap();
    assert_eq!((state(&dispatcher), bus.noted(&id("a"))), ((EndpointState::Healthy, None), None));
}

/// What else disables a hook is gone by then, and it does not deliver yet.
#[tokio::test(start_paused = true)]
async fn a_hook_that_is_being_enabled_is_enabled_by_its_settings() {
    let (_, dispatcher, receiver) = heeding_none().await;
    dispatcher.set_enabled(&id("a"), false).await.unwrap();
    let mut between = 0;
    let name = id("a");
    let mut enabling = pin!(dispatcher.set_enabled(&name, true));
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
    dispatcher.replace(Hook { enabled: false, ..hook("x", &receiver) }).await.unwrap();
    assert!(!dispatcher.hook_status(&id("a")).unwrap().enabled);
}

const OPERATOR: &str = r#"{"by":"operator","reason":null,"since":1,"sink":1}"#;

/// A dispatcher that heeds notes, with a hook.
async fn heeding_none() -> (Keeping, Arc<Dispatcher>, Receiver) {
    let (bus, receiver) = (Keeping::new(0), Receiver::default());
    let dispatcher = Arc::new(Dispatcher::new(Arc::new(bus.clone())));
    dispatcher.add(hook("x", &receiver)).await.unwrap();
    let heeds = dispatcher.clone();
    tokio::spawn(async move { heeds.heed_notes().await });
    (bus, dispatcher, receiver)
}

/// The same, of which something is noted elsewhere, and for which two events come.
async fn heeding(note: &str) -> (Keeping, Arc<Dispatcher>, Receiver) {
    let (bus, dispatcher, receiver) = heeding_none().await;
    bus.note_elsewhere(Some(note.to_owned())).await;
    bus.publish(events(0..2)).await.unwrap();
    (bus, dispatcher, receiver)
}

#[tokio::test(start_paused = true)]
async fn what_another_process_notes_holds_here() {
    let note = gone().await.0.noted(&id("a")).unwrap();
    let (bus, dispatcher, receiver) = heeding(&note).await;
    assert_eq!((state(&dispatcher), receiver.attempts().len()), (GONE, 0));
    assert_eq!(dispatcher.status()[0].last_error.as_deref(), Some("scripted"));
    // Enabled elsewhere, and disabled by somebody else.
    bus.note_elsewhere(None).await;
    receiver.has(2).await;
    assert_eq!(state(&dispatcher), (EndpointState::Healthy, None));
    bus.note_elsewhere(Some(note.replace("receiver", "operator"))).await;
    assert_eq!(state(&dispatcher), OFF);
    dispatcher.set_enabled(&id("a"), true).await.unwrap();
    assert_eq!((state(&dispatcher), bus.noted(&id("a"))), ((EndpointState::Healthy, None), None));
}

/// Disabling one whose attempt is on its way takes as long as that.
#[tokio::test(start_paused = true)]
async fn a_hook_that_is_slow_to_change_delays_no_note_about_another() {
    let (bus, dispatcher, receiver) = heeding_none().await;
    bus.publish(events(0..1)).await.unwrap();
    receiver.has(1).await;
    receiver.hangs_at_close();
    dispatcher.add(Hook::new("b", Receiver::default()).unwrap()).await.unwrap();
    let note = OPERATOR.to_owned();
    let began = tokio::time::Instant::now();
    bus.note_about("a", Some(note.clone())).await;
    // Noted again while it is heeded.
    tokio::task::yield_now().await;
    bus.note_about("a", Some(note.clone())).await;
    bus.note_about("b", Some(note)).await;
    bus.heeded().await;
    let off = |hook: &str| dispatcher.hook_status(&id(hook)).unwrap().state == EndpointState::Disabled;
    assert!(off("b") && began.elapsed().is_zero(), "after {:?}", began.elapsed());
    bus.heeded().await;
    assert!(off("a") && !began.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_said_elsewhere_to_another_sink_is_left_alone() {
    let (theirs, dispatcher, receiver) = gone().await;
    dispatcher.replace(hook("y", &receiver)).await.unwrap();
    receiver.has(2).await;
    receiver.fails(FailureClass::Gone, 1);
    theirs.publish(events(2..3)).await.unwrap();
    dispatcher.disabled().await;
    let note = theirs.noted(&id("a")).unwrap();
    let (bus, dispatcher, receiver) = heeding(&note).await;
    receiver.has(2).await;
    assert_eq!((state(&dispatcher), bus.noted(&id("a"))), ((EndpointState::Healthy, None), Some(note)));
}
