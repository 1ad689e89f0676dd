//! The history against a plain list: what is recorded is found, in every way, after restarts, crashes and evictions.

mod hanging;
mod power;

use std::path::Path;
use std::time::Duration;

use hooks_core::sink::FailureClass;
use hooks_core::uuid::Uuid;
use hooks_core::{AttemptOutcome, HookId, Phase, TenantId, Trigger};
use parking_lot::Mutex;
use proptest::prelude::*;
use tempfile::TempDir;

use super::query::page;
use super::record::{BatchName, Facts, fuzz_record, put};
use super::report::{AttemptPage, AttemptQuery, AttemptReport};
use super::segment::{self, Chain};
use super::shelf::{Limits, Shelf};

const LOG: Uuid = Uuid::from_u128(7);
const HOOKS: [&str; 3] = ["a", "billing", "rare"];
const TENANTS: [&str; 2] = ["", "acme"];
const OUTCOMES: [AttemptOutcome; 4] =
    [AttemptOutcome::Delivered, AttemptOutcome::Partly, AttemptOutcome::Failed, AttemptOutcome::Skipped];

/// A long time.
const NOW: u64 = 1 << 50;

fn limits(max_bytes: u64) -> Limits {
    Limits { max_bytes, max_age: Duration::from_secs(u64::MAX / 2_000_000) }
}

/// An attempt as a test makes it.
#[derive(Debug, Clone)]
struct Made {
    hook: usize,
    outcome: usize,
    first: u64,
    events: u64,
    took: u64,
    answer: String,
}

impl Made {
    fn facts(&self, number: u64) -> Facts<'_> {
        let outcome = OUTCOMES[self.outcome];
        let mut phases = [None; Phase::ALL.len()];
        phases[self.hook] = Some(self.took);
        Facts {
            number,
            outcome,
            trigger: Trigger::Live,
            class: (outcome == AttemptOutcome::Failed).then_some(FailureClass::Retry),
            began: number.saturating_sub(self.took),
            took: self.took,
            hook: HOOKS[self.hook],
            tenant: TENANTS[self.hook % 2],
            batch: BatchName { uuid: Some(Uuid::from_u128(number.into())), rest: "_0" },
            events: self.events,
            attempt: 1,
            status: (self.hook > 0).then_some(200),
            address: "127.0.0.1:9",
            phases,
            error: "",
            answer: &self.answer,
        }
    }

    /// The frame, with runs of positions that have a gap between them.
    fn frame(&self, number: u64) -> Vec<u8> {
        let mut frame = Vec::new();
        let last = self.first + self.events - 1;
        let refused = (OUTCOMES[self.outcome] == AttemptOutcome::Partly).then_some(self.first);
        put(&mut frame, &self.facts(number), [self.first, last, last + 2, last + 2].into_iter(), refused.into_iter());
        frame
    }

    fn has(&self, position: u64) -> bool {
        let behind = self.first + self.events;
        (self.first..behind).contains(&position) || position == behind + 1
    }

    fn is_delivered(&self) -> bool {
        self.outcome == 0
    }
}

fn made() -> impl Strategy<Value = Made> {
    let events = prop_oneof![1..5u64, 90..110u64, Just(300_000)];
    (0..HOOKS.len(), 0..OUTCOMES.len(), 0..2_000u64, events, 0..50u64, "[a-z]{0,9}")
        .prop_map(|(hook, outcome, first, events, took, answer)| Made { hook, outcome, first, events, took, answer })
}

fn query() -> impl Strategy<Value = AttemptQuery> {
    let time = || prop::option::of(0..400u64);
    (
        prop::option::of(0..HOOKS.len()),
        prop::option::of(0..2_500u64),
        prop::option::of(any::<bool>()),
        (time(), time()),
        any::<bool>(),
        1..9usize,
        any::<bool>(),
    )
        .prop_map(|(hook, position, delivered, (since, until), oldest_first, limit, of_tenant)| AttemptQuery {
            hook: hook.map(|hook| HookId::new(HOOKS[hook]).unwrap()),
            tenant: of_tenant.then(|| TenantId::new("acme").unwrap()),
            position,
            delivered,
            since,
            until,
            after: None,
            oldest_first,
            limit,
        })
}

