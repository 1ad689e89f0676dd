//! The part of a batch's requests that is the same at every attempt.

use hooks_core::sink::{Batch, DeliveryError};

use super::HttpSink;
use crate::content::{Content, Unfit};

/// Most bytes of the reason why an event can't be sent.
const REASON: usize = 500;

const OTHER_EVENT: &str =
    "the settings do not fit this event: if it is none of yours, test with one that is (`hooks test --event FILE`)";

impl HttpSink {
    /// The content of a batch's requests: made, or kept since the last attempt.
    pub(super) fn content(&mut self, batch: &Batch) -> Result<Content, DeliveryError> {
        if let Some(kept) = self.content.as_deref().filter(|(id, _)| id == batch.id()) {
            return Ok(kept.1.clone());
        }
        self.content = None;
        let unfit = |Unfit(why)| {
            let why = self.mask.excerpt(why.as_bytes(), REASON);
            self.tell(|report| report.advise(Some(OTHER_EVENT)));
            DeliveryError::rejected(format!("{}: not sent: {why}", self.name))
        };
        let content = self.requests.content(batch).map_err(unfit)?;
        if self.requests.keeps_content() {
            self.content = Some(Box::new((batch.id().clone(), content.clone())));
        }
        Ok(content)
    }
}
