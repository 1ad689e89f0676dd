//! Pages of hooks: from the config file, made over the API, and such that can't be read.

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::managed::{LOOPBACK, ask, to};
use super::{Daemon, file_hook};

/// The names on each page, from the first to the last.
fn pages(daemon: &Daemon, query: &str) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let page = ask(daemon, "GET", &format!("/v1/hooks?{query}{after}"), &Json::Null).json();
        let hooks = page["hooks"].as_array().unwrap().iter();
        pages.push(hooks.map(|hook| hook["id"].as_str().unwrap().to_owned()).collect());
        let Some(next) = page["next"].as_str() else { return pages };
        after = format!("&after={next}");
    }
}

#[test]
fn every_hook_is_on_one_page_and_each_filter_picks_its_own() {
    let receiver = Receiver::on_thread(|_| 200);
    let files = ["b", "d", "z"].map(file_hook).concat();
    let daemon = Daemon::start(&format!("{LOOPBACK}{files}"));
    for (id, tenant) in [("a", "acme"), ("c", "other"), ("e", "acme"), ("f", "acme"), ("g", "other")] {
        let mut hook = to(&receiver, &format!("/Of-{id}"));
        hook["tenant"] = json!(tenant);
        hook["enabled"] = json!(id != "f");
        assert_eq!(ask(&daemon, "PUT", &format!("/v1/hooks/{id}"), &hook).status, 201);
    }
    // What can't be read is listed, too. Nobody knows whose it is.
    let place = daemon.kill();
    std::fs::remove_file(place.path("hooks-data/secrets.key")).unwrap();
    let daemon = Daemon::again(place);
    for id in ["e", "g"] {
        assert_eq!(ask(&daemon, "DELETE", &format!("/v1/hooks/{id}"), &Json::Null).status, 200);
    }
    for (id, tenant) in [("e", "acme"), ("g", "other"), ("h", "acme")] {
        let mut hook = to(&receiver, &format!("/Of-{id}"));
        hook["tenant"] = json!(tenant);
        hook["enabled"] = json!(id != "h");
        assert_eq!(ask(&daemon, "PUT", &format!("/v1/hooks/{id}"), &hook).status, 201);
    }
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "z"];
    for limit in [1, 2, 3, 8, 9, 10] {
        let expected: Vec<&[&str]> = all.chunks(limit).collect();
        assert_eq!(pages(&daemon, &format!("limit={limit}")), expected, "{limit}");
    }
    for (query, expected) in [
        ("tenant=acme", vec!["e", "h"]),
        ("tenant=nobody", vec![]),
        ("origin=file", vec!["b", "d", "z"]),
        ("origin=api", vec!["a", "c", "e", "f", "g", "h"]),
        ("state=disabled", vec!["h"]),
        ("state=healthy&origin=api", vec!["e", "g"]),
        ("q=/oF-", vec!["e", "g", "h"]),
        ("q=OF-E", vec!["e"]),
        ("q=A", vec!["a", "b", "d", "e", "g", "h", "z"]),
        ("q=f", vec!["b", "d", "e", "f", "g", "h", "z"]),
        ("q=of-&tenant=acme&state=healthy", vec!["e"]),
        ("q=nothing-has-this", vec![]),
    ] {
        for limit in [2, 100] {
            let found = pages(&daemon, &format!("{query}&limit={limit}")).concat();
            assert_eq!(found, expected, "{query} {limit}");
        }
    }
}
