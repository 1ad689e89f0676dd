//! Subscribers with patterns for `data`.

use std::sync::atomic::{AtomicUsize, Ordering};

use hooks_core::EventPattern;
use hooks_core::serde_json::{Value as Json, json};
use hooks_test::patterns::{self, Random, event_of, pattern_for, pattern_of};
use proptest::test_runner::TestRunner;

use super::*;

fn pattern(json: &Json) -> EventPattern {
    EventPattern::new(json).unwrap()
}

fn of(json: Json) -> Arc<Filter> {
    Arc::new(Filter::all().data(pattern(&json)))
}

fn with_data(event_type: &str, data: &str) -> Envelope {
    Envelope::from_json(format!(r#"{{"type":"{event_type}","data":{data}}}"#).as_bytes()).unwrap()
}

/// The subscribers that the index compares an event with.
fn candidates(index: &Index<usize>, event: &Envelope) -> Vec<Slot> {
    let mut found = Projection::default();
    index.look_at(event, &mut found);
    let mut slots = Vec::new();
    index.everybodys.by_data.as_ref().unwrap().find(&found, &mut slots);
    // However often the event's values lead to the same.
    assert!(slots.len() < 2 * 16_000 + 5_000, "{}", slots.len());
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// The index finds exactly the subscribers whose patterns match, by a plain model of patterns, while subscribers come and go.
#[test]
fn patterns_lead_to_whom_their_model_matches() {
    let (matched, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let compare = |seed: u64| {
        let random = &mut Random::new(seed);
        let events: Vec<_> = (0..4).map(|_| event_of(random)).collect();
        let mut index = Index::new();
        let mut known: Vec<(Slot, usize, Arc<Filter>, Json)> = Vec::new();
        for number in 0..8 {
            let json = if random.once_in(8) {
                pattern_of(random)
            } else {
                pattern_for(&events[random.below(4)].value, random)
            };
            let Ok(pattern) = EventPattern::new(&json) else { continue };
            let filter = some_filter(random).data(pattern);
            let filter = Arc::new(filter);
            known.push((index.insert(filter.clone(), number), number, filter, json));
            if random.once_in(3) {
                let (slot, ..) = known.remove(random.below(known.len()));
                index.remove(slot);
            }
            let made = &events[random.below(4)];
            let tenant = TENANTS[random.below(3)];
            let subject = if random.once_in(2) { r#","subject":"s""# } else { "" };
            let event =
                format!(r#"{{"type":"{}"{subject}{tenant},"data":{}}}"#, ["a", "ab", "b"][random.below(3)], made.text);
            let event = Envelope::from_json(event.as_bytes()).unwrap();
            let expected: Vec<usize> = known
                .iter()
                .filter(|(_, _, filter, json)| {
                    let matches = patterns::matches(json, Some(&made.value));
                    (if matches { &matched } else { &missed }).fetch_add(1, Ordering::Relaxed);
                    matches && filter.matches_but_data(&event)
                })
                .map(|(_, value, ..)| *value)
                .collect();
            prop_assert_eq!(receivers(&index, &event), expected, "{} {:?}", event.json(), known);
        }
        for (slot, ..) in known {
            index.remove(slot);
        }
        prop_assert!(index.everybodys.is_empty() && !index.has_tenants() && index.paths.is_empty());
        Ok(())
    };
    let cases = 2_000.max(ProptestConfig::default().cases);
    let config = ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(cases) };
    TestRunner::new(config).run(&any::<u64>(), compare).unwrap();
    // Both are common.
    let (matched, missed) = (matched.into_inner(), missed.into_inner());
    assert!(matched > 3_000 && missed > 3_000, "{matched} match, {missed} don't");
}

fn some_filter(random: &mut Random) -> Filter {
    let filter = match random.below(5) {
        0 => Filter::types(["a*"]),
        1 => Filter::types(["ab"]),
        2 => Filter::all().except_types(["b"]).subjects(["s"]),
        _ => Filter::all(),
    };
    let tenant = [None, None, Some("acme"), Some("7")][random.below(4)];
    filter.tenant(tenant.map(|tenant| TenantId::new(tenant).unwrap()))
}

#[test]
fn an_event_is_compared_with_those_that_it_may_reach() {
    let mut index = Index::new();
    for number in 0..2_000 {
        index.insert(of(json!({ "customer": [format!("c-{number}")] })), number);
        index.insert(
            of(json!({ "name": [{ "prefix": format!("n-{number}-") }], "kind": [{ "anything-but": "draft" }] })),
            number,
        );
        index.insert(of(json!({ "total": [{ "numeric": [">=", number * 10, "<", number * 10 + 10] }] })), number);
        index.insert(of(json!({ "kind": [{ "anything-but": ["draft", format!("k-{number}")] }] })), number);
        index.insert(of(json!({ "mail": [{ "suffix": format!("@{number}.example") }] })), number);
        index.insert(of(json!({ "path": [{ "wildcard": format!("/{number}/*.png") }] })), number);
        index.insert(
            of(json!({ "address": [{ "cidr": format!("10.{}.{}.0/24", number / 250, number % 250) }] })),
            number,
        );
        index.insert(
            of(json!({ "mark": [{ "exists": false }, { "equals-ignore-case": format!("M{number}") }] })),
            number,
        );
    }
    let data = r#"{"customer":"c-77","name":"n-77-x","kind":"draft","total":779.5,"mail":"a@77.example","path":"/77/a.png","address":"10.1.3.9","mark":"m77"}"#;
    let event = with_data("a", data);
    let found = candidates(&index, &event);
    assert!(found.len() <= 8, "{found:?}");
    assert_eq!(receivers(&index, &event), [77, 77, 77, 77, 77, 253]);
    assert_eq!(candidates(&index, &with_data("a", r#"{"kind":"k-5","mark":""}"#)).len(), 1_999);
    let many = format!(r#"{{"kind":[{}0],"mark":""}}"#, "\"k-5\",\"k-6\",".repeat(500));
    let many = with_data("a", &many);
    assert_eq!(candidates(&index, &many).len(), 16_000, "all, for so many were found");
    assert_eq!(receivers(&index, &many).len(), 2_000);
}

#[test]
fn data_is_looked_at_where_a_pattern_may_match() {
    let mut index = Index::new();
    let data = Filter::all().data(pattern(&json!({ "a": [1] })));
    let types = |types: &[&str], except: &[&str]| {
        Arc::new(Filter { rare: data.rare.clone(), ..Filter::types(types.to_vec()) }.except_types(except.to_vec()))
    };
    let slots = [
        index.insert(types(&["order.*"], &["order.draft"]), 0),
        index.insert(types(&["order.*"], &["order.draft"]), 1),
        index.insert(Arc::new(data.clone().tenant(TenantId::new("acme").unwrap())), 2),
    ];
    let looks = |index: &Index<usize>, event_type: &str| index.route(event_type).looks_at_data();
    assert!(looks(&index, "order.paid") && !looks(&index, "order.draft") && !looks(&index, "invoice.paid"));
    assert!(!looks(&index, "hooks.endpoint.held"));
    assert!(index.route_of_tenant("acme", "invoice.paid").unwrap().looks_at_data());
    index.remove(slots[0]);
    assert!(looks(&index, "order.paid"));
    index.remove(slots[1]);
    assert!(!looks(&index, "order.paid"));
}

#[test]
fn crowds_are_spread_over_types_and_data() {
    let mut index = Index::new();
    let with = |types: &str, json: Json| Arc::new(Filter { rare: of(json).rare.clone(), ..Filter::types([types]) });
    let broad = json!({ "status": [{ "anything-but": "draft" }] });
    for number in 0..1_000 {
        index.insert(with("order.*", json!({ "customer": [number] })), number);
        index.insert(with(&format!("type-{number}"), json!({ "status": ["paid"] })), number);
        index.insert(with(&format!("broad-{number}"), broad.clone()), number);
    }
    let paid = r#"{"status":"paid","customer":7}"#;
    assert_eq!(receivers(&index, &with_data("order.paid", paid)), [7]);
    assert_eq!(receivers(&index, &with_data("type-8", paid)), [8]);
    assert_eq!(receivers(&index, &with_data("broad-9", paid)), [9]);
    assert!(candidates(&index, &with_data("order.paid", paid)).len() <= 4);
    assert!(index.everybodys.by_type.most() <= 4, "{}", index.everybodys.by_type.most());
}
