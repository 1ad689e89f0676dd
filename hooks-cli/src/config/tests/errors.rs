//! Files that are wrong, and what is said about them.

use hooks_core::settings::kinds;
use hooks_core::sink::SinkFactory;

use super::{in_hook, messages, read, with_sink};

#[test]
fn the_whole_output() {
    let text =
        "[[hooks]]\nid = \"orders\"\nsink = { kind = \"stub\", urll = \"stub:x\", secret = \"hunter2\" }\nlanes = 0\n";
    let expected = "\
hooks.toml:3:8: hook `orders`: sink `stub`: `url` is missing
 3 | sink = { kind = \"stub\", urll = …, secret = … }
   | ^^^^
hooks.toml:3:25: hook `orders`: sink `stub`: unknown field `urll`, did you mean `url`?
 3 | sink = { kind = \"stub\", urll = …, secret = … }
   |                         ^^^^
hooks.toml:4:9: hook `orders`: lanes: 0 is no limit: set at least 1
 4 | lanes = 0
   |         ^
hooks.toml: 3 errors";
    assert_eq!(read(text).unwrap_err(), expected.replacen(":3:8:", ":3:1:", 1));
}

#[test]
fn all_errors_at_once_each_at_its_place() {
    let text = r#"
[bus]
kind = "memory"
max_memori = 1
[evnts]
[defaults]
lanes = "two"
[[hooks]]
id = "a b"
tipes = ["x"]
sink = { kind = "stub", url = "stub:" }
[[hooks]]
id = "ok"
batch = { max_events = 1, max_event = 2 }
retry = { initial = 5, max = "-1s" }
sink = { kind = "stub", url = "stub:", tls = { verify = 1, root = [] } }
[[hooks]]
id = "ok"
types = []
"#;
    assert_eq!(
        messages(text),
        [
            "4:1: bus `memory`: unknown field `max_memori`, did you mean `max_memory`?",
            "5:2: unknown field `evnts`, did you mean `events`?",
            "7:9: defaults: lanes: expected a whole number from 1, found the string \"two\"",
            "9:6: hook 1: id: `a b` is no hook id: 1 to 64 letters, digits, `-`, `_` and `.`",
            "10:1: hook 1: unknown field `tipes`, did you mean `types`?",
            "14:27: hook `ok`: batch: unknown field `max_event`, did you mean `max_events`?",
            "15:21: hook `ok`: retry.initial: expected a duration with its unit, for example \"250ms\", \"15s\", \"1h30m\" or \"30d\"",
            "15:30: hook `ok`: retry.max: expected a duration with its unit, for example \"250ms\", \"15s\", \"1h30m\" or \"30d\", not negative",
            "16:57: hook `ok`: sink `stub`: tls.verify: expected a boolean, found the integer `1`",
            "16:60: hook `ok`: sink `stub`: tls: unknown field `root`, did you mean `roots`?",
            &format!("17:1: hook `ok`: `sink` is missing; kinds linked into this binary: {}", kinds::<dyn SinkFactory>()),
            "18:6: hook `ok`: this id is taken: hook 2 has it, and this is hook 3",
            "19:9: hook `ok`: types: an empty list: leave it out to match everything",
        ]
        .map(str::to_owned)
    );
}

#[test]
fn no_hook_has_the_name_of_a_route() {
    let text = "[[hooks]]\nid = \"match\"\nsink = { kind = \"stub\", url = \"stub:\" }\n";
    let why = "2:6: hook 1: id: `match` is no hook's name: the API has a route at its place. Choose another";
    assert_eq!(messages(text), [why]);
}

/// The dispatcher's own events are named in full; anything else would match nothing, silently.
#[test]
fn a_pattern_over_the_dispatchers_own_events_is_an_error() {
    let text =
        |types: &str| format!("[[hooks]]\nid = 'a'\ntypes = [{types}]\nsink = {{ kind = 'stub', url = 'stub:' }}\n");
    for types in ["'hooks.endpoint.*'", "'x', 'hooks.endpoint.gone'"] {
        let messages = messages(&text(types));
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0].starts_with("3:1: hook `a`: types: `hooks.endpoint."), "{messages:?}");
        assert!(messages[0].contains("named in full: hooks.endpoint.healthy, "), "{messages:?}");
    }
    assert!(read(&text("'hooks.endpoint.held', 'hook*'")).is_ok());
}

