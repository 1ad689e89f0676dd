//! A sink that keeps `HOOK ID` lines, for the tests that kill instances.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use hooks_core::{
    BoxError, Sink, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};

/// Appends to the file, all lines of a batch at once.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) hook: String,
    pub(crate) file: Option<Arc<File>>,
}

impl SinkFactory for Log {
    fn kind(&self) -> &str {
        "log"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(self.clone()))
    }

    fn batch_limits(&self) -> hooks_core::BatchLimits {
        hooks_core::BatchLimits::immediate()
    }
}

#[async_trait]
impl Sink for Log {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let lines: String = batch.events().map(|event| format!("{} {}\n", self.hook, event.id())).collect();
        let Some(mut file) = self.file.as_deref() else { return Ok(Delivered::all()) };
        match file.write_all(lines.as_bytes()) {
            Ok(()) => Ok(Delivered::all()),
            Err(error) => Err(DeliveryError::retry("write").because(error)),
        }
    }
}
