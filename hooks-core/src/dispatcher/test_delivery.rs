//! Test deliveries: one synthetic event through the real sink.

use std::sync::Arc;

use super::{Dispatcher, TestError, TestReport};
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::HookId;
use crate::sink::Notes;
use crate::worker;

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
        let slot = self.0.slot(id).map_err(|_| TestError::UnknownHook(id.clone()))?;
        if !slot.hook.sink.takes_tests() {
            return Err(TestError::TestUnsupported { hook: id.clone(), sink: slot.hook.sink.kind().to_owned() });
        }
        let context = self.0.context(slot.hook.clone(), slot.endpoint.clone(), slot.settler.clone(), Arc::default());
        let batch = context.test_batch(test_event(id)?);
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
