//! Reading the past, against a plain list.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::bus::{PastFilter, PastOrder, PastPage, PastQuery};
use hooks_core::{Bus, ByteSize, Filter, HumanDuration, Position, SliceBuilder, TenantId};
use hooks_test::block_on;
use proptest::prelude::*;

use super::sim::SimDisk;
use super::{End, TUNING, config, gone, slice};
use crate::durable::DurableBus;
use crate::durable::disk::Disk as _;
use crate::durable::format::segment_name;
use crate::durable::hold::Hold;
use crate::durable::retention::Reclaim;
use crate::durable::tuning::Tuning;

/// The clock of the property, which nothing else has.
static NOW: AtomicU64 = AtomicU64::new(1_000_000);

fn now() -> u64 {
    NOW.load(Ordering::Relaxed)
}

fn open(disk: &SimDisk) -> DurableBus {
    let mut config = config();
    // Few ids, many events.
    config.duplicate_window = HumanDuration::default();
    config.retain = HumanDuration::new(Duration::from_secs(1_000));
    config.segment_size = ByteSize::new(8 << 10);
    let tuning = Tuning { clock: now, steady: now, ..TUNING };
    DurableBus::on(Arc::new(disk.clone()), &config, tuning, Hold::UntilPublished).unwrap()
}

/// What happens to a log.
#[derive(Debug, Clone)]
enum Step {
    /// Events are published together: kind and length of each.
    Publish(Vec<(usize, usize)>),
    Wait(u64),
    Restart,
    /// The oldest file goes.
    Reclaim,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((0usize..24, 0usize..900), 1..12).prop_map(Step::Publish),
        2 => (0u64..40).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Reclaim),
    ]
}

fn event((kind, length): (usize, usize)) -> String {
    let tenant = ["", r#","tenant":"acme""#, r#","tenant":"a\u0063me""#][kind / 8];
    let (id, source) = (["1", "2", r"\u0031", "é"][kind % 4], ["/a", "\\/b"][kind / 4 % 2]);
    let (event_type, data) = (["paid", "sent", "lost"][kind % 3], "x".repeat(length));
    format!(
        r#"{{"specversion":"1.0","id":"{id}","time":"2026-11-23T10:00:00Z","source":"{source}"{tenant},"type":"invoice.{event_type}","data":"{data}"}}"#
    )
}

/// A log, and a plain list of what is in it: position, time and text of each event.
struct Both {
    disk: SimDisk,
    bus: Option<DurableBus>,
    list: Vec<(u64, u64, String)>,
}

impl Both {
    fn new() -> Self {
        let disk = SimDisk::default();
        Self { bus: Some(open(&disk)), disk, list: Vec::new() }
    }

    fn bus(&self) -> &DurableBus {
        self.bus.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Publish(events) => {
                let mut slice = SliceBuilder::new("/");
                for event in events.iter().copied().map(event) {
                    slice.push_json(event.as_bytes()).unwrap();
                    let position = self.list.last().map_or(0, |(last, ..)| last + 1);
                    self.list.push((position, now(), event));
                }
                block_on(self.bus().publish(slice.finish())).unwrap();
            }
            Step::Wait(seconds) => {
                NOW.fetch_add(*seconds, Ordering::Relaxed);
            }
            Step::Restart => {
                self.bus.take().into_iter().for_each(gone);
                self.bus = Some(open(&self.disk));
            }
            Step::Reclaim => {
                self.bus().all_subscribed();
                self.bus().0.inner.reclaim(Reclaim::One).unwrap();
            }
        }
    }

    /// What is still there of what the query wants, oldest first.
    fn wanted(&self, query: &PastQuery) -> Vec<(u64, u64, String)> {
        let begin = self.bus().0.inner.storage.log.begin();
        let is_wanted = |(position, accepted, text): &&(u64, u64, String)| {
            let envelope = hooks_core::Envelope::from_json(text.as_bytes()).unwrap();
            *position >= begin.max(query.from.get())
                && query.to.is_none_or(|to| *position < to.get())
                && query.wants_time(at(*accepted))
                && query.filter.matches(&envelope)
        };
        self.list.iter().filter(is_wanted).cloned().collect()
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn read(bus: &DurableBus, query: &PastQuery) -> PastPage {
    block_on(bus.past().unwrap().read(query)).unwrap()
}

fn plain(page: &PastPage) -> Vec<(u64, u64, String)> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let events = page.events.iter();
    events.map(|event| (event.position.get(), seconds(event.accepted), event.envelope.json().to_owned())).collect()
}

/// Positions and times are parts of the log of 100.
fn query() -> impl Strategy<Value = (PastQuery, [u64; 4])> {
    let patterns = |globs: &'static [&'static str]| {
        prop::collection::vec(prop::sample::select(globs).prop_map(hooks_core::Pattern::from), 0..2)
    };
    let filter = (
        prop::collection::btree_set(prop::sample::select(&["1", "2", "é", "x"][..]).prop_map(str::to_owned), 0..2),
        patterns(&["/a", "/b", "/*", "*b"]),
        patterns(&["invoice.paid", "*.sent", "invoice.*", "x"]),
        prop::option::of(Just(TenantId::new("acme").unwrap())),
    );
    let filter = filter.prop_map(|(ids, sources, types, tenant)| {
        PastFilter::default().ids(ids).sources(sources).types(types).tenant(tenant)
    });
    let bounds = (
        1usize..9,
        prop::sample::select(&[1usize, 900, 1 << 20][..]),
        prop::sample::select(&[1u64, 9_000, 1 << 30][..]),
    );
    let order = prop::sample::select(&[PastOrder::NewestFirst, PastOrder::OldestFirst][..]);
    (filter, bounds, order, prop::array::uniform4(0u64..200)).prop_map(
        |(filter, (events, bytes, scanned), order, parts)| {
            let query = PastQuery::default().filter(filter).order(order);
            (query.max_events(events).max_bytes(bytes).max_scanned(scanned), parts)
        },
    )
}