/// The numbers of all that is found, a page after the other.
fn found(shelf: &Mutex<Shelf>, query: &AttemptQuery) -> Vec<u64> {
    let (mut all, mut query) = (Vec::new(), query.clone());
    loop {
        let AttemptPage { attempts, next, .. } = page(shelf, &query, NOW).unwrap();
        assert!(attempts.len() <= query.limit && (attempts.len() == query.limit || next.is_none()));
        all.extend(attempts.into_iter().map(|attempt| attempt.id));
        match next {
            Some(next) => query.after = Some(next),
            None => return all,
        }
    }
}

fn wanted(list: &[(u64, Made)], query: &AttemptQuery) -> Vec<u64> {
    let fits = |(number, made): &&(u64, Made)| {
        let began = number.saturating_sub(made.took);
        query.hook.as_ref().is_none_or(|hook| hook.as_str() == HOOKS[made.hook])
            && (query.tenant.is_none() || made.hook % 2 == 1)
            && query.position.is_none_or(|position| made.has(position))
            && query.delivered.is_none_or(|delivered| delivered == made.is_delivered())
            && query.since.is_none_or(|since| began >= since)
            && query.until.is_none_or(|until| began <= until)
    };
    let mut numbers: Vec<u64> = list.iter().filter(fits).map(|(number, _)| *number).collect();
    if !query.oldest_first {
        numbers.reverse();
    }
    numbers
}

fn open(folder: &Path, max_bytes: u64) -> Shelf {
    Shelf::open(folder, LOG, limits(max_bytes)).unwrap()
}

/// What happens to a history.
#[derive(Debug, Clone)]
enum Step {
    /// These are written together.
    Write(Vec<Made>),
    /// It is opened anew.
    Restart,
    /// The segments that are written to lose this part of their last record, and it is opened anew.
    Torn(usize),
    /// It is full at this moment, as to the last segment.
    Seal,
    Ask(AttemptQuery),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(made(), 1..20).prop_map(Step::Write),
        1 => Just(Step::Restart),
        1 => (1..200usize).prop_map(Step::Torn),
        1 => Just(Step::Seal),
        4 => query().prop_map(Step::Ask),
    ]
}

