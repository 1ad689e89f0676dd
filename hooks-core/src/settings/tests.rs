//! What is wrong with settings, and where.

mod sound;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::batcher::BatchLimits;
use crate::bus::BusTraits;
use crate::config_problem::ConfigProblem;
use crate::human::{ByteSize, HumanDuration};
use crate::sink::{Batch, Delivered, DeliveryError, Sink, SinkConfig, SinkContext, SinkPlugin};
use crate::{BoxError, HookId, Secret};

/// A sink with one of everything.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct StubConfig {
    url: String,
    secret: Option<Secret>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    tls: Option<Tls>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tls {
    verify: bool,
    roots: Option<Vec<String>>,
}

struct Nowhere;

#[crate::async_trait]
impl Sink for Nowhere {
    async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
        Ok(Delivered::all())
    }
}

impl SinkConfig for StubConfig {
    const KIND: &'static str = "stub";
    type Sink = Nowhere;

    fn build(&self, _: &SinkContext) -> Result<Nowhere, BoxError> {
        let _ = self.tls.as_ref().map(|tls| (tls.verify, &tls.roots));
        Ok(Nowhere)
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if !self.url.starts_with("stub:") {
            problems.push(ConfigProblem::new("url", format!("`{}` does not begin with `stub:`", self.url)));
        }
        if self.headers.keys().any(|name| name.contains(' ')) {
            problems.push(ConfigProblem::new("headers.a. /b", "not a header name"));
        }
        if self.secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            problems.push(ConfigProblem::new("", "the secret is empty"));
        }
        problems
    }

    fn batch_limits(&self) -> BatchLimits {
        BatchLimits::immediate()
    }
}

inventory::submit! { SinkPlugin::of::<StubConfig>() }

/// A hook with these settings beside its sink.
fn with(mut settings: Json) -> Json {
    settings["sink"] = json!({ "kind": "stub", "url": "stub:" });
    settings
}

fn with_sink(mut sink: Json) -> Json {
    sink["kind"] = "stub".into();
    json!({ "sink": sink })
}

fn said(faults: Result<HookSettings, Vec<Fault>>) -> Vec<(String, String)> {
    let faults = faults.expect_err("something is wrong");
    faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect()
}

