//! Config files that are wrong, through `hooks check` and the other commands.

use crate::command::Place;

#[test]
fn check_says_everything_at_once_and_ends_with_78() {
    let place = Place::new(
        r#"[events]
max_byte = "1MiB"

[[hooks]]
id   = "orders"
sink = { kind = "http", urll = "https://example.com" }

[[hooks]]
id    = "audit"
batch = { max_events = 0 }
sink  = { kind = "file", path = "logs/audit.jsonl" }

[[hooks]]
id   = "audit"
sink = { kind = "htp", url = "x" }
"#,
    );
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(78), ""));
    let expected = r#"hooks.toml:2:1: events: unknown field `max_byte`, did you mean `max_bytes`?
 2 | max_byte = …
   | ^^^^^^^^
hooks.toml:6:1: hook `orders`: sink `http`: `url` is missing
 6 | sink = { kind = "http", urll = … }
   | ^^^^
hooks.toml:6:25: hook `orders`: sink `http`: unknown field `urll`, did you mean `url`?
 6 | sink = { kind = "http", urll = … }
   |                         ^^^^
hooks.toml:10:24: hook `audit`: batch.max_events: 0 is no limit: set at least 1
 10 | batch = { max_events = 0 }
    |                        ^
"#;
    assert!(ended.err.starts_with(expected), "{}", ended.err);
    let rest = &ended.err[expected.len()..];
    assert!(rest.starts_with("hooks.toml:11:33: hook `audit`: sink `file`: path: "), "{rest}");
    assert!(
        rest.contains("hooks.toml:14:8: hook `audit`: this id is taken: hook 2 has it, and this is hook 3\n"),
        "{rest}"
    );
    let unknown = "hooks.toml:15:17: hook `audit`: sink: unknown kind `htp`, did you mean `http`? Linked into this binary: `file`, \
                   `http`. A crate that nothing names is not linked: the binary has to say `use the_crate as _;`\n";
    assert!(rest.contains(unknown), "{rest}");
    assert!(ended.err.ends_with("\nhooks.toml: 7 errors\n"), "{}", ended.err);
}

#[test]
fn a_good_file_is_summed_up() {
    let place = Place::new(
        "[[hooks]]\nid = 'a'\ntypes = ['x.*', 'y']\nenabled = false\nsink = { kind = 'http', url = 'http://127.0.0.1' }\n\
         [[hooks]]\nid = 'audit'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }",
    );
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    let expected = "hooks.toml is fine: 2 hooks\n  a      http  types x.*, y (disabled)\n  audit  file  every event\n";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), expected, ""));
    assert!(!place.path("a").exists(), "checking makes no file");
}

#[test]
fn a_file_that_cannot_be_read() {
    let place = Place::new("");
    let ended = place.run(&["check", "-c", "nowhere.toml"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.starts_with("nowhere.toml: can't be read: "), "{}", ended.err);
    std::fs::write(place.path("latin1.toml"), b"# one\n# caf\xE9\n").unwrap();
    let ended = place.run(&["check", "-c", "latin1.toml"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(78), "latin1.toml:2:6: not UTF-8\nlatin1.toml: 1 error\n"));
}

#[test]
fn every_command_refuses_a_wrong_file_with_78() {
    let place = Place::new("[[hooks]]\nid = 'a'\nlanes = 0\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }");
    let expected = "hooks.toml:3:9: hook `a`: lanes: 0 is no limit: set at least 1\n 3 | lanes = 0\n   |         ^\nhooks.toml: 1 error\n";
    for args in [&["check", "-c", "hooks.toml"][..], &["pipe", "-c", "hooks.toml"], &["test", "-c", "hooks.toml", "a"]]
    {
        let ended = place.run(args);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(78), "", expected), "{args:?}");
    }
}

#[test]
fn pipe_refuses_to_drop_what_check_lets_pass() {
    let hook = "[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }\n";
    for (config, place_in_file) in [
        (format!("{hook}queue = {{ overflow = 'drop_oldest' }}"), "4:22"),
        (format!("[defaults]\nqueue.overflow = 'drop_oldest'\n{hook}"), "2:18"),
    ] {
        let place = Place::new(&config);
        assert_eq!(place.run(&["check", "-c", "hooks.toml"]).code, Some(0));
        let ended = place.pipe("{\"type\":\"a\"}\n");
        let expected = format!(
            "hooks.toml:{place_in_file}: hook `a`: queue.overflow: `hooks pipe` drops nothing: leave this out, or set it to \"block\"\nhooks.toml: 1 error\n"
        );
        assert_eq!((ended.code, ended.err), (Some(78), expected));
        assert!(!place.path("a").exists());
    }
    let place = Place::new(&format!("{hook}queue = {{ overflow = 'block' }}"));
    assert_eq!(place.pipe("{\"type\":\"a\"}\n").code, Some(0));
    let place = Place::new(&format!("{hook}enabled = false"));
    let ended = place.pipe("{\"type\":\"a\"}\n");
    let expected = "hooks.toml: every hook is disabled, so nothing would be delivered\nhooks.toml: 1 error\n";
    assert_eq!((ended.code, ended.err.as_str()), (Some(78), expected));
}

#[test]
fn variables_come_from_the_environment_and_the_folder_of_the_file() {
    let place = Place::new("[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/${NAME}.jsonl' }");
    let mut command = place.hooks(&["pipe", "-c", "./hooks.toml"]);
    command.env("NAME", "from-env");
    assert_eq!(crate::command::run(command, b"{\"type\":\"a\"}").code, Some(0));
    assert_eq!(place.read("from-env.jsonl").lines().count(), 1);
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.starts_with("hooks.toml:3:47: the environment variable `NAME` is not set\n"), "{}", ended.err);
}

#[test]
fn check_can_ask_what_a_command_asks() {
    let hook = "[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '/x' }\nqueue.max_events = 5000\n";
    let place = Place::new(hook);
    let check = |what: &[&str]| place.run(&[&["check", "-c", "hooks.toml"], what].concat());
    assert_eq!(check(&[]).code, Some(0));
    assert_eq!(check(&["--for", "pipe"]).code, Some(0));
    let ended = check(&["--for", "serve"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.contains("queue: has no effect on the `durable` bus"), "{}", ended.err);
}

#[test]
fn a_secret_in_the_wrong_table_is_not_shown() {
    for text in [
        "[[hooks]]\nid = 'a'\nsecret = 'hunter2'\nsink = { kind = 'file', path = '/x' }\n",
        "ingest.token = 'hunter2'\n[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '/x' }\n",
        "defaults.secret = ['hunter2']\n[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '/x' }\n",
        "[[hooks]]\nid = 'a'\nheaders = { x = 'hunter2' }\nsink = { kind = 'file', path = '/x' }\n",
    ] {
        let ended = Place::new(text).run(&["check", "-c", "hooks.toml"]);
        assert!(ended.code == Some(78) && !ended.err.contains("hunter2"), "{}", ended.err);
    }
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    let place = Place::new("");
    let mut command = place.hooks(&["sinks"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdout can't be written"));
}

/// Files are not written to under names with `..`; where the config file stands is no fault of theirs.
#[test]
fn a_config_file_may_be_named_by_steps_up() {
    let place = Place::new("[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }");
    std::fs::create_dir(place.path("below")).unwrap();
    let ended = place.run(&["check", "-c", "below/../hooks.toml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}