/// Cuts bytes off the end of each segment without an index, no more than its last record has.
fn tear(folder: &Path, bytes: usize, list: &mut Vec<(u64, Made)>) {
    for chain in Chain::ALL {
        let Some(last) = segment::list(folder, chain).unwrap().pop() else { continue };
        if segment::index_path(&last).exists() {
            continue;
        }
        let of_chain = |(_, made): &(u64, Made)| made.is_delivered() == (chain == Chain::Delivered);
        let Some(at) = list.iter().rposition(of_chain) else { continue };
        let (number, made) = list.remove(at);
        let cut = bytes.min(made.frame(number).len()) as u64;
        let whole = segment::scan(&std::fs::read(&last).unwrap()).unwrap().summary.length;
        let file = std::fs::File::options().write(true).open(&last).unwrap();
        file.set_len(whole - cut).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn what_is_recorded_is_found_whatever_happens(steps in prop::collection::vec(step(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let mut shelf = Mutex::new(open(folder.path(), 1 << 30));
        let (mut list, mut number) = (Vec::<(u64, Made)>::new(), 0);
        for step in steps {
            match step {
                Step::Write(made) => {
                    let mut frames = Vec::new();
                    for made in made {
                        number += 7;
                        frames.extend(made.frame(number));
                        list.push((number, made));
                    }
                    let (lost, error) = shelf.lock().append(&frames);
                    prop_assert!(lost == 0 && error.is_none());
                }
                Step::Restart | Step::Torn(_) => {
                    drop(shelf);
                    if let Step::Torn(bytes) = step {
                        tear(folder.path(), bytes, &mut list);
                    }
                    shelf = Mutex::new(open(folder.path(), 1 << 30));
                    let newest = list.iter().map(|(number, _)| *number).max().unwrap_or(0);
                    prop_assert_eq!(shelf.lock().newest(), newest);
                }
                Step::Seal => Chain::ALL.into_iter().for_each(|chain| shelf.get_mut().seal(chain).unwrap()),
                Step::Ask(query) => {
                    prop_assert_eq!(found(&shelf, &query), wanted(&list, &query), "{:?}", query);
                    let look = Mutex::new(Shelf::look(folder.path(), LOG, limits(1 << 30)).unwrap());
                    prop_assert_eq!(found(&look, &query), wanted(&list, &query), "looked at: {:?}", query);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_record(&bytes);
        segment::scan(&bytes);
    }

    #[test]
    fn any_change_of_a_record_is_read(made in made(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = made.frame(1 << 40);
        fuzz_record(&frame[8..]);
        let at = at.index(frame.len());
        frame[at] = byte;
        fuzz_record(&frame[8..]);
    }
}

fn one(outcome: usize, answer: &str) -> Made {
    Made { hook: 0, outcome, first: 5, events: 1, took: 3, answer: answer.to_owned() }
}

fn write(shelf: &mut Shelf, made: &[(u64, Made)]) {
    let frames: Vec<u8> = made.iter().flat_map(|(number, made)| made.frame(*number)).collect();
    let (lost, error) = shelf.append(&frames);
    assert!(lost == 0 && error.is_none(), "{error:?}");
}

/// Every length that a crash may leave of a segment.
#[test]
fn a_torn_end_costs_the_torn_record() {
    let folder = tempfile::tempdir().unwrap();
    let made: Vec<_> = (1..=3).map(|number| (number * 10, one(0, "answer"))).collect();
    write(&mut open(folder.path(), 1 << 20), &made);
    let path = segment::list(folder.path(), Chain::Delivered).unwrap().remove(0);
    let (whole, frame) = (std::fs::read(&path).unwrap(), made[0].1.frame(10).len());
    assert_eq!(whole.len(), segment::HEADER + 3 * frame);
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let left = length.saturating_sub(segment::HEADER) / frame;
        let mut shelf = open(folder.path(), 1 << 20);
        write(&mut shelf, &[(99, one(0, "later"))]);
        let mut expected: Vec<u64> = (1..=left as u64).map(|number| number * 10).collect();
        expected.push(99);
        let query = AttemptQuery { oldest_first: true, ..AttemptQuery::default() };
        assert_eq!(found(&Mutex::new(shelf), &query), expected, "{length} bytes");
        segment::list(folder.path(), Chain::Delivered).unwrap().iter().for_each(|path| segment::remove(path).unwrap());
    }
}

/// The bytes of all files of a folder.
fn bytes_of(folder: &TempDir) -> u64 {
    let files = std::fs::read_dir(folder.path()).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn successes_never_push_out_failures_and_disk_is_bounded() {
    const MOST: u64 = 256 << 10;
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = open(folder.path(), MOST);
    write(&mut shelf, &[(1, one(2, "the first failure"))]);
    for number in 2..6_000 {
        write(&mut shelf, &[(number, one(0, &"x".repeat(200)))]);
        assert!(number % 100 != 0 || bytes_of(&folder) <= 2 * MOST, "{}", bytes_of(&folder));
    }
    assert_eq!(bytes_of(&folder), shelf.bytes());
    let shelf = Mutex::new(shelf);
    let failed = AttemptQuery { delivered: Some(false), ..AttemptQuery::default() };
    assert_eq!(found(&shelf, &failed), [1]);
    let all = found(&shelf, &AttemptQuery { limit: 500, ..AttemptQuery::default() });
    assert!(all.len() > 500 && all[0] == 5_999 && all.windows(2).all(|pair| pair[0] > pair[1]), "{}", all.len());
    drop(shelf);
    let smaller = open(folder.path(), MOST / 2);
    assert!(smaller.bytes() <= MOST, "a budget that shrinks holds at once");
}

#[test]
fn what_is_too_old_goes_and_is_not_shown_before() {
    let folder = tempfile::tempdir().unwrap();
    let age = Duration::from_secs(100);
    let mut shelf = Shelf::open(folder.path(), LOG, Limits { max_bytes: 1 << 20, max_age: age }).unwrap();
    let second = 1_000_000;
    write(&mut shelf, &[(second, one(0, "old")), (150 * second, one(0, "new"))]);
    shelf.expire(10 * second).unwrap();
    let mut shelf = Mutex::new(shelf);
    let at = |shelf: &Mutex<Shelf>, now: u64| {
        let page = page(shelf, &AttemptQuery::default(), now * second).unwrap();
        page.attempts.into_iter().map(|attempt| attempt.answer).collect::<Vec<_>>()
    };
    assert_eq!(at(&shelf, 100), ["new", "old"]);
    assert_eq!(at(&shelf, 200), ["new"]);
    shelf.get_mut().expire(300 * second).unwrap();
    assert_eq!(segment::list(folder.path(), Chain::Delivered).unwrap().len(), 0);
    assert_eq!(at(&shelf, 200), [""; 0]);
}

#[test]
fn damage_costs_the_record_that_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = open(folder.path(), 1 << 20);
    let made: Vec<_> = (1..=3).map(|number| (number * 10, one(0, "answer"))).collect();
    write(&mut shelf, &made);
    shelf.seal(Chain::Delivered).unwrap();
    drop(shelf);
    let path = segment::list(folder.path(), Chain::Delivered).unwrap().remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    let frame = made[0].1.frame(10).len();
    bytes[segment::HEADER + frame + frame / 2] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let shelf = Mutex::new(open(folder.path(), 1 << 20));
    let hook = AttemptQuery { hook: Some(HookId::new("a").unwrap()), ..AttemptQuery::default() };
    assert_eq!(found(&shelf, &hook), [30, 10]);
    // Without its index the rest can't be told from what is torn.
    drop(shelf);
    std::fs::write(segment::index_path(&path), "no index").unwrap();
    assert_eq!(found(&Mutex::new(open(folder.path(), 1 << 20)), &hook), [10]);
}

#[test]
fn positions_are_those_of_one_log() {
    let folder = tempfile::tempdir().unwrap();
    write(&mut open(folder.path(), 1 << 20), &[(1, one(0, "of the first"))]);
    let mut shelf = Shelf::open(folder.path(), Uuid::from_u128(8), limits(1 << 20)).unwrap();
    write(&mut shelf, &[(2, one(0, "of the second"))]);
    let shelf = Mutex::new(shelf);
    assert_eq!(found(&shelf, &AttemptQuery { position: Some(5), ..AttemptQuery::default() }), [2]);
    assert_eq!(found(&shelf, &AttemptQuery::default()), [2, 1]);
}

#[test]
fn a_folder_is_written_to_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), 1 << 20);
    let error = Shelf::open(folder.path(), LOG, limits(1 << 20)).unwrap_err();
    assert!(matches!(error, super::HistoryError::InUse(_)), "{error}");
    Shelf::look(folder.path(), LOG, limits(1 << 20)).unwrap();
    drop(first);
    open(folder.path(), 1 << 20);
}

fn reported(id: u64, hook: &str) -> AttemptReport {
    let frame = one(0, "answer").frame(id);
    let report = AttemptReport::of(&super::record::Record::read(&frame[8..]).unwrap()).unwrap();
    AttemptReport { hook: HookId::new(hook).unwrap(), ..report }
}

#[test]
fn pages_of_instances_are_one_page_that_misses_none() {
    let page = |ids: &[u64], of: &str, next| AttemptPage {
        attempts: ids.iter().map(|id| reported(*id, of)).collect(),
        next,
        silent: Vec::new(),
    };
    let query = AttemptQuery { limit: 3, ..AttemptQuery::default() };
    let ids = |page: &AttemptPage| page.attempts.iter().map(|attempt| attempt.id).collect::<Vec<_>>();
    let merged = |pages: Vec<AttemptPage>| {
        let merged = AttemptPage::merge(pages, &query);
        (ids(&merged), merged.next)
    };
    // The first has more below 7, so what the second has there waits.
    assert_eq!(merged(vec![page(&[9, 8, 7], "a", Some(7)), page(&[6, 1], "b", None)]), (vec![9, 8, 7], Some(7)));
    assert_eq!(merged(vec![page(&[9], "a", None), page(&[8, 1], "b", None)]), (vec![9, 8, 1], None));
    assert_eq!(merged(vec![page(&[9], "a", None), page(&[9], "a", None)]), (vec![9], None), "one that answers twice");
    let twice = ["a", "b", "a"].map(|of| page(&[9], of, None)).into();
    assert_eq!(merged(twice), (vec![9, 9], None), "one of the same number lies between");
    // The cursor is a number, so those of one number stay together.
    assert_eq!(merged(vec![page(&[9, 8, 7], "a", None), page(&[7, 2], "b", None)]), (vec![9, 8, 7, 7], Some(7)));
}
