//! Streams and buckets of NATS are purged, deleted or full, and the daemon says so.

use std::sync::atomic::Ordering;

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::{SHORT, Server, operate, receiver_that_refuses, until};
use crate::command::{Place, event, run};
use crate::serve::{Answer, Daemon, JSON, LINES, http_hook};

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|number| event(number) + "\n").collect()
}

/// Looks until it is answered so.
fn ready(daemon: &Daemon, expected: u16) -> Answer {
    let begin = std::time::Instant::now();
    loop {
        let answer = daemon.get("/readyz");
        if answer.status == expected {
            return answer;
        }
        assert!(begin.elapsed().as_secs() < 60, "{answer:?}");
    }
}

#[test]
fn a_purged_bucket_shows_and_skips_nothing() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let mut daemon = Daemon::start(&server.with_lease(SHORT, &http_hook("a", &receiver.url("/a"))));
    until(&daemon.place, |hooks| hooks[0]["owner"].is_string());
    server.by_client(async |client| {
        let bucket = client.get_stream("KV_hooks-hooks").await.unwrap();
        bucket.purge().await.unwrap();
    });
    assert_eq!(daemon.post(LINES, lines(0..20)).status, 202);
    daemon.running.wait_for("made again, nothing is skipped");
    ready(&daemon, 200);
    let done = |hook: &Json| hook["position"] == 20 && hook["counts"]["delivered"] == 20;
    let hooks = until(&daemon.place, |hooks| done(&hooks[0]));
    assert_eq!((receiver.events("/a").len(), &hooks[0]["counts"]["dropped"]), (20, &0.into()));
}

#[test]
fn an_entry_that_nobody_can_read_shows_until_it_is_removed() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&server.config(&http_hook("a", &receiver.url("/a"))));
    assert_eq!(daemon.post(LINES, lines(0..20)).status, 202);
    until(&daemon.place, |hooks| hooks[0]["position"] == 20);
    server.by_client(async |client| {
        client.get_key_value("hooks-hooks").await.unwrap().put("hook.a", "junk".into()).await.unwrap()
    });
    ready(&daemon, 503);
    let (code, out) = operate(&daemon.place, "status");
    assert!(code == Some(1) && out.contains("nobody can read `hook.a` in the key-value bucket `hooks-hooks`"), "{out}");
    server.by_client(async |client| {
        client.get_key_value("hooks-hooks").await.unwrap().delete("hook.a").await.unwrap();
    });
    ready(&daemon, 200);
    assert_eq!(daemon.post(LINES, lines(20..30)).status, 202);
    until(&daemon.place, |hooks| hooks[0]["position"] == 30 && hooks[0]["counts"]["delivered"] == 30);
    assert_eq!(receiver.events("/a").len(), 30);
}

#[test]
fn whoever_reads_a_stream_that_is_gone_leaves_its_hooks_to_others() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    // Shorter than all this takes: `status` fails as long as the old one counts as alive.
    let config = server.with_lease("2s", &http_hook("a", &receiver.url("/a")));
    let old = Daemon::start(&config);
    until(&old.place, |hooks| hooks[0]["owner"].is_string());
    server.by_client(async |client| client.delete_stream("hooks").await.map(drop).unwrap());
    let new = Daemon::start(&config);
    assert_eq!(new.post(JSON, event(1)).status, 202);
    let begin = std::time::Instant::now();
    while receiver.events("/a").is_empty() {
        assert!(begin.elapsed().as_secs() < 60, "the one that can't deliver keeps the hook");
        std::thread::yield_now();
    }
    ready(&old, 503);
    ready(&new, 200);
    assert_eq!(old.post(JSON, event(2)).status, 202);
    until(&new.place, |hooks| hooks[0]["position"] == 2 && hooks[0]["counts"]["delivered"] == 2);
}

