//! Calls from outside that sinks wait for.

use super::Dispatcher;
use crate::sink::{CallHeader, Called};
use crate::worker::now;

impl Dispatcher {
    /// Sinks may wait for calls from outside: they come to addresses below this one, for example
    /// `https://events.example.com/v1/grants`. Whoever serves it hands them to [`call_back`](Self::call_back). `None`: no
    /// call can come.
    pub fn take_calls_at(&self, address: Option<String>) {
        self.0.shared.callbacks.set_address(address.map(|address| address.trim_end_matches('/').to_owned()));
    }

    /// A call came to an address: its last part, and its headers. Hooks that waited for it try again at once.
    pub fn call_back(&self, secret: &str, headers: &[CallHeader<'_>]) -> Called {
        let called = self.0.shared.callbacks.call(secret, headers, now());
        if let Called::Heard(hooks) = &called {
            hooks.iter().filter_map(|hook| self.0.slot(hook).ok()).for_each(|slot| slot.endpoint.try_now());
        }
        called
    }
}