/// A limit of 0 silently became the default in an earlier system.
#[test]
fn a_limit_of_zero_is_an_error_and_never_the_default() {
    for (lines, expected) in [
        ("lanes = 0", "4:9: hook `a`: lanes: 0 is no limit: set at least 1"),
        ("batch = { max_events = 0 }", "4:24: hook `a`: batch.max_events: 0 is no limit: set at least 1"),
        ("batch = { max_bytes = 0 }", "4:23: hook `a`: batch.max_bytes: 0 bytes hold no event: set at least 1"),
        ("batch = { max_bytes = '0B' }", "4:23: hook `a`: batch.max_bytes: 0 bytes hold no event: set at least 1"),
        ("queue = { max_events = 0 }", "4:24: hook `a`: queue.max_events: 0 is no limit: set at least 1"),
        ("retry = { attempt_timeout = '0s' }", "4:29: hook `a`: retry.attempt_timeout: must be longer than 0s"),
        ("retry = { initial = '0s' }", "4:21: hook `a`: retry.initial: must be longer than 0s"),
    ] {
        assert_eq!(messages(&in_hook(lines)), [expected], "{lines}");
    }
    let queue = messages(&in_hook("queue = { max_bytes = 0 }"));
    assert!(queue.contains(&"4:23: hook `a`: queue.max_bytes: 0 bytes hold no event: set at least 1".to_owned()));
    for (section, expected) in [
        (
            "[bus]\nkind = 'memory'\nmax_memory = 0",
            "8:14: bus `memory`: max_memory: 0 bytes hold no event: set at least 1",
        ),
        ("[events]\nmax_bytes = 0", "7:13: events: max_bytes: 0 bytes hold no event: set at least 1"),
    ] {
        assert!(messages(&format!("{}\n{section}", in_hook(""))).contains(&expected.to_owned()), "{section}");
    }
    for zero in ["0", "'0s'", "'0B'", "0.0", "-0", "''"] {
        for setting in ["lanes", "batch.max_events", "batch.max_bytes", "queue.max_events", "queue.max_bytes"] {
            assert!(read(&in_hook(&format!("{setting} = {zero}"))).is_err(), "{setting} = {zero}");
            let defaults = format!("defaults.{setting} = {zero}\n{}", in_hook(""));
            assert!(read(&defaults).is_err(), "defaults.{setting} = {zero}");
        }
    }
}

#[test]
fn settings_that_contradict_each_other_are_said_where_they_stand() {
    for (lines, start) in [
        ("queue = { max_events = 10 }", "4:24: hook `a`: queue.max_events: a queue of 10 events never fills"),
        ("batch = { max_events = 20000 }", "4:24: hook `a`: queue.max_events: a queue of 10000 events never fills"),
        ("retry = { max = '1ms' }", "4:17: hook `a`: retry.max: 1ms is shorter than retry.initial, 1s"),
        (
            "lanes = 2000\nqueue = { max_events = 100000000, max_bytes = '9GiB' }",
            "4:9: hook `a`: lanes: 2000 lanes are more than 1024",
        ),
    ] {
        let found = messages(&in_hook(lines));
        assert!(found.iter().any(|message| message.starts_with(start)), "{lines}: {found:?}");
    }
}

