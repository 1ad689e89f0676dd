//! The power is cut: of what was not synced some sectors, lengths and names survive, and others don't. Whatever that is,
//! what had reached the disk is found, nothing is found that was not recorded, and the folder can be used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use parking_lot::Mutex;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{LOG, Made, NOW, limits, made, open, query, wanted};
use crate::history::query::page;
use crate::history::record::{Record, bodies};
use crate::history::report::AttemptQuery;
use crate::history::segment::{Chain, HEADER, index_path, list};
use crate::history::shelf::Shelf;

/// Bytes of a sector: each survives as a whole or not at all.
const SECTOR: usize = 512;

/// The budget of each chain. Segments take 64 KiB at least, so some go.
const BUDGET: u64 = 200 << 10;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Made>),
    /// So many long answers, which fill segments.
    Fill(usize),
    Seal,
    Restart,
    /// The system writes all files to the disk.
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop::collection::vec(made(), 1..20).prop_map(Step::Write),
        1 => (1..60usize).prop_map(Step::Fill),
        1 => Just(Step::Seal),
        1 => Just(Step::Restart),
        2 => Just(Step::Flush),
    ]
}

type Files = BTreeMap<String, Vec<u8>>;

/// A folder, and what of it would survive a power cut in any case.
struct Disk {
    folder: TempDir,
    safe: Files,
    /// Files that were removed, which may be there again.
    removed: Files,
    before: Files,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, safe: Files::new(), removed: Files::new(), before: Files::new() }
    }

    fn files(&self) -> Files {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    }

    fn flush(&mut self) {
        (self.safe, self.removed) = (self.files(), Files::new());
    }

    /// Notes which files are gone since it was called last.
    fn look(&mut self) {
        let now = self.files();
        let gone = std::mem::take(&mut self.before).into_iter().filter(|(name, _)| !now.contains_key(name));
        self.removed.extend(gone);
        self.before = now;
    }

    fn after_power_cut(&self, survives: &mut impl FnMut() -> bool) -> TempDir {
        let image = tempfile::tempdir().unwrap();
        for (name, bytes) in self.files() {
            let safe = self.safe.get(&name);
            if safe.is_some() || survives() {
                fs::write(image.path().join(&name), contents(&name, &bytes, safe, survives)).unwrap();
            } else if name.ends_with(".index") && survives() {
                // It had not got its name yet.
                fs::write(image.path().join(name.replace(".index", ".new")), "a part of it").unwrap();
            }
        }
        for (name, bytes) in &self.removed {
            if survives() {
                fs::write(image.path().join(name), contents(name, bytes, self.safe.get(name), survives)).unwrap();
            }
        }
        image
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// What is left of a file. An index was synced before it got its name.
fn contents(name: &str, now: &[u8], safe: Option<&Vec<u8>>, survives: &mut impl FnMut() -> bool) -> Vec<u8> {
    if name.ends_with(".index") {
        return now.to_vec();
    }
    let safe = safe.map_or(&[][..], Vec::as_slice);
    let length = if now.len() == safe.len() || survives() { now.len() } else { safe.len() };
    let mut left = safe.to_vec();
    left.resize(length, 0);
    for from in (0..length).step_by(SECTOR) {
        let to = (from + SECTOR).min(length);
        if survives() {
            left[from..to].copy_from_slice(&now[from..to]);
        }
    }
    left
}

/// The numbers of all records in segments.
fn numbers(files: &Files) -> BTreeSet<u64> {
    let segments = files.iter().filter(|(name, _)| name.ends_with(".delivered") || name.ends_with(".failed"));
    let records = segments.flat_map(|(_, bytes)| bodies(bytes.get(HEADER..).unwrap_or_default()));
    records.filter_map(|(_, body)| Some(Record::read(body)?.facts.number)).collect()
}

/// The numbers of all that is found, a page after the other.
fn found(shelf: &Mutex<Shelf>, query: &AttemptQuery) -> Vec<u64> {
    let (mut all, mut query) = (Vec::new(), query.clone());
    for _ in 0..10_000 {
        let page = page(shelf, &query, NOW).unwrap();
        all.extend(page.attempts.into_iter().map(|attempt| attempt.id));
        query.after = page.next;
        if page.next.is_none() {
            return all;
        }
    }
    panic!("there is always another page of {query:?}");
}

/// Checks what is left.
fn check(disk: &Disk, image: &TempDir, list: &[(u64, Made)], queries: &[AttemptQuery]) -> Result<(), TestCaseError> {
    let mut shelf = Mutex::new(open(image.path(), BUDGET));
    let oldest_first = AttemptQuery { oldest_first: true, limit: 500, ..AttemptQuery::default() };
    let all: BTreeSet<u64> = found(&shelf, &oldest_first).into_iter().collect();
    let recorded: BTreeSet<u64> = list.iter().map(|(number, _)| *number).collect();
    prop_assert!(all.is_subset(&recorded), "{all:?} of {recorded:?}");
    let present = disk.files();
    let kept = disk.safe.iter().filter(|(name, _)| present.contains_key(*name));
    let kept: BTreeSet<u64> = numbers(&kept.map(|(name, bytes)| (name.clone(), bytes.clone())).collect());
    let is_within_budget = disk.removed.is_empty();
    prop_assert!(!is_within_budget || kept.is_subset(&all), "{kept:?} were safe, and {all:?} are there");
    let there: Vec<_> = list.iter().filter(|(number, _)| all.contains(number)).cloned().collect();
    for query in queries {
        prop_assert_eq!(found(&shelf, query), wanted(&there, query), "{:?}", query);
    }
    let files = fs::read_dir(image.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    prop_assert_eq!(bytes, shelf.get_mut().bytes(), "nothing is left that nobody counts");
    // It goes on, and what it finds then it finds after a restart, too.
    let last = Made { hook: 0, outcome: 0, first: 1, events: 1, took: 0, answer: "last".to_owned() };
    prop_assert_eq!(shelf.get_mut().append(&last.frame(1 << 40)).0, 0);
    let before = found(&shelf, &oldest_first);
    prop_assert_eq!(before.last(), Some(&(1 << 40)));
    drop(shelf);
    prop_assert_eq!(found(&Mutex::new(open(image.path(), BUDGET)), &oldest_first), before);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_power_cut_costs_only_what_had_not_reached_the_disk(
        steps in prop::collection::vec(step(), 1..14),
        queries in prop::collection::vec(query(), 4),
        survives in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let mut survives = survives.into_iter().cycle();
        let mut disk = Disk::new();
        let mut shelf = open(disk.folder.path(), BUDGET);
        let (mut list, mut number) = (Vec::<(u64, Made)>::new(), 0);
        for step in steps {
            let written = match step {
                Step::Write(made) => made,
                Step::Fill(count) => {
                    let answer = "x".repeat(900);
                    vec![Made { hook: 0, outcome: 0, first: 1, events: 1, took: 0, answer }; count]
                }
                Step::Seal => {
                    Chain::ALL.into_iter().for_each(|chain| shelf.seal(chain).unwrap());
                    Vec::new()
                }
                Step::Restart => {
                    drop(shelf);
                    shelf = open(disk.folder.path(), BUDGET);
                    Vec::new()
                }
                Step::Flush => {
                    disk.flush();
                    Vec::new()
                }
            };
            for made in written {
                number += 7;
                prop_assert_eq!(shelf.append(&made.frame(number)).0, 0);
                list.push((number, made));
            }
            disk.look();
            let image = disk.after_power_cut(&mut || survives.next().unwrap_or_default());
            check(&disk, &image, &list, &queries)?;
        }
    }
}

/// Where the index of a segment is whole, damage costs the records that it is in, whatever is looked for.
#[test]
fn a_hole_in_a_segment_costs_the_records_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(folder.path(), LOG, limits(1 << 20)).unwrap();
    let made = Made { hook: 0, outcome: 0, first: 5, events: 1, took: 0, answer: "x".repeat(90) };
    for number in 1..=40 {
        assert_eq!(shelf.append(&made.frame(number)).0, 0);
    }
    shelf.seal(Chain::Delivered).unwrap();
    drop(shelf);
    let path = list(folder.path(), Chain::Delivered).unwrap().remove(0);
    assert!(index_path(&path).exists());
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 * SECTOR..5 * SECTOR].fill(0);
    fs::write(&path, &bytes).unwrap();
    let frame = made.frame(1).len();
    let is_whole = |number: &u64| {
        let from = HEADER + (*number as usize - 1) * frame;
        from + frame <= 3 * SECTOR || from >= 5 * SECTOR
    };
    let expected: Vec<u64> = (1..=40).filter(is_whole).collect();
    assert!(expected.len() < 40 && expected.len() > 20, "{}", expected.len());
    let shelf = Mutex::new(Shelf::open(folder.path(), LOG, limits(1 << 20)).unwrap());
    for (position, limit) in [(None, 500), (Some(5), 500), (None, 1), (Some(5), 3)] {
        for oldest_first in [true, false] {
            let query = AttemptQuery { position, limit, oldest_first, ..AttemptQuery::default() };
            let mut all = found(&shelf, &query);
            if !oldest_first {
                all.reverse();
            }
            assert_eq!(all, expected, "{query:?}");
        }
    }
}
