//! Hooks that run when the operator's bounds change.

use hooks_core::{DispatchError, HookId};

use super::HookDefinitions;

/// Hooks that are looked at before others may run.
const PAGE: usize = 1_000;

impl HookDefinitions {
    /// Reads those that run once more; which of them had to stop, and why. One whose key is gone can't be read and goes on.
    pub(super) async fn reread(&self) -> Vec<(HookId, DispatchError)> {
        let (mut stopped, mut after) = (Vec::new(), None);
        loop {
            let page = self.0.dispatcher.hooks(after.as_ref(), PAGE, None);
            let Some(last) = page.last() else { return stopped };
            after = Some(last.hook.id.clone());
            for hook in page.into_iter().filter(|running| running.revision.is_some()) {
                let hook = hook.hook.id.clone();
                let kept = self.definition(&hook).await.ok().flatten();
                if kept.is_some_and(|kept| self.0.reader.open(&hook, &kept.text).is_ok())
                    && let Err(error) = self.0.dispatcher.reread(&hook).await
                {
                    stopped.push((hook, error));
                }
            }
        }
    }
}