#[test]
fn sections_of_the_wrong_kind() {
    for (text, expected) in [
        (
            "",
            "1:1: there is no hook: add `[[hooks]]` with `id` and `sink`, or `[api]` alone for hooks that are made over the API, with those that were made before",
        ),
        (
            "hooks = []",
            "1:1: there is no hook: add `[[hooks]]` with `id` and `sink`, or `[api]` alone for hooks that are made over the API, with those that were made before",
        ),
        ("hooks = 1", "1:1: hooks: expected a list, found a number: each hook begins with `[[hooks]]`"),
        ("[hooks]\nid = 'a'", "1:2: hooks: expected a list, found a table: each hook begins with `[[hooks]]`"),
        ("hooks = [1]", "1:10: hook 1: expected a table, found a number"),
        (
            "bus = 1",
            "1:7: bus: expected a table, for example `bus = { kind = \"durable\", dir = \"hooks-data\" }`, found a number",
        ),
        ("[bus]", "1:2: bus: `kind` is missing; linked into this binary: `durable`, `memory`, `nats`, `postgres`"),
        (
            "[bus]\nkind = 'memory'\nmax_memroy = '1MiB'",
            "3:1: bus `memory`: unknown field `max_memroy`, did you mean `max_memory`?",
        ),
        ("[bus]\nkind = 'durable'\nsegment_size = '1KiB'", "3:16: bus `durable`: segment_size: 1KiB is less than 4KiB"),
        ("[bus]\nkind = 'nats'\nreplicas = 6", "3:12: bus `nats`: replicas: JetStream keeps 1 to 5 copies"),
        (
            "[bus]\nkind = 'nats'\nservers = ['nats://a:b@c']",
            "3:12: bus `nats`: servers[0]: the address holds credentials: set `user` and `password`, or `token`",
        ),
        (
            "[bus]\nkind = 'memry'",
            "2:8: bus: unknown kind `memry`, did you mean `memory`? Linked into this binary: `durable`, `memory`, `nats`, `postgres`. A crate that nothing names is not linked: the binary has to say `use the_crate as _;`",
        ),
        ("[bus]\nkind = 1", "2:8: bus: kind: expected a string, found a number"),
        (
            "ingest.max_in_flight = '1MiB'",
            "1:24: ingest: max_in_flight: a body of max_body, 8MiB, never fits into 1MiB",
        ),
        ("defaults = true", "1:12: defaults: expected a table, found a boolean"),
        ("[defaults]\nsink = {}", "2:1: defaults: `sink` has no default: every hook has its own"),
        ("[defaults]\nid = 'a'", "2:1: defaults: `id` has no default: every hook has its own"),
        ("[events]\nsource = 'a b'", "2:10: events: source: expected a URI reference, for example \"/my/service\""),
        ("[events]\nmax_bytes = '2GiB'", "2:13: events: max_bytes: 2GiB is more than 512MiB"),
        (
            "[events]\nmax_bytes = '512MiB'",
            "2:13: events: max_bytes: an event of 512MiB never fits into bus.max_memory, 256MiB",
        ),
        ("[[hooks]]\nid = 1\nsink = 1", "2:6: hook 1: id: expected a string, found a number"),
        (
            "[[hooks]]\nid = 'a'\nsink = 'file'",
            "3:8: hook `a`: sink: expected a table, for example `sink = { kind = \"file\", path = \"/tmp/out.jsonl\" }`, found a string",
        ),
        ("[[hooks]]\nid = 'a'\nsink = { kind = 3 }", "3:17: hook `a`: sink: kind: expected a string, found a number"),
    ] {
        assert!(messages(text).contains(&expected.to_owned()), "{text}: {:?}", messages(text));
    }
}

#[test]
fn an_unknown_kind_lists_what_is_linked_and_why_one_may_be_missing() {
    let expected = |near: &str| {
        format!(
            "3:17: hook `a`: sink: unknown kind {near} Linked into this binary: {}. A crate that nothing names \
             is not linked: the binary has to say `use the_crate as _;`",
            kinds::<dyn SinkFactory>()
        )
    };
    assert_eq!(messages("[[hooks]]\nid = 'a'\nsink = { kind = 'stubb' }"), [expected("`stubb`, did you mean `stub`?")]);
    assert_eq!(messages("[[hooks]]\nid = 'a'\nsink = { kind = 'carrier-pigeon' }"), [expected("`carrier-pigeon`.")]);
    let missing = messages("[[hooks]]\nid = 'a'\n[hooks.sink]\nurl = 'x'");
    assert_eq!(
        missing,
        [format!("3:8: hook `a`: sink: `kind` is missing; linked into this binary: {}", kinds::<dyn SinkFactory>())]
    );
}

