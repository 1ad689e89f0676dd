//! Daemons in front of Postgres.

use hooks_test::http::Receiver;
use hooks_test::postgres::Server;

use super::{Daemon, JSON, http_hook, until};
use crate::command::{Place, event};

/// The first block of this language in the document.
fn documented(language: &str) -> String {
    let document = include_str!("../../../../docs/postgres.md");
    let block = document.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn config(server: &Server, hooks: &str) -> String {
    let port = server.port;
    format!(
        "[bus]\nkind = 'postgres'\nhosts = ['127.0.0.1:{port}']\nlease = '60s'\n[ingest]\nlisten = '127.0.0.1:0'\n{hooks}"
    )
}

/// A user's first time: a database, the config and the transaction that the documentation shows.
#[test]
fn what_psql_publishes_in_a_transaction_is_delivered() {
    let Some(server) = Server::start() else { return };
    server.database("hooks");
    server.psql("postgres", "CREATE ROLE postgres LOGIN SUPERUSER");
    let receiver = Receiver::on_thread(|_| 200);
    let socket = format!("{}:{}", server.folder().display(), server.port);
    let config = documented("toml").replace("/var/run/postgresql", &socket);
    let daemon = Daemon::start(&config.replace("http://127.0.0.1:9000/", &receiver.url("/")));
    server.psql("hooks", &documented("sql"));
    until("a delivery", || receiver.events("/").len() == 1);
    let delivered: serde_json::Value = serde_json::from_str(&receiver.events("/")[0]).unwrap();
    assert_eq!((&delivered["type"], &delivered["data"]["total"]), (&"order.created".into(), &7.into()));
    let status = daemon.place.run(&["status", "--json", "-c", "hooks.toml"]);
    assert_eq!(status.code, Some(0), "{}", status.err);
    let hook: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&hook["id"], &hook["counts"]["delivered"]), (&"orders".into(), &1.into()), "{hook}");
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_schema_that_was_made_by_hand_is_used_by_two_daemons() {
    let Some(server) = Server::start() else { return };
    server.database("hooks");
    let schema = Place::new("").run(&["postgres", "schema"]);
    assert_eq!(schema.code, Some(0), "{}", schema.err);
    server.psql("hooks", &schema.out);
    let receiver = Receiver::on_thread(|_| 200);
    let hooks = ["a", "b"].map(|id| http_hook(id, &receiver.url(&format!("/{id}")))).join("\n");
    let config = config(&server, &hooks).replace("[bus]", "[bus]\ncreate = false");
    let (one, other) = (Daemon::start(&config), Daemon::start(&config));
    for (daemon, number) in [(&one, 1), (&other, 2)] {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
    }
    until("deliveries", || receiver.events("/a").len() >= 2 && receiver.events("/b").len() >= 2);
    assert_eq!((one.stop().code, other.stop().code), (Some(0), Some(0)));
}

#[test]
fn events_are_refused_with_503_while_the_database_is_gone() {
    let Some(server) = Server::start() else { return };
    server.database("hooks");
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&config(&server, &http_hook("a", &receiver.url("/a"))));
    server.stop_at_once();
    until("it is not ready", || daemon.get("/readyz").status == 503);
    let refused = daemon.post(JSON, event(1));
    assert_eq!(refused.status, 503, "{refused:?}");
    server.run();
    until("it takes events", || daemon.post(JSON, event(2)).status == 202);
    until("a delivery", || receiver.events("/a").iter().any(|event| event.contains("\"id\":\"2\"")));
    until("it is ready", || daemon.get("/readyz").status == 200);
}
