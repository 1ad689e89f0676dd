//! Alerts: endpoints that fail for long, events that are given up. Who hears of it, how often, and what is counted.

use std::sync::Arc;

use hooks_core::{
    Bus as _, Dispatcher, Envelope, Filter, Hook, HumanDuration, RetryPolicy, TenantId, sink::FailureClass,
};
use hooks_test::{Receiver, World, batch, events, together, typed};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::keeping::Keeping;

const FAILING: &str = "hooks.endpoint.failing";
const RECOVERED: &str = "hooks.endpoint.recovered";
const DISABLED: &str = "hooks.endpoint.disabled";
const DEAD: &str = "hooks.dead_letter.created";

fn hook(id: &str, receiver: &Receiver, types: &[&str]) -> Hook {
    Hook::new(id, receiver.clone()).unwrap().batch(batch(4, "0s")).filter(Filter::types(types.iter().copied()))
}

fn span(text: &str) -> HumanDuration {
    text.parse().unwrap()
}

/// A hook for everybody's events, tried every few seconds.
fn orders(receiver: &Receiver) -> Hook {
    let retry = RetryPolicy::default().initial(span("1s")).max(span("5s"));
    hook("orders", receiver, &["test.*"]).retry(retry).warn_after(span("1m"))
}

fn data(event: &Envelope) -> Json {
    serde_json::from_str(event.data().unwrap()).unwrap()
}

/// Types and subjects.
fn heard(receiver: &Receiver) -> Vec<(String, String)> {
    let of = |event: &Envelope| (event.event_type().to_owned(), event.subject().unwrap_or_default().to_owned());
    receiver.events().iter().map(of).collect()
}

