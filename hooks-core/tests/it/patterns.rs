//! Event patterns: what they match, what is wrong with them, and a plain model of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use hooks_core::EventPattern;
use hooks_core::event_pattern::{Paths, Projection};
use hooks_test::patterns::{self, Random, event_of, pattern_for};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};

fn pattern(json: Json) -> EventPattern {
    EventPattern::new(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[track_caller]
fn check(json: Json, data: &str, expected: bool) {
    assert_eq!(pattern(json.clone()).matches(Some(data)), expected, "{json} {data}");
}

#[test]
fn all_fields_have_to_match_each_in_one_way() {
    let both = json!({ "a": ["x", "y"], "b": { "c": [1] } });
    check(both.clone(), r#"{"a":"y","b":{"c":1},"more":{"a":2}}"#, true);
    check(both.clone(), r#"{"a":"y","b":{"c":2}}"#, false);
    check(both, r#"{"a":"y"}"#, false);
}

#[test]
fn values_are_equal_by_their_kind() {
    for (own, data, expected) in [
        (json!("1"), "1", false),
        (json!(1), "\"1\"", false),
        (json!(3), "3.0", true),
        (json!(301.8), "3.018e2", true),
        (json!(301.8), "301.80000000000001", true),
        (json!(0), "-0.0", true),
        (json!(1e300), "1e400", false),
        (json!(true), "true", true),
        (json!(true), "\"true\"", false),
        (json!(null), "null", true),
        (json!(null), "false", false),
        (json!("é/"), r#""\u00e9\/""#, true),
        (json!("10.0.0.1"), "\"10.0.0.01\"", false),
    ] {
        check(json!({ "a": [own] }), &format!("{{\"a\":{data}}}"), expected);
    }
}

#[test]
fn operators_compare_as_their_names_say() {
    for (operator, data, expected) in [
        (json!({ "prefix": "eu-" }), "\"eu-1\"", true),
        (json!({ "prefix": "eu-" }), "\"EU-1\"", false),
        (json!({ "prefix": { "equals-ignore-case": "Eu-" } }), "\"eU-1\"", true),
        (json!({ "prefix": "1" }), "12", false),
        (json!({ "prefix": "" }), "\"\"", true),
        (json!({ "suffix": ".png" }), "\"a.png\"", true),
        (json!({ "suffix": { "equals-ignore-case": ".PNG" } }), "\"a.Png\"", true),
        (json!({ "equals-ignore-case": "GRÖSSE" }), "\"größse\"", false),
        (json!({ "equals-ignore-case": "GRÖSE" }), "\"gröse\"", true),
        (json!({ "wildcard": "*/lib/*" }), "\"/a/lib/b\"", true),
        (json!({ "wildcard": "*/lib/*" }), "\"/a/libs/b\"", false),
        (json!({ "anything-but": "x" }), "\"y\"", true),
        (json!({ "anything-but": "x" }), "\"x\"", false),
        (json!({ "anything-but": "x" }), "null", true),
        (json!({ "anything-but": [1, 2] }), "2.0", false),
        (json!({ "anything-but": [1, 2] }), "\"2\"", true),
        (json!({ "anything-but": { "prefix": ["a", "b"] } }), "\"bc\"", false),
        (json!({ "anything-but": { "suffix": "c" } }), "\"cb\"", true),
        (json!({ "anything-but": { "equals-ignore-case": ["A"] } }), "\"a\"", false),
        (json!({ "anything-but": { "wildcard": "a*c" } }), "\"abc\"", false),
        (json!({ "anything-but": { "wildcard": "a*c" } }), "7", true),
        (json!({ "numeric": [">", 0, "<=", 5] }), "5", true),
        (json!({ "numeric": [">", 0, "<=", 5] }), "0", false),
        (json!({ "numeric": [">", 0] }), "5e-324", true),
        (json!({ "numeric": [">", 0] }), "\"1\"", false),
        (json!({ "numeric": ["=", 3.018e2] }), "301.8", true),
        (json!({ "numeric": ["<", 1e308] }), "-1e999", true),
        (json!({ "numeric": [">=", 1e308] }), "1e999", true),
        (json!({ "cidr": "10.0.0.0/24" }), "\"10.0.0.255\"", true),
        (json!({ "cidr": "10.0.0.0/24" }), "\"::ffff:10.0.0.1\"", false),
        (json!({ "exists": true }), "null", true),
        (json!({ "exists": true }), "{}", false),
        (json!({ "exists": true }), "[]", false),
        (json!({ "exists": false }), "{\"b\":1}", true),
        (json!({ "exists": false }), "[]", true),
        (json!({ "exists": false }), "[1]", false),
    ] {
        check(json!({ "a": [operator] }), &format!("{{\"a\":{data}}}"), expected);
    }
}

#[test]
fn what_belongs_together_is_in_one_element() {
    let events = r#"{"a":[{"x":1,"y":2},{"x":3,"y":4}]}"#;
    check(json!({ "a": { "x": [1], "y": [2] } }), events, true);
    check(json!({ "a": { "x": [1], "y": [4] } }), events, false);
    check(json!({ "a": { "x": [1] }, "$or": [{ "a": { "y": [4] } }, { "b": [1] }] }), events, false);
    check(json!({ "a": { "x": [1] }, "$or": [{ "a": { "y": [2] } }, { "b": [1] }] }), events, true);
    check(json!({ "a": { "x": [7, 3] } }), r#"{"a":[[{"x":1}],[[{"x":3}]]]}"#, true);
    check(json!({ "a": ["x"] }), r#"{"a":["w",["x"]]}"#, true);
    // Values that stand in an array directly belong to each of its elements.
    let mixed = json!({ "a": ["x"], "$or": [{ "a": { "y": [1] } }, { "b": [1] }] });
    check(mixed.clone(), r#"{"a":["x",{"y":1}]}"#, true);
    check(mixed.clone(), r#"{"a":[["x",{"y":1}]]}"#, true);
    check(mixed, r#"{"a":[["x"],{"y":1}]}"#, false);
    let either =
        json!({ "a": { "y": [{ "exists": false }] }, "$or": [{ "a": [{ "anything-but": "z" }] }, { "b": [1] }] });
    check(either.clone(), r#"{"a":["x",{"y":1}]}"#, false);
    check(either, r#"{"a":["x",["x"],{"y":1}]}"#, true);
    check(json!({ "x": [1] }), r#"[{"x":2},{"x":1}]"#, true);
}

#[test]
fn what_is_missing_is_missing_where_the_rest_is() {
    let absent = |name: &str| json!({ name: [{ "exists": false }] });
    let list = r#"{"a":[{"x":1},{"y":2}]}"#;
    check(json!({ "a": absent("x") }), list, false);
    check(json!({ "a": { "x": [{ "exists": false }], "y": [2] } }), list, true);
    check(json!({ "a": { "y": [{ "exists": false }], "x": [1] } }), list, true);
    check(json!({ "a": absent("z") }), list, true);
    check(json!({ "a": { "x": [{ "exists": false }, 1], "y": [{ "exists": false }, 3] } }), list, true);
    check(json!({ "$or": [{ "a": absent("x") }, { "a": absent("y") }] }), list, false);
    let gone = pattern(absent("a"));
    for data in [None, Some("7"), Some("\"a\""), Some("null"), Some("[]"), Some("[1]"), Some("{}")] {
        assert!(gone.matches(data) && !pattern(json!({ "a": [{ "anything-but": "x" }] })).matches(data), "{data:?}");
    }
}

#[test]
fn odd_spellings_of_an_event_change_nothing() {
    check(json!({ "customer": ["x"] }), r#"{"cust\u006fmer":"\u0078"}"#, true);
    check(json!({ "a": [1] }), r#"{"a":1,"a":2}"#, false);
    check(json!({ "a": { "b": [1] } }), r#"{"a":{"b":2},"a":{"c":1},"a":{"b":1}}"#, true);
    check(json!({ "a": { "b": [1] } }), r#"{"a":{"b":1},"a":{}}"#, false);
    check(json!({ "a": [1] }), r#"{"a":1,"a":{}}"#, false);
    check(json!({ "a.b": [1] }), r#"{"a":{"b":1}}"#, false);
    check(json!({ "a": [{ "prefix": "x" }] }), r#"{"a":"x\ud800"}"#, true);
    check(json!({ "a": [{ "anything-but": "x" }] }), r#"{"a":"\udc00"}"#, true);
    check(json!({ "a": [1] }), "\n { \"b\" : { \"c\" : \"}\\\"\" } , \"a\" : 1 } ", true);
    let deep = format!("{{\"a\":{}1{},\"b\":2}}", "[".repeat(100), "]".repeat(100));
    check(json!({ "a": [1], "b": [2] }), &deep, true);
    check(json!({ "b": [2] }), &deep, true);
}

/// Members that come again and again, as no honest event has them.
#[test]
fn repeated_members_take_no_time_squared() {
    let member = |number: usize| format!(r#""{}":{number}"#, ["a", "b"][number % 2]);
    let members: Vec<_> = (0..200_000).map(member).collect();
    let many: Vec<_> = (0..30).map(|number| format!(r#""f{number}":0"#)).collect();
    let fields = (0..30).map(|number| (format!("f{number}"), json!([0])));
    let mut both: serde_json::Map<_, _> = fields.collect();
    both.extend([("a".to_owned(), json!([199_998])), ("b".to_owned(), json!([199_999]))]);
    check(Json::Object(both), &format!("{{{},{}}}", many.join(","), members.join(",")), true);
}

#[test]
fn of_many_members_the_last_of_a_name_counts() {
    for count in 1..20 {
        let names = 0..count;
        let all: serde_json::Map<String, Json> = names.clone().map(|name| (name.to_string(), json!([1]))).collect();
        let all = pattern(Json::Object(all));
        for again in names.clone() {
            let members = |value: u32| names.clone().map(move |name| format!("\"{name}\":{value},"));
            let (right, wrong) = (members(1).collect::<String>(), members(0).collect::<String>());
            assert!(!all.matches(Some(&format!("{{{right}\"{again}\":2}}"))), "{again} of {count}");
            assert!(!all.matches(Some(&format!("{{{right}\"{again}\":{{}}}}"))), "{again} of {count}");
            assert!(all.matches(Some(&format!("{{{wrong}{right}\"{again}\":1}}"))), "{again} of {count}");
        }
    }
}

#[test]
fn a_comparison_without_end_is_a_match() {
    let apart = |number: u32| json!({ "a": [{ "anything-but": [number] }], "b": [{ "anything-but": [number] }] });
    let pattern = pattern(json!({ "$or": (0..30).map(apart).collect::<Vec<_>>() }));
    let event = |pairs: usize| format!("[{}{{}}]", r#"{"a":99},{"b":99},"#.repeat(pairs));
    assert!(!pattern.matches(Some(&event(300))));
    assert!(pattern.matches(Some(&event(1_000))));
    assert_eq!(pattern.mismatch(Some(&event(300))).unwrap().pointer, "/b");
    // What holds nothing is not looked at.
    let empty = format!("[{}]", "[[],{},[{\"c\":1}]],".repeat(100_000).trim_end_matches(','));
    assert!(!pattern.matches(Some(&empty)));
}

#[test]
fn the_first_field_that_keeps_an_event_away_is_named() {
    let of = |json: Json, data: &str| pattern(json).mismatch(Some(data)).map(|found| found.pointer);
    let place = |text: &str| Some(text.to_owned());
    let three = json!({ "a": [1], "b": { "c/d": [2] }, "e": [{ "exists": false }] });
    assert_eq!(of(three.clone(), r#"{"a":1,"b":{"c/d":2}}"#), None);
    assert_eq!(of(three.clone(), r#"{"a":1,"b":{"c/d":3},"e":1}"#), place("/b/c~1d"));
    assert_eq!(of(three.clone(), r#"{"a":1,"b":{"c/d":2},"e":1}"#), place("/e"));
    assert_eq!(pattern(three).mismatch(None).map(|found| found.pointer), place("/a"));
    let elements = json!({ "a": { "x": [1], "y": [4] } });
    assert_eq!(of(elements, r#"{"a":[{"x":1,"y":2},{"x":3,"y":4}]}"#), place("/a/y"));
    // By itself, `x` is missing in no way; beside `y` it is.
    let apart = json!({ "a": { "x": [{ "exists": false }], "y": [2], "z": [3] } });
    assert_eq!(of(apart.clone(), r#"{"a":[{"x":1},{"y":2,"z":3}]}"#), None);
    assert_eq!(of(apart, r#"{"a":[{"x":1},{"y":2}]}"#), place("/a/z"));
    let either = json!({ "$or": [{ "a": [1] }, { "b": [2], "c": [3] }] });
    assert_eq!(of(either.clone(), r#"{"b":2}"#), place("/c"));
    assert_eq!(of(either, "{}"), place("/a"));
}

/// The field is there, and says nothing by itself.
#[test]
fn fields_that_no_single_element_matches_are_named_together() {
    let of = |json: &Json, data: &str| {
        let found = pattern(json.clone()).mismatch(Some(data)).unwrap();
        (found.together, found.branches)
    };
    let items = json!({ "id": [1], "items": { "a": [1], "b": [2], "c": [3] } });
    let apart = |data: &str| of(&items, data).0;
    assert_eq!(apart(r#"{"id":1,"items":[{"a":1,"b":2},{"c":3}]}"#), ["/items/b", "/items/c"]);
    // Two of them are together each time, never all three.
    let pairs = r#"{"id":1,"items":[{"a":1,"b":2},{"b":2,"c":3},[{"c":3,"a":1}]]}"#;
    assert_eq!(apart(pairs), ["/items/a", "/items/b", "/items/c"]);
    // Nowhere is `c` what it should be, or no array is there.
    for data in [r#"{"id":1,"items":[{"a":1,"b":2,"c":4},{"c":5}]}"#, r#"{"id":1,"items":{"a":1,"b":2}}"#] {
        assert_eq!(apart(data), [""; 0], "{data}");
    }
    let list = json!({ "a": [1], "b": [{ "exists": false }] });
    assert_eq!(of(&list, r#"[{"a":1,"b":1},{}]"#), (vec![], 1));
    let either = json!({ "$or": [{ "id": [1], "items": { "a": [1], "b": [2] } }, { "x": [1] }, { "y": [1] }] });
    assert_eq!(of(&either, "{}"), (vec![], 3));
    let data = r#"{"id":1,"items":[{"a":1},{"b":2}]}"#;
    assert_eq!(of(&either, data), (vec!["/items/a".to_owned(), "/items/b".to_owned()], 3));
}

#[test]
fn everything_that_is_wrong_is_said_with_its_place() {
    let said = |json: &Json| {
        let faults = EventPattern::new(json).expect_err(&json.to_string()).faults;
        faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect::<Vec<_>>()
    };
    for (json, pointer, words) in [
        (json!([]), "", "expected an object"),
        (json!({}), "", "names no field"),
        (json!({ "a": {} }), "/a", "names no field"),
        (
            json!({ "a": 1 }),
            "/a",
            "expected a list of alternatives, `[…]`, or an object with the fields below it, found a number",
        ),
        (json!({ "a": [] }), "/a", "matches nothing"),
        (json!({ "a": [[1]] }), "/a/0", "write each alternative by itself"),
        (json!({ "a": [{}] }), "/a/0", "expected an operator"),
        (json!({ "a": [{ "prefix": "x", "suffix": "y" }] }), "/a/0", "one object holds one operator"),
        (json!({ "a": [{ "prefx": "x" }] }), "/a/0/prefx", "did you mean `prefix`?"),
        (json!({ "a": [{ "x/y~": 1 }] }), "/a/0/x~1y~0", "unknown operator `x/y~`; known: `prefix`"),
        (json!({ "a": [{ "prefix": 1 }] }), "/a/0/prefix", "expected a string, found a number"),
        (
            json!({ "a": [{ "suffix": { "equals-ignore-case": 1 } }] }),
            "/a/0/suffix/equals-ignore-case",
            "expected a string",
        ),
        (json!({ "a": [{ "suffix": { "prefix": "a" } }] }), "/a/0/suffix", "expected a string, or"),
        (json!({ "a": [{ "wildcard": "a**b" }] }), "/a/0/wildcard", "write a single `*`"),
        (json!({ "a": [{ "wildcard": "a\\b" }] }), "/a/0/wildcard", "backslash"),
        (json!({ "a": [{ "anything-but": [] }] }), "/a/0/anything-but", "found an empty list"),
        (json!({ "a": [{ "anything-but": ["a", 1] }] }), "/a/0/anything-but", "strings alone, or of numbers alone"),
        (json!({ "a": [{ "anything-but": null }] }), "/a/0/anything-but", "found null"),
        (json!({ "a": [{ "anything-but": { "numeric": [">", 1] } }] }), "/a/0/anything-but", "has no opposite here"),
        (
            json!({ "a": [{ "anything-but": { "prefix": ["a", ""] } }] }),
            "/a/0/anything-but/prefix/1",
            "nothing would match",
        ),
        (json!({ "a": [{ "numeric": 5 }] }), "/a/0/numeric", "found a number"),
        (json!({ "a": [{ "numeric": ["<", 5, ">", 0] }] }), "/a/0/numeric", "a lower bound and then an upper one"),
        (json!({ "a": [{ "numeric": [">", "5"] }] }), "/a/0/numeric", "expected `[\">\", 0, \"<=\", 5]`"),
        (json!({ "a": [{ "numeric": ["=", 5, "<", 7] }] }), "/a/0/numeric", "expected `["),
        (json!({ "a": [{ "exists": "no" }] }), "/a/0/exists", "expected true or false"),
        (json!({ "a": [{ "cidr": "10.0.0.0" }] }), "/a/0/cidr", "`10.0.0.0` is no network"),
        (json!({ "or": [{ "a": [1] }, { "b": [1] }] }), "/or", "one is enough stand in `$or`"),
        (json!({ "$or": [{ "a": [1] }] }), "/$or", "two patterns or more, found a list with one entry"),
        (json!({ "$or": { "a": [1] } }), "/$or", "found an object"),
        (json!({ "$or": [{ "a": [1] }, 2] }), "/$or/1", "found a number"),
        (json!({ "$or": [{ "a": [1] }, { "numeric": [">", 2] }] }), "/$or/1/numeric", "is an operator"),
        (json!({ "a": [1], "$or": [{ "a": [2] }, { "b": [1] }] }), "/a", "named twice"),
    ] {
        let faults = said(&json);
        let [(place, message)] = &faults[..] else { panic!("{json}: {faults:?}") };
        assert!(place == pointer && message.contains(words), "{json}: {place}: {message}");
    }
    let several = said(&json!({ "a": 1, "b": { "c": [{ "prefix": 1 }, [2]] }, "$or": [] }));
    let places: Vec<_> = several.iter().map(|(pointer, _)| &**pointer).collect();
    assert_eq!(places, ["/$or", "/a", "/b/c/0/prefix", "/b/c/1"]);
    let group = |name: &str| (0..11).map(|number| json!({ format!("{name}{number}"): [1] })).collect::<Vec<_>>();
    let many = json!({ "$or": group("a"), "x": { "$or": group("b") }, "y": { "$or": group("c") } });
    assert!(said(&many)[0].1.contains("1331 combinations"), "{:?}", said(&many));
    let mut wide: serde_json::Map<_, _> = (0..1_000).map(|name| (name.to_string(), json!([1]))).collect();
    wide.insert("$or".to_owned(), Json::Array(group("a")));
    assert!(said(&Json::Object(wide))[0].1.contains("names 11011 fields"));
    let deep = (0..130).fold(json!([1]), |below, _| json!({ "a": below }));
    assert!(said(&deep)[0].1.contains("deeper than events may be"));
}

#[test]
fn what_is_not_what_it_seems_is_warned_of() {
    let warned = |json: Json| pattern(json).warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        warned(json!({ "a": { "b": [1, { "numeric": [">", 5, "<", 3.5] }] } })),
        ["a.b[1].numeric: matches nothing: no number is > 5 and < 3.5"]
    );
    assert_eq!(warned(json!({ "a": [{ "numeric": [">", 5, "<=", 5] }] })).len(), 1);
    assert_eq!(
        warned(json!({ "total": { "numeric": [">", 5] } })),
        [
            "total.numeric: this is the name of a field here; as an operator it stands in a list: `\"total\": [{ \"numeric\": … }]`"
        ]
    );
    let several = warned(json!({ "$or": [{ "a": [{ "anything-but": "x" }, { "anything-but": "y" }] }, { "b": [1] }] }));
    assert!(several[0].starts_with("$or[0].a: one of several `anything-but` matches nearly always"), "{several:?}");
    let large = warned(json!({ "a": [9_007_199_254_740_993_u64, 9_007_199_254_740_992_u64, 1] }));
    assert!(large.len() == 2 && large[0].starts_with("a[0]: 9007199254740993 is compared as binary64"), "{large:?}");
    assert_eq!(warned(json!({ "a": [1, "x", { "prefix": "y" }, { "numeric": [">=", 5, "<=", 5] }] })), [""; 0]);
}

/// Random patterns agree with their plain model, alone and among others, on events that many of them match.
#[test]
fn patterns_are_their_model() {
    let (matched, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let compare = |seed: u64| {
        let random = &mut Random::new(seed);
        let event = event_of(random);
        let mut paths = Paths::default();
        let patterns: Vec<_> = (0..4)
            .map(|_| pattern_for(&event.value, random))
            .filter_map(|json| Some((EventPattern::new(&json).ok()?, json)))
            .map(|(pattern, json)| (paths.add(&pattern), pattern, json))
            .collect();
        let mut found = Projection::default();
        found.read(&paths, Some(&event.text));
        for (ids, pattern, json) in &patterns {
            let expected = patterns::matches(json, Some(&event.value));
            (if expected { &matched } else { &missed }).fetch_add(1, Ordering::Relaxed);
            prop_assert_eq!(pattern.matches(Some(&event.text)), expected, "{} {}", json, event.text);
            prop_assert_eq!(pattern.matches_in(ids, &found), expected, "among others: {} {}", json, event.text);
            prop_assert_eq!(
                pattern.mismatch(Some(&event.text)).is_none(),
                expected,
                "by its parts: {} {}",
                json,
                event.text
            );
            prop_assert_eq!(pattern.matches(None), patterns::matches(json, None), "{}", json);
        }
        for (ids, pattern, _) in &patterns {
            paths.remove(pattern, ids);
        }
        prop_assert!(paths.is_empty());
        Ok(())
    };
    let config = ProptestConfig {
        max_shrink_iters: 0,
        ..ProptestConfig::with_cases(4_000.max(ProptestConfig::default().cases))
    };
    TestRunner::new(config).run(&any::<u64>(), compare).unwrap();
    // Both are common.
    let (matched, missed) = (matched.into_inner(), missed.into_inner());
    assert!(matched > 3_000 && missed > 3_000, "{matched} match, {missed} don't");
}

proptest! {
    /// Text that is no JSON matches or does not.
    #[test]
    fn any_text_gets_an_answer(text in "[\\[\\]{}\",:a1\\\\u ]{0,40}", seed in any::<u64>()) {
        let random = &mut Random::new(seed);
        for json in [json!({ "a": [1, { "exists": false }], "": { "a": ["a"] } }), patterns::pattern_of(random)] {
            if let Ok(pattern) = EventPattern::new(&json) {
                prop_assert_eq!(pattern.matches(Some(&text)), pattern.mismatch(Some(&text)).is_none());
            }
        }
    }
}
