//! What became of an event, for every hook.

use std::collections::BTreeMap;

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::{Daemon, JSON, file_hook, http_hook};
use crate::command::{Place, event};

/// By hook, as `hooks attempts --event` prints it.
fn outcomes(place: &Place, id: &str) -> BTreeMap<String, Json> {
    let ended = place.run(&["attempts", "-c", "hooks.toml", "--event", id, "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let lines = ended.out.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines.map(|line| (line["hook"].as_str().unwrap().to_owned(), line)).collect()
}

#[test]
fn every_hook_says_what_became_of_an_event() {
    let takes = Receiver::on_thread(|_| 200);
    let fails = Receiver::on_thread(|_| 503);
    let refuses = Receiver::on_thread(|seen| if seen.text().contains("\"id\":\"1\"") { 422 } else { 200 });
    let hooks = [
        http_hook("delivered", &takes.url("/")),
        http_hook("pending", &fails.url("/")),
        http_hook("dead", &refuses.url("/")),
        format!("{}types_except = ['test.*']\n", file_hook("unmatched")),
        format!("{}tenant = 'acme'\n", file_hook("of-acme")),
    ]
    .concat();
    let mut daemon = Daemon::start(&hooks);
    for number in 1..=2 {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
    }
    while daemon.metric("hooks_events_dead_lettered_total{hook=\"dead\",reason=\"refused\"}") != Some(1.0)
        || daemon.metric("hooks_events_delivered_total{hook=\"delivered\"}") != Some(2.0)
    {}
    while !outcomes(&daemon.place, "1")["pending"]["detail"].as_str().unwrap().contains("503") {}
    daemon.reload(&[hooks, file_hook("later")].concat());
    daemon.running.wait_for("was read again and applied");
    let told = outcomes(&daemon.place, "1");
    let of = |hook: &str| (told[hook]["outcome"].as_str().unwrap(), told[hook]["detail"].as_str().unwrap());
    assert_eq!(of("delivered").0, "delivered");
    assert_eq!((&told["delivered"]["attempt"]["status"], &told["delivered"]["position"]), (&200.into(), &0.into()));
    assert!(of("pending").0 == "pending" && of("pending").1.contains("503"), "{told:#?}");
    assert!(of("dead").0 == "dead_lettered" && of("dead").1.contains("refused: ") && of("dead").1.contains("422"));
    assert_eq!(of("unmatched"), ("not_matched", "`types_except` of the hook keeps it away"));
    assert_eq!(of("of-acme"), ("not_matched", "`tenant` of the hook keeps it away"));
    assert_eq!(of("later"), ("did_not_exist", "the hook began behind it, at position 2"));
    assert_eq!(outcomes(&daemon.place, "2")["dead"]["outcome"], "delivered");

    let table = daemon.place.run(&["attempts", "delivered", "-c", "hooks.toml", "--event", "1"]);
    assert!(table.out.lines().count() == 2 && table.out.contains("attempt 1, live"), "{}", table.out);
    let nobody = daemon.place.run(&["attempts", "nobody", "-c", "hooks.toml", "--event", "1"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("no hook `nobody` runs"), "{}", nobody.err);
    let unknown = daemon.place.run(&["attempts", "-c", "hooks.toml", "--event", "99"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("the log has no event `99`"), "{}", unknown.err);
    let get = |path: &str| daemon.exchange(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    assert_eq!(get("/v1/events/0/outcomes?after=later").json()["hooks"].as_array().unwrap().len(), 3);
    assert_eq!(get("/v1/events/7/outcomes").status, 404);
    assert_eq!(daemon.post(JSON, event(3)).status, 202);
    while outcomes(&daemon.place, "3")["delivered"]["outcome"] != "delivered" {}
    let skipped = daemon.place.run(&["seek", "-c", "hooks.toml", "pending", "--to", "end", "--skip"]);
    assert_eq!(skipped.code, Some(0), "{}", skipped.err);
    assert_eq!(outcomes(&daemon.place, "1")["pending"]["outcome"], "skipped", "it was tried before");
    let told = outcomes(&daemon.place, "3");
    assert_eq!(told["pending"]["outcome"], "skipped", "nobody had tried it");
    assert!(told["pending"]["detail"].as_str().unwrap().starts_with("an operator moved the hook past it at 2"));
    assert_eq!(told["unmatched"]["outcome"], "not_matched");
    let record = &told["pending"]["attempt"];
    assert_eq!((&record["trigger"], &record["events"]), (&"seek".into(), &3.into()), "{record:#}");
    // Once it is sent again, the last word is that it arrived.
    let resent = daemon.place.run(&["resend", "-c", "hooks.toml", "later", "--position", "0"]);
    assert_eq!(resent.code, Some(0), "{}", resent.err);
    assert_eq!(outcomes(&daemon.place, "1")["later"]["attempt"]["trigger"], "resend");
}
