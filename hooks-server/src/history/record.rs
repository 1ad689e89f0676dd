//! An attempt as bytes.
//!
//! ```text
//! frame: length of the body (u32), its checksum (u32), body     numbers of a fixed length: little endian
//! body:  number (u64), flags (u8), class (u8), and numbers and texts with their lengths
//! ```

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use hooks_core::sink::FailureClass;
use hooks_core::uuid::Uuid;
use hooks_core::{Attempt, AttemptOutcome, HookId, Phase, TenantId, Trigger};

use super::codec::{Reader, put_number, put_step, put_text};

/// The length of what stands before a body.
pub(super) const FRAME: usize = 8;

/// The longest text of an error.
const MAX_ERROR: usize = 1024;

const OUTCOMES: [AttemptOutcome; 4] =
    [AttemptOutcome::Delivered, AttemptOutcome::Partly, AttemptOutcome::Failed, AttemptOutcome::Skipped];
const TRIGGERS: [Trigger; 5] = [Trigger::Live, Trigger::Replay, Trigger::Resend, Trigger::Test, Trigger::Seek];

/// What is known of an attempt, but for its positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    /// Rises from one attempt to the next: about the time at which it ended, in microseconds since 1970.
    pub(super) number: u64,
    pub(super) outcome: AttemptOutcome,
    pub(super) trigger: Trigger,
    pub(super) class: Option<FailureClass>,
    /// In microseconds since 1970.
    pub(super) began: u64,
    /// In microseconds.
    pub(super) took: u64,
    pub(super) hook: &'a str,
    /// Empty: none.
    pub(super) tenant: &'a str,
    pub(super) batch: BatchName<'a>,
    pub(super) events: u64,
    pub(super) attempt: u32,
    pub(super) status: Option<u16>,
    /// Empty: unknown.
    pub(super) address: &'a str,
    /// In microseconds.
    pub(super) phases: [Option<u64>; Phase::ALL.len()],
    pub(super) error: &'a str,
    pub(super) answer: &'a str,
}

/// Events that an operator skipped.
#[derive(Debug)]
pub(crate) struct Skip<'a> {
    pub(crate) hook: &'a HookId,
    pub(crate) tenant: Option<&'a TenantId>,
    /// Some.
    pub(crate) positions: Range<u64>,
    /// At most so many of them were the hook's.
    pub(crate) events: u64,
}

/// A batch's name: nearly all begin with a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchName<'a> {
    pub(super) uuid: Option<Uuid>,
    pub(super) rest: &'a str,
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) facts: Facts<'a>,
    /// First and last of each run of positions, then those that were refused.
    pub(super) positions: Steps<'a>,
    pub(super) refused: Steps<'a>,
}

/// Numbers, each as the distance from the one before. All of them can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps<'a> {
    count: u64,
    bytes: Reader<'a>,
}