#[test]
fn each_kind_of_fault_has_its_pointer() {
    for (table, pointer, message) in [
        (json!(1), "", "expected an object, found a number"),
        (json!([]), "", "expected an object, found an array"),
        (with(json!({ "tipes": [] })), "/tipes", "unknown field `tipes`, did you mean `types`?"),
        (
            with(json!({ "batch": { "max_event": 1 } })),
            "/batch/max_event",
            "batch: unknown field `max_event`, did you mean `max_events`?",
        ),
        (with(json!({ "lanes": 0 })), "/lanes", "lanes: 0 is no limit: set at least 1"),
        (with(json!({ "types": "a" })), "/types", "types: expected an array, found the string \"a\""),
        (with(json!({ "types": ["a", 3] })), "/types/1", "types[1]: expected a string, found the integer `3`"),
        (with(json!({ "types": [] })), "/types", "types: an empty array: leave it out to match everything"),
        (with(json!({ "types": ["a", ""] })), "/types/1", "types[1]: an empty pattern matches nothing"),
        (with(json!({ "batch": [] })), "/batch", "batch: expected an object, found an array"),
        (
            with_sink(json!({ "url": "stub:", "tls": [true] })),
            "/sink/tls",
            "sink `stub`: tls: expected an object, found an array",
        ),
        (with(json!({ "enabled": {} })), "/enabled", "enabled: expected a boolean, found an object"),
        (
            with(json!({ "queue": { "overflow": "blok" } })),
            "/queue/overflow",
            "queue.overflow: `blok` is not known here, did you mean `block`?",
        ),
        (
            with(json!({ "retry": { "schedule": ["1m"], "initial": "1s" } })),
            "/retry/initial",
            "retry.initial: `retry.schedule` says how long to wait: remove one of them",
        ),
        (
            with(json!({ "retry": { "schedule": [] } })),
            "/retry/schedule",
            "retry.schedule: an empty array: leave it out to wait as `initial` and `max` say",
        ),
        (with(json!({ "retry": { "max": "1ms" } })), "/retry/max", "retry.max: 1ms is shorter than retry.initial, 1s"),
        (
            with(json!({ "metadata": { "a/b": 1 } })),
            "/metadata/a~1b",
            "metadata: `a/b` is no extension attribute name: lower-case letters and digits, and none of the attributes that CloudEvents defines",
        ),
        (
            with(json!({ "attributes": { "Region": ["eu"] } })),
            "/attributes/Region",
            "attributes: `Region` is no extension attribute name: lower-case letters and digits, and none of the attributes that CloudEvents defines",
        ),
        (
            with(json!({ "attributes_except": { "type": ["eu"] } })),
            "/attributes_except/type",
            "attributes_except: `type` is no extension attribute: the setting `types` has its patterns",
        ),
        (
            with(json!({ "attributes": { "region": [] } })),
            "/attributes/region",
            "attributes.region: an empty array matches nothing: leave it out",
        ),
        (
            with(json!({ "attributes": { "region": "eu" } })),
            "/attributes/region",
            "attributes.region: expected an array, found the string \"eu\"",
        ),
        (
            with(json!({ "tenant": "acme", "attributes": { "tenant": ["other"] } })),
            "/attributes/tenant",
            "attributes.tenant: matches nothing: the hook is the tenant `acme`'s, and receives no others' events",
        ),
        (
            with(json!({ "rate_limit": {} })),
            "/rate_limit",
            "rate_limit: limits nothing: set `requests`, `events` or both",
        ),
        (
            json!({ "sink": 1 }),
            "/sink",
            "sink: expected an object, for example `\"sink\": { \"kind\": \"file\", \"path\": \"/tmp/out.jsonl\" }`, found a number",
        ),
        (json!({ "sink": { "kind": 3 } }), "/sink/kind", "sink: kind: expected a string, found a number"),
        (with_sink(json!({})), "/sink/url", "sink `stub`: `url` is missing"),
        (
            with_sink(json!({ "url": "stub:", "urll": 1 })),
            "/sink/urll",
            "sink `stub`: unknown field `urll`, did you mean `url`?",
        ),
        (with_sink(json!({ "url": "stub:", "tls": {} })), "/sink/tls/verify", "sink `stub`: tls: `verify` is missing"),
        (
            with_sink(json!({ "url": "stub:", "tls": { "verify": true, "roots": ["a", 3] } })),
            "/sink/tls/roots/1",
            "sink `stub`: tls.roots[1]: expected a string, found the integer `3`",
        ),
        (with_sink(json!({ "url": "x" })), "/sink/url", "sink `stub`: url: `x` does not begin with `stub:`"),
        (
            with_sink(json!({ "url": "stub:", "headers": { "a. /b": "x" } })),
            "/sink/headers/a. ~1b",
            "sink `stub`: headers.a. /b: not a header name",
        ),
        (with_sink(json!({ "url": "stub:", "secret": "" })), "/sink", "sink `stub`: the secret is empty"),
    ] {
        assert_eq!(said(HookSettings::read(table)), [(pointer.to_owned(), message.to_owned())]);
    }
    let kinds = said(HookSettings::read(json!({ "sink": { "kind": "stubb" } })));
    assert_eq!(kinds[0].0, "/sink/kind");
    assert!(kinds[0].1.starts_with("sink: unknown kind `stubb`, did you mean `stub`? Linked into"), "{kinds:?}");
    for (table, pointer, what) in
        [(json!({}), "/sink", "`sink` is missing"), (json!({ "sink": {} }), "/sink/kind", "sink: `kind` is missing")]
    {
        let missing = said(HookSettings::read(table));
        assert!(missing[0].0 == pointer && missing[0].1.starts_with(what), "{missing:?}");
    }
}