/// It has no hooks any more, and so nobody saw that it runs.
#[test]
fn a_daemon_whose_stream_is_gone_is_seen_and_says_so() {
    let Some(server) = Server::start() else { return };
    let daemon = Daemon::start(&server.with_lease(SHORT, &http_hook("a", "http://127.0.0.1:1/")));
    until(&daemon.place, |hooks| hooks[0]["owner"].is_string());
    server.by_client(async |client| {
        let config = client.get_stream("hooks").await.unwrap().cached_info().config.clone();
        client.delete_stream("hooks").await.unwrap();
        client.create_stream(config).await.map(drop).unwrap();
    });
    ready(&daemon, 503);
    let begin = std::time::Instant::now();
    // As long as others may believe that it delivers.
    let ended = loop {
        let ended = daemon.place.run(&["status", "--json", "-c", "hooks.toml"]);
        if serde_json::from_str::<Json>(&ended.out).unwrap()["owner"].is_null() {
            break ended;
        }
        assert!(begin.elapsed().as_secs() < 60, "{ended:?}");
    };
    let said = "was deleted and made again: restart to go on with it";
    assert!(ended.code == Some(1) && ended.err.contains(said) && !ended.err.contains("no daemon"), "{ended:?}");
}

#[test]
fn a_bucket_that_is_not_made_again_shows_until_it_is() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = server.config(&http_hook("a", &receiver.url("/a")));
    // Streams and bucket are there, and nobody may make them.
    Daemon::start(&config).stop();
    let daemon = Daemon::start(&config.replace("kind = 'nats'", "kind = 'nats'\ncreate = false"));
    until(&daemon.place, |hooks| hooks[0]["owner"].is_string());
    let bucket = server.by_client(async |client| {
        let config = client.get_stream("KV_hooks-hooks").await.unwrap().cached_info().config.clone();
        client.delete_stream("KV_hooks-hooks").await.unwrap();
        config
    });
    assert_eq!(ready(&daemon, 503).body, "unavailable\n");
    assert_eq!(daemon.metric("hooks_bus_healthy"), Some(0.0));
    assert_eq!(daemon.post(LINES, lines(0..20)).status, 202);
    server.by_client(async |client| client.create_stream(bucket).await.map(drop).unwrap());
    ready(&daemon, 200);
    until(&daemon.place, |hooks| hooks[0]["lag"]["events"] == 0 && hooks[0]["position"] == 20);
    assert!(receiver.events("/a").len() >= 20);
}

#[test]
fn an_event_that_the_stream_does_not_take_is_413_for_its_whole_request() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = server.config(&http_hook("a", &receiver.url("/a")));
    Daemon::start(&config).stop();
    server.by_client(async |client| {
        let mut config = client.get_stream("hooks").await.unwrap().cached_info().config.clone();
        config.max_message_size = 1_000;
        client.update_stream(&config).await.unwrap();
    });
    let daemon = Daemon::start(&config);
    let long = format!("{{\"type\":\"a\",\"id\":\"long\",\"source\":\"s\",\"data\":\"{}\"}}\n", "x".repeat(2_000));
    let answer = daemon.post(LINES, lines(0..5) + &long + &lines(5..10));
    assert!(answer.status == 413 && answer.body.contains("max_msg_size"), "{answer:?}");
    assert_eq!((daemon.metric("hooks_events_accepted_total"), daemon.get("/readyz").status), (Some(0.0), 200));
    assert_eq!(daemon.post(LINES, lines(0..10)).status, 202);
}