#[test]
fn a_sink_that_takes_any_name_does_not_take_a_misspelt_one() {
    let text = "[[hooks]]\nid = 'a'\n[hooks.sink]\nkind = 'lenient'\npaht = '/x'\n";
    assert_eq!(messages(text), ["5:1: hook `a`: sink `lenient`: unknown field `paht`, did you mean `path`?"]);
}

#[test]
fn what_a_sink_says_is_said_where_it_stands() {
    for (sink, expected) in [
        ("url = 'x'", "3:31: hook `a`: sink `stub`: url: `x` does not begin with `stub:`"),
        ("url = 'stub:', headers.'a b' = 'x'", "3:56: hook `a`: sink `stub`: headers.a b: not a header name"),
        ("url = 'stub:', headers.a = ''", "3:1: hook `a`: sink `stub`: a header is empty"),
        (
            "url = 'stub:', labels = { a = 1, b = -1 }",
            "3:62: hook `a`: sink `stub`: labels.b: expected a whole number, not negative, found the integer `-1`",
        ),
        (
            "url = 'stub:', tls = { verify = true, roots = ['a', 3] }",
            "3:77: hook `a`: sink `stub`: tls.roots[1]: expected a string, found the integer `3`",
        ),
        ("url = 'stub:', tls = {}", "3:40: hook `a`: sink `stub`: tls: `verify` is missing"),
    ] {
        assert_eq!(messages(&with_sink(sink)), [expected], "{sink}");
    }
}

#[test]
fn errors_in_metadata_and_patterns() {
    for (lines, expected) in [
        (
            "metadata = { Env = 'x' }",
            "4:14: hook `a`: metadata: `Env` is no extension attribute name: lower-case letters and digits, and none of the attributes that CloudEvents defines",
        ),
        (
            "metadata = { env = 1.5 }",
            "4:14: hook `a`: metadata: `env` must be a string without control characters, an integer or a boolean",
        ),
        ("tenant = 'a b'", "4:10: hook `a`: tenant: `a b` is no tenant id: 1 to 64 letters, digits, `-`, `_` and `.`"),
        ("subjects_except = []", "4:19: hook `a`: subjects_except: an empty list: leave it out to make no exception"),
        ("types = ['a', '']", "4:15: hook `a`: types[1]: an empty pattern matches nothing"),
        ("types = 'a'", "4:9: hook `a`: types: expected a list, found the string \"a\""),
        ("types = [3]", "4:10: hook `a`: types[0]: expected a string, found the integer `3`"),
        (
            "data = { total = 100 }",
            "4:18: hook `a`: data.total: expected a list of alternatives, `[…]`, or an object with the fields below it, found a number",
        ),
        (
            "data = { a = [1, { prefx = 'x' }] }",
            "4:28: hook `a`: data.a[1].prefx: unknown operator `prefx`, did you mean `prefix`?",
        ),
        ("data = {}", "4:1: hook `a`: data: an empty object names no field: leave it out to match everything"),
        ("data = []", "4:8: hook `a`: data: expected a table, found a list"),
        // What lacks a part is not wrong for that.
        ("data = { a = ['${NO}'] }", "4:16: the environment variable `NO` is not set"),
        (
            "queue = { overflow = 'blok' }",
            "4:22: hook `a`: queue.overflow: `blok` is not known here, did you mean `block`?",
        ),
    ] {
        assert_eq!(messages(&in_hook(lines)), [expected], "{lines}");
    }
    // Said once, not once for each hook.
    let text = format!(
        "[defaults]\nmetadata = {{ Env = 'x' }}\ntypes = []\nlanes = 0\n{}{}",
        in_hook(""),
        in_hook("").replace("'a'", "'b'")
    );
    assert_eq!(messages(&text).len(), 3, "{:?}", messages(&text));
}

