//! Both ways of reading a hook take the same tables, and make the same of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::test_runner::TestRunner;

use super::*;

/// A sink with the default limits of a batch, some of whose options strangers may set.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct MarkedConfig {
    #[schemars(extend("x-untrusted" = true))]
    url: String,
    #[schemars(extend("x-untrusted" = true))]
    secret: Option<Secret>,
    #[serde(default)]
    #[schemars(extend("x-untrusted" = true))]
    headers: BTreeMap<String, String>,
    #[schemars(extend("x-untrusted" = true))]
    tls: Option<Tls>,
    file: Option<String>,
}

impl SinkConfig for MarkedConfig {
    const KIND: &'static str = "marked";
    type Sink = Nowhere;

    fn build(&self, _: &SinkContext) -> Result<Nowhere, BoxError> {
        let _ = (&self.headers, &self.tls, &self.file);
        Ok(Nowhere)
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        let is_wrong = self.url.is_empty() || self.secret.as_ref().is_some_and(|secret| secret.expose().is_empty());
        is_wrong.then(|| ConfigProblem::new("url", "is nowhere")).into_iter().collect()
    }
}

inventory::submit! { SinkPlugin::of::<MarkedConfig>() }

/// Values of options, right ones and wrong ones.
fn options() -> Vec<(&'static str, Vec<Json>)> {
    vec![
        ("types", vec![json!(["a.*"]), json!(["a", "b.*"]), json!([]), json!([""]), json!("a")]),
        ("subjects_except", vec![json!(["s"]), json!(["*"]), json!(["a", 1])]),
        ("sources", vec![json!(["/a*"]), json!([""]), json!({})]),
        (
            "attributes",
            vec![
                json!({ "x": ["a*", ""] }),
                json!({}),
                json!({ "x": [] }),
                json!({ "x": "a" }),
                json!({ "Up": ["a"] }),
                json!({ "tenant": ["other"] }),
                json!([]),
            ],
        ),
        ("attributes_except", vec![json!({ "x": ["a"], "y": ["b"] }), json!({ "type": ["a"] }), json!({ "x": [1] })]),
        (
            "data",
            vec![json!({ "a": [1] }), json!({ "a": [{ "prefix": "x" }] }), json!({ "a": 1 }), json!({}), json!([])],
        ),
        ("tenant", vec![json!("acme"), json!("initech"), json!("not legal"), Json::Null]),
        ("metadata", vec![json!({ "env": "p" }), json!({ "n": 1, "b": true }), json!({ "A": 1 }), json!([])]),
        (
            "batch",
            vec![json!({}), json!({ "max_events": 7 }), json!({ "max_age": "2s" }), json!([1]), json!({ "x": 1 })],
        ),
        ("retry", vec![json!({ "max": "1h" }), json!({ "initial": "2s" }), json!({ "initial": 2 }), json!(["1s"])]),
        ("warn_after", vec![json!("1m"), json!("0s"), json!(5)]),
        ("rate_limit", vec![json!({ "requests": "5/s" }), json!({}), json!({ "events": "many" })]),
        ("queue", vec![json!({ "max_events": 5000 }), json!({ "max_events": 1 }), json!({ "overflow": "block" })]),
        ("lanes", vec![json!(1), json!(4), json!(64), json!(0), json!(5000)]),
        ("enabled", vec![json!(true), json!(false), json!("yes")]),
        ("from", vec![json!("earliest"), json!("2h"), json!("never")]),
        ("typo", vec![json!(1)]),
    ]
}

fn options_of_sink() -> Vec<(&'static str, Vec<Json>)> {
    vec![
        ("secret", vec![json!("open sesame"), json!("s"), json!(""), json!(1), Json::Null]),
        ("headers", vec![json!({}), json!({ "a": "b", "c": "" }), json!({ "a": 1 }), json!(["a"])]),
        ("tls", vec![json!({ "verify": true }), Json::Null, json!({ "verify": 1 }), json!([true]), json!({ "x": 1 })]),
        ("file", vec![json!("/etc/key"), Json::Null]),
        ("typo", vec![json!("open sesame")]),
    ]
}

/// A table with some of these options. The values in front are the right ones, and are taken more often.
fn some(options: Vec<(&'static str, Vec<Json>)>) -> impl Strategy<Value = Json> {
    let chosen = options.into_iter().map(|(name, values)| {
        let value = prop_oneof![12 => Just(0), 3 => Just(1), 1 => 0..values.len()];
        let value = value.prop_map(move |at| (name.to_owned(), values[at.min(values.len() - 1)].clone()));
        let is_set = if name == "typo" { 0.02 } else { 0.3 };
        prop::option::weighted(is_set, value)
    });
    chosen.collect::<Vec<_>>().prop_map(|chosen| chosen.into_iter().flatten().collect())
}

fn any_hook() -> impl Strategy<Value = Json> {
    let kind = prop_oneof![9 => Just(json!("marked")), 3 => Just(json!("stub")), 1 => any_json()];
    let url = prop_oneof![9 => Just(json!("stub:x")), 1 => any_json()];
    let hook = (some(options()), some(options_of_sink()), kind, url).prop_map(|(mut hook, mut sink, kind, url)| {
        (sink["kind"], sink["url"]) = (kind, url);
        hook["sink"] = sink;
        hook
    });
    prop_oneof![20 => hook, 1 => any_json(), 1 => any_json().prop_map(|sink| json!({ "sink": sink }))]
}

/// Everything that a hook's settings hold, and what is shown of them.
fn all_of(settings: &HookSettings) -> String {
    let secrets: Vec<_> = settings.sink.factory.secrets().iter().map(|secret| secret.expose().to_owned()).collect();
    format!("{:?} {:?} {secrets:?} {}", settings.options, settings.sink, serde_json::to_value(settings).unwrap())
}

#[test]
fn what_is_sound_is_read_the_same_either_way() {
    let log = BusTraits { keeps_events: true, ..BusTraits::default() };
    let mut fixed = Strangers::with_sinks(["marked"]);
    fixed.sinks.insert("marked".to_owned(), json!({ "file": "/operators" }).as_object().cloned().unwrap());
    let readers = [
        HookReader::new(),
        HookReader::new().on_any_bus().beside(&["id"]),
        HookReader::new().on_bus("log", log),
        HookReader::new().on_bus("log", log).for_strangers(Strangers::with_sinks(["marked", "other"])),
        HookReader::new().for_strangers(fixed),
    ];
    let (sound, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let compare = |table: Json| {
        for (number, reader) in readers.iter().enumerate() {
            let short = reader.read_sound(&Draft::new(table.clone()));
            let thorough = reader.read_thoroughly(Draft::new(table.clone()));
            (if thorough.is_ok() { &sound } else { &wrong }).fetch_add(1, Ordering::Relaxed);
            let (short, thorough) = (short.as_ref().map(all_of), thorough.as_ref().ok().map(all_of));
            prop_assert_eq!(short, thorough, "reader {}", number);
        }
        Ok(())
    };
    TestRunner::new(ProptestConfig::with_cases(500)).run(&any_hook(), compare).unwrap();
    // Both are common.
    let (sound, wrong) = (sound.into_inner(), wrong.into_inner());
    assert!(sound > 200 && wrong > 200, "{sound} sound, {wrong} wrong");
}
