//! Files that were cut short, changed or removed: the bus delivers exactly the intact events, and reports
//! the damage.

use std::path::{Path, PathBuf};

use hooks_bus::{DurableBus, DurableConfig, OnFull, OpenError};
use hooks_core::{Bus, DropReason, Filter};
use hooks_test::{End, numbers};
use proptest::prelude::*;

use super::{config, open, publish};
use crate::slice;

const EVENTS: usize = 60;

/// A folder with some events that one hook has not settled, in several segments.
fn written() -> (tempfile::TempDir, DurableConfig) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.segment_size = hooks_core::ByteSize::new(4 << 10);
    run(async {
        let bus = open(&config);
        let _a = End::new(&bus, "a", Filter::all()).await;
        publish(&bus, 0..EVENTS).await;
    });
    (folder, config)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    found.sort();
    found
}

/// All files of a folder, to be put back.
struct Saved(Vec<(PathBuf, Vec<u8>)>);

impl Saved {
    fn new(dir: &Path) -> Self {
        let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        Self(paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect())
    }

    fn restore(&self, dir: &Path) {
        for path in segments(dir) {
            std::fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &self.0 {
            std::fs::write(path, bytes).unwrap();
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// The offsets of a segment's records, found without the code under test.
fn records(bytes: &[u8]) -> Vec<(usize, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 64;
    while let Some(head) = bytes.get(at..at + 20) {
        let len = (u32::from_le_bytes(head[4..8].try_into().unwrap()) & 0x3FFF_FFFF) as usize;
        if len == 0 {
            break;
        }
        let position = u64::from_le_bytes(head[8..16].try_into().unwrap());
        found.push((position as usize, at..at + 20 + len));
        at += 20 + len;
    }
    found
}

/// Opens the folder, after a repair if it asks for one, and reads all there is. Every event must be as it was written.
fn read(config: &DurableConfig) -> (Vec<usize>, Vec<String>) {
    run(async {
        let bus = match DurableBus::open(config) {
            Err(OpenError::Damaged { .. }) => {
                DurableBus::repair(&config.dir).unwrap().unwrap();
                open(config)
            }
            opened => opened.unwrap(),
        };
        let mut a = End::new(&bus, "a", Filter::all()).await;
        let read = a.read(usize::MAX).await;
        for delivery in &read {
            let number: usize = delivery.envelope().id().parse().unwrap();
            assert_eq!(delivery.envelope().json(), slice(number..number + 1, 100)[0].json());
        }
        let numbers = numbers(&read);
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let counts = a.ledger.counts();
        assert_eq!(counts.dropped_for(DropReason::Unreadable), (EVENTS - numbers.len()) as u64, "each is missed once");
        assert!(counts.balances());
        // It goes on, and what comes is read behind what was there.
        bus.publish(slice(1000..1001, 1)).await.unwrap();
        a.settle(&read);
        assert_eq!(a.read_all().await, [1000]);
        (numbers, bus.damage().to_vec())
    })
}

#[test]
fn the_last_segment_cut_short_anywhere_loses_what_was_cut_off_and_nothing_else() {
    let (folder, config) = written();
    let last = segments(folder.path()).pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    let records = records(&bytes);
    let saved = Saved::new(folder.path());
    let used = records.last().unwrap().1.end;
    for cut in (0..used).rev() {
        std::fs::write(&last, &bytes[..cut]).unwrap();
        let intact = records.iter().filter(|(_, range)| range.end <= cut).map(|(position, _)| position + 1).max();
        let end = intact.unwrap_or(records[0].0);
        let text = DurableBus::open(&config).unwrap_err().to_string();
        let expected = format!("the events at positions {end} to {}, the newest, were safe and are gone", EVENTS - 1);
        assert!(text.contains(&expected), "cut at {cut}: {text}");
        // Repairing and reading takes a while: at the ends and in the middle of every record.
        let is_edge = records.iter().any(|(_, range)| [range.start, range.start + 7, range.end - 1].contains(&cut));
        if is_edge || cut == 0 {
            assert_eq!(read(&config).0, (0..end).collect::<Vec<_>>(), "cut at {cut}");
            saved.restore(folder.path());
        }
    }
}

#[test]
fn a_bit_that_flips_in_the_database_is_found_or_does_not_matter() {
    let (folder, config) = written();
    run(async {
        let bus = open(&config);
        let mut a = End::new(&bus, "a", Filter::all()).await;
        let read = a.read(20).await;
        a.settle(&read);
    });
    assert_eq!(DurableBus::inspect(folder.path()).unwrap().hooks[0].position, 20);
    let path = folder.path().join("meta.redb");
    let bytes = std::fs::read(&path).unwrap();
    let mut found = 0;
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).step_by(61) {
        change(&path, |bytes| bytes[at] = byte ^ (1 << (at % 8)));
        match DurableBus::inspect(folder.path()) {
            // What was kept last may be gone; then more is delivered again.
            Ok(after) => assert!(
                after.hooks.iter().all(|hook| hook.position <= 20) && after.hooks.len() == 1,
                "byte {at}: {after:?}"
            ),
            Err(_) => found += 1,
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    assert!(found > 0, "{found}");
}

#[test]
fn a_file_that_holds_nothing_where_all_hooks_are_takes_no_other_away() {
    let (folder, config) = written();
    run(async {
        let bus = open(&config);
        let mut a = End::new(&bus, "a", Filter::all()).await;
        bus.all_subscribed();
        let read = a.read(25).await;
        a.settle(&read);
        bus.sync_positions().await.unwrap();
    });
    std::fs::write(folder.path().join(format!("{:020}.log", 25)), "").unwrap();
    let before = segments(folder.path());
    let error = DurableBus::open(&config).unwrap_err();
    let why = source(&error);
    assert!(why.contains("it is no file of this log, remove it"), "{error}: {why}");
    assert_eq!(segments(folder.path()), before);
}

#[test]
fn a_missing_segment_is_found_and_said_at_once() {
    for missing in [0, 1, 2] {
        let (folder, config) = written();
        let all = segments(folder.path());
        assert!(all.len() > 3);
        let bytes = std::fs::read(&all[missing]).unwrap();
        let gone: Vec<usize> = records(&bytes).into_iter().map(|(position, _)| position).collect();
        std::fs::remove_file(&all[missing]).unwrap();
        let (read, damage) = read(&config);
        assert_eq!(read, (0..EVENTS).filter(|number| !gone.contains(number)).collect::<Vec<_>>());
        assert!(damage.len() == 1 && damage[0].contains("is missing"), "{damage:?}");
    }
}

#[test]
fn without_its_newest_segments_the_log_is_not_opened_before_it_is_repaired() {
    let (folder, config) = written();
    let all = segments(folder.path());
    for path in &all[1..] {
        std::fs::remove_file(path).unwrap();
    }
    let first_gone: usize = all[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let error = DurableBus::open(&config).unwrap_err().to_string();
    assert!(error.contains(&format!("positions {first_gone} to 59")) && error.contains("repair the folder"), "{error}");
    assert_eq!(segments(folder.path()).len(), 1, "nothing was changed");
    assert_eq!(DurableBus::repair(folder.path()).unwrap(), Some((first_gone as u64, 60)));
    assert_eq!(DurableBus::repair(folder.path()).unwrap(), None);
    let verified = DurableBus::verify(folder.path()).unwrap();
    assert_eq!((verified.events, verified.lost), (first_gone as u64, 60 - first_gone as u64));
    assert_eq!(read(&config).0, (0..first_gone).collect::<Vec<_>>());
}

#[derive(Debug, Clone)]
enum Damage {
    Flip { at: prop::sample::Index, bit: u8 },
    Zero { page: prop::sample::Index },
    Garbage { at: prop::sample::Index, bytes: Vec<u8> },
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<prop::sample::Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        any::<prop::sample::Index>().prop_map(|page| Damage::Zero { page }),
        (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..300))
            .prop_map(|(at, bytes)| Damage::Garbage { at, bytes }),
    ]
}

fn apply(damage: &Damage, bytes: &mut [u8]) {
    match damage {
        Damage::Flip { at, bit } => bytes[at.index(bytes.len())] ^= 1 << bit,
        Damage::Zero { page } => {
            let from = page.index(bytes.len()) / 512 * 512;
            let to = (from + 512).min(bytes.len());
            bytes[from..to].fill(0);
        }
        Damage::Garbage { at, bytes: garbage } => {
            let from = at.index(bytes.len());
            bytes.iter_mut().skip(from).zip(garbage).for_each(|(byte, new)| *byte = *new);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any change to any segment: the bus delivers exactly the intact events, and does not panic.
    #[test]
    fn damage_anywhere_loses_only_what_was_damaged(
        picks in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4),
    ) {
        let (folder, config) = written();
        let all = segments(folder.path());
        let before: Vec<Vec<u8>> = all.iter().map(|path| std::fs::read(path).unwrap()).collect();
        for (pick, damage) in &picks {
            change(&all[pick.index(all.len())], |bytes| apply(damage, bytes));
        }
        let mut damaged = Vec::new();
        for (path, before) in all.iter().zip(&before) {
            let after = std::fs::read(path).unwrap();
            let hit = records(before).into_iter().filter(|(_, range)| before[range.clone()] != after[range.clone()]);
            damaged.extend(hit.map(|(position, _)| position));
        }
        let (read, _) = read(&config);
        let expected: Vec<usize> = (0..EVENTS).filter(|number| !damaged.contains(number)).collect();
        prop_assert_eq!(read, expected);
    }
}

/// The hook never came to read where the damage is.
#[test]
fn what_was_damaged_when_it_was_given_up_is_counted_as_that() {
    let (folder, mut config) = written();
    let first = segments(folder.path())[0].clone();
    let record = records(&std::fs::read(&first).unwrap())[2].clone();
    change(&first, |bytes| bytes[record.1.start + 50] ^= 1);
    (config.on_full, config.max_bytes) = (OnFull::DropOldest, hooks_core::ByteSize::new(64 << 10));
    run(async {
        let bus = open(&config);
        let mut a = End::new(&bus, "a", Filter::all()).await;
        let mut published = EVENTS;
        while first.exists() {
            publish(&bus, published..published + 10).await;
            published += 10;
        }
        let read = a.read_all().await;
        let counts = a.ledger.counts();
        let [lost, missed] = [DropReason::Overflow, DropReason::Unreadable].map(|reason| counts.dropped_for(reason));
        assert_eq!((missed, lost as usize), (1, published - read.len() - 1));
    });
}

#[test]
fn verifying_finds_what_is_damaged_and_where() {
    let (folder, _) = written();
    assert_eq!(DurableBus::verify(folder.path()).unwrap().damage, Vec::<String>::new());
    let second = segments(folder.path())[1].clone();
    let record = records(&std::fs::read(&second).unwrap())[2].clone();
    change(&second, |bytes| bytes[record.1.start + 50] ^= 1);
    let verified = DurableBus::verify(folder.path()).unwrap();
    assert_eq!((verified.events, verified.lost), (EVENTS as u64 - 1, 1));
    let (name, position) = (second.file_name().unwrap().to_str().unwrap(), record.0);
    let expected =
        format!("`{name}`: positions {position} to {position} are damaged or missing, from byte {} on", record.1.start);
    assert_eq!(verified.damage, [expected]);
}

#[test]
fn another_logs_segment_is_not_taken_for_ones_own() {
    let ((ours, config), (theirs, _)) = (written(), written());
    let name = segments(ours.path())[1].file_name().unwrap().to_owned();
    std::fs::copy(theirs.path().join(&name), ours.path().join(&name)).unwrap();
    let error = DurableBus::open(&config).unwrap_err().to_string();
    assert!(error.contains("belongs to another log"), "{error}");
}

/// The text of the error's cause.
fn source(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_segment_under_another_name_is_not_taken_for_what_the_name_says() {
    let (folder, config) = written();
    let second = segments(folder.path())[1].clone();
    let own = second.file_name().unwrap().to_str().unwrap();
    // Also one where the log has no room for what follows.
    for far in ["00000000000001000000.log", "18446744073709551615.log"] {
        let copy = folder.path().join(far);
        std::fs::copy(&second, &copy).unwrap();
        let expected =
            format!("`{far}`: it is the file `{own}` under another name: rename it, or remove it if it is a copy");
        let errors = [
            source(&DurableBus::inspect(folder.path()).unwrap_err()),
            source(&DurableBus::verify(folder.path()).unwrap_err()),
            source(&DurableBus::open(&config).unwrap_err()),
        ];
        assert!(errors.iter().all(|error| error.contains(&expected)), "{errors:?}");
        std::fs::remove_file(copy).unwrap();
    }
    assert_eq!(read(&config).0, (0..EVENTS).collect::<Vec<_>>());
}

#[test]
fn a_file_that_holds_nothing_is_not_taken_for_what_its_name_says() {
    let (folder, config) = written();
    let second: u64 = segments(folder.path())[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    // Behind the end of the log, where it has no room for what follows, and within a file.
    for (stray, end) in [(1_000_000, EVENTS as u64), (u64::MAX, EVENTS as u64), (1, second)] {
        let name = format!("{stray:020}.log");
        for content in [&b""[..], &[0; 4096], &[7; 4096]] {
            std::fs::write(folder.path().join(&name), content).unwrap();
            let expected = format!("`{name}`: it holds no event, and the events before it end at {end}");
            let errors = [
                source(&DurableBus::inspect(folder.path()).unwrap_err()),
                source(&DurableBus::verify(folder.path()).unwrap_err()),
                source(&DurableBus::open(&config).unwrap_err()),
            ];
            assert!(errors.iter().all(|error| error.starts_with(&expected)), "{errors:?}");
        }
        std::fs::remove_file(folder.path().join(&name)).unwrap();
    }
    // What a crash leaves of one that was begun.
    std::fs::write(folder.path().join(format!("{EVENTS:020}.log")), [0; 4096]).unwrap();
    assert_eq!(read(&config).0, (0..EVENTS).collect::<Vec<_>>());
}

#[test]
fn a_version_that_never_was_is_refused() {
    let (folder, config) = written();
    std::fs::write(folder.path().join("format"), "hooks log, format 0\n").unwrap();
    let error = DurableBus::open(&config).unwrap_err().to_string();
    assert!(error.contains("`format` says version 0, which never existed"), "{error}");
}

#[test]
fn a_segment_that_cannot_be_opened_is_named() {
    let (folder, config) = written();
    let name = "00000000000000000003.log";
    std::fs::create_dir(folder.path().join(name)).unwrap();
    let error = DurableBus::open(&config).unwrap_err();
    assert!(source(&error).starts_with(&format!("`{name}`: ")), "{error}: {}", source(&error));
}

#[test]
fn a_damaged_database_is_named() {
    let (folder, config) = written();
    change(&folder.path().join("meta.redb"), |bytes| bytes[..512].fill(7));
    let error = DurableBus::open(&config).unwrap_err().to_string();
    assert!(error.contains("`meta.redb`") && error.contains("Bring the file back from a backup"), "{error}");
}

#[tokio::test]
async fn what_nobody_has_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let error = DurableBus::inspect(folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("can't find a log in"), "{error}");
}
