//! Refusals of servers, and their meaning for publishers.

use async_nats::jetstream::stream::Config;
use futures_util::FutureExt as _;
use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::{Bus, BusError, ByteSize, DeadLetter, Envelope, Filter, HookId, Secret, bus::MAX_DETAIL};
use hooks_test::{End, pause, soon, until};

use super::server::NO_JETSTREAM;
use super::{Server, bus, config, dead_letter, events};

/// The stream's config is changed so.
async fn edit(server: &Server, name: &str, change: impl FnOnce(&mut Config)) {
    let client = server.client().await;
    let mut config = client.get_stream(name).await.unwrap().cached_info().config.clone();
    change(&mut config);
    client.update_stream(&config).await.unwrap();
}

fn large(bytes: usize) -> Envelope {
    crate::slice(0..1, bytes)[0].clone()
}

fn shown<T>(result: Result<T, BusError>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |_| "Ok".into())
}

#[tokio::test]
async fn one_that_is_too_long_for_the_stream_refuses_its_call() {
    let Some(server) = Server::start().await else { return };
    let mut bus = bus(&server).await;
    // The refusal in advance and that of the server are the same.
    for round in 0..2 {
        let mut call = events(0..11, "a").to_vec();
        call[5] = crate::slice(100..101, 2_000)[0].clone();
        edit(&server, "hooks", |config| config.max_message_size = 1_500).await;
        if round == 1 {
            drop(bus);
            bus = super::bus(&server).await;
        }
        let said = shown(bus.publish(hooks_test::together(&call)).await);
        assert!(said.contains("TooLarge"), "{said}");
        edit(&server, "hooks", |config| config.max_message_size = -1).await;
    }
    assert_eq!(bus.monitor().stats().accepted, 0, "known in advance, nothing is sent");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_as_a_whole() {
    let Some(server) = Server::start().await else { return };
    let bus =
        NatsBus::connect(NatsConfig { max_bytes: Some(ByteSize::new(10_000)), ..config(&[&server]) }).await.unwrap();
    let said = shown(bus.publish(events(0..100, "a")).await);
    assert!(said.contains("TooLarge"), "it never fits: {said}");
    let mut accepted = 0;
    let error = loop {
        match bus.publish(events(accepted..accepted + 7, "a")).await {
            Ok(_) => accepted += 7,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BusError::Full(_)), "{error:?}");
    assert_eq!(
        (bus.monitor().stats().accepted as usize, bus.monitor().details()["events"].as_u64()),
        (accepted, Some(accepted as u64))
    );
    edit(&server, "hooks", |config| config.max_messages = accepted as i64 + 1).await;
    edit(&server, "hooks", |config| config.max_bytes = 1 << 20).await;
    // The next check sees the change; until then the server refuses.
    let told = async {
        loop {
            let error = bus.publish(events(900..902, "a")).await.unwrap_err();
            assert!(matches!(error.parts().0, BusError::Full(_)), "{error}");
            if error.to_string().contains("max_msgs") {
                return;
            }
            pause().await;
        }
    };
    soon("the limit", told).await;
}

/// Publishes until something is refused, and says what was.
async fn fill(bus: &NatsBus) -> (BusError, usize, u64) {
    let mut number = 0;
    loop {
        let call = crate::slice(number..number + 10, 20_000);
        number += call.len();
        if let Err(error) = bus.publish(call).await {
            let known = error.parts().1.iter().map(std::ops::Range::len).sum();
            return (error, known, bus.monitor().stats().accepted);
        }
    }
}

#[tokio::test]
async fn storage_limits_of_server_and_account_are_a_lack_of_room() {
    let account = "accounts { A { users: [ { user: me, password: \"open sesame\" } ], jetstream: { max_file: 1MB, max_mem: 1MB } } }";
    for (lines, user) in [("jetstream { STORE, max_file_store: 1MB }", false), (account, true)] {
        let Some(server) = Server::with_config(lines).await else { return };
        let login = user.then(|| ("me".to_owned(), Secret::new("open sesame")));
        let (user, password) = login.unzip();
        // The limit of the stream is no limit, so that the other one is met.
        let limits = NatsConfig { max_bytes: None, user, password, ..config(&[&server]) };
        let made = async_nats::ConnectOptions::new();
        let made = match (&limits.user, &limits.password) {
            (Some(user), Some(_)) => made.user_and_password(user.clone(), "open sesame".into()),
            _ => made,
        };
        let client = async_nats::jetstream::new(made.connect(server.url()).await.unwrap());
        let stream = Config {
            name: "hooks".into(),
            subjects: vec!["hooks.events.>".into()],
            max_bytes: -1,
            num_replicas: 1,
            ..Config::default()
        };
        client.create_stream(stream).await.unwrap();
        let bus = NatsBus::connect(limits).await.unwrap();
        let (error, known, accepted) = fill(&bus).await;
        assert!(matches!(error.parts().0, BusError::Full(_)), "{lines}: {error:?}");
        assert_eq!(accepted % 10, known as u64, "{error}");
        assert!(error.to_string().contains("limits") || error.to_string().contains("more room"), "{error}");
        if known > 0 {
            assert!(error.to_string().contains(&format!("{known} of 10 events were accepted")), "{error}");
        }
    }
}

#[tokio::test]
async fn publishing_without_permission_fails_at_once() {
    let may = r#"["$JS.API.>", "$JS.FC.>", "$KV.hooks-hooks.>", "_INBOX.>"]"#;
    let permissions = format!(r#"{{ publish: {may}, subscribe: ["_INBOX.>", "hooks.ask.*"] }}"#);
    let lines = format!("authorization {{ users: [ {{ user: me, password: \"x\", permissions: {permissions} }} ] }}");
    let Some(server) = Server::with_config(&lines).await else { return };
    let with = NatsConfig { user: Some("me".into()), password: Some(Secret::new("x")), ..config(&[&server]) };
    let bus = NatsBus::connect(with).await.unwrap();
    let said = shown(soon("an answer", bus.publish(events(0..3, "a"))).await);
    // When its patience is over it says that nothing was acknowledged in time.
    assert!(said.contains("does not let the user publish"), "{said}");
    assert!(said.contains("needs to publish to `hooks.>`"), "{said}");
}

#[tokio::test]
async fn what_else_is_denied_keeps_no_event_out() {
    let may = r#"["hooks.events.a", "$JS.API.>", "$JS.FC.>", "$KV.hooks-hooks.>", "_INBOX.>"]"#;
    let permissions = format!(r#"{{ publish: {may}, subscribe: ["_INBOX.>", "hooks.ask.*"] }}"#);
    let lines = format!("authorization {{ users: [ {{ user: me, password: \"x\", permissions: {permissions} }} ] }}");
    let Some(server) = Server::with_config(&lines).await else { return };
    let with = NatsConfig { user: Some("me".into()), password: Some(Secret::new("x")), ..config(&[&server]) };
    let bus = NatsBus::connect(with).await.unwrap();
    // Of another type, and a dead letter.
    let said = shown(bus.publish(events(0..1, "b")).await);
    assert!(said.contains("does not let the user publish") && said.contains("hooks.events.b"), "{said}");
    bus.publish(events(1..2, "a")).await.unwrap();
    let dead_letters = bus.hooks().dead_letters(&HookId::new("hook").unwrap()).unwrap();
    let said = shown(dead_letters.keep(vec![dead_letter(1, large(10))]).await);
    assert!(said.contains("hooks.dead.") && said.contains("needs to publish to `hooks.>`"), "{said}");
    bus.publish(events(2..3, "a")).await.unwrap();
}

#[tokio::test]
async fn what_keeps_the_bus_from_opening_says_what_to_do() {
    let denied = r#"authorization { users: [ { user: me, password: "x", permissions: { publish: ["a"], subscribe: [">"] } } ] }"#;
    for (lines, advice) in [
        (NO_JETSTREAM.to_owned(), "start nats-server with `-js`"),
        ("accounts { A { users: [ { user: me, password: x } ] } }".to_owned(), "JetStream"),
        (denied.to_owned(), "needs to publish to `hooks.>`"),
    ] {
        let Some(server) = Server::with_config(&lines).await else { return };
        let mut with = config(&[&server]);
        if lines != NO_JETSTREAM {
            (with.user, with.password) = (Some("me".into()), Some(Secret::new("x")));
        }
        let error = NatsBus::connect(with).await.unwrap_err().to_string();
        assert!(error.contains(advice), "{error}");
    }
    let Some(server) = Server::start().await else { return };
    let other = Config { name: "other".into(), subjects: vec!["hooks.>".into()], num_replicas: 1, ..Config::default() };
    server.client().await.create_stream(other).await.unwrap();
    let error = NatsBus::connect(config(&[&server])).await.unwrap_err().to_string();
    assert!(error.contains("another stream has these subjects"), "{error}");
}

#[tokio::test]
async fn the_longest_event_has_room_for_its_dead_letter() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    let mut length = (1 << 20) - 200;
    while bus.publish(large(length).into()).await.is_err() {
        length -= 100;
    }
    assert!(length > (1 << 20) - 4_096, "{length}");
    let read = hook.take(1).await;
    let dead_letter = |position: u64, detail: String| DeadLetter {
        detail,
        attempts: u32::MAX,
        ..super::dead_letter(position, read[0].envelope().clone())
    };
    let dead_letters = bus.hooks().dead_letters(&HookId::new("hook").unwrap()).unwrap();
    // Whatever the receiver answered: each of these characters takes six in JSON, or several bytes.
    for (position, detail) in
        ["\u{1}".repeat(MAX_DETAIL), "ö".repeat(MAX_DETAIL / 2), String::new()].into_iter().enumerate()
    {
        dead_letters.keep(vec![dead_letter(position as u64, detail)]).await.unwrap();
    }
    let kept = dead_letters.list(None, 10).await.unwrap();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|(_, dead_letter)| dead_letter.envelope.json() == read[0].envelope().json()));
    assert!(kept[0].1.detail.starts_with('\u{1}') && kept[0].1.detail.ends_with('…'));
}

#[tokio::test]
async fn what_others_keep_counts_when_it_is_asked_for() {
    let Some(server) = Server::start().await else { return };
    let [one, other] = [bus(&server).await, bus(&server).await];
    let id = HookId::new("hook").unwrap();
    let dead_letters = |bus: &NatsBus| bus.hooks().dead_letters(&id).unwrap();
    dead_letters(&one).keep(vec![dead_letter(1, large(10))]).await.unwrap();
    assert_eq!(dead_letters(&other).recount().await.unwrap(), 1);
}

#[tokio::test]
async fn a_bus_ends_at_once_when_nats_is_down() {
    let Some(mut server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let _hook = End::new(&bus, "hook", Filter::all()).await;
    until("an owner", || bus.owned().len() == 1).await;
    server.kill();
    until("trouble", || bus.monitor().health().trouble().is_some_and(|said| said.contains("not connected"))).await;
    let end = async {
        bus.close().await;
        bus.finish().await;
    };
    assert!(end.now_or_never().is_some(), "it waits");
}