/// The server runs out of storage, which only it knows: of some requests it takes a part.
#[test]
fn a_full_server_is_507_and_what_it_took_is_said() {
    let Some(server) = Server::with_config("jetstream { STORE, max_file_store: 2MB }") else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = server.config(&http_hook("a", &receiver.url("/a")));
    server.by_client(async |client| {
        let stream = async_nats::jetstream::stream::Config {
            name: "hooks".to_owned(),
            subjects: vec!["hooks.events.>".to_owned()],
            max_bytes: -1,
            num_replicas: 1,
            ..Default::default()
        };
        client.create_stream(stream).await.unwrap();
    });
    let daemon = Daemon::start(&config.replace("max_bytes = '64MiB'\n", ""));
    let large = |number: usize| {
        format!("{{\"type\":\"a\",\"id\":\"{number}\",\"source\":\"s\",\"data\":\"{}\"}}\n", "x".repeat(30_000))
    };
    let mut sent = 0;
    let answer = loop {
        let answer = daemon.post(LINES, (sent..sent + 10).map(large).collect::<String>());
        match answer.status {
            202 => sent += 10,
            _ => break answer,
        }
    };
    assert!(answer.status == 507 && answer.body.contains("more room"), "{answer:?}");
    let accepted = answer.json()["accepted"].as_u64().unwrap_or(0);
    assert_eq!(daemon.metric("hooks_events_accepted_total"), Some((sent as u64 + accepted) as f64), "{answer:?}");
    if accepted > 0 {
        assert_eq!(answer.json()["accepted_events"][0][0], 1, "{answer:?}");
        assert!(answer.body.contains(&format!("{accepted} of 10 events were accepted")), "{answer:?}");
    }
    assert_eq!(daemon.get("/readyz").status, 503);
}

#[test]
fn a_replay_after_a_hook_changed_hands_finds_every_letter() {
    let Some(server) = Server::start() else { return };
    let (receiver, answer) = receiver_that_refuses();
    let config = server.config(&http_hook("a", &receiver.url("/a")));
    let first = Daemon::start(&config);
    until(&first.place, |hooks| hooks[0]["owner"].is_string());
    let second = Daemon::start(&config);
    assert_eq!(first.post(LINES, lines(1..4)).status, 202);
    until(&first.place, |hooks| hooks[0]["dead_letters"] == 1 && hooks[0]["lag"]["events"] == 0);
    first.stop();
    until(&second.place, |hooks| {
        hooks[0]["owner"].as_str().is_some_and(|owner| owner.contains(&second.running.id().to_string()))
    });
    answer.store(200, Ordering::Relaxed);
    let replayed = operate(&second.place, "dead-letters replay a --all");
    assert_eq!(replayed, (Some(0), "1 delivered, 0 refused again, 0 not tried\n".into()));
}

#[test]
fn the_longest_event_that_is_accepted_can_become_a_dead_letter() {
    let Some(server) = Server::with_config("jetstream { STORE }\nmax_payload: 16384") else { return };
    let receiver = Receiver::on_thread(|seen| if seen.text().contains("\"id\":\"long\"") { 422 } else { 200 });
    let daemon = Daemon::start(&server.config(&http_hook("a", &receiver.url("/a"))));
    let long = |bytes: usize| {
        format!("{{\"type\":\"a\",\"id\":\"long\",\"source\":\"s\",\"data\":\"{}\"}}\n", "x".repeat(bytes))
    };
    let answer = daemon.post(JSON, long(16_200));
    assert!(answer.status == 413 && answer.body.contains("max_payload"), "{answer:?}");
    let bytes = (0..16_200).rev().step_by(50).find(|bytes| daemon.post(JSON, long(*bytes)).status == 202).unwrap();
    assert!(bytes > 14_000, "{bytes}");
    assert_eq!(daemon.post(LINES, lines(1..3)).status, 202);
    until(&daemon.place, |hooks| hooks[0]["dead_letters"] == 1 && hooks[0]["lag"]["events"] == 0);
}

#[test]
fn without_jetstream_it_is_said_what_to_do() {
    let Some(server) = Server::with_config("") else { return };
    let place = Place::new(&server.config(&http_hook("a", "http://127.0.0.1:1/")));
    let ended = run(place.hooks(&["serve", "-c", "hooks.toml"]), b"");
    assert!(ended.code == Some(1) && ended.err.contains("start nats-server with `-js`"), "{ended:?}");
}
