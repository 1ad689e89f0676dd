//! The index against asking everybody.

mod data;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::routes::MAX_CACHED;
use super::*;

/// Events of two tenants, of one that has no hooks, and of none.
const TENANTS: [&str; 4] = ["", r#","tenant":"acme""#, r#","tenant":7"#, r#","tenant":"nobody""#];

/// A type, a subject, a source, and two extension attributes, one of them once as a number.
type Attributes = (String, Option<String>, String, Option<String>, Option<u8>);

fn attributes() -> impl Strategy<Value = Attributes> {
    let optional = || prop::option::of("[ab.]{1,3}");
    ("[ab.]{1,4}", optional(), "[ab.]{1,3}", optional(), prop::option::of(0..12_u8))
}

fn built((event_type, subject, source, region, number): &Attributes, tenant: &str) -> Envelope {
    let optional =
        |name: &str, value: Option<String>| value.map_or(String::new(), |value| format!(r#","{name}":{value}"#));
    let subject = optional("subject", subject.as_ref().map(|subject| format!("{subject:?}")));
    let region = optional("region", region.as_ref().map(|region| format!("{region:?}")));
    let number = optional("number", number.map(|number| number.to_string()));
    let json = format!(r#"{{"type":"{event_type}","source":"{source}"{subject}{region}{number}{tenant}}}"#);
    Envelope::from_json(json.as_bytes()).unwrap()
}

fn event(event_type: &str, subject: Option<&str>, tenant: &str) -> Envelope {
    built(&(event_type.to_owned(), subject.map(str::to_owned), "s".to_owned(), None, None), tenant)
}

fn of_tenant(filter: Filter, tenant: &str) -> Arc<Filter> {
    Arc::new(filter.tenant(TenantId::new(tenant).unwrap()))
}

fn receivers(index: &Index<usize>, event: &Envelope) -> Vec<usize> {
    let of_tenant = event.tenant().and_then(|tenant| index.route_of_tenant(tenant, event.event_type()));
    let mut found = Vec::new();
    let mut looked_at = Projection::default();
    index.look_at(event, &mut looked_at);
    let routes = [(None, Some(index.route(event.event_type()))), (event.tenant(), of_tenant)];
    for (tenant, route) in routes.into_iter().filter_map(|(tenant, route)| Some((tenant, route?))) {
        found.extend(index.by_data((tenant, &route), event, &looked_at).map(|(_, value)| *value));
        found.extend(route.all.iter().map(|(_, value)| *value));
        let matching = route.some.iter().filter(|(_, _, filter)| filter.matches_rest(event));
        found.extend(matching.map(|(_, value, _)| *value));
    }
    found.extend(index.by_lead(event).into_iter().map(|(_, value)| value));
    found.sort_unstable();
    found
}

fn filter() -> impl Strategy<Value = Filter> {
    let patterns = || prop::collection::vec("[ab.*?]{1,4}", 0..3);
    // Of the newer settings most filters have none.
    let rarely = || prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec("[ab.*?]{1,3}", 1..3)];
    let by_name = || {
        let names = prop::sample::select(vec!["region", "number", "none"]);
        let table = prop::collection::btree_map(names, prop::collection::vec("[ab01*?]{1,2}", 1..3), 0..3);
        prop_oneof![3 => Just(BTreeMap::new()), 1 => table]
    };
    let tenant = prop::sample::select(vec![None, Some("acme"), Some("7")]);
    let lists = (patterns(), patterns(), patterns(), patterns(), rarely(), rarely());
    (lists, by_name(), by_name(), tenant).prop_map(|(lists, attributes, attributes_except, tenant)| {
        let (types, types_except, subjects, subjects_except, sources, sources_except) = lists;
        let filter = Filter::types(types).except_types(types_except).subjects(subjects);
        let filter = filter.except_subjects(subjects_except).sources(sources).except_sources(sources_except);
        let filter = attributes.into_iter().fold(filter, |filter, (name, list)| filter.attribute(name, list));
        let excepted = |filter: Filter, (name, list)| filter.except_attribute(name, list);
        let filter = attributes_except.into_iter().fold(filter, excepted);
        filter.tenant(tenant.map(|tenant| TenantId::new(tenant).unwrap()))
    })
}

proptest! {
    /// The index finds exactly the subscribers whose filters match, while subscribers come and go.
    #[test]
    fn finds_whom_asking_everybody_finds(
        steps in prop::collection::vec((filter(), any::<prop::sample::Index>(), any::<bool>()), 1..30),
        events in prop::collection::vec((attributes(), 0..4_usize), 1..20),
    ) {
        let mut index = Index::new();
        let mut known: Vec<(Slot, usize, Arc<Filter>)> = Vec::new();
        for (number, (filter, pick, remove)) in steps.into_iter().enumerate() {
            let filter = Arc::new(filter);
            known.push((index.insert(filter.clone(), number), number, filter));
            if remove {
                let (slot, ..) = known.remove(pick.index(known.len()));
                index.remove(slot);
            }
            for (attributes, tenant) in &events {
                let event = built(attributes, TENANTS[*tenant]);
                let expected: Vec<usize> = known.iter().filter(|(_, _, filter)| filter.matches(&event)).map(|(_, value, _)| *value).collect();
                prop_assert_eq!(receivers(&index, &event), expected);
            }
        }
        for (slot, ..) in known {
            index.remove(slot);
        }
        prop_assert!(index.everybodys.is_empty() && !index.has_tenants() && !index.has_leads());
    }
}

#[test]
fn crowds_are_spread_over_types_and_subjects() {
    let mut index = Index::new();
    for customer in 0..1_000 {
        index.insert(Arc::new(Filter::types(["invoice.*"]).subjects([format!("customer-{customer}")])), customer);
        index.insert(Arc::new(Filter::types([format!("type-{customer}")]).subjects(["shared"])), customer);
    }
    assert_eq!(receivers(&index, &event("invoice.paid", Some("customer-7"), "")), [7]);
    assert_eq!(receivers(&index, &event("type-8", Some("shared"), "")), [8]);
    assert!(index.everybodys.by_type.most() <= 2 && index.everybodys.leads.as_ref().unwrap().most() <= 2);
}

#[test]
fn crowds_are_spread_over_sources_and_extension_attributes() {
    let mut index = Index::new();
    for shop in 0..1_000 {
        index.insert(Arc::new(Filter::types(["order.*"]).sources([format!("/shop-{shop}")])), shop);
        index.insert(Arc::new(Filter::all().attribute("region", [format!("eu-{shop}")])), shop);
    }
    let event = |attributes: &str| Envelope::from_json(format!(r#"{{"type":"order.paid",{attributes}}}"#).as_bytes());
    assert_eq!(receivers(&index, &event(r#""source":"/shop-7""#).unwrap()), [7]);
    assert_eq!(receivers(&index, &event(r#""region":"eu-8""#).unwrap()), [8]);
    assert_eq!(receivers(&index, &event(r#""source":"/shop-9","region":"eu-9""#).unwrap()), [9, 9]);
    assert!(index.everybodys.by_type.most() <= 2 && index.everybodys.leads.as_ref().unwrap().most() <= 2);
}

#[test]
fn a_change_of_one_tenant_leaves_the_routes_of_others() {
    let mut index = Index::new();
    let slots = ["acme", "other"].map(|tenant| index.insert(of_tenant(Filter::all(), tenant), 0));
    index.insert(Arc::new(Filter::all()), 0);
    let (everybodys, acme) = (index.route("a"), index.route_of_tenant("acme", "a").unwrap());
    let weight = index.cache.lock().weight;
    index.route_of_tenant("other", "a").unwrap();
    index.remove(slots[1]);
    assert_eq!(index.cache.lock().weight, weight);
    assert!(index.route_of_tenant("other", "a").is_none());
    assert!(Arc::ptr_eq(&everybodys, &index.route("a")));
    assert!(Arc::ptr_eq(&acme, &index.route_of_tenant("acme", "a").unwrap()));
}

#[test]
fn the_route_cache_is_bounded() {
    let mut index = Index::new();
    let tenants: Vec<String> = (0..10).map(|number| format!("tenant-{number}")).collect();
    index.insert(Arc::new(Filter::all()), 0);
    for tenant in &tenants {
        index.insert(of_tenant(Filter::all(), tenant), 0);
    }
    for number in 0..100_000 {
        let event_type = format!("type-{number}");
        index.route(&event_type);
        index.route_of_tenant(&tenants[number % 10], &event_type);
        assert!(index.cache.lock().weight <= MAX_CACHED);
    }
}