/// Microseconds since 1970.
pub(super) fn micros(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Appends the frame of an attempt, whose checksum is not filled in. `answer_bytes`: the most that is kept of an answer.
pub(super) fn put_attempt(into: &mut Vec<u8>, number: u64, attempt: &Attempt<'_>, answer_bytes: usize) {
    let error = match attempt.result {
        Err(error) => error.chain(),
        Ok(delivered) => delivered.odd.as_ref().map_or_else(String::new, |odd| odd.what.clone().into_owned()),
    };
    let answer = attempt.answer().map_or("", |answer| &answer.detail);
    let micros_of = |took: std::time::Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let exchange = attempt.exchange;
    let facts = Facts {
        number,
        outcome: attempt.outcome(),
        trigger: attempt.trigger,
        class: attempt.class(),
        began: micros(attempt.began),
        took: micros_of(attempt.took),
        hook: attempt.hook.id.as_str(),
        tenant: attempt.hook.tenant().map_or("", |tenant| tenant.as_str()),
        batch: BatchName::of(attempt.batch.id().as_str()),
        events: attempt.batch.len() as u64,
        attempt: attempt.number,
        status: exchange.status,
        address: exchange.address.as_deref().unwrap_or_default(),
        phases: Phase::ALL.map(|phase| exchange.phases.get(phase).map(micros_of)),
        error: cut(&error, MAX_ERROR),
        answer: cut(answer, answer_bytes),
    };
    let ends = attempt.positions().flat_map(|run| [run.start().get(), run.end().get()]);
    put(into, &facts, ends, attempt.refused().map(|position| position.get()));
}

/// Appends the frame of a seek at this time, in microseconds since 1970, that skipped the events from one position up to
/// another.
pub(super) fn put_skip(into: &mut Vec<u8>, number: u64, at: u64, skip: &Skip<'_>) {
    let facts = Facts {
        number,
        outcome: AttemptOutcome::Skipped,
        trigger: Trigger::Seek,
        class: None,
        began: at,
        took: 0,
        hook: skip.hook.as_str(),
        tenant: skip.tenant.map_or("", TenantId::as_str),
        batch: BatchName { uuid: None, rest: "" },
        events: skip.events,
        attempt: 0,
        status: None,
        address: "",
        phases: [None; Phase::ALL.len()],
        error: "",
        answer: "",
    };
    put(into, &facts, [skip.positions.start, skip.positions.end - 1].into_iter(), std::iter::empty());
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Appends a frame, whose checksum is not filled in.
pub(super) fn put(
    into: &mut Vec<u8>,
    facts: &Facts<'_>,
    positions: impl Iterator<Item = u64>,
    refused: impl Iterator<Item = u64>,
) {
    let start = into.len();
    into.extend([0; FRAME]);
    into.extend(facts.number.to_le_bytes());
    into.push(facts.outcome as u8 | (facts.trigger as u8) << 2);
    into.push(facts.class.map_or(0, |class| class as u8 + 1));
    put_step(into, facts.number, facts.began);
    put_number(into, facts.took);
    put_text(into, facts.hook);
    put_text(into, facts.tenant);
    into.push(facts.batch.uuid.is_some().into());
    facts.batch.uuid.iter().for_each(|uuid| into.extend(uuid.as_bytes()));
    put_text(into, facts.batch.rest);
    put_number(into, facts.events);
    put_number(into, facts.attempt.into());
    put_number(into, facts.status.unwrap_or(0).into());
    put_text(into, facts.address);
    let known = facts.phases.iter().enumerate().filter(|(_, took)| took.is_some());
    into.push(known.fold(0, |known, (index, _)| known | 1 << index));
    facts.phases.iter().flatten().for_each(|took| put_number(into, *took));
    put_text(into, facts.error);
    put_text(into, facts.answer);
    put_steps(into, positions);
    put_steps(into, refused);
    let length = (into.len() - start - FRAME) as u32;
    into[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends numbers, and first how many there are, in a fixed length.
fn put_steps(into: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let start = into.len();
    into.extend([0; 4]);
    let (mut count, mut last) = (0_u32, 0);
    for number in numbers {
        put_step(into, last, number);
        (count, last) = (count + 1, number);
    }
    into[start..start + 4].copy_from_slice(&count.to_le_bytes());
}

/// The checksum of a body.
pub(super) fn checksum(body: &[u8]) -> u32 {
    crc32c::crc32c(body)
}

/// The bodies of frames that stand behind one another, each with the offset of its frame, up to the first that is not
/// whole. Checksums are not looked at.
pub(super) fn bodies(frames: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length: [u8; 4] = frames.get(at..at + 4)?.try_into().ok()?;
        let body = frames.get(at + FRAME..)?.get(..u32::from_le_bytes(length) as usize)?;
        let start = at;
        at += FRAME + body.len();
        Some((start, body))
    })
}

/// The outcome of the attempt whose body this is.
pub(super) fn outcome_of(body: &[u8]) -> Option<AttemptOutcome> {
    OUTCOMES.get(usize::from(*body.get(8)? & 3)).copied()
}

impl<'a> Record<'a> {
    /// The record of a body. `None`: it is none.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut bytes = Reader(body);
        let number = u64::from_le_bytes(bytes.array()?);
        let (flags, class) = (bytes.byte()?, bytes.byte()?);
        let facts = Facts {
            number,
            outcome: *OUTCOMES.get(usize::from(flags & 3))?,
            trigger: *TRIGGERS.get(usize::from(flags >> 2))?,
            class: match class {
                0 => None,
                class => Some(*FailureClass::ALL.get(usize::from(class) - 1)?),
            },
            began: bytes.step(number)?,
            took: bytes.number()?,
            hook: bytes.text()?,
            tenant: bytes.text()?,
            batch: BatchName::read(&mut bytes)?,
            events: bytes.number()?,
            attempt: bytes.number()?.try_into().ok()?,
            status: Some(bytes.number()?.try_into().ok()?).filter(|status| *status != 0),
            address: bytes.text()?,
            phases: phases(&mut bytes)?,
            error: bytes.text()?,
            answer: bytes.text()?,
        };
        let (positions, refused) = (Steps::read(&mut bytes)?, Steps::read(&mut bytes)?);
        (bytes.0.is_empty() && positions.count.is_multiple_of(2)).then_some(Self { facts, positions, refused })
    }

    /// The runs of positions, each with its first and its last.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let mut ends = self.positions.iter();
        std::iter::from_fn(move || ends.next().zip(ends.next()))
    }

    /// True if the event at this position was in the batch.
    pub(super) fn has(&self, position: u64) -> bool {
        self.runs().any(|(first, last)| (first..=last).contains(&position))
    }
}

