//! Files that are right, and what they come to.

use std::time::Duration;

use hooks_core::{BatchLimits, ByteSize, Envelope, HumanDuration, Overflow, TenantId};

use super::{in_hook, read};

#[test]
fn everything_that_can_be_set() {
    let config = read(
        r#"
        [bus]
        kind = "memory"
        max_memory = "32MiB"
        [events]
        source = "/my/app"
        max_bytes = "64KiB"
        [defaults]
        lanes = 2
        types_except = ["b.*"]
        [defaults.batch]
        max_age = "3s"
        [defaults.metadata]
        env = "prod"
        [[hooks]]
        id = "first"
        types = ["a.*", "b.?"]
        subjects = ["s/*"]
        subjects_except = ["s/x"]
        tenant = "acme"
        metadata = { n = 1, yes = true }
        batch = { max_events = 7 }
        retry = { initial = "2s", max_elapsed = "1h" }
        queue = { max_events = 50, max_bytes = "2MiB", overflow = "drop_oldest" }
        enabled = false
        sink = { kind = "stub", url = "${URL}", secret = "${TOKEN}", tls = { verify = true } }
        [[hooks]]
        id = "second"
        lanes = 1
        [hooks.sink]
        kind = "lenient"
        path = "${CONFIG_DIR}/out"
        "#,
    )
    .unwrap();
    assert_eq!(config.events.source, "/my/app");
    assert_eq!(config.events.max_bytes.bytes(), 64 << 10);
    assert_eq!((config.bus.kind(), config.bus.max_memory()), ("memory", Some(("max_memory", ByteSize::new(32 << 20)))));
    let [first, second] = config.hooks.as_slice() else { panic!("two hooks") };
    assert_eq!(first.overflow, Some((24, 67)));
    assert_eq!(second.overflow, None);
    let (first, second) = (&first.hook, &second.hook);
    assert_eq!((first.id.as_str(), first.lanes.get(), first.enabled), ("first", 2, false));
    assert_eq!((second.id.as_str(), second.lanes.get(), second.enabled), ("second", 1, true));
    assert!(first.filter.matches_type("a.b") && !first.filter.matches_type("b.c"));
    assert!(first.filter.matches_subject(Some("s/y")) && !first.filter.matches_subject(Some("s/x")));
    assert_eq!((first.tenant(), second.tenant()), (Some(&TenantId::new("acme").unwrap()), None));
    assert_eq!(first.queue.max_events.get(), 50);
    assert_eq!(first.queue.overflow, Overflow::DropOldest);
    assert_eq!(first.retry.initial.get(), Duration::from_secs(2));
    assert_eq!(first.retry.max_elapsed, Some(HumanDuration::new(Duration::from_secs(3600))));
    assert_eq!(first.retry.max.get(), Duration::from_secs(300));
    // The hook's own, then the defaults, then what the sink wants.
    assert_eq!((first.batch.max_events.get(), first.batch.max_age.get()), (7, Duration::from_secs(3)));
    assert_eq!((second.batch.max_events.get(), second.batch.max_age.get()), (100, Duration::from_secs(3)));
    let event = Envelope::from_json(
        br#"{"type":"a.b","id":"1","source":"s","specversion":"1.0","time":"2026-11-23T10:00:00Z"}"#,
    );
    let line = first.metadata.apply(&event.unwrap()).into_owned();
    assert!(line.starts_with(r#"{"env":"prod","n":1,"yes":true,"type""#), "{line}");
}

#[test]
fn what_a_pattern_for_data_seems_to_be_is_warned_of() {
    let hook = in_hook("data = { total = { numeric = ['>', 5] }, n = [{ numeric = ['>', 5, '<', 3] }] }");
    let warnings: Vec<_> = read(&hook).unwrap().warnings().collect();
    let [range, name] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!(range, "hooks.toml: warning: hook `a`: data.n[0].numeric: matches nothing: no number is > 5 and < 3");
    assert!(
        name.starts_with("hooks.toml: warning: hook `a`: data.total.numeric: this is the name of a field"),
        "{name}"
    );
}

#[test]
fn a_bus_is_the_same_however_it_is_written() {
    let bus = |text: &str| read(&format!("{text}\n{}", in_hook(""))).unwrap().bus;
    let durable = |settings: &str| bus(&format!("bus = {{ kind = 'durable'{settings} }}"));
    assert_eq!(durable(", dir = 'hooks-data', max_bytes = '1GiB'"), durable(", max_bytes = '1024MiB'"));
    assert_eq!(bus(""), bus("bus.kind = 'memory'"));
    assert_ne!(durable(""), durable(", max_bytes = '1GiB'"));
    assert_ne!(durable(""), bus(""));
    let nats = |password: &str| bus(&format!("bus = {{ kind = 'nats', user = 'u', password = '{password}' }}"));
    assert_eq!(nats("x"), nats("x"));
    assert_ne!(nats("x"), nats("y"));
}

#[test]
fn a_sinks_own_batch_limits_hold_where_none_are_set() {
    let config = read(&in_hook("batch = { max_events = 9 }")).unwrap();
    let expected = BatchLimits::immediate().max_events(9.try_into().unwrap());
    assert_eq!(config.hooks[0].hook.batch, expected);
    assert_eq!(read(&in_hook("")).unwrap().hooks[0].hook.batch, BatchLimits::immediate());
}

#[test]
fn data_of_the_defaults_holds_for_every_hook() {
    let config = read(
        "[defaults.data]\nregion = ['eu']\nkind = ['a']\n\
         [[hooks]]\nid = 'a'\nsink = { kind = 'lenient' }\n\
         [[hooks]]\nid = 'b'\ndata = { kind = ['b'] }\nsink = { kind = 'lenient' }",
    );
    let matching = |data: &str| {
        let event = Envelope::from_json(format!(r#"{{"type":"t","data":{data}}}"#).as_bytes()).unwrap();
        let hooks = config.as_ref().unwrap().hooks.iter().filter(|hook| hook.hook.filter.matches(&event));
        hooks.map(|hook| hook.hook.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(matching(r#"{"region":"eu","kind":"a"}"#), ["a"]);
    assert_eq!(matching(r#"{"region":"eu","kind":"b"}"#), ["b"]);
    assert_eq!(matching(r#"{"region":"us","kind":"b"}"#), [""; 0]);
}
