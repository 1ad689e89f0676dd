//! The grants of all receivers that were asked, by url and origin.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hooks_core::sink::{CallHeader, Callback};
use ring::rand::{SecureRandom as _, SystemRandom};
use url::Url;

use super::answer::read_call;
use crate::kept::Kept;
use crate::question::Question;

/// How long a receiver may take to grant: somebody may have to read a log first.
const CALL_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// A receiver's permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Most requests a minute; `None`: any number.
    pub(crate) per_minute: Option<NonZeroU32>,
}

/// The grants that one dispatcher knows of.
#[derive(Default)]
pub(super) struct Grants(Kept<Grant>);

impl Grants {
    /// That of this url, which may hold secrets, for this origin.
    pub(super) fn of(&self, url: &Url, origin: &str) -> Arc<Grant> {
        self.0.of(format!("{origin} {url}").as_bytes(), || Grant::new(origin))
    }
}

/// The grant of one receiver.
pub(crate) struct Grant {
    origin: Box<str>,
    pub(super) question: Question<Granted>,
    /// The secret of the address where the receiver may grant later, and its end.
    call: Mutex<Option<(Box<str>, Instant)>>,
}

impl Grant {
    fn new(origin: &str) -> Self {
        Self { origin: origin.into(), question: Question::default(), call: Mutex::default() }
    }

    /// The secret of the address where the receiver may grant, and its end. Whoever asks often gives the same one for a
    /// while; one that was given stays good up to its own end.
    pub(super) fn secret(&self, now: Instant) -> Option<(Box<str>, Instant)> {
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        if call.as_ref().is_none_or(|(_, end)| *end < now + CALL_LASTS / 2) {
            let mut random = [0; 32];
            SystemRandom::new().fill(&mut random).ok()?;
            *call = Some((URL_SAFE_NO_PAD.encode(random).into(), now + CALL_LASTS));
        }
        call.clone()
    }
}

impl Callback for Grant {
    fn called(&self, headers: &[CallHeader<'_>]) -> Result<(), String> {
        let granted = read_call(headers, &self.origin)?;
        self.question.answered(Ok(granted));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_one_origin_at_one_url() {
        let grants = Grants::default();
        let of = |url: &str, origin: &str| grants.of(&Url::parse(url).unwrap(), origin);
        let first = of("https://h/a?b", "o");
        assert!(Arc::ptr_eq(&first, &of("https://H:443/a?b", "o")), "the same url");
        for (url, origin) in
            [("https://h/a", "o"), ("https://h/a?b", "p"), ("http://h/a?b", "o"), ("https://h:1/a?b", "o")]
        {
            assert!(!Arc::ptr_eq(&first, &of(url, origin)), "{url} {origin}");
        }
    }
}