fn phases(bytes: &mut Reader<'_>) -> Option<[Option<u64>; Phase::ALL.len()]> {
    let known = bytes.byte()?;
    if known >> Phase::ALL.len() != 0 {
        return None;
    }
    let mut phases = [None; Phase::ALL.len()];
    for (index, took) in phases.iter_mut().enumerate() {
        if known >> index & 1 == 1 {
            *took = Some(bytes.number()?);
        }
    }
    Some(phases)
}

impl<'a> BatchName<'a> {
    fn of(name: &'a str) -> Self {
        let uuid = name.get(..36).and_then(|start| Uuid::try_parse(start).ok());
        // Written otherwise it is a text like any other.
        let uuid = uuid.filter(|uuid| name.starts_with(&*uuid.hyphenated().encode_lower(&mut [0; 36])));
        Self { uuid, rest: if uuid.is_some() { &name[36..] } else { name } }
    }

    fn read(bytes: &mut Reader<'a>) -> Option<Self> {
        let uuid = match bytes.byte()? {
            0 => None,
            1 => Some(Uuid::from_bytes(bytes.array()?)),
            _ => return None,
        };
        Some(Self { uuid, rest: bytes.text()? })
    }
}

impl std::fmt::Display for BatchName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uuid.iter().try_for_each(|uuid| write!(f, "{uuid}"))?;
        f.write_str(self.rest)
    }
}

impl<'a> Steps<'a> {
    fn read(bytes: &mut Reader<'a>) -> Option<Self> {
        let count = u32::from_le_bytes(bytes.array()?).into();
        let start = *bytes;
        let mut last = 0;
        for _ in 0..count {
            last = bytes.step(last)?;
        }
        Some(Self { count, bytes: start })
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u64> + use<'a> {
        let (mut bytes, mut last) = (self.bytes, 0);
        (0..self.count).map_while(move |_| {
            last = bytes.step(last)?;
            Some(last)
        })
    }
}

/// Reads any bytes as a record, and checks what holds for each that is one. For cargo-fuzz and property tests; not part of
/// the interface.
///
/// # Panics
/// When something does not hold.
pub fn fuzz_record(body: &[u8]) {
    let Some(record) = Record::read(body) else { return };
    let mut again = Vec::new();
    put(&mut again, &record.facts, record.positions.iter(), record.refused.iter());
    let read = bodies(&again).next().and_then(|(_, body)| Record::read(body)).expect("what is written is read");
    assert_eq!(read.facts, record.facts);
    assert!(read.positions.iter().eq(record.positions.iter()) && read.refused.iter().eq(record.refused.iter()));
    assert_eq!(outcome_of(body), Some(record.facts.outcome));
    assert!(record.runs().count() * 2 == record.positions.iter().count());
}
