//! The histories of several daemons in front of NATS.

use std::collections::BTreeSet;

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::super::{Daemon, JSON, http_hook};
use super::{Server, until};
use crate::command::{Place, event};

fn hooks_of(attempts: &[Json]) -> BTreeSet<String> {
    attempts.iter().map(|attempt| attempt["hook"].as_str().unwrap().to_owned()).collect()
}

fn printed(place: &Place) -> BTreeSet<String> {
    let ended = place.run(&["attempts", "-c", "hooks.toml", "--json"]);
    assert_eq!((ended.code, &*ended.err), (Some(0), ""));
    hooks_of(&ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
}

#[test]
fn each_daemon_keeps_its_own_and_a_query_finds_those_of_all() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let hooks = ["a", "b"].map(|id| http_hook(id, &receiver.url(&format!("/{id}")))).concat();
    let config = format!("history.folder = 'attempts'\n{}", server.config(&hooks));
    let daemons = [Daemon::start(&config), Daemon::start(&config)];
    until(&daemons[0].place, |hooks| {
        let owners: BTreeSet<_> = hooks.iter().filter_map(|hook| hook["owner"].as_str()).collect();
        owners.len() == 2
    });
    assert_eq!(daemons[0].post(JSON, event(1)).status, 202);
    while receiver.events("/a").is_empty() || receiver.events("/b").is_empty() {}
    let both = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    for daemon in &daemons {
        // The receiver has the event before the attempt is over.
        loop {
            let page = daemon.exchange("GET /v1/attempts HTTP/1.1\r\nhost: localhost\r\n\r\n").json();
            assert_eq!(page["silent"], Json::Null, "{page}");
            if hooks_of(page["attempts"].as_array().unwrap()) == both {
                assert_eq!(page["attempts"].as_array().unwrap().len(), 2, "each is there once: {page}");
                break;
            }
        }
        assert_eq!(printed(&daemon.place), both);
    }
    let places = daemons.map(Daemon::kill);
    let [one, two] = [printed(&places[0]), printed(&places[1])];
    assert!(one.len() == 1 && two.len() == 1 && one != two, "{one:?} {two:?}");
}
