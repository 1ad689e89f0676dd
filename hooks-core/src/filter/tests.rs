//! Filters against their meaning, asked plainly.

use super::*;
use proptest::prelude::*;

/// The meaning of a glob, written down as plainly as possible.
fn model(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
        Some(('?', rest)) => !text.is_empty() && model(rest, &text[1..]),
        Some((char, rest)) => text.first() == Some(char) && model(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn glob_is_its_model(pattern in "[ab.é*?]{0,8}", text in "[ab.é]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(Pattern::new(pattern.as_str()).matches(&text), model(&chars(&pattern), &chars(&text)));
    }

    /// What a filter selects, asked plainly of each part; and what it says of the others.
    #[test]
    fn a_filter_is_its_model(
        lists in prop::array::uniform6(prop::collection::vec("[ab*?]{1,3}", 0..3)),
        named in prop::array::uniform2(prop::collection::btree_map("[xy]", prop::collection::vec("[ab1*?]{0,3}", 1..3), 0..3)),
        own in prop::option::of("[ab]"),
        (event_type, source) in ("[ab]{1,3}", "[ab]{1,3}"),
        subject in prop::option::of("[ab]{1,3}"),
        extensions in prop::array::uniform2(prop::option::of("[ab1]{0,3}")),
        tenant in prop::option::of("[ab]"),
    ) {
        let [types, types_except, subjects, subjects_except, sources, sources_except] = &lists;
        let filter = Filter::types(types.clone()).except_types(types_except.clone());
        let filter = filter.subjects(subjects.clone()).except_subjects(subjects_except.clone());
        let filter = filter.sources(sources.clone()).except_sources(sources_except.clone());
        let filter = named[0].iter().fold(filter, |filter, (name, list)| filter.attribute(name, list.clone()));
        let filter = named[1].iter().fold(filter, |filter, (name, list)| filter.except_attribute(name, list.clone()));
        let filter = filter.tenant(own.as_deref().map(|own| TenantId::new(own).unwrap()));
        let optional = |name, value: &Option<String>| value.as_ref().map_or(String::new(), |value| format!(r#","{name}":"{value}""#));
        let [x, y] = &extensions;
        let others = [("subject", &subject), ("x", x), ("y", y), ("tenant", &tenant)].map(|(name, value)| optional(name, value));
        let json = format!(r#"{{"type":"{event_type}","source":"{source}"{}}}"#, others.concat());
        let event = Envelope::from_json(json.as_bytes()).unwrap();
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let one_of = |patterns: &[String], text: &str| patterns.iter().any(|pattern| model(&chars(pattern), &chars(text)));
        let fits = |patterns: &[String], except: &[String], text: &Option<String>| match text {
            Some(text) => (patterns.is_empty() || one_of(patterns, text)) && !one_of(except, text),
            None => patterns.is_empty(),
        };
        let by_name = [("x", x), ("y", y)].into_iter().all(|(name, text)| {
            let list = |table: usize| named[table].get(name).map(Vec::as_slice).unwrap_or_default();
            fits(list(0), list(1), text)
        });
        let expected = fits(types, types_except, &Some(event_type)) && fits(subjects, subjects_except, &subject)
            && fits(sources, sources_except, &Some(source)) && by_name && (own.is_none() || own == tenant);
        prop_assert_eq!(filter.matches(&event), expected);
        prop_assert_eq!(filter.mismatch(&event).is_none(), expected);
        let by_parts = filter.matches_type(event.event_type()) && filter.matches_tenant(event.tenant());
        prop_assert_eq!(by_parts && (!filter.has_rest() || filter.matches_rest(&event)), expected);
    }

    /// What one pattern is said to cover, it covers.
    #[test]
    fn a_pattern_covers_no_more_than_it_matches(one in "[ab*?]{0,4}", other in "[ab*?]{0,4}", text in "[ab]{0,4}") {
        let (one, other) = (Pattern::new(one), Pattern::new(other));
        prop_assert!(!one.covers(&other) || !other.matches(&text) || one.matches(&text));
    }

    #[test]
    fn what_matches_begins_with_the_prefix(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
        let pattern = Pattern::new(pattern);
        prop_assert!(!pattern.matches(&text) || text.starts_with(pattern.literal_prefix()));
    }
}

#[test]
fn a_hostile_pattern_takes_no_exponential_time() {
    let pattern = Pattern::new("a*".repeat(200) + "b");
    assert!(!pattern.matches(&"a".repeat(4_000)));
}

#[test]
fn reserved_types_must_be_named() {
    let own = "hooks.endpoint.disabled";
    assert!(!Filter::all().matches_type(own));
    assert!(!Filter::types(["hooks.*"]).matches_type(own));
    assert!(Filter::types([own]).matches_type(own));
    let said = |name: &str| Filter::types([name]).problems().first().map(|problem| problem.to_string());
    assert_eq!(said(own), None);
    for (wrong, meant) in [
        ("hooks.endpoint.disabeld", own),
        ("hooks.Endpoint.Disabled", own),
        ("hooks.dead_letter.create", "hooks.dead_letter.created"),
    ] {
        assert!(said(wrong).unwrap().ends_with(&format!("; did you mean `{meant}`?")), "{wrong}");
    }
    for strange in ["hooks.x", "hooks.endpoint.*", "hooks.endpoint.hel?"] {
        assert!(!said(strange).unwrap().contains("did you mean"), "{strange}");
    }
}

#[test]
fn subjects() {
    let filter = Filter::all().subjects(["octo-org/*"]).except_subjects(["octo-org/secret"]);
    assert!(filter.matches_subject(Some("octo-org/repo")));
    assert!(!filter.matches_subject(Some("octo-org/secret")));
    assert!(!filter.matches_subject(Some("other/repo")));
    assert!(!filter.matches_subject(None));
    assert!(Filter::all().except_subjects(["a"]).matches_subject(None));
}

#[test]
fn what_keeps_an_event_away_is_named_by_its_setting() {
    let event = |json: &str| Envelope::from_json(json.as_bytes()).unwrap();
    let filter = Filter::types(["a.*"]).except_types(["a.b"]).subjects(["eu/*"]).except_subjects(["eu/x"]);
    let filter = filter.sources(["/shop/*"]).except_sources(["/shop/test"]);
    let filter = filter.attribute("region", ["eu-*"]).except_attribute("stage", ["test", "1"]);
    let data = EventPattern::new(&serde_json::json!({ "n": { "x/y": [1, { "exists": false }] } })).unwrap();
    let filter = filter.tenant(TenantId::new("acme").unwrap()).data(data);
    let good = r#"{"type":"a.c","subject":"eu/1","tenant":"acme","source":"/shop/1","region":"eu-1"}"#;
    for (from, to, part) in [
        ("", "", None),
        ("acme", "other", Some("`tenant`")),
        ("a.c", "b", Some("`types`")),
        ("a.c", "a.b", Some("`types_except`")),
        (r#""subject":"eu/1","#, "", Some("`subjects`")),
        ("eu/1", "us/1", Some("`subjects`")),
        ("eu/1", "eu/x", Some("`subjects_except`")),
        ("/shop/1", "/1", Some("`sources`")),
        ("/shop/1", "/shop/test", Some("`sources_except`")),
        (r#","region":"eu-1""#, "", Some("`attributes.region`")),
        (r#""eu-1""#, "null", Some("`attributes.region`")),
        ("eu-1", "us-1", Some("`attributes.region`")),
        ("eu-1", r"\u0065u\u002d1", None),
        ("}", r#","stage":"live"}"#, None),
        ("}", r#","stage":"test"}"#, Some("`attributes_except.stage`")),
        ("}", r#","stage":1.0}"#, Some("`attributes_except.stage`")),
        ("}", r#","data":{"n":{"x/y":1}}}"#, None),
        ("}", r#","data":{"n":{"x/y":2}}}"#, Some("`data` (at `/n/x~1y`)")),
    ] {
        let json = good.replacen(from, to, 1);
        let event = event(&json);
        let found = filter.mismatch(&event).map(|mismatch| mismatch.to_string());
        assert_eq!((found.as_deref(), filter.matches(&event)), (part, part.is_none()), "{json}");
    }
}

#[test]
fn what_is_in_no_single_element_and_in_no_branch_is_said_so() {
    let said = |pattern: serde_json::Value, data: &str| {
        let event = Envelope::from_json(format!(r#"{{"type":"a","data":{data}}}"#).as_bytes()).unwrap();
        let mismatch = Filter::all().data(EventPattern::new(&pattern).unwrap()).mismatch(&event).unwrap();
        (mismatch.to_string(), serde_json::to_value(&mismatch).unwrap())
    };
    let of = |text: &str, json: serde_json::Value| (text.to_owned(), json);
    let apart = serde_json::json!({ "items": { "a": [1], "b": [2], "c": [3] } });
    assert_eq!(
        said(apart.clone(), r#"{"items":[{"a":1,"b":2},{"b":2,"c":3},{"a":1,"c":3}]}"#),
        of(
            "`data` (no single element of an array matches at `/items/a`, `/items/b` and `/items/c`)",
            serde_json::json!({ "setting": "data", "pointer": "/items/c", "together": ["/items/a", "/items/b", "/items/c"] })
        )
    );
    let either = serde_json::json!({ "$or": [{ "n": [1] }, apart, { "m": [1] }] });
    assert_eq!(
        said(either.clone(), "{}"),
        of(
            "`data` (none of the 3 branches of `$or` matches; the nearest one fails at `/n`)",
            serde_json::json!({ "setting": "data", "pointer": "/n", "branches": 3 })
        )
    );
    assert_eq!(
        said(either, r#"{"items":[{"a":1},{"b":2}]}"#).0,
        "`data` (none of the 3 branches of `$or` matches; in the nearest one no single element of an array matches at `/items/a` and `/items/b`)"
    );
}

#[test]
fn patterns_of_no_attribute_and_of_other_tenants_are_problems() {
    let said = |filter: Filter| filter.problems().into_iter().map(|problem| problem.to_string()).collect::<Vec<_>>();
    let acme = Filter::all().tenant(TenantId::new("acme").unwrap());
    assert_eq!(said(acme.clone().attribute("tenant", ["ac*"]).attribute("region", [""])), [""; 0]);
    for (filter, text) in [
        (
            Filter::all().attribute("source", ["a"]),
            "attributes.source: `source` is no extension attribute: the setting `sources` has its patterns",
        ),
        (
            Filter::all().except_attribute("time", ["2*"]),
            "attributes_except.time: `time` is no extension attribute name",
        ),
        (Filter::all().attribute("Region", ["eu"]), "attributes.Region: `Region` is no extension attribute name"),
        (Filter::all().attribute("region", [""; 0]), "attributes.region: an empty list matches nothing"),
        (
            acme.clone().attribute("tenant", ["other"]),
            "attributes.tenant: matches nothing: the hook is the tenant `acme`'s",
        ),
        (acme.except_attribute("tenant", ["a*"]), "attributes_except.tenant: matches nothing"),
    ] {
        let said = said(filter);
        assert!(said.len() == 1 && said[0].starts_with(text), "{said:?}");
    }
}

#[test]
fn patterns_that_nothing_is_left_of_are_warned_of() {
    let said = |filter: Filter| filter.warnings().into_iter().map(|warning| warning.to_string()).collect::<Vec<_>>();
    let fine = Filter::types(["a.*"]).except_types(["a.b"]).except_subjects(["*"]).except_attribute("region", ["*"]);
    assert_eq!(said(fine), [""; 0]);
    for (filter, text) in [
        (
            Filter::types(["b", "a.b"]).except_types(["a.?"]),
            "types[1]: `a.b` matches nothing: the exception `a.?` takes out",
        ),
        (
            Filter::all().sources(["/a/*"]).except_sources(["/*"]),
            "sources[0]: `/a/*` matches nothing: the exception `/*`",
        ),
        (Filter::all().attribute("x", ["a"]).except_attribute("x", ["a"]), "attributes.x[0]: `a` matches nothing"),
        (Filter::all().except_sources(["**"]), "sources_except: takes out every event"),
        (
            Filter::all().attribute("x", ["a\n"]),
            "attributes.x[0]: `a\\n` matches nothing: no attribute has control characters",
        ),
        (Filter::all().except_subjects(["\u{7f}"]), "subjects_except[0]: "),
        (Filter::types(["a.*", " b.*"]), "types[1]: ` b.*` begins or ends with a space, and so must what it matches"),
    ] {
        let said = said(filter);
        assert!(said.len() == 1 && said[0].starts_with(text), "{said:?}");
    }
}
