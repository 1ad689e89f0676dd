//! Entries for measuring how long it takes to find attempts among many.

use std::path::Path;
use std::time::SystemTime;

use hooks_core::uuid::Uuid;
use hooks_core::{AttemptOutcome, Phase, Trigger};

use super::record::{BatchName, Facts, micros, put};
use super::shelf::Shelf;
use super::{HistoryError, HistorySettings, limits};

/// The hook of every millionth attempt.
const RARE: &str = "rare";

/// Records that are written at a time.
const AT_ONCE: u64 = 10_000;

/// Fills a folder with attempts on events of this log, one event each: the event at position `p` was sent to each of `hooks`
/// hooks, whose names are numbers, and every tenth attempt failed. For benches; not part of the interface.
///
/// # Errors
/// When they can't be written.
pub fn fill(
    folder: &Path,
    settings: &HistorySettings,
    log: Uuid,
    attempts: u64,
    hooks: u64,
) -> Result<(), HistoryError> {
    let mut shelf = Shelf::open(folder, log, limits(settings))?;
    let begin = micros(SystemTime::now()) - attempts;
    let names: Vec<String> = (0..hooks).map(|hook| hook.to_string()).collect();
    let mut frames = Vec::new();
    for number in 0..attempts {
        let hook = if number % 1_000_000 == 0 { RARE } else { &names[(number % hooks) as usize] };
        put(&mut frames, &facts(begin + number, hook), [number / hooks; 2].into_iter(), std::iter::empty());
        if (number + 1) % AT_ONCE == 0 || number + 1 == attempts {
            if let (_, Some(error)) = shelf.append(&frames) {
                return Err(HistoryError::Failed { folder: folder.to_owned(), what: "write to it", error });
            }
            frames.clear();
        }
    }
    Ok(())
}

fn facts(number: u64, hook: &str) -> Facts<'_> {
    let fails = number.is_multiple_of(10);
    let mut phases = [None; Phase::ALL.len()];
    (phases[Phase::FirstByte as usize], phases[Phase::Body as usize]) = (Some(900), Some(20));
    Facts {
        number,
        outcome: if fails { AttemptOutcome::Failed } else { AttemptOutcome::Delivered },
        trigger: Trigger::Live,
        class: fails.then_some(hooks_core::sink::FailureClass::Retry),
        began: number - 1_000,
        took: 1_000,
        hook,
        tenant: "",
        batch: BatchName { uuid: Some(Uuid::from_u128(number.into())), rest: "" },
        events: 1,
        attempt: 1,
        status: Some(if fails { 503 } else { 200 }),
        address: "192.0.2.7:443",
        phases,
        error: if fails { "POST https://example.com/hooks: 503 Service Unavailable" } else { "" },
        answer: "",
    }
}