#[test]
fn everything_is_said_at_once() {
    let faults = HookSettings::read(json!({
        "lanes": "two", "types": ["", 1], "batch": { "max_events": 0, "x": 1 }, "metadata": { "A": 1 },
        "sink": { "kind": "stub", "tls": { "verify": 1 }, "url": 3 },
    }));
    let pointers: Vec<_> = said(faults).into_iter().map(|(pointer, _)| pointer).collect();
    for pointer in [
        "/lanes",
        "/types/0",
        "/types/1",
        "/batch/max_events",
        "/batch/x",
        "/metadata/A",
        "/sink/tls/verify",
        "/sink/url",
    ] {
        assert!(pointers.iter().any(|found| found == pointer), "{pointer}: {pointers:?}");
    }
    assert_eq!(pointers.len(), 8, "{pointers:?}");
}

/// What was said before is wrong, but not missing, and the places of what stands behind it stay.
#[test]
fn what_is_broken_is_not_missing() {
    let mut draft = Draft::new(json!({ "types": [3], "sink": { "kind": "stub" } }));
    ["/types/0", "/sink/url"].into_iter().for_each(|pointer| draft.add_broken(pointer));
    let message = "types[1]: expected a string, found the integer `3`".to_owned();
    assert_eq!(said(HookReader::new().read(draft)), [("/types/1".to_owned(), message)]);
    for pointer in ["", "/sink", "/sink/kind", "/lanes"] {
        let mut draft = Draft::new(if pointer.starts_with("/sink") { json!({}) } else { with(json!({})) });
        draft.add_broken(pointer);
        if pointer == "/sink/kind" {
            draft = Draft::new(json!({ "sink": {} }));
            draft.add_broken(pointer);
        }
        assert_eq!(said(HookReader::new().read(draft)), [], "{pointer}");
    }
}

