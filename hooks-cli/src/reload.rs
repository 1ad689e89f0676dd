//! From the config that runs to the one that was read: only hooks that changed are touched, or of which a file
//! changed that their sink reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use hooks_core::{DispatchError, Dispatcher, Hook, HookId};

use crate::config::{HookConfig, Written};

/// The hooks that run, as they were written.
#[derive(Debug, Default)]
pub(crate) struct Running(BTreeMap<HookId, Written>);

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    removed: Vec<HookId>,
    replaced: Vec<(Hook, Written)>,
    added: Vec<(Hook, Written)>,
}

impl Running {
    /// Adds all of them.
    ///
    /// # Errors
    /// That of the first which could not be added.
    pub(crate) async fn start(hooks: Vec<HookConfig>, dispatcher: &Dispatcher) -> Result<Self, DispatchError> {
        let mut running = Self::default();
        for HookConfig { hook, written, .. } in hooks {
            let id = hook.id.clone();
            dispatcher.add(hook).await?;
            running.0.insert(id, written);
        }
        Ok(running)
    }

    /// How these hooks differ from those that run.
    pub(crate) fn changes(&self, hooks: Vec<HookConfig>) -> Changes {
        let mut changes = Changes::default();
        let mut gone: BTreeMap<&HookId, &Written> = self.0.iter().collect();
        for HookConfig { hook, written, .. } in hooks {
            match gone.remove(&hook.id) {
                Some(before) if *before == written => {}
                Some(_) => changes.replaced.push((hook, written)),
                None => changes.added.push((hook, written)),
            }
        }
        changes.removed = gone.into_keys().cloned().collect();
        changes
    }

    /// Makes the changes one after the other. What can't be changed stays as it was, and is named; the
    /// next reload tries again.
    ///
    /// # Errors
    /// Those of the hooks that could not be changed.
    pub(crate) async fn apply(&mut self, changes: Changes, dispatcher: &Dispatcher) -> Result<(), Vec<DispatchError>> {
        let mut errors = Vec::new();
        for id in changes.removed {
            match dispatcher.remove(&id).await {
                Ok(status) => {
                    let left = status.left_behind().events;
                    tracing::info!(hook = %id, ledger = status.counts.to_string(), left, "removed");
                    self.0.remove(&id);
                }
                Err(error) => errors.push(error),
            }
        }
        for (hook, written) in changes.replaced {
            let id = hook.id.clone();
            let done = dispatcher.replace(hook).await;
            self.enter(id, written, done, "replaced", &mut errors);
        }
        for (hook, written) in changes.added {
            let id = hook.id.clone();
            let done = dispatcher.add(hook).await;
            self.enter(id, written, done, "added", &mut errors);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn enter(
        &mut self,
        id: HookId,
        written: Written,
        done: Result<(), DispatchError>,
        what: &'static str,
        errors: &mut Vec<DispatchError>,
    ) {
        match done {
            Ok(()) => {
                tracing::info!(hook = %id, "{what}");
                self.0.insert(id, written);
            }
            Err(error) => errors.push(error),
        }
    }

    /// How many hooks run.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What came of reading the config file.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    failed: AtomicBool,
    /// Milliseconds since 1970.
    applied_at: AtomicU64,
}

impl Reloads {
    pub(crate) fn succeed(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.applied_at.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.failed.store(false, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether the last one was applied.
    pub(crate) fn successful(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }

    /// Seconds since 1970.
    pub(crate) fn applied_at(&self) -> f64 {
        self.applied_at.load(Ordering::Relaxed) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Variables, WithoutBus, parse};

    /// Hooks of the config language: an id and a type each.
    fn hooks(list: &[(&str, &str)]) -> Vec<HookConfig> {
        let hook = |(id, kind): &(&str, &str)| {
            format!("[[hooks]]\nid = '{id}'\ntypes = ['{kind}']\nsink = {{ kind = 'file', path = '/x' }}\n")
        };
        let text: String = list.iter().map(hook).collect();
        let variables = Variables { config_dir: None, lookup: &|_| Err(std::env::VarError::NotPresent) };
        parse(&text, "test", WithoutBus::Either, &variables).unwrap().hooks
    }

    #[test]
    fn only_what_differs_is_changed() {
        let mut running = Running::default();
        let first = running.changes(hooks(&[("same", "a"), ("other", "a"), ("gone", "a")]));
        assert_eq!((first.added.len(), first.replaced.len(), first.removed.len()), (3, 0, 0));
        running.0 = first.added.into_iter().map(|(hook, written)| (hook.id, written)).collect();

        let second = running.changes(hooks(&[("new", "a"), ("other", "b"), ("same", "a")]));
        let ids = |list: &[(Hook, Written)]| list.iter().map(|(hook, _)| hook.id.to_string()).collect::<Vec<_>>();
        assert_eq!((ids(&second.added), ids(&second.replaced)), (vec!["new".to_owned()], vec!["other".to_owned()]));
        assert_eq!(second.removed.iter().map(HookId::as_str).collect::<Vec<_>>(), ["gone"]);
    }
}
