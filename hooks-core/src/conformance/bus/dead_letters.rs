//! Checks of dead letters: they are kept with all their fields, up to a limit, until they are removed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::probe::Probe;
use crate::bus::{Bus, BusError, DeadLetter, DeadLetterId, DeadLetters, MAX_DETAIL, Position};
use crate::conformance::compare::difference;
use crate::conformance::events;
use crate::conformance::run::{Checked, Stop};
use crate::id::HookId;
use crate::ledger::DeadLetterReason;

/// A dead letter of a position, as the worker makes it.
pub(super) fn dead_letter(position: u64, detail: &str) -> Checked<DeadLetter> {
    let time = |seconds: u64| -> SystemTime { UNIX_EPOCH + Duration::from_millis(1_700_000_000_123 + seconds * 1_000) };
    Ok(DeadLetter {
        position: Position::new(position),
        envelope: events::events(&format!("letter-{position}"), 1)?[0].clone(),
        reason: if position.is_multiple_of(2) { DeadLetterReason::Refused } else { DeadLetterReason::Expired },
        detail: detail.to_owned(),
        attempts: 3,
        first_attempt: time(0),
        last_attempt: time(60 + position),
    })
}

/// All fields of a dead letter, as text.
fn described(dead_letter: &DeadLetter) -> String {
    let DeadLetter { position, envelope, reason, detail, attempts, first_attempt, last_attempt } = dead_letter;
    format!("{} {reason} {detail:?} {attempts} {first_attempt:?} {last_attempt:?} {}", position.get(), envelope.json())
}

fn dead_letters_of(bus: &dyn Bus, hook: &str) -> Checked<Arc<dyn DeadLetters>> {
    let dead_letters = bus.hooks().dead_letters(&HookId::new(hook)?);
    dead_letters.ok_or_else(|| Stop::Skipped("the bus keeps no dead letters".to_owned()))
}

async fn keep(probe: &Probe<'_>, dead_letters: &dyn DeadLetters, all: Vec<DeadLetter>) -> Checked {
    dead_letters.keep(all).await.map_err(|error| probe.failed(format!("`keep` fails: {error}")))
}

async fn list(
    probe: &Probe<'_>,
    dead_letters: &dyn DeadLetters,
    after: Option<DeadLetterId>,
    max: usize,
) -> Checked<Vec<(DeadLetterId, DeadLetter)>> {
    dead_letters.list(after, max).await.map_err(|error| probe.failed(format!("`list` fails: {error}")))
}

/// Checks that these dead letters are listed, oldest first, with rising ids, and counted. Returns their ids.
async fn expect_listed(
    probe: &Probe<'_>,
    dead_letters: &dyn DeadLetters,
    expected: &[DeadLetter],
) -> Checked<Vec<DeadLetterId>> {
    let listed = list(probe, dead_letters, None, 100).await?;
    for (index, ((_, there), wanted)) in listed.iter().zip(expected).enumerate() {
        let (there, wanted) = (described(there), described(wanted));
        if there != wanted {
            let differs = difference(&wanted, &there);
            return Err(probe.failed(format!("dead letter {index} of the list is another, {differs}")));
        }
    }
    let (there, wanted) = (listed.len(), expected.len());
    probe.expect(there == wanted, format!("{there} dead letters are listed instead of {wanted}"))?;
    let ids: Vec<DeadLetterId> = listed.into_iter().map(|(id, _)| id).collect();
    probe.expect(ids.is_sorted_by(|a, b| a < b), format!("their ids do not rise: {ids:?}"))?;
    // `count` alone may be outdated; after `recount` it is not.
    let asked = dead_letters.recount().await.map_err(|error| probe.failed(error))?;
    let counts = (asked, dead_letters.count());
    let count = ids.len() as u64;
    probe.expect(counts == (count, count), format!("{counts:?} are counted instead of {count}"))?;
    Ok(ids)
}

