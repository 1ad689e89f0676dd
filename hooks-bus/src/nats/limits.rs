//! The known limits of server and stream: a call that can't be accepted as a whole is refused before any of it is
//! sent. No I/O.

use async_nats::jetstream::stream::Info;
use hooks_core::{BusError, ByteSize, Envelope};
use parking_lot::Mutex;

use super::subject;

/// Bytes that the header adds to a published event.
const HEADER: usize = 64;

/// Bytes that the header of a dead letter may add to its event. Publishing keeps them free, so that every accepted
/// event can become a dead letter.
pub(super) const DEAD_LETTER_HEADER: usize = 2_048;

/// Bytes that the stream's store adds to a message, beside its subject.
const STORED: usize = 34;

/// Bytes and messages.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    bytes: u64,
    messages: u64,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, messages: self.messages + other.messages }
    }

    fn less(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_sub(other.bytes), messages: self.messages.saturating_sub(other.messages) }
    }
}

/// The reason why a call is not let through.
#[derive(Debug)]
pub(super) enum NoRoom {
    /// The stream may have changed since it was last read.
    LookAgain(BusError),
    Never(BusError),
}

/// The known limits and contents of the stream.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Bytes of a subject before its type.
    prefix: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The longest message of the server; 0: not known.
    max_payload: usize,
    /// The longest message of the stream; 0: as the server.
    max_message: usize,
    /// The most that the stream keeps; 0: without end.
    most: Size,
    stored: Size,
    /// Acknowledged since that was seen.
    since: Size,
    /// In flight.
    inflight: Size,
}

/// The events of a call in flight.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    limits: &'a Limits,
    size: Size,
}

impl Limits {
    /// The limits of the bus of this name, not known yet.
    pub(super) fn new(name: &str) -> Self {
        Self { prefix: subject::of_all(name).len() - 1, state: Mutex::default() }
    }

    /// Takes in the stream's limits and contents.
    pub(super) fn see(&self, max_payload: usize, info: &Info) {
        let positive = |limit: i64| u64::try_from(limit).unwrap_or(0);
        let mut state = self.state.lock();
        state.max_payload = max_payload;
        state.max_message = usize::try_from(info.config.max_message_size).unwrap_or(0);
        state.most = Size { bytes: positive(info.config.max_bytes), messages: positive(info.config.max_messages) };
        state.stored = Size { bytes: info.state.bytes, messages: info.state.messages };
        state.since = Size::default();
    }

    /// Lets a call through, with all of its events or none.
    pub(super) fn admit(&self, events: &[Envelope]) -> Result<Admitted<'_>, NoRoom> {
        let mut state = self.state.lock();
        let longest = state.longest();
        let mut size = Size { bytes: 0, messages: events.len() as u64 };
        for event in events {
            if event.len() > longest.0 {
                return Err(NoRoom::Never(too_long(event, longest)));
            }
            size.bytes += (event.len() + HEADER + STORED + self.prefix + subject::length(event)) as u64;
        }
        if let Some(error) = state.excess(size, Size::default()) {
            return Err(NoRoom::Never(BusError::TooLarge(error)));
        }
        let taken = state.stored.plus(state.since).plus(state.inflight);
        if let Some(error) = state.excess(size, taken) {
            return Err(NoRoom::LookAgain(BusError::Full(error)));
        }
        state.inflight = state.inflight.plus(size);
        Ok(Admitted { limits: self, size })
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut state = self.limits.state.lock();
        state.inflight = state.inflight.less(self.size);
        state.since = state.since.plus(self.size);
    }
}

impl State {
    /// The longest event, and whose limit that is.
    fn longest(&self) -> (usize, &'static str, usize) {
        let server = match self.max_payload {
            0 => (usize::MAX, "", 0),
            most => (most.saturating_sub(DEAD_LETTER_HEADER), "the server's max_payload", most),
        };
        match self.max_message {
            most @ 1.. if most.saturating_sub(HEADER) < server.0 => {
                (most.saturating_sub(HEADER), "the stream's max_msg_size", most)
            }
            _ => server,
        }
    }

    /// The error if so much does not fit beside what is taken.
    fn excess(&self, size: Size, taken: Size) -> Option<String> {
        let all = size.plus(taken);
        let Size { bytes, messages } = self.most;
        if bytes > 0 && all.bytes > bytes {
            let (size, most) = (size.bytes, ByteSize::new(bytes));
            return Some(format!("NATS: {size} more bytes don't fit in the stream's max_bytes, {most}"));
        }
        (messages > 0 && all.messages > messages)
            .then(|| format!("NATS: {} more events don't fit in the stream's max_msgs, {messages}", size.messages))
    }
}

fn too_long(event: &Envelope, (longest, whose, limit): (usize, &str, usize)) -> BusError {
    let (id, source, length) = (event.id(), event.source(), event.len());
    BusError::TooLarge(format!(
        "{id} of {source} has {length} bytes; NATS takes at most {longest}: {whose}, {limit}, less what a header adds, also that of a dead letter"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(lengths: &[usize]) -> Vec<Envelope> {
        let event =
            |length: &usize| format!(r#"{{"type":"t","id":"1","source":"s","data":"{}"}}"#, "x".repeat(*length));
        lengths.iter().map(|length| Envelope::from_json(event(length).as_bytes()).unwrap()).collect()
    }

    fn limits(max_payload: usize, max_message: usize, most: Size) -> Limits {
        Limits { prefix: 0, state: Mutex::new(State { max_payload, max_message, most, ..State::default() }) }
    }

    #[test]
    fn one_that_is_too_long_refuses_all() {
        for limits in [limits(10_000, 0, Size::default()), limits(20_000, 8_016, Size::default())] {
            assert!(limits.admit(&events(&[1, 7_500])).is_ok());
            assert!(matches!(limits.admit(&events(&[1, 7_999])), Err(NoRoom::Never(BusError::TooLarge(_)))));
        }
        assert!(Limits::default().admit(&events(&[100_000])).is_ok(), "nothing is known yet");
    }

    #[test]
    fn what_is_on_its_way_takes_room() {
        let limits = limits(0, 0, Size { bytes: 10_000, messages: 5 });
        assert!(matches!(limits.admit(&events(&[11_000])), Err(NoRoom::Never(BusError::TooLarge(_)))));
        let first = limits.admit(&events(&[6_000])).unwrap();
        assert!(matches!(limits.admit(&events(&[6_000])), Err(NoRoom::LookAgain(BusError::Full(_)))));
        drop(first);
        assert!(limits.admit(&events(&[6_000])).is_err(), "it is there now");
        assert!(limits.admit(&events(&[1; 4])).is_ok() && limits.admit(&events(&[1])).is_err());
        limits.state.lock().since = Size::default();
        assert!(limits.admit(&events(&[6_000])).is_ok());
    }
}