/// Bounds the query; parts from 100 on bound nothing.
fn bounded(query: PastQuery, [from, to, since, until]: [u64; 4], both: &Both, begun: u64) -> PastQuery {
    let (events, seconds) = (both.list.len() as u64, now() - begun + 2);
    let part = |part: u64, of: u64| Some(of * part / 100).filter(|_| part < 100);
    let query = query.from(Position::new(part(from, events).unwrap_or(0))).to(part(to, events).map(Position::new));
    let time = |of: u64| part(of, seconds).map(|after| at(begun + after));
    query.since(time(since)).until(time(until))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_of_the_past_are_those_of_a_list(
        steps in prop::collection::vec(step(), 1..40),
        queries in prop::collection::vec((query(), prop::collection::vec(step(), 0..4)), 1..10),
    ) {
        let begun = now();
        let mut both = Both::new();
        steps.iter().for_each(|step| both.step(step));
        for ((query, parts), meanwhile) in queries {
            let query = bounded(query, parts, &both, begun);
            let before = both.wanted(&query);
            let (mut found, mut next, mut meanwhile) = (Vec::new(), Some(query.clone()), meanwhile.iter());
            while let Some(query) = next {
                let page = read(both.bus(), &query);
                let bytes: usize = page.events.iter().map(|event| event.envelope.len()).sum();
                prop_assert!(page.events.len() <= query.max_events && page.unreadable.is_empty());
                prop_assert!(page.events.len() <= 1 || bytes <= query.max_bytes);
                prop_assert!(page.scanned <= query.max_scanned.saturating_add(3 * (8 << 10)), "{}", page.scanned);
                found.extend(plain(&page));
                next = query.next(&page);
                meanwhile.next().into_iter().for_each(|step| both.step(step));
            }
            if query.order == PastOrder::NewestFirst {
                found.reverse();
            }
            // Events that went meanwhile may be missing, and those that came may be there.
            let after = both.wanted(&query);
            prop_assert!(found.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert!(found.iter().all(|event| before.contains(event) || after.contains(event)), "{found:?}");
            let stays = before.iter().filter(|event| after.contains(event));
            let missing: Vec<_> = stays.filter(|event| !found.contains(event)).collect();
            prop_assert!(missing.is_empty(), "{query:?} lacks {missing:?}");
        }
        both.bus.take().into_iter().for_each(gone);
    }
}

/// Damage in the middle of a file costs the events there, in both orders, and is said.
#[test]
fn what_is_damaged_is_named_and_the_rest_is_read() {
    let disk = SimDisk::default();
    let bus = super::open(&disk).unwrap();
    block_on(bus.publish(slice(0..10))).unwrap();
    block_on(bus.publish(slice(10..12))).unwrap();
    gone(bus);
    let file = disk.open(&segment_name(0)).unwrap();
    let (mut text, needle) = (vec![0; 4 << 10], br#""id":"4""#);
    let length = file.read_at(&mut text, 0).unwrap();
    let place = text[..length].windows(needle.len()).position(|part| part == needle).unwrap();
    file.write_at(b"?", place as u64).unwrap();
    let bus = super::open(&disk).unwrap();
    for order in [PastOrder::NewestFirst, PastOrder::OldestFirst] {
        let mut found: Vec<u64> = Vec::new();
        let mut unreadable = Vec::new();
        let mut next = Some(PastQuery::default().order(order).max_events(3));
        while let Some(query) = next {
            let page = read(&bus, &query);
            found.extend(page.events.iter().map(|event| event.position.get()));
            unreadable.extend(page.unreadable.clone());
            next = query.next(&page);
        }
        found.sort_unstable();
        unreadable.dedup();
        assert_eq!(found, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11], "{order:?}");
        assert_eq!(unreadable, [4..=4], "{order:?}");
    }
    assert_eq!(bus.monitor().stats().log_is_damaged, Some(true));
    gone(bus);
}

/// What hooks have not settled, too; and one more look than may wait is refused at once.
#[test]
fn looks_take_turns_and_too_many_are_refused() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = super::open(&disk).unwrap();
        let end = End::new(&bus, "slow", Filter::all()).await;
        bus.publish(slice(0..5)).await.unwrap();
        let places: Vec<_> = std::iter::from_fn(|| bus.0.inner.places.place_to_look()).collect();
        let refused = bus.past().unwrap().read(&PastQuery::default()).await.unwrap_err().to_string();
        assert!(refused.contains("made again later"), "{refused}");
        drop(places);
        let page = bus.past().unwrap().read(&PastQuery::default().at(Position::new(2))).await.unwrap();
        assert_eq!(plain(&page).iter().map(|event| event.0).collect::<Vec<_>>(), [2]);
        assert!(page.next.is_none() && page.end == Position::new(5));
        drop(end);
        gone(bus);
    });
}