#[test]
fn secrets_are_neither_said_nor_shown() {
    for sink in [
        json!({ "url": "stub:", "secret": ["hunter22"] }),
        json!({ "url": "stub:", "headers": "hunter22" }),
        json!({ "url": "stub:", "secrte": "hunter22" }),
    ] {
        let said = said(HookSettings::read(with_sink(sink)));
        assert!(!format!("{said:?}").contains("hunter22"), "{said:?}");
    }
    let sink = json!({ "url": "stub:x", "secret": "hunter22", "headers": { "a": "hunter22" } });
    let settings = HookSettings::read(with_sink(sink)).unwrap();
    assert!(!format!("{settings:?}").contains("hunter22"));
    let shown = serde_json::to_value(&settings).unwrap();
    assert_eq!(shown["sink"], json!({ "kind": "stub", "url": "stub:x" }));
    let mut draft = Draft::new(json!({ "types": "open sesame", "sink": { "kind": "stub", "url": "open sesame" } }));
    ["/types", "/sink/url"].into_iter().for_each(|pointer| draft.hide(pointer, "open sesame", "${X}"));
    let said = said(HookReader::new().read(draft));
    assert_eq!(said[0].1, "sink `stub`: url: `${X}` does not begin with `stub:`");
    assert_eq!(said[1].1, "types: expected an array, found the string \"${X}\"");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let table = with(json!({ "types": ["a.*"], "lanes": 2, "metadata": { "env": "p" }, "batch": { "max_events": 7 } }));
    let settings = HookSettings::read(table).unwrap();
    let text = serde_json::to_string(&settings).unwrap();
    let again: HookSettings = serde_json::from_str(&text).unwrap();
    assert_eq!(again.options, settings.options);
    let hook = again.into_hook(HookId::new("a").unwrap()).unwrap();
    assert_eq!((hook.lanes.get(), hook.batch.max_events.get(), hook.batch.max_age.get()), (2, 7, Duration::ZERO));
    let error = serde_json::from_str::<HookSettings>(r#"{ "lanes": 0, "sink": 1 }"#).unwrap_err().to_string();
    assert!(error.contains("sink: expected") && error.contains("; lanes: 0 is no limit"), "{error}");
}

#[test]
fn what_was_changed_behind_the_reader_is_checked() {
    let mut settings = HookSettings::read(with(json!({}))).unwrap();
    settings.options.lanes = NonZeroUsize::new(5_000);
    settings.options.metadata.insert("A".to_owned(), json!(1));
    let id = || HookId::new("a").unwrap();
    assert_eq!(settings.clone().into_hook(id()).unwrap_err()[0].pointer, "/metadata/A");
    settings.options.metadata.clear();
    assert_eq!(settings.into_hook(id()).unwrap_err()[0].pointer, "/lanes");
}

#[test]
fn a_bus_has_no_use_for_some_settings() {
    let (log, memory) = (BusTraits { keeps_events: true, ..BusTraits::default() }, BusTraits::default());
    let large = with(json!({ "batch": { "max_events": 20_000 } }));
    let read = |traits, table: &Json| HookReader::new().on_bus("some", traits).read(Draft::new(table.clone()));
    assert!(read(log, &large).is_ok());
    assert_eq!(said(read(memory, &large))[0].0, "/batch/max_events");
    assert_eq!(said(read(log, &with(json!({ "queue": {} }))))[0].0, "/queue");
    assert_eq!(said(read(memory, &with(json!({ "from": "end" }))))[0].0, "/from");
}

#[test]
fn batch_limits_survive_being_overlaid() {
    let odd = BatchLimits {
        max_events: NonZeroUsize::MIN,
        max_bytes: ByteSize::new(1_000_001),
        max_age: HumanDuration::new(Duration::new(86_461, 1)),
    };
    for limits in [BatchLimits::default(), BatchLimits::immediate(), odd] {
        let read = read::<HookOptions>(Draft::new(hook_reader::with_limits(json!({}), limits)));
        assert_eq!(read.unwrap().batch, limits);
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let names = [
        "types",
        "attributes",
        "metadata",
        "batch",
        "retry",
        "queue",
        "lanes",
        "sink",
        "kind",
        "url",
        "tls",
        "roots",
        "a/b~",
        "",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        prop::sample::select(vec!["stub", "stub:", "", "1s", "é"]).prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(prop::sample::select(names.to_vec()), inner, 0..6)
                .prop_map(|table| table.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    /// Settings, or faults; each leads to something that is there, or to where it belongs.
    #[test]
    fn any_json_gets_an_answer(table in any_json(), sink in any::<bool>()) {
        let table = if sink && table.is_object() { with(table) } else { table };
        if let Err(faults) = HookSettings::read(table.clone()) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                let parent = fault.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                let place = if fault.about == About::Missing { parent } else { &fault.pointer };
                prop_assert!(table.pointer(place).is_some(), "{fault:?} {table}");
            }
        }
    }
}

#[test]
fn a_hook_shows_its_settings_without_secrets() {
    let table = json!({ "types": ["a.*"], "sink": { "kind": "stub", "url": "stub:", "secret": "open sesame" } });
    let hook = HookSettings::read(table).unwrap().into_hook(HookId::new("a").unwrap()).unwrap();
    let shown: Json = serde_json::from_str(hook.settings.as_deref().unwrap()).unwrap();
    assert_eq!(shown["sink"], json!({ "kind": "stub", "url": "stub:" }));
    assert_eq!(shown["types"], json!(["a.*"]));
}

#[test]
fn strangers_may_set_what_is_marked_within_limits() {
    let read = |strangers: Strangers, table| said(HookReader::new().for_strangers(strangers).read(Draft::new(table)));
    let hook = with_sink(json!({ "url": "stub:" }));
    let [(pointer, message)] = &read(Strangers::with_sinks(["other"]), hook.clone())[..] else { panic!() };
    assert_eq!(pointer, "/sink/kind");
    assert_eq!(message, "sink: kind `stub` is for the operator's own hooks only; allowed here: `other`");
    // No option of the stub is marked.
    let said = read(Strangers::with_sinks(["stub"]), hook);
    let [(pointer, message)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(pointer, "/sink/url");
    assert!(message.contains("may be set by the operator only"), "{message}");
    let lanes = json!({ "lanes": 1_000, "sink": { "kind": "stub" } });
    let said = read(Strangers::with_sinks(["stub"]), lanes);
    assert!(said.iter().any(|(pointer, message)| pointer == "/lanes" && message.contains("1000")), "{said:?}");
}
