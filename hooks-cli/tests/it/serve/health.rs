//! `hooks health`.

use std::net::TcpListener;

use hooks_test::http::Receiver;

use super::{Daemon, JSON, MEMORY, http_hook};
use crate::command::{Ended, Place, event};

/// The exit code, and what is said.
pub(crate) fn health(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let Ended { code, out, err } = place.run(&[&["health"], arguments].concat());
    (code, out + &err)
}

#[test]
fn a_daemon_is_ready_until_it_drains_and_ends() {
    let receiver = Receiver::closed();
    let mut daemon = Daemon::start(&format!("{MEMORY}{}", http_hook("a", &receiver.url("/"))));
    let url = format!("http://{}/", daemon.address);
    let ready = (Some(0), "ready\n".to_owned());
    assert_eq!(health(&daemon.place, &["--url", &url]), ready);
    // Its file may have been broken since, and listen everywhere.
    let config =
        format!("ingest.listen = '0.0.0.0:{}'\nhook = 1\ndefaults.x = '${{NOT_SET}}'\n", daemon.address.port());
    std::fs::write(daemon.place.path("everywhere.toml"), config).unwrap();
    assert_eq!(health(&daemon.place, &["-c", "everywhere.toml"]), ready);

    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    daemon.running.signal("TERM");
    daemon.running.wait_for("taking no more events");
    while daemon.get("/readyz").status != 503 {}
    let (code, said) = health(&daemon.place, &["-c", "everywhere.toml"]);
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains(" is not ready: it is about to end, and delivers what it has"), "{said}");

    receiver.open();
    let Daemon { place, running, .. } = daemon;
    assert_eq!(running.wait().code, Some(0));
    let (code, said) = health(&place, &["--url", &url]);
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains(" can't be reached: "), "{said}");
}

#[test]
fn who_answers_as_no_daemon_does_is_not_ready() {
    let place = Place::new("");
    for status in [200, 404, 503] {
        let receiver = Receiver::on_thread(move |_| status);
        let (code, said) = health(&place, &["--url", &receiver.url("/below")]);
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(&format!(" answers {status}")), "{said}");
    }
}

#[test]
fn who_does_not_answer_is_not_ready() {
    // The system takes connections that nobody asks it for.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (code, said) = health(&Place::new(""), &["--url", &url]);
    assert_eq!((code, said.trim_end()), (Some(1), &*format!("{url}/ does not answer for 5s")));
}

#[test]
fn what_leads_nowhere_is_said() {
    let place = Place::new("ingest.listen = '127.0.0.1:0'\n");
    let (code, said) = health(&place, &["-c", "hooks.toml"]);
    assert!(code == Some(78) && said.contains("with --url"), "{said}");
    let (code, said) = health(&place, &["-c", "missing.toml"]);
    assert!(code == Some(78) && said.contains("missing.toml: can't be read"), "{said}");
    for wrong in [&[][..], &["--url", "here"], &["-c", "hooks.toml", "--url", "http://127.0.0.1:1"]] {
        assert_eq!(health(&place, wrong).0, Some(2), "{wrong:?}");
    }
}
