//! A hook's sink, of which the test keeps one to ask.

use std::fmt::Debug;

use hooks_core::{BoxError, Sink, SinkContext, SinkFactory};

/// Makes the same sink for each lane.
#[derive(Debug)]
pub(crate) struct Clones<S>(pub(crate) S);

impl<S: Sink + Clone + Sync + Debug + 'static> SinkFactory for Clones<S> {
    fn kind(&self) -> &str {
        "test"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(self.0.clone()))
    }
}
