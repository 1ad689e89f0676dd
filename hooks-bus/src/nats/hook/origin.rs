//! Which hook it is of those that had its name.

use super::Hook;
use crate::nats::record::HookRecord;

impl Hook {
    /// The mark of the hook in entries, if it was defined.
    pub(in crate::nats) fn mark(&self) -> Option<String> {
        self.tag.origin.as_ref().map(|origin| origin.of.clone())
    }

    /// True if this entry is the hook's, not one that another hook of its name left.
    pub(in crate::nats) fn is_of(&self, record: &HookRecord) -> bool {
        record.of.as_deref() == self.tag.origin.as_ref().map(|origin| origin.of.as_str())
    }
}
