//! `[api]`.

use std::path::Path;

use hooks_core::TenantId;
use hooks_server::Right;

use super::{messages, read};

const HOOK: &str = "\n[[hooks]]\nid = 'a'\nsink = { kind = 'lenient' }";

/// A token with this beside its name.
fn token(text: &str) -> String {
    format!("[[api.tokens]]\nname = 'shop'\n{text}\n")
}

#[test]
fn tokens_are_read() {
    let text = token("token_file = 'shop.token'\nmay = ['publish', 'read']\ntenant = 'acme'");
    let open = "[ingest]\nlisten = '0.0.0.0:1'\n[api]\nsecrets_key_file = '/run/keys'\n";
    let api = read(&format!("{open}{text}{HOOK}")).unwrap().api;
    assert_eq!(api.secrets_key_file.unwrap(), Path::new("/run/keys"));
    let token = &api.tokens[0];
    assert_eq!(token.token_file.as_deref().unwrap(), Path::new("/etc/hooks/shop.token"));
    let access = token.access();
    assert!(access.may(Right::Publish) && access.may(Right::Read) && !access.may(Right::Manage));
    assert_eq!(access.tenant(), Some(&TenantId::new("acme").unwrap()));
}

#[test]
fn what_is_wrong_with_it() {
    for (text, expected) in [
        (token("may = ['read']"), "1:7: api: tokens[0]: the token is missing: set `token` or `token_file`"),
        (
            token("token = 't'\ntoken_file = 'f'\nmay = ['read']"),
            "4:14: api: tokens[0].token_file: `token` is set, too: set one of them",
        ),
        (
            token("token = 'a b'\nmay = ['read']"),
            "3:9: api: tokens[0].token: a token has visible ASCII characters only, without spaces, and at least one",
        ),
        (token("token_file = ''\nmay = ['read']"), "3:14: api: tokens[0].token_file: expected the path of a file"),
        (
            token("token = 't'\nmay = []"),
            "4:7: api: tokens[0].may: a token that may do nothing: name `publish`, `read` or `manage`, or several",
        ),
        (
            token("token = 't'"),
            "1:7: api: tokens[0].may: a token that may do nothing: name `publish`, `read` or `manage`, or several",
        ),
        (
            token("token = 't'\nmay = ['reed']"),
            "4:8: api: tokens[0].may[0]: `reed` is not known here, did you mean `read`?",
        ),
        (
            token("token = 't'\nmay = ['read']\ntenant = 'a b'"),
            "5:10: api: tokens[0].tenant: `a b` is no tenant id: 1 to 64 letters, digits, `-`, `_` and `.`",
        ),
        (
            token("tokn = 'hunter2'\nmay = ['read']\ntoken = 't'"),
            "3:1: api: tokens[0]: unknown field `tokn`, did you mean `token`?",
        ),
        ("api.tokens = 'hunter2'".to_owned(), "1:14: api: tokens: expected a list, found the string \"…\""),
        ("api.secrets_key_file = ''".to_owned(), "1:24: api: secrets_key_file: expected the path of a file"),
        ("api = 7".to_owned(), "1:7: api: expected a table, found a number"),
    ] {
        assert_eq!(messages(&format!("{text}{HOOK}")), [expected], "{text}");
    }
}

#[test]
fn the_address_from_outside_is_one() {
    for (url, expected) in [
        ("https://events.example.com", Some("https://events.example.com/v1/grants")),
        ("http://127.0.0.1:8080/base/", Some("http://127.0.0.1:8080/base/v1/grants")),
        ("events.example.com", None),
        ("/v1", None),
        ("ftp://h", None),
        ("https://u:hunter2@h", None),
        ("https://h/?a", None),
        ("https://h/#a", None),
        ("", None),
    ] {
        let read = read(&format!("api.public_url = '{url}'{HOOK}"));
        match (read, expected) {
            (Ok(config), Some(expected)) => assert_eq!(config.api.grants_url().as_deref(), Some(expected)),
            (Err(problems), None) => {
                let problems = problems.to_string();
                assert!(
                    problems.contains("public_url: expected the address") && !problems.contains("hunter"),
                    "{problems}"
                );
            }
            (read, _) => panic!("{url}: {:?}", read.map(|config| config.api)),
        }
    }
}

#[test]
fn all_faults_are_said_at_once_and_no_token() {
    let one = "{ name = 'a', token = 'hunter2 hunter3', may = [] }";
    let text =
        format!("[api]\ntokens = [{one}, {{ name = 'a', token = 'hunter4', may = ['read'], tenant = '' }}]{HOOK}");
    let problems = read(&text).unwrap_err().to_string();
    assert!(!problems.contains("hunter"), "{problems}");
    let text = format!("[api]\ntokens = [{one}, {{ name = 'a', token = 'hunter4', may = ['read'] }}]{HOOK}");
    let problems = read(&text).unwrap_err().to_string();
    for part in
        ["tokens[0].token: ", "tokens[0].may: ", "tokens[1].name: `a` is the name of tokens[0], too", "token = …"]
    {
        assert!(problems.contains(part), "{problems}");
    }
    assert!(!problems.contains("hunter"), "{problems}");
}
