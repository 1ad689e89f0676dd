//! Defines and undefines hooks. Calls that come during a commit share the next one.

use std::collections::HashSet;
use std::sync::Arc;

use hooks_core::{
    BusError, HookId, StartAt,
    bus::{DefineError, Definition, Expected},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::definition_table;
use super::inner::Inner;
use super::start::Start;
use super::store::DefinitionChange;

/// What is defined now, or was until now.
type Answer = Result<Option<Definition>, DefineError>;

/// The calls that wait for a commit.
#[derive(Debug, Default)]
pub(crate) struct DefinitionChanges {
    /// As many as there are callers.
    waiting: Mutex<Vec<Call>>,
    /// Whoever has it commits what waits.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Call {
    hook: HookId,
    expected: Expected,
    /// `None`: undefine it.
    define: Option<(Arc<str>, Start)>,
    answer: oneshot::Sender<Answer>,
}

/// A call that will be done, with what it changes.
struct Step {
    call: Call,
    before: Option<Definition>,
    /// The position of a hook that had none.
    place: Option<u64>,
}

impl Inner {
    /// Defines a hook, or undefines it. Returns when the change would survive a crash.
    pub(crate) async fn change_definition(
        self: &Arc<Self>,
        hook: &HookId,
        expected: Expected,
        define: Option<(Arc<str>, StartAt)>,
    ) -> Answer {
        let define = match define {
            Some((text, from)) => Some((text, self.start(hook, from).await?)),
            None => None,
        };
        let (answer, mut answered) = oneshot::channel();
        self.definition_changes.waiting.lock().push(Call { hook: hook.clone(), expected, define, answer });
        let ended = || BusError::Unavailable("the change was not made: try again".to_owned());
        let turn = tokio::select! {
            biased;
            answer = &mut answered => return answer.map_err(|_| ended())?,
            turn = self.definition_changes.turn.lock() => turn,
        };
        self.blocking(|inner| {
            inner.commit_definitions();
            Ok(())
        })
        .await?;
        drop(turn);
        answered.await.map_err(|_| ended())?
    }

    /// Commits what waits. Blocks.
    fn commit_definitions(&self) {
        let mut waiting = std::mem::take(&mut *self.definition_changes.waiting.lock());
        // A caller that no longer waits expects that nothing was changed.
        waiting.retain(|call| !call.answer.is_closed());
        while !waiting.is_empty() {
            let mut hooks = HashSet::new();
            // Two changes of one hook take two commits.
            let apart = waiting.iter().position(|call| !hooks.insert(call.hook.clone())).unwrap_or(waiting.len());
            let rest = waiting.split_off(apart);
            self.commit_together(std::mem::replace(&mut waiting, rest));
        }
    }

    /// Makes changes of different hooks in one commit.
    fn commit_together(&self, calls: Vec<Call>) {
        // No checkpoint of these hooks may be written meanwhile.
        let mut saved = self.saved.lock();
        let hooks: Vec<HookId> = calls.iter().map(|call| call.hook.clone()).collect();
        let before = match self.storage.store.read(|database| definition_table::get(database, &hooks)) {
            Ok(before) => before,
            Err(error) => return calls.into_iter().for_each(|call| answer(call, Err(error.clone().into()))),
        };
        let steps: Vec<Step> =
            calls.into_iter().zip(before).filter_map(|(call, before)| self.step(call, before)).collect();
        if steps.is_empty() {
            return;
        }
        let changes: Vec<DefinitionChange<'_>> = steps.iter().map(Step::change).collect();
        match self.storage.store.change_definitions(&changes) {
            Ok(definitions) => {
                for (step, definition) in steps.into_iter().zip(definitions) {
                    self.done(&step, &mut saved);
                    let defined = definition.or(step.before);
                    answer(step.call, Ok(defined));
                }
            }
            Err(error) => {
                for step in steps {
                    if step.place.is_some() {
                        self.forget_place(&step.call.hook);
                    }
                    answer(step.call, Err(error.clone().into()));
                }
            }
        }
    }

    /// What a call changes. `None`: nothing, and it is answered.
    fn step(&self, call: Call, before: Option<Definition>) -> Option<Step> {
        let current = before.as_ref().map(|before| before.revision);
        if let Err(conflict) = call.expected.check(current) {
            answer(call, Err(conflict));
            return None;
        }
        let place = match call.define {
            Some((_, from)) => self.place(&call.hook, from),
            None if current.is_none() => {
                answer(call, Ok(None));
                return None;
            }
            None => match self.is_free(&call.hook) {
                Ok(()) => None,
                Err(error) => {
                    answer(call, Err(error.into()));
                    return None;
                }
            },
        };
        Some(Step { call, before, place })
    }

    /// Gives a hook a position if it has none. Every event that is accepted later comes behind it.
    fn place(&self, hook: &HookId, start: Start) -> Option<u64> {
        let dispatched = self.dispatched.lock();
        self.hooks.add_away(hook, || self.first_position(hook, start, *dispatched))
    }

    /// Does in memory what the database has.
    fn done(&self, step: &Step, saved: &mut Checkpoints) {
        let hook = &step.call.hook;
        match step.place {
            Some(place) => drop(saved.behind.insert(hook.clone(), place)),
            None if step.call.define.is_none() => self.forgotten(hook, saved),
            None => {}
        }
    }
}

impl Step {
    fn change(&self) -> DefinitionChange<'_> {
        match &self.call.define {
            Some((text, _)) => DefinitionChange::Define {
                hook: &self.call.hook,
                text,
                created: self.before.as_ref().map(|before| before.created),
                place: self.place,
            },
            None => DefinitionChange::Undefine { hook: &self.call.hook },
        }
    }
}

/// Answers a call. The caller may have gone.
fn answer(call: Call, answer: Answer) {
    let _ = call.answer.send(answer);
}
