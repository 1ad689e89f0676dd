//! `[ingest]`.

use std::path::Path;

use super::super::too_large_for;
use super::{messages, read};

const HOOK: &str = "\n[[hooks]]\nid = 'a'\nsink = { kind = 'lenient' }";

#[test]
fn what_is_wrong_with_it() {
    for (text, expected) in [
        (
            "ingest.listen = 'x'",
            "1:17: ingest: listen: expected an IP address and a port, for example \"127.0.0.1:8080\" or \"[::1]:8080\"",
        ),
        (
            "ingest.listen = 'localhost:80'",
            "1:17: ingest: listen: expected an IP address and a port, for example \"127.0.0.1:8080\" or \"[::1]:8080\"",
        ),
        (
            "ingest.listen = '0.0.0.0:80'",
            "1:17: ingest: listen: 0.0.0.0 is not a loopback address, so others could publish: set ingest.token_file, or api.tokens",
        ),
        (
            "ingest.listen = '[::]:80'",
            "1:17: ingest: listen: :: is not a loopback address, so others could publish: set ingest.token_file, or api.tokens",
        ),
        ("ingest.max_body = '0'", "1:19: ingest: max_body: 0 bytes hold no event: set at least 1"),
        (
            "ingest = { max_body = '2GiB', max_in_flight = '2GiB' }\nbus = { kind = 'memory', max_memory = '2GiB' }",
            "1:23: ingest: max_body: 2GiB is more than 1GiB",
        ),
        (
            "ingest.max_in_flight = '1MiB'",
            "1:24: ingest: max_in_flight: a body of max_body, 8MiB, never fits into 1MiB",
        ),
        (
            "bus = { kind = 'memory', max_memory = '1MiB' }\ningest.max_body = '2MiB'",
            "2:19: ingest: max_body: a body of 2MiB never fits into bus.max_memory, 1MiB",
        ),
        ("ingest.max_head = '1KiB'", "1:19: ingest: max_head: 1KiB is not between 8KiB and 1MiB"),
        ("ingest.max_events = 0", "1:21: ingest: max_events: 0 is no limit: set at least 1"),
        ("ingest.body_timeout = '0s'", "1:23: ingest: body_timeout: must be longer than 0s"),
        ("ingest.token_file = ''", "1:21: ingest: token_file: expected the path of a file"),
        ("ingest.lisen = 'x'", "1:8: ingest: unknown field `lisen`, did you mean `listen`?"),
        ("ingset.listen = 'x'", "1:1: unknown field `ingset`, did you mean `ingest`?"),
    ] {
        assert_eq!(messages(&format!("{text}{HOOK}")), [expected], "{text}");
    }
}

#[test]
fn a_token_opens_the_world_and_its_file_stands_beside_the_config_file() {
    let listen = "listen = '0.0.0.0:8080'";
    let ingest = |file: &str| read(&format!("[ingest]\n{listen}\ntoken_file = '{file}'{HOOK}")).unwrap().ingest;
    assert_eq!(ingest("ingest.token").token_file.unwrap(), Path::new("/etc/hooks/ingest.token"));
    assert_eq!(ingest("/run/token").token_file.unwrap(), Path::new("/run/token"));
}

#[test]
fn without_it_a_small_memory_is_no_error() {
    let config = read(&format!("bus = {{ kind = 'memory', max_memory = '1MiB' }}{HOOK}")).unwrap();
    assert!(too_large_for(&config.ingest, &config.bus).is_some(), "serve says it");
}

/// Everything a reload compares.
#[test]
fn hooks_are_equal_as_long_as_nothing_that_is_written_changes() {
    let written = |settings: &str, sink: &str| {
        let text = format!("{settings}\n[[hooks]]\nid = 'a'\nsink = {{ kind = 'lenient'{sink} }}");
        read(&text).unwrap().hooks.remove(0).written
    };
    let plain = written("", "");
    assert_eq!(plain, written("# a comment\nevents.source = '/other'", ""));
    assert_ne!(plain, written("defaults.lanes = 2", ""));
    assert_ne!(plain, written("", ", path = '/x'"));
    assert_ne!(written("", ", path = '${TOKEN}'"), written("", ", path = '${URL}'"));
    assert!(!format!("{:?}", written("", ", path = '${TOKEN}'")).contains("path"));
}