fn about(hook: &str, types: &[&str]) -> Vec<(String, String)> {
    types.iter().map(|event_type| ((*event_type).to_owned(), hook.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_accepts_nothing_for_long_is_told_of_once_and_its_recovery_too() {
    let (world, receiver, alerts) = (World::new(), Receiver::default(), Receiver::default());
    world.add(hook("alerts", &alerts, &[FAILING, RECOVERED])).await;
    world.add(orders(&receiver)).await;
    receiver.is_down(true);
    let begun = Instant::now();
    world.publish(&events(0..3)).await;
    alerts.has(1).await;
    let after = begun.elapsed();
    assert!((60..70).contains(&after.as_secs()), "{after:?}: with the next attempt after a minute");
    let told = data(&alerts.events()[0]);
    assert_eq!(
        (&told["hook"], &told["state"], &told["left_out"]),
        (&json!("orders"), &json!("backing_off"), &json!(0))
    );
    assert!(told["since"].as_str().unwrap().ends_with('Z') && told["error"] == "it is down", "{told}");
    // As long as it goes on, nothing more is said.
    receiver.was_tried(receiver.attempts().len() + 200).await;
    receiver.is_down(false);
    alerts.has(2).await;
    assert_eq!(heard(&alerts), about("orders", &[FAILING, RECOVERED]));
    let told = data(&alerts.events()[1]);
    assert_eq!((&told["state"], &told["error"]), (&json!("healthy"), &Json::Null));
    world.finish().await;
    assert_eq!(alerts.events().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_accepts_something_now_and_then_is_not_failing() {
    let (world, receiver, alerts) = (World::new(), Receiver::default(), Receiver::default());
    world.add(hook("alerts", &alerts, &[FAILING, RECOVERED])).await;
    world.add(orders(&receiver)).await;
    for number in 0..20 {
        receiver.fails(FailureClass::Retry, 5);
        world.publish(&events(number..number + 1)).await;
        receiver.has(number + 1).await;
    }
    world.finish().await;
    assert_eq!(heard(&alerts), []);
}

/// Refusals count: an endpoint that refuses everything accepts nothing.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_everything_fails() {
    let (world, receiver, alerts) = (World::new(), Receiver::default(), Receiver::default());
    world.add(hook("alerts", &alerts, &[FAILING])).await;
    world.add(orders(&receiver)).await;
    receiver.refuses(["0", "1", "2"]);
    world.publish(&events(0..3)).await;
    alerts.has(1).await;
    assert_eq!(data(&alerts.events()[0])["state"], "held");
}

#[tokio::test(start_paused = true)]
async fn no_hook_hears_of_itself_and_others_do() {
    let (world, down, alerts) = (World::new(), Receiver::default(), Receiver::default());
    let own = hook("own", &down, &["test.*", FAILING, RECOVERED, DISABLED]).warn_after(span("1m"));
    world.add(own).await;
    world.add(hook("alerts", &alerts, &[FAILING, RECOVERED, DISABLED])).await;
    down.is_down(true);
    world.publish(&events(0..1)).await;
    alerts.has(1).await;
    down.is_down(false);
    alerts.has(2).await;
    down.fails(FailureClass::Gone, 1);
    world.publish(&events(1..2)).await;
    alerts.has(3).await;
    assert_eq!(heard(&alerts), about("own", &[FAILING, RECOVERED, DISABLED]));
    // It is the same once it was changed.
    world.dispatcher.enable(&hooks_test::id("own")).await.unwrap();
    down.has(2).await;
    assert_eq!(heard(&down), [("test.event".to_owned(), String::new()), ("test.event".to_owned(), String::new())]);
    world.finish().await;
    assert_eq!(world.status("own").counts.delivered, 2);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_hears_of_its_own_hooks_alone() {
    let (world, receiver) = (World::new(), Receiver::default());
    let told = ["acme", "other", ""].map(|name| (name, Receiver::default()));
    let of = |name: &str, types: [&str; 1]| Filter::types(types).tenant(TenantId::new(name).ok());
    for (name, alerts) in &told {
        let alerts = Hook::new(&format!("alerts.{name}"), alerts.clone()).unwrap();
        world.add(alerts.filter(of(name, [FAILING]))).await;
    }
    world.add(orders(&receiver).filter(of("acme", ["test.*"]))).await;
    receiver.is_down(true);
    let event = Envelope::from_json(br#"{"type":"test.event","tenant":"acme"}"#).unwrap();
    world.publish(&[event]).await;
    told[0].1.has(1).await;
    told[2].1.has(1).await;
    receiver.is_down(false);
    world.finish().await;
    assert_eq!(told.map(|(_, alerts)| alerts.events().len()), [1, 0, 1]);
}

/// On a bus that keeps dead letters.
async fn with_dead_letters(hooks: impl IntoIterator<Item = Hook>) -> (Keeping, Dispatcher) {
    let bus = Keeping::new(10_000);
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    for hook in hooks {
        dispatcher.add(hook).await.unwrap();
    }
    (bus, dispatcher)
}

/// The events in an event about dead letters: their ids.
fn letters(event: &Envelope) -> Vec<String> {
    let data = data(event);
    let id = |letter: &Json| letter["event"]["id"].as_str().unwrap().to_owned();
    std::iter::once(id(&data)).chain(data["more"].as_array().unwrap().iter().map(id)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_told_of_as_it_is() {
    let (receiver, route) = (Receiver::default(), Receiver::default());
    let (bus, dispatcher) = with_dead_letters([orders(&receiver), hook("route", &route, &[DEAD])]).await;
    receiver.refuses(["refused"]);
    let refused = r#"{"specversion":"1.0","id":"refused","source":"/test","type":"test.event","time":"2026-11-23T10:00:00Z","data":{"a": [1.0, "\u00e9"]}}"#;
    let refused = Envelope::from_json(refused.as_bytes()).unwrap();
    bus.publish(together(&[refused.clone(), typed("good", "test.event", None)])).await.unwrap();
    route.has(1).await;
    let event = &route.events()[0];
    let told = data(event);
    assert_eq!((event.event_type(), event.subject(), event.source()), (DEAD, Some("orders"), "hooks"));
    assert!(event.json().contains(refused.json()), "byte for byte: {}", event.json());
    assert_eq!((&told["hook"], &told["reason"], &told["kept"]), (&json!("orders"), &json!("refused"), &json!(true)));
    assert_eq!((&told["position"], &told["more"], &told["left_out"]), (&json!(0), &json!([]), &json!(0)));
    assert!(told["detail"].as_str().unwrap().contains("poisoned") && told["attempts"].as_u64() > Some(0), "{told}");
    assert_eq!(bus.kept().len(), 1);
    dispatcher.shutdown(None).await;
}

/// Many dead letters in a minute are two events, and none of them is missing.
#[tokio::test(start_paused = true)]
async fn many_are_told_of_together_a_minute_later() {
    let (receiver, route) = (Receiver::default(), Receiver::default());
    let (bus, dispatcher) = with_dead_letters([orders(&receiver), hook("route", &route, &[DEAD])]).await;
    let numbers: Vec<String> = (0..100).step_by(2).map(|number: usize| number.to_string()).collect();
    receiver.refuses(numbers.iter().map(String::as_str));
    let begun = Instant::now();
    bus.publish(events(0..100)).await.unwrap();
    bus.has(50).await;
    route.has(2).await;
    assert_eq!(begun.elapsed().as_secs(), 60);
    let told: Vec<_> = route.events().iter().map(letters).collect();
    assert_eq!((told[0].len(), told.concat()), (1, numbers));
    assert!(route.events().iter().all(|event| data(event)["left_out"] == 0));
    dispatcher.shutdown(None).await;
}

/// What is too much to be told is counted, in the events and beside them.
#[tokio::test(start_paused = true)]
async fn what_is_left_out_or_lost_is_counted() {
    let (receiver, route) = (Receiver::default(), Receiver::default());
    receiver.fails(FailureClass::Retry, 1_000);
    // They run out of retries together.
    let retry = RetryPolicy::default().max_elapsed(span("10s"));
    let orders = orders(&receiver).retry(retry).batch(batch(1_000, "1s").max_bytes("4MiB".parse().unwrap()));
    let (bus, dispatcher) = with_dead_letters([orders, hook("route", &route, &[DEAD])]).await;
    let large: Vec<_> = (0..600).map(|number| hooks_test::padded(number, 2_000)).collect();
    bus.publish(together(&large)).await.unwrap();
    route.has(2).await;
    let events = route.events();
    let left_out: u64 = events.iter().map(|event| data(event)["left_out"].as_u64().unwrap()).sum();
    let told = events.iter().map(|event| letters(event).len() as u64).sum::<u64>();
    let lost = dispatcher.own_events_lost();
    assert!(left_out > 0 && lost > 0 && told > 100, "{told} told, {left_out} left out, {lost} lost");
    assert_eq!(told + left_out + lost, 600);
    assert!(events.iter().all(|event| event.len() < 512 << 10));
    dispatcher.shutdown(None).await;
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_such_an_event_makes_no_other() {
    let (receiver, route, second) = (Receiver::default(), Receiver::default(), Receiver::default());
    let hooks = [orders(&receiver), hook("route", &route, &[DEAD]), hook("second", &second, &[DEAD])];
    let (bus, dispatcher) = with_dead_letters(hooks).await;
    receiver.refuses(["1"]);
    route.fails(FailureClass::Rejected, 1_000_000);
    bus.publish(events(0..3)).await.unwrap();
    // That of the event, and of the event about it.
    bus.has(2).await;
    assert_eq!(bus.kept().iter().filter(|letter| letter.envelope.event_type() == DEAD).count(), 1);
    bus.publish(events(3..4)).await.unwrap();
    receiver.has(3).await;
    dispatcher.shutdown(None).await;
    assert_eq!(heard(&second), about("orders", &[DEAD]));
}

/// On a bus that keeps no dead letters, the event about one is all that is left of it.
#[tokio::test(start_paused = true)]
async fn where_none_are_kept_it_says_so() {
    let (world, receiver, route) = (World::new(), Receiver::default(), Receiver::default());
    world.add(orders(&receiver)).await;
    world.add(hook("route", &route, &[DEAD])).await;
    receiver.refuses(["1"]);
    world.publish(&events(0..3)).await;
    route.has(1).await;
    let kept = world.status("orders").counts.dead_lettered > 0;
    assert_eq!((letters(&route.events()[0]), &data(&route.events()[0])["kept"]), (vec!["1".to_owned()], &json!(kept)));
    world.finish().await;
}

/// An event that is too large to be told of with what is about it.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_is_told_of_without_itself() {
    let (receiver, route) = (Receiver::default(), Receiver::default());
    let (bus, dispatcher) = with_dead_letters([orders(&receiver), hook("route", &route, &[DEAD])]).await;
    receiver.refuses(["deep"]);
    let deep = format!(r#"{{"type":"test.event","id":"deep","data":{}1{}}}"#, "[".repeat(127), "]".repeat(127));
    let deep = Envelope::from_json(deep.as_bytes()).unwrap();
    bus.publish(together(&[deep, typed("good", "test.event", None)])).await.unwrap();
    route.has(1).await;
    let told = data(&route.events()[0]);
    assert_eq!((&told["event"], &told["position"], &told["hook"]), (&Json::Null, &json!(0), &json!("orders")));
    dispatcher.shutdown(None).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_nothing_is_an_error() {
    let (world, receiver) = (World::new(), Receiver::default());
    let error = world.dispatcher.add(orders(&receiver).warn_after(span("0s"))).await.unwrap_err();
    assert!(error.to_string().contains("warn_after: must be longer than 0s"), "{error}");
    let error = world.dispatcher.add(orders(&receiver).disable_after(span("1m"))).await.unwrap_err();
    assert!(error.to_string().contains("warn_after: 1m is not shorter than disable_after, 1m"), "{error}");
}
