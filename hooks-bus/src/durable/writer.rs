//! The thread that writes the log. Calls that arrive during a commit share the next one. There is no timer:
//! the next commit starts when the last one has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hooks_core::{BusError, ByteSize, Slice, bus::Published};
use tokio::sync::{mpsc, oneshot};

use super::append::{AppendError, Appender, slice_bytes};
use super::inner::Inner;
use super::retention::Reclaim;

/// A commit takes no further call once it has this many events,
const MAX_EVENTS: usize = 1000;

/// or this many bytes.
const MAX_BYTES: usize = 1 << 20;

/// One call of `publish`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) slice: Slice,
    pub(crate) answer: oneshot::Sender<Result<Published, BusError>>,
}

/// A call whose events are in the log, perhaps not yet safe.
struct Written {
    answer: oneshot::Sender<Result<Published, BusError>>,
    published: Published,
    /// The events that are new, which are at the positions behind each other from `first` on.
    parts: Vec<Slice>,
    first: u64,
    /// The events are safe when the log reaches to here. So are known ones of this commit.
    until: u64,
}

pub(crate) struct Writer {
    inner: Arc<Inner>,
    appender: Appender,
}

impl Writer {
    pub(crate) fn new(inner: Arc<Inner>, appender: Appender) -> Self {
        Self { inner, appender }
    }

