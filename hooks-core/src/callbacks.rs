//! Calls from outside that sinks wait for: a receiver that grants deliveries later, say.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::id::HookId;

/// Most calls that are waited for.
const MOST: usize = 1 << 16;

/// A header of a call: its name in lower case, and its value.
pub type CallHeader<'a> = (&'a str, &'a str);

/// Hears of a call.
pub trait Callback: Send + Sync {
    /// It was called, with these headers.
    ///
    /// # Errors
    /// What is wrong with them: it can be called again. What is returned is shown to whoever called.
    fn called(&self, headers: &[CallHeader<'_>]) -> Result<(), String>;
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Called {
    /// Nobody waits for it, or not any more.
    Unknown,
    /// Its headers are wrong.
    Refused(String),
    /// It was heard, and no other call with this secret is. These hooks waited for it.
    Heard(Vec<HookId>),
}

/// The calls that the sinks of one dispatcher wait for. Each has a secret, is heard once, and ends at a time. Has no clock.
///
/// ```
/// use std::sync::Arc;
/// use std::time::{Duration, Instant};
/// use hooks_core::{HookId, sink::{CallHeader, Callback, Callbacks, Called}};
///
/// struct Sink;
/// impl Callback for Sink {
///     fn called(&self, _: &[CallHeader<'_>]) -> Result<(), String> { Ok(()) }
/// }
///
/// let (callbacks, sink, now) = (Callbacks::default(), Arc::new(Sink), Instant::now());
/// callbacks.set_address(Some("https://events.example.com/v1/grants".to_owned()));
/// let waiting: Arc<dyn Callback> = sink;
/// let hook = HookId::new("orders")?;
/// let address = callbacks.expect("1-long-random-text", &hook, &waiting, now + Duration::from_secs(60), now);
/// assert_eq!(address.as_deref(), Some("https://events.example.com/v1/grants/1-long-random-text"));
/// assert_eq!(callbacks.call("another-text", &[], now), Called::Unknown);
/// assert_eq!(callbacks.call("1-long-random-text", &[], now), Called::Heard(vec![hook]));
/// assert_eq!(callbacks.call("1-long-random-text", &[], now), Called::Unknown);
/// # Ok::<(), hooks_core::BoxError>(())
/// ```
#[derive(Default)]
pub struct Callbacks(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    address: Option<Arc<str>>,
    calls: HashMap<String, Call>,
}

struct Call {
    callback: Weak<dyn Callback>,
    hooks: BTreeSet<HookId>,
    until: Instant,
}

impl Callbacks {
    /// The address below which calls come in, without a slash at its end. `None`: none can.
    pub fn set_address(&self, address: Option<String>) {
        self.0.lock().address = address.map(Into::into);
    }

    /// True if calls can come in.
    pub fn are_possible(&self) -> bool {
        self.0.lock().address.is_some()
    }

    /// Waits for a call with this secret until then, for a hook. Returns the address that it has to come to; `None` if it
    /// can't come, or too many are waited for.
    pub fn expect(
        &self,
        secret: &str,
        hook: &HookId,
        callback: &Arc<dyn Callback>,
        until: Instant,
        now: Instant,
    ) -> Option<String> {
        let mut waiting = self.0.lock();
        let address = format!("{}/{secret}", waiting.address.as_ref()?);
        if !waiting.calls.contains_key(secret) && waiting.calls.len() >= MOST {
            waiting.calls.retain(|_, call| call.is_good(now));
            if waiting.calls.len() >= MOST {
                return None;
            }
        }
        let call = Call { callback: Arc::downgrade(callback), hooks: BTreeSet::new(), until };
        waiting.calls.entry(secret.to_owned()).or_insert(call).hooks.insert(hook.clone());
        Some(address)
    }

    /// Whatever this waits for is over.
    pub fn forget(&self, callback: &Arc<dyn Callback>) {
        self.0.lock().calls.retain(|_, call| !call.is_of(callback));
    }

    /// A call came.
    pub fn call(&self, secret: &str, headers: &[CallHeader<'_>], now: Instant) -> Called {
        let callback = {
            let waiting = self.0.lock();
            let call = waiting.calls.get(secret).filter(|call| call.is_good(now));
            call.and_then(|call| call.callback.upgrade())
        };
        // Not under the lock: it may wait for others.
        let Some(callback) = callback else { return Called::Unknown };
        if let Err(why) = callback.called(headers) {
            return Called::Refused(why);
        }
        let mut hooks = BTreeSet::new();
        self.0.lock().calls.retain(|_, call| {
            let others = !call.is_of(&callback);
            if !others {
                hooks.append(&mut call.hooks);
            }
            others
        });
        Called::Heard(hooks.into_iter().collect())
    }
}

impl Call {
    fn is_good(&self, now: Instant) -> bool {
        now < self.until && self.callback.strong_count() > 0
    }

    fn is_of(&self, callback: &Arc<dyn Callback>) -> bool {
        Weak::ptr_eq(&self.callback, &Arc::downgrade(callback))
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").field("calls", &self.0.lock().calls.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Picky;

    impl Callback for Picky {
        fn called(&self, headers: &[CallHeader<'_>]) -> Result<(), String> {
            if headers.is_empty() { Ok(()) } else { Err("no headers".to_owned()) }
        }
    }

    fn waiting() -> (Callbacks, Arc<dyn Callback>, HookId, Instant) {
        let callbacks = Callbacks::default();
        callbacks.set_address(Some("https://h".to_owned()));
        (callbacks, Arc::new(Picky), HookId::new("a").unwrap(), Instant::now())
    }

    #[test]
    fn a_call_is_heard_once_for_all_that_wait_and_until_its_end() {
        let (callbacks, picky, hook, now) = waiting();
        let (later, end) = (now + Duration::from_secs(9), now + Duration::from_secs(10));
        let other = HookId::new("b").unwrap();
        assert_eq!(callbacks.expect("one", &hook, &picky, end, now).as_deref(), Some("https://h/one"));
        callbacks.expect("one", &other, &picky, end, now);
        callbacks.expect("two", &hook, &picky, end, now);
        assert_eq!(callbacks.call("one", &[], end), Called::Unknown, "too late");
        assert_eq!(callbacks.call("one", &[("a", "b")], later), Called::Refused("no headers".to_owned()));
        assert_eq!(callbacks.call("two", &[], later), Called::Heard(vec![hook.clone(), other]));
        assert_eq!(callbacks.call("one", &[], later), Called::Unknown, "what it was for is there");
        callbacks.expect("three", &hook, &picky, end, now);
        callbacks.forget(&picky);
        assert_eq!(callbacks.call("three", &[], now), Called::Unknown);
    }

    #[test]
    fn nobody_waits_without_an_address_for_what_is_gone_or_for_too_many() {
        let (callbacks, picky, hook, now) = waiting();
        let end = now + Duration::from_secs(10);
        for number in 0..MOST {
            assert!(callbacks.expect(&number.to_string(), &hook, &picky, end, now).is_some());
        }
        assert_eq!(callbacks.expect("more", &hook, &picky, end, now), None);
        assert!(callbacks.expect("7", &hook, &picky, end, now).is_some(), "it is waited for already");
        assert!(callbacks.expect("more", &hook, &picky, end, end).is_some(), "the others are over");
        drop(picky);
        assert_eq!(callbacks.call("more", &[], now), Called::Unknown);
        let (callbacks, picky, ..) = waiting();
        callbacks.set_address(None);
        assert_eq!((callbacks.are_possible(), callbacks.expect("a", &hook, &picky, end, now)), (false, None));
    }
}