pub(super) async fn dead_letters(probe: &Probe<'_>) -> Checked {
    let mut bus = probe.open().await?;
    let (mut mine, others) = (dead_letters_of(&*bus, "a.b")?, dead_letters_of(&*bus, "a")?);
    let longest = "é".repeat(MAX_DETAIL / 2);
    let first = [dead_letter(1, "400: \"é\"\r\n")?, dead_letter(2, "")?, dead_letter(3, &longest)?];
    probe.doing("keep three dead letters of one hook and one of another");
    keep(probe, &*mine, first.to_vec()).await?;
    keep(probe, &*others, vec![dead_letter(1, "another's")?]).await?;
    expect_listed(probe, &*mine, &first).await?;
    probe.doing("keep another dead letter of the second's position");
    keep(probe, &*mine, vec![dead_letter(2, "again")?]).await?;
    let [one, _, three] = first;
    let all = [one, three, dead_letter(2, "again")?];
    let ids = expect_listed(probe, &*mine, &all).await?;
    probe.doing("list one dead letter behind the first");
    let second = list(probe, &*mine, Some(ids[0]), 1).await?;
    let found: Vec<DeadLetterId> = second.iter().map(|(id, _)| *id).collect();
    probe.expect(found == ids[1..2], format!("listed are {found:?} instead of {:?}", &ids[1..2]))?;
    if probe.traits.outlives_process {
        probe.doing("open the bus again and list");
        drop((mine, others));
        probe.end(bus).await;
        bus = probe.open().await?;
        mine = dead_letters_of(&*bus, "a.b")?;
        expect_listed(probe, &*mine, &all).await?;
    }
    probe.doing("remove a dead letter twice in one call, one that there is not and another hook's");
    let others = dead_letters_of(&*bus, "a")?;
    let other = list(probe, &*others, None, 1).await?[0].0;
    let not_mine = if ids.contains(&other) { DeadLetterId::new(u64::MAX) } else { other };
    let removed = mine.remove(&[ids[0], ids[0], DeadLetterId::new(u64::MAX - 1), not_mine]).await;
    let removed = removed.map_err(|error| probe.failed(format!("`remove` fails: {error}")))?;
    probe.expect(removed == 1, format!("{removed} are said to be removed"))?;
    expect_listed(probe, &*mine, &all[1..]).await?;
    expect_listed(probe, &*others, &[dead_letter(1, "another's")?]).await?;
    probe.doing("forget the hook");
    let forgotten = bus.hooks().forget(&HookId::new("a.b")?).await.map_err(|error| probe.failed(error))?;
    probe.expect(forgotten, "`forget` says that there was nothing")?;
    expect_listed(probe, &*mine, &[]).await?;
    expect_listed(probe, &*others, &[dead_letter(1, "another's")?]).await.map(drop)
}

pub(super) async fn dead_letter_limit(probe: &Probe<'_>) -> Checked {
    let Some(most) = probe.store.max_dead_letters() else {
        return Err(Stop::Skipped("the store names no limit (`max_dead_letters` is `None`)".to_owned()));
    };
    let bus = probe.open().await?;
    let dead_letters = dead_letters_of(&*bus, "a")?;
    let all = (0..most as u64 + 1).map(|at| dead_letter(at, "")).collect::<Checked<Vec<_>>>()?;
    let (fits, rest) = all.split_at(most - 1);
    probe.doing(format!("keep {} of at most {most} dead letters", fits.len()));
    keep(probe, &*dead_letters, fits.to_vec()).await?;
    probe.doing("keep two more in one call, of which one has room");
    let full = dead_letters.keep(rest.to_vec()).await;
    probe.expect(matches!(full, Err(BusError::Full(_))), format!("`keep` says {full:?} instead of Full"))?;
    let ids = expect_listed(probe, &*dead_letters, fits).await?;
    probe.doing("remove one and keep the two");
    dead_letters.remove(&ids[..1]).await.map_err(|error| probe.failed(error))?;
    keep(probe, &*dead_letters, rest.to_vec()).await?;
    expect_listed(probe, &*dead_letters, &all[1..]).await.map(drop)
}