    /// Runs until every sender of requests is gone.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut knows_duplicates = false;
        while let Some(first) = requests.blocking_recv() {
            let (mut events, mut bytes) = (0, 0);
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(request) = next {
                events += request.slice.len();
                bytes += slice_bytes(&request.slice);
                batch.push(request);
                let more = events < MAX_EVENTS && bytes < MAX_BYTES;
                next = if more { requests.try_recv().ok() } else { None };
            }
            self.inner.storage.health.begin_write(self.inner.storage.clock.steady());
            // Not at the start: whoever only delivers need not wait.
            if !std::mem::replace(&mut knows_duplicates, true) {
                self.inner.recall_names();
            }
            self.commit(batch);
            self.inner.storage.health.end_write();
        }
        if self.broken().is_none() {
            self.appender.seal();
        }
    }

    fn commit(&mut self, batch: Vec<Request>) {
        if let Err(error) = self.ready() {
            batch.into_iter().for_each(|request| answer(request, Err(error.clone())));
            return;
        }
        let now = self.inner.storage.now();
        let mut written = Vec::with_capacity(batch.len());
        // A caller that no longer waits expects that nothing was accepted.
        for request in batch.into_iter().filter(|request| !request.answer.is_closed()) {
            let first = self.appender.next();
            let admitted = self.inner.admit(&request.slice);
            let parts = admitted.parts(&request.slice);
            match self.append(&request.slice, &parts, now) {
                Ok(()) => {
                    let published = Published::new(request.slice.len()).duplicates(admitted.duplicates);
                    let until = self.appender.next();
                    written.push(Written { answer: request.answer, published, parts, first, until });
                }
                Err(error) => {
                    self.inner.duplicates.lock().withdraw(&admitted);
                    answer(request, Err(error));
                }
            }
        }
        if self.broken().is_none()
            && let Err(error) = self.appender.commit()
        {
            self.breaks(&error);
        }
        self.finish(written, now);
    }

    /// An error if no event can be accepted.
    fn ready(&self) -> Result<(), BusError> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        // After a crash, a hook missing from the database would begin at the end, behind these events.
        if self.inner.dirty.has_unsaved_hooks() { self.inner.checkpoint() } else { Ok(()) }
    }

    /// Appends the new events of a slice.
    fn append(&mut self, slice: &Slice, parts: &[Slice], now: u64) -> Result<(), BusError> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        self.check_lengths(slice, slice_bytes(slice))?;
        if parts.is_empty() {
            return Ok(());
        }
        let bytes = parts.iter().map(slice_bytes).sum();
        if let Some(size) = self.appender.grows_by(bytes, self.is_old(now)) {
            // Callers subscribe all hooks before they publish.
            self.inner.retention.holding.release();
            self.inner.free_space(size)?;
            while let Err(error) = self.begin(size) {
                // What hooks still need is not kept out by what none needs.
                if !(matches!(error, BusError::Full(_)) && self.inner.reclaim(Reclaim::One)?) {
                    return Err(error);
                }
            }
        }
        self.appender.append(parts, now).map_err(|error| self.breaks(&error))
    }

    /// Every event must fit among the dead letters.
    fn check_lengths(&self, slice: &Slice, together: usize) -> Result<(), BusError> {
        let largest = self.inner.config.largest_event();
        let too_long = || slice.iter().find(|event| event.len() > largest);
        let Some(event) = (together > largest).then(too_long).flatten() else { return Ok(()) };
        let (len, max) = (ByteSize::new(event.len() as u64), self.inner.config.dead_letters.max_bytes);
        Err(BusError::TooLarge(format!(
            "an event of {len} could not become a dead letter with its reason: raise the bus's `dead_letters.max_bytes` ({max})"
        )))
    }

    /// Begins a segment. After a failure the next call tries again.
    fn begin(&mut self, size: u64) -> Result<(), BusError> {
        let now = self.inner.storage.now();
        let trouble = &self.inner.storage.health.beginning;
        match self.appender.begin(size, now) {
            Ok(()) => {
                trouble.ends();
                Ok(())
            }
            Err(AppendError::NotBegun(error)) => {
                if matches!(error, BusError::Unavailable(_)) && trouble.begins(error.to_string()) {
                    tracing::error!(dir = %self.inner.storage.dir.display(), %error, "can't begin a file of the log: events are refused until it works");
                    self.inner.dirty.wake();
                }
                Err(error)
            }
            Err(AppendError::Failed(error)) => Err(self.breaks(&error)),
        }
    }

    /// True if the segment is too old for more events: age limits apply to whole segments, so that each must end. Also
    /// when the clock was set since it was begun: all events of a segment have the time of one clock.
    fn is_old(&self, now: u64) -> bool {
        if self.appender.was_moved() {
            return true;
        }
        let limits = self.inner.config.max_age.into_iter().chain([self.inner.config.retain]);
        let limit = limits.map(|limit| limit.get().as_secs()).filter(|seconds| *seconds > 0).min();
        let age = self.appender.begun().map(|begun| now.saturating_sub(begun));
        limit.zip(age).is_some_and(|(limit, age)| age > limit / 4)
    }

    /// Dispatches safe events, and answers the calls.
    fn finish(&mut self, written: Vec<Written>, now: u64) {
        let end = self.inner.storage.log.end();
        let mut answers = Vec::with_capacity(written.len());
        for Written { answer, published, parts, mut first, until } in written {
            let is_safe = until <= end;
            answers.push((answer, published, is_safe));
            for part in parts.into_iter().filter(|_| is_safe) {
                let behind = first + part.len() as u64;
                self.inner.dispatch(std::mem::replace(&mut first, behind), now, part);
            }
        }
        // A hook that subscribed during the write got these events, too: the database must have it before the calls
        // return.
        let unknown = if self.inner.dirty.has_unsaved_hooks() { self.inner.checkpoint().err() } else { None };
        let unknown = unknown.map(|error| {
            let text = format!(
                "{error}; the events are in the log, but a new hook would begin behind them: publish them again"
            );
            BusError::Unavailable(text)
        });
        for (answer, published, is_safe) in answers {
            let result = match (self.broken(), &unknown) {
                (Some(broken), _) if !is_safe => Err(broken),
                (_, Some(unknown)) => Err(unknown.clone()),
                _ => {
                    let known = published.duplicates as u64;
                    self.inner.known.fetch_add(known, Ordering::Relaxed);
                    Ok(published)
                }
            };
            // The caller may have gone.
            let _ = answer.send(result);
        }
    }

    /// The error that made the contents of the disk unknown. Only a restart can check them.
    fn broken(&self) -> Option<BusError> {
        self.inner.storage.health.broken().map(|why| BusError::Unavailable(why.to_owned()))
    }

    fn breaks(&self, error: &dyn std::fmt::Display) -> BusError {
        let dir = self.inner.storage.dir.display();
        let text =
            format!("the log in `{dir}` can't be written: {error}; no event is accepted any more, restart to recover");
        tracing::error!("{text}");
        self.inner.storage.health.set_broken(text.clone());
        BusError::Unavailable(text)
    }
}

/// Answers a call. The caller may have gone.
fn answer(request: Request, result: Result<Published, BusError>) {
    let _ = request.answer.send(result);
}
