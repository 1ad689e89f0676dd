//! `[history]`.

use std::path::Path;

use super::{messages, read};

const HOOK: &str = "\n[[hooks]]\nid = 'a'\nsink = { kind = 'lenient' }";

#[test]
fn what_is_wrong_with_it() {
    for (text, expected) in [
        ("history.max_bytes = '1KiB'", "1:21: history: max_bytes: 1KiB is less than 1MiB; 0 keeps no history"),
        ("history.answer_bytes = '2KiB'", "1:24: history: answer_bytes: 2KiB is more than 1KiB"),
        ("history.max_age = '0s'", "1:19: history: max_age: must be longer than 0s; `max_bytes = 0` keeps no history"),
        ("history.folder = ''", "1:18: history: folder: expected the path of a folder"),
        ("history.max_byte = 0", "1:9: history: unknown field `max_byte`, did you mean `max_bytes`?"),
    ] {
        assert_eq!(messages(&format!("{text}{HOOK}")), [expected], "{text}");
    }
    let without = messages(&format!("bus.kind = 'memory'\nhistory.max_age = '1d'{HOOK}"));
    assert!(without.len() == 1 && without[0].contains("the `memory` bus has no folder"), "{without:?}");
}

#[test]
fn where_it_is_kept() {
    let folder = |text: &str| {
        let config = read(&format!("{text}{HOOK}")).unwrap();
        config.history.folder(&config.bus)
    };
    assert_eq!(folder(""), None, "the memory bus has no folder");
    assert_eq!(folder("history.max_age = '1d'"), None, "nor has what a pipe takes where the file names none");
    assert_eq!(folder("history.folder = 'attempts'").unwrap(), Path::new("/etc/hooks/attempts"));
    let durable = "bus = { kind = 'durable', dir = 'data' }\n";
    assert_eq!(folder(durable).unwrap(), Path::new("/etc/hooks/data/history"));
    assert_eq!(folder(&format!("{durable}history.folder = '/var/attempts'")).unwrap(), Path::new("/var/attempts"));
    assert_eq!(folder(&format!("{durable}history.max_bytes = 0")), None);
    assert_eq!(folder("bus.kind = 'memory'\nhistory.max_bytes = 0"), None, "there is nothing to have a folder for");
}