#[test]
fn broken_toml_is_said_with_its_place_and_without_its_text() {
    let text = "[[hooks]]\nid = 'a'\nsink = { kind = 'stub', secret = whsec_verysecret }\nx = = 1\n";
    let problems = read(text).unwrap_err();
    assert!(problems.contains("hooks.toml:3:34: ") && problems.contains("hooks.toml:4:"), "{problems}");
    assert!(!problems.contains("verysecret"), "{problems}");
    let twice = messages("[bus]\nkind = 'memory'\nkind = 'memory'\n[bus]\n");
    assert!(twice.iter().any(|message| message.starts_with("3:1: duplicate key")), "{twice:?}");
}

#[test]
fn variables_that_are_not_set_are_said_at_their_place() {
    let text = with_sink("url = \"stub:\\t${NOPE}\", secret = '${NADA}'");
    assert_eq!(
        messages(&text),
        ["3:39: the environment variable `NOPE` is not set", "3:59: the environment variable `NADA` is not set",]
    );
}

#[test]
fn neither_secrets_nor_variables_are_shown() {
    for (sink, secret) in [
        ("url = '${TOKEN}'", "abc"),
        ("url = '${URL}', wait = '${TOKEN}'", "abc"),
        ("url = 'x${N}'", "x7"),
        ("url = '${URL}', labels = { a = '${TOKEN}' }", "abc"),
        ("url = 'stub:', headers = 'hunter2'", "hunter2"),
        ("url = 'stub:', headers = { a = ['hunter2'] }", "hunter2"),
        ("url = 'stub:', secret = ['hunter2']", "hunter2"),
        ("url = 'stub:', secrte = 'hunter2'", "hunter2"),
        ("url = 'stub:', tls = { verify = true, secret = 'hunter2' }", "hunter2"),
        ("url = 'stub:', secret = { a = 'hunter2' }", "hunter2"),
    ] {
        let problems = read(&with_sink(sink));
        if let Err(problems) = problems {
            assert!(!problems.contains(secret), "{problems}");
        } else {
            assert!(!format!("{problems:?}").contains(secret), "{problems:?}");
        }
    }
    assert_eq!(
        messages(&with_sink("url = '${TOKEN}'")),
        ["3:31: hook `a`: sink `stub`: url: `${TOKEN}` does not begin with `stub:`"]
    );
    let text = in_hook("types = '${TOKEN}'");
    assert_eq!(messages(&text), ["4:9: hook `a`: types: expected a list, found the string \"${TOKEN}\""]);
    for text in
        ["[[hooks]]\nid = '${TOKEN}'", "[[hooks]]\nid = 'a'\nsink.kind = '${TOKEN}'", "[bus]\nkind = '${TOKEN}'"]
    {
        assert!(!read(text).unwrap_err().contains("abc"), "{text}");
    }
}

#[test]
fn settings_that_the_bus_has_no_use_for() {
    let found = messages(&in_hook("from = 'earliest'"));
    assert!(
        found[0].ends_with("from: has no effect on the `memory` bus, which keeps no events to begin with"),
        "{found:?}"
    );
    let found = messages(&format!("bus.kind = 'durable'\n{}", in_hook("queue.max_events = 5")));
    assert!(found[0].contains("queue: has no effect on the `durable` bus, whose log keeps"), "{found:?}");
    let found = messages(&in_hook("rate_limit = { requests = '10' }"));
    assert!(found[0].contains("rate_limit.requests: expected a rate above 0, for example \"10/s\""), "{found:?}");
    let found = messages(&in_hook("rate_limit = { burst = 5 }"));
    assert!(found[0].contains("rate_limit: limits nothing: set `requests`, `events` or both"), "{found:?}");
}
