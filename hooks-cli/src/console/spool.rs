//! Queues lines for a reader that may have stopped reading.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Most lines that wait, and most bytes of them. Beyond either, new ones are counted and lost.
const WAITING: (usize, usize) = (1024, 1 << 20);

/// Writes lines on its own thread, so that logging never waits for a reader of the log that has stopped.
#[derive(Debug, Clone)]
pub(super) struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The longest time that a line waits for room while nothing is written.
    timeout: Duration,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// The bytes of the lines that wait.
    bytes: usize,
    writing: bool,
    /// The number of lines written so far.
    written: u64,
    /// Nothing was written for so long that no line waits for room, until something is.
    stalled: bool,
    lost: u64,
}

impl Spool {
    /// Lines go to `output`; `lost` hears how many could not, once there is room again. They wait for room as long
    /// as one is written in each `timeout`.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn new(output: impl Write + Send + 'static, timeout: Duration, lost: fn(u64)) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), timeout });
        let theirs = shared.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || theirs.write(output, lost))?;
        Ok(Self(shared))
    }

    /// Adds a line, if there is room or comes to be.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        while state.has_no_room_for(line) {
            if self.0.timeout.is_zero() || state.stalled {
                state.lost += 1;
                return;
            }
            state = self.0.wait(state, self.0.timeout);
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_owned());
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, or nothing was for so long.
    pub(super) fn flush(&self, timeout: Duration) {
        let mut state = self.0.lock();
        state.stalled = false;
        while (state.writing || !state.lines.is_empty()) && !state.stalled {
            state = self.0.wait(state, timeout);
        }
    }
}

impl State {
    fn has_no_room_for(&self, line: &[u8]) -> bool {
        !self.lines.is_empty() && (self.lines.len() >= WAITING.0 || self.bytes + line.len() > WAITING.1)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something more is written. If that takes longer than this, it has stalled.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        let written = state.written;
        let waited = self.changed.wait_timeout_while(state, timeout, |state| state.written == written);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.stalled |= state.written == written;
        state
    }

    fn write(&self, mut output: impl Write, lost: fn(u64)) {
        loop {
            let line = self.next();
            // Nobody is left to be told when it can't be written.
            let _ = output.write_all(&line);
            let missing = {
                let mut state = self.lock();
                state.writing = false;
                state.written += 1;
                self.changed.notify_all();
                let missing = std::mem::take(&mut state.lost);
                // What is said of it comes from this thread, which can't wait for itself.
                state.stalled = missing > 0;
                missing
            };
            if missing > 0 {
                lost(missing);
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let waits = self.changed.wait_while(self.lock(), |state| state.lines.is_empty());
        let mut state = waits.unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        let line = state.lines.pop_front().unwrap_or_default();
        state.bytes -= line.len();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    static LOST: AtomicU64 = AtomicU64::new(0);

    /// Hands each line over to the test, which may let it wait.
    struct Slow(SyncSender<String>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(bytes.into()).unwrap()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_logs_never_waits_and_what_is_lost_is_counted() {
        let (sender, written): (_, Receiver<String>) = sync_channel(0);
        let note = |lost| _ = LOST.fetch_add(lost, Ordering::SeqCst);
        let spool = Spool::new(Slow(sender), Duration::ZERO, note).unwrap();
        let lines = WAITING.0 + 100;
        for number in 0..lines {
            spool.push(format!("{number}").as_bytes());
        }
        let mut first: Vec<String> = written.iter().take(2).collect();
        // One line may have been on its way while the others filled the room.
        let lost = LOST.load(Ordering::SeqCst) as usize;
        assert!((99..=100).contains(&lost), "{lost}");
        first.extend(written.iter().take(lines - lost - 2));
        assert!(first.iter().enumerate().all(|(number, line)| *line == number.to_string()));
        spool.flush(Duration::from_secs(60));
        assert!(written.try_recv().is_err());
    }

    #[test]
    fn flushing_does_not_wait_for_ever() {
        let (sender, _written) = sync_channel(0);
        let spool = Spool::new(Slow(sender), Duration::ZERO, |_| {}).unwrap();
        spool.push(b"nobody reads this");
        spool.flush(Duration::from_millis(1));
    }
}
