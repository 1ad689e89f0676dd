//! The destination of the sink under test.

use std::sync::Arc;

use async_trait::async_trait;

use crate::delivery::FailureClass;
use crate::sink::SinkFactory;

/// The destination of the sink under test, with a way to read the received events.
///
/// Two methods are required. With the others the kit can check more: checks that a destination can't support are
/// skipped, and [`Report::skipped`](super::Report::skipped) names them.
#[async_trait]
pub trait Destination: Send + Sync {
    /// The settings of a sink that delivers here. All sinks of one check are built from one factory.
    fn factory(&self) -> Arc<dyn SinkFactory>;

    /// Everything that has arrived here so far, oldest first: the JSON of each event as it came, without the
    /// separators (line ends, the brackets and commas of an array). Fragments such as a torn line belong in it, too.
    ///
    /// Where the sink [renders](Self::renders) events: the id of each instead, in the order in which they appear.
    async fn received(&self) -> Vec<String>;

    /// True if the sink renders events (a chat message, a mail, a row of a table) instead of passing on their JSON. The
    /// kit then asks which events arrived, not what became of their text.
    fn renders(&self) -> bool {
        false
    }

    /// From now on, refuse the event with this id for good and take the others, or refuse every batch that it is in,
    /// as the real destination does. `false`: can't be done.
    async fn refuse(&self, id: &str) -> bool {
        let _ = id;
        false
    }

    /// From now on, fail every delivery in a way that the sink should report as this class, and keep
    /// nothing of it. `false`: can't be done.
    async fn fail(&self, class: FailureClass) -> bool {
        let _ = class;
        false
    }

    /// Ends the failure that [`fail`](Self::fail) began.
    async fn heal(&self) {}

    /// The secrets among the sink's settings, as they are sent or used: none of these texts may be printed.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}
