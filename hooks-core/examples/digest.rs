//! A sink that renders events instead of passing on their JSON: one letter for each batch, as a mail or a chat message
//! would be. Its test is the conformance kit.
//!
//! ```text
//! cargo run -p hooks-core --example digest
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use hooks_core::{
    BoxError, HookId, Sink, SliceBuilder, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};

/// Letters that were sent.
#[derive(Debug, Clone, Default)]
struct Letters(Arc<Mutex<Vec<String>>>);

impl Letters {
    /// All of them so far.
    fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The letter about these events: a line for each, and a reference by which its reader finds it again.
fn letter(batch: &Batch) -> String {
    let lines = batch.events().map(|event| format!("- {} [{}]\n", event.event_type(), event.id()));
    format!("{} new events\n{}", batch.len(), lines.collect::<String>())
}

impl SinkFactory for Letters {
    fn kind(&self) -> &str {
        "digest"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Letters {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(letter(batch));
        Ok(Delivered::all())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let letters = Letters::default();
    let mut sink = letters.build(&SinkContext::new(HookId::new("example")?, Arc::default()))?;
    let mut slice = SliceBuilder::new("/example");
    slice.push_json(br#"{"type":"invoice.paid","data":{"number":7}}"#)?;
    slice.push_json(br#"{"type":"invoice.sent","data":{"number":8}}"#)?;
    sink.deliver(&Batch::for_test([slice.finish()])).await?;
    letters.sent().iter().for_each(|letter| print!("{letter}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use hooks_core::conformance::{self, Destination};

    use super::*;

    #[async_trait]
    impl Destination for Letters {
        fn factory(&self) -> Arc<dyn SinkFactory> {
            Arc::new(self.clone())
        }

        fn renders(&self) -> bool {
            true
        }

        async fn received(&self) -> Vec<String> {
            let lines = self.sent().concat();
            let id = |line: &str| Some(line.strip_suffix(']')?.rsplit_once('[')?.1.to_owned());
            lines.lines().filter_map(id).collect()
        }
    }

    #[tokio::test]
    async fn conforms() {
        let report = conformance::check(async || Letters::default()).await;
        report.assert_passed();
        assert_eq!(report.skipped(), ["verbatim", "metadata", "refused_events", "error_classes", "secrets"]);
    }
}
