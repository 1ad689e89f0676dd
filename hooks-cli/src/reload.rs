//! From the config that runs to the one that was read: only hooks that changed are touched, or of which a file
//! changed that their sink reads.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use hooks_core::{DispatchError, Dispatcher, Hook, HookId};

use crate::config::{HookConfig, Written};

/// Hooks that are changed at a time.
const AT_ONCE: usize = 64;

/// The hooks that run, as they were written.
#[derive(Debug, Default)]
pub(crate) struct Running(BTreeMap<HookId, Written>);

/// The changes to be made.
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
            match dispatcher.add(hook).await {
                Ok(()) => {
                    running.0.insert(id, written);
                }
                // Whoever may make hooks over the API must not keep the daemon from starting.
                Err(error @ DispatchError::Defined(_)) => {
                    tracing::error!(hook = %id, "{error}: this hook of the config file does not run");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(running)
    }

    /// The changes from the hooks that run to these.
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

    /// Makes the changes, many at a time: a hook that takes its time does not hold up the others. What can't be
    /// changed stays as it was, and is named; the next reload tries again.
    ///
    /// # Errors
    /// Those of the hooks that could not be changed.
    pub(crate) async fn apply(&mut self, changes: Changes, dispatcher: &Dispatcher) -> Result<(), Vec<DispatchError>> {
        let mut errors = Vec::new();
        let removed = stream::iter(changes.removed).map(async |id| {
            let done = dispatcher.remove(&id).await;
            (id, done)
        });
        for (id, done) in removed.buffered(AT_ONCE).collect::<Vec<_>>().await {
            match done {
                Ok(status) => {
                    let left = status.left_behind().events;
                    tracing::info!(hook = %id, ledger = status.counts.to_string(), left, "the hook was removed");
                    self.0.remove(&id);
                }
                Err(error) => errors.push(error),
            }
        }
        let replaced = stream::iter(changes.replaced).map(async |(hook, written)| {
            let id = hook.id.clone();
            (id, written, dispatcher.replace(hook).await)
        });
        for (id, written, done) in replaced.buffered(AT_ONCE).collect::<Vec<_>>().await {
            self.enter(id, written, done, "replaced", &mut errors);
        }
        let added = stream::iter(changes.added).map(async |(hook, written)| {
            let id = hook.id.clone();
            (id, written, dispatcher.add(hook).await)
        });
        for (id, written, done) in added.buffered(AT_ONCE).collect::<Vec<_>>().await {
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
                tracing::info!(hook = %id, "the hook was {what}");
                self.0.insert(id, written);
            }
            Err(error) => errors.push(error),
        }
    }

    /// The number of hooks that run.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use hooks_bus::MemoryBus;
    use hooks_core::{
        BoxError, Bus as _, Envelope, Sink, async_trait,
        sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
    };
    use tokio::time::Instant;

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

    /// Delivers, and never ends when it is closed.
    #[derive(Debug)]
    struct Hanging;

    impl SinkFactory for Hanging {
        fn kind(&self) -> &'static str {
            "hanging"
        }

        fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
            Ok(Box::new(Self))
        }
    }

    #[async_trait]
    impl Sink for Hanging {
        async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
            Ok(Delivered::all())
        }

        async fn close(&mut self) -> Result<(), DeliveryError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn hooks_that_take_their_time_don_t_wait_for_one_another() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let of_type = |kind| hooks(&names.iter().map(|name| (name.as_str(), kind)).collect::<Vec<_>>());
        let (bus, mut running) = (MemoryBus::default(), Running::default());
        let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
        let mut changes = running.changes(of_type("a"));
        changes.added.iter_mut().for_each(|(hook, _)| hook.sink = Arc::new(Hanging));
        running.apply(changes, &dispatcher).await.unwrap();
        bus.publish(Envelope::from_json(br#"{"type":"a"}"#).unwrap().into()).await.unwrap();
        while dispatcher.status().iter().any(|hook| hook.counts.delivered == 0) {
            // tidy-allow(test-sleep): the time is paused
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let began = Instant::now();
        let changes = running.changes(of_type("b"));
        assert_eq!(changes.replaced.len(), 20);
        running.apply(changes, &dispatcher).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(1));
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
