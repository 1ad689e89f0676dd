//! Test deliveries: one synthetic event through the real sink.

use std::sync::Arc;

use super::{Dispatcher, TestError, TestReport};
use crate::delivery::DeliveryError;
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::HookId;
use crate::sink::Notes;
use crate::worker::{self, HookContext};

impl Dispatcher {
    /// Delivers one synthetic event (type `hooks.test`) through a new sink at once, past all queued events, and returns
    /// the receiver's answer.
    ///
    /// # Errors
    /// When there is no such hook, its sink takes no test events, or the receiver did not take it.
    ///
    /// # Cancel safety
    /// A dropped call ends the attempt; the receiver may have the event all the same.
    pub async fn test(&self, id: &HookId) -> Result<TestReport, TestError> {
        self.test_with(id, test_event(id)?).await
    }

    /// The same with an event of the caller's, whatever the hook's filter says of it.
    ///
    /// # Errors
    /// As for [`test`](Self::test).
    ///
    /// # Cancel safety
    /// As for [`test`](Self::test).
    pub async fn test_with(&self, id: &HookId, event: Envelope) -> Result<TestReport, TestError> {
        let context = self.test_context(id).ok_or_else(|| TestError::UnknownHook(id.clone()))?;
        let hook = &context.hook;
        if !hook.sink.takes_tests() {
            return Err(TestError::TestUnsupported { hook: id.clone(), sink: hook.sink.kind().to_owned() });
        }
        let batch = context.test_batch(event);
        let started = tokio::time::Instant::now();
        let notes = Notes::default();
        let result = worker::attempt_test(&context, &batch, notes.clone()).await;
        let (took, notes) = (started.elapsed(), notes.list());
        match result {
            Ok(mut delivered) => {
                let refused = delivered.refused.pop().map(|(_, reason)| reason);
                Ok(TestReport { answer: delivered.answer, refused, took, notes })
            }
            Err(error) => Err(TestError::Failed { error, took, notes }),
        }
    }

    /// What the hook would send for these events, or without any for a synthetic one, whatever its filter says of them:
    /// each batch for people to read and without secrets, or the reason why it would not be sent. Nothing is sent.
    ///
    /// # Errors
    /// When there is no such hook, its sink can't be built now, or can't say what it would send.
    ///
    /// # Cancel safety
    /// A dropped call did nothing.
    pub async fn preview(
        &self,
        id: &HookId,
        mut events: Vec<Envelope>,
    ) -> Result<Vec<Result<String, DeliveryError>>, TestError> {
        let context = self.test_context(id).ok_or_else(|| TestError::UnknownHook(id.clone()))?;
        if events.is_empty() {
            events.push(test_event(id)?);
        }
        let started = tokio::time::Instant::now();
        let shown = worker::preview(&context, &context.test_batches(events)).await;
        let failed = |error| TestError::Failed { error, took: started.elapsed(), notes: Vec::new() };
        let unsupported =
            || TestError::PreviewUnsupported { hook: id.clone(), sink: context.hook.sink.kind().to_owned() };
        shown.map_err(failed)?.ok_or_else(unsupported)
    }

    /// For one attempt outside of the hook's worker, if there is such a hook.
    fn test_context(&self, id: &HookId) -> Option<HookContext> {
        let slot = self.0.slot(id).ok()?;
        Some(self.0.context(slot.hook.clone(), slot.endpoint.clone(), slot.settler.clone(), Arc::default()))
    }
}

fn test_event(hook: &HookId) -> Result<Envelope, EnvelopeError> {
    let event = serde_json::json!({
        "type": "hooks.test",
        "subject": hook.as_str(),
        "datacontenttype": "application/json",
        "data": { "message": "This is a test delivery." },
    });
    Envelope::from_json(event.to_string().as_bytes())
}
