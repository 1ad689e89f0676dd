//! Secrets are in no output, whatever happens and however much is logged.

use hooks_test::http::Receiver;

use crate::command::{Place, run};

const SECRETS: [&str; 5] = [
    "whsec_TXlTZWNyZXRNeVNlY3JldE15U2VjcmV0",
    "TXlTZWNyZXRNeVNlY3JldE15U2VjcmV0",
    "Bearer-topsecret",
    "hunter22pass",
    "plainhmacsecret",
];

fn config(receiver: &Receiver) -> String {
    let url = receiver.url("/").replace("http://", "http://user:hunter22pass@");
    format!(
        "[[hooks]]\nid = 'a'\n[hooks.sink]\nkind = 'http'\nurl = '{url}'\nsecret = '${{SECRET}}'\n\
         headers = {{ authorisation = '${{TOKEN}}' }}\nhmac = {{ header = 'x-sig', secret = 'plainhmacsecret' }}\n"
    )
}

fn outputs(config: &str, input: &str) -> String {
    let place = Place::new(config);
    let mut all = String::new();
    for args in [
        &["check", "-c", "hooks.toml"][..],
        &["pipe", "-c", "hooks.toml", "--timeout", "1s", "--log", "trace"],
        &["test", "-c", "hooks.toml", "a", "--log", "trace"],
    ] {
        let mut command = place.hooks(args);
        command.env("SECRET", SECRETS[0]).env("TOKEN", SECRETS[2]);
        let ended = run(command, input.as_bytes());
        all.extend([ended.out, ended.err]);
    }
    all
}

#[test]
fn not_when_all_is_well_and_not_when_deliveries_fail() {
    for status in [200, 401, 503, 400, 302] {
        let receiver = Receiver::on_thread(move |_| status);
        let said = outputs(&config(&receiver), "{\"type\":\"a\"}\nbad\n");
        assert!(!receiver.seen().is_empty(), "{said}");
        for secret in SECRETS {
            assert!(!said.contains(secret), "{status}: {secret}\n{said}");
        }
    }
}

#[test]
fn not_when_the_config_is_wrong() {
    let receiver = Receiver::on_thread(|_| 200);
    let good = config(&receiver);
    for (from, to) in [
        ("secret = '${SECRET}'", "secret = 'x${SECRET}'"),
        ("secret = '${SECRET}'", "secret = ['${SECRET}', 3]"),
        ("secret = '${SECRET}'", "secrets = '${SECRET}'"),
        ("secret = '${SECRET}'", "secret = { key = 'hunter22pass' }"),
        ("secret = '${SECRET}'", "secret = whsec_TXlTZWNyZXRNeVNlY3JldE15U2VjcmV0"),
        ("secret = '${SECRET}'", "secret = 'whsec_TXlTZWNyZXRNeVNlY3JldE15U2VjcmV0"),
        ("secret = '${SECRET}'", "connect_timeout = '${SECRET}'"),
        ("secret = '${SECRET}'", "max_response_bytes = '${SECRET}'"),
        ("secret = '${SECRET}'", "tls = '${SECRET}'"),
        ("{ authorisation = '${TOKEN}' }", "'${TOKEN}'"),
        ("{ authorisation = '${TOKEN}' }", "{ authorisation = ['${TOKEN}'] }"),
        ("{ authorisation = '${TOKEN}' }", "{ \"a b\" = '${TOKEN}', x = \"${TOKEN}\\n\" }"),
        ("{ header = 'x-sig', secret = 'plainhmacsecret' }", "'plainhmacsecret'"),
        ("{ header = 'x-sig', secret = 'plainhmacsecret' }", "{ header = 3, secert = 'plainhmacsecret' }"),
        ("url = 'http://user", "url = 'htt://user"),
        ("url = 'http://user", "url = 'http//user"),
        ("id = 'a'", "id = '${SECRET} '"),
        ("kind = 'http'", "kind = '${SECRET}'"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        let said = outputs(&bad, "");
        assert!(said.contains("hooks.toml:"), "{to}: {said}");
        for secret in SECRETS {
            assert!(!said.contains(secret), "{to}: {secret}\n{said}");
        }
    }
}
