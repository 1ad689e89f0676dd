//! Events that were given up, kept with the reason.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BusError, Position};
use crate::envelope::Envelope;
use crate::ledger::DeadLetterReason;
use crate::wrapper::wrapper;

/// An event that a hook gave up, kept with the reason until an operator replays or drops it.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The event's position in the log.
    pub position: Position,
    /// The event as it was accepted, without the hook's metadata.
    pub envelope: Envelope,
    /// The reason why it was given up.
    pub reason: DeadLetterReason,
    /// The failure and the receiver's answer, cut to [`MAX_DETAIL`] bytes.
    pub detail: String,
    /// Attempts that had this event in their batch.
    pub attempts: u32,
    /// The time when the first attempt began.
    pub first_attempt: SystemTime,
    /// The time when the last attempt began.
    pub last_attempt: SystemTime,
}

/// Longest [`DeadLetter::detail`], in bytes.
pub const MAX_DETAIL: usize = 1024;

/// The number of a dead letter, unique for its hook. Later ones have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct DeadLetterId(u64);

wrapper! {
    DeadLetterId(u64),
    /// The id of this number.
    new,
    /// The number.
    get
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The dead letters of one hook. A [`Bus`](crate::Bus) that can keep some returns it.
///
/// The contract: when [`keep`](Self::keep) has returned `Ok`, the dead letters survive a crash. Only then
/// does the worker settle their events, so an event is in the log or among the dead letters at any time.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
/// use hooks_core::{bus::DeadLetters, async_trait, BusError, DeadLetter, DeadLetterId};
///
/// /// For tests: survives nothing.
/// #[derive(Default)]
/// struct InMemory(Mutex<BTreeMap<DeadLetterId, DeadLetter>>);
///
/// #[async_trait]
/// impl DeadLetters for InMemory {
///     async fn keep(&self, dead_letters: Vec<DeadLetter>) -> Result<(), BusError> {
///         let mut kept = self.0.lock().unwrap();
///         if kept.len() + dead_letters.len() > 1_000 {
///             return Err(BusError::Full("1,000 dead letters".into()));
///         }
///         // The position as the number: keeping the same event again replaces it.
///         kept.extend(dead_letters.into_iter().map(|one| (DeadLetterId::new(one.position.get()), one)));
///         Ok(())
///     }
///
///     async fn list(&self, after: Option<DeadLetterId>, max: usize) -> Result<Vec<(DeadLetterId, DeadLetter)>, BusError> {
///         let kept = self.0.lock().unwrap();
///         let later = kept.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
///         Ok(later.take(max).map(|(id, one)| (*id, one.clone())).collect())
///     }
///
///     async fn remove(&self, ids: &[DeadLetterId]) -> Result<usize, BusError> {
///         let mut kept = self.0.lock().unwrap();
///         Ok(ids.iter().filter(|id| kept.remove(id).is_some()).count())
///     }
///
///     fn count(&self) -> u64 { self.0.lock().unwrap().len() as u64 }
/// }
/// ```
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps dead letters, all or none, and returns when they would survive a crash. A dead letter of a position
    /// that is kept already replaces it.
    ///
    /// # Errors
    /// [`BusError::Full`] when the bound of the hook's dead letters is reached; the worker then holds
    /// the hook and tries again.
    ///
    /// # Cancel safety
    /// A dropped call may have kept the dead letters or not; call it again.
    async fn keep(&self, dead_letters: Vec<DeadLetter>) -> Result<(), BusError>;

    /// Replaces the dead letters with these ids: each event was sent again and refused again. An id that is gone stays
    /// gone. The new ones may get other ids. By default they are [kept](Self::keep) like any others.
    ///
    /// # Errors
    /// When they can't be kept now. Some may have been replaced; none is lost.
    async fn replace(&self, dead_letters: Vec<(DeadLetterId, DeadLetter)>) -> Result<(), BusError> {
        self.keep(dead_letters.into_iter().map(|(_, dead_letter)| dead_letter).collect()).await
    }

    /// Lists up to `max` dead letters after this one, oldest first.
    ///
    /// # Errors
    /// When they can't be read now.
    async fn list(&self, after: Option<DeadLetterId>, max: usize) -> Result<Vec<(DeadLetterId, DeadLetter)>, BusError>;

    /// Removes dead letters. Returns how many of these existed.
    ///
    /// # Errors
    /// When they can't be removed now; none is then removed.
    async fn remove(&self, ids: &[DeadLetterId]) -> Result<usize, BusError>;

    /// Number of dead letters, as far as is known without I/O.
    fn count(&self) -> u64;

    /// Counts the dead letters anew where other processes keep and remove some, too.
    ///
    /// # Errors
    /// When they can't be counted now.
    async fn recount(&self) -> Result<u64, BusError> {
        Ok(self.count())
    }
}