/// Reads all pages, and returns their positions.
fn positions(bus: &DurableBus, query: &PastQuery) -> Vec<u64> {
    let (mut found, mut next) = (Vec::new(), Some(query.clone()));
    while let Some(query) = next {
        let page = read(bus, &query);
        assert!(page.unreadable.is_empty());
        found.extend(page.events.iter().map(|event| event.position.get()));
        next = query.next(&page);
    }
    found
}

/// With the places of some of its records in memory, as the writer leaves them, and without any, after a restart.
#[test]
fn large_files_are_read_from_mark_to_mark_in_both_orders() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let clock: fn() -> u64 = || NOW.load(Ordering::Relaxed);
    NOW.store(5_000, Ordering::Relaxed);
    let disk = SimDisk::default();
    let open = || {
        let mut config = config();
        config.segment_size = ByteSize::new(3 << 20);
        let tuning = Tuning { clock, steady: clock, ..TUNING };
        DurableBus::on(Arc::new(disk.clone()), &config, tuning, Hold::Always).unwrap()
    };
    let mut bus = open();
    // One longer than a piece that is read at a time.
    let length = |number: usize| if number == 200 { 600 << 10 } else { 7_000 + number * 13 % 900 };
    for number in 0..450 {
        block_on(bus.publish(hooks_test::thirds([number], length))).unwrap();
        NOW.fetch_add(1, Ordering::Relaxed);
    }
    let query = PastQuery::default().max_bytes(usize::MAX);
    for _ in 0..2 {
        assert!(bus.info().segments.len() > 1);
        for (from, to) in [(0, 450), (3, 449), (199, 201), (201, 340), (355, 356)] {
            for (events, scanned) in [(1_000, u64::MAX), (120, 1)] {
                let query = query.clone().max_events(events).max_scanned(scanned);
                let by_position = query.clone().from(Position::new(from)).to(Some(Position::new(to)));
                let by_time = query.since(Some(at(5_000 + from))).until(Some(at(5_000 + to)));
                for query in [by_position, by_time] {
                    let mut found = positions(&bus, &query.clone().order(PastOrder::OldestFirst));
                    assert_eq!(found, (from..to).collect::<Vec<_>>(), "{query:?}");
                    found.reverse();
                    assert_eq!(positions(&bus, &query), found, "{query:?}");
                }
            }
        }
        gone(bus);
        bus = open();
    }
    gone(bus);
}
