//! Moves hooks within what they have in memory.

use std::time::SystemTime;

use hooks_core::{
    HookId, Position, StartAt,
    bus::{Seek, SeekError, SeekTo, Sought},
};

use super::inner::Inner;
use super::target::Target;

impl Inner {
    /// Moves a hook ahead. Nothing is kept that it could go back to.
    pub(super) fn seek(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        // No event comes meanwhile.
        let next = self.next.lock();
        let end = *next;
        let subscriber = self.hooks.lock().get(hook).map(|(_, subscriber)| subscriber.clone());
        let subscriber = subscriber.ok_or_else(|| SeekError::Unknown(hook.clone()))?;
        let target = match seek.to {
            SeekTo::Position(to) if to.get() > end => return Err(SeekError::BeyondEnd { to: to.get(), end }),
            SeekTo::Position(to) => Target::Position(to),
            SeekTo::Start(StartAt::Earliest) => Target::Position(Position::new(0)),
            SeekTo::Start(from) => {
                from.since(SystemTime::now()).map_or(Target::Position(Position::new(end)), Target::Time)
            }
        };
        let is_earliest = seek.to == SeekTo::Start(StartAt::Earliest);
        subscriber.seek(target, end, seek).map(|sought| sought.reached(sought.reached || is_earliest))
    }
}
