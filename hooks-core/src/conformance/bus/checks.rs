//! The list of checks: to which buses each applies.

use futures_util::future::BoxFuture;

use super::probe::Probe;
use super::{dead_letters, definitions, keeping, limits, past, processes, publishing, reading, seeking};
use crate::bus::BusTraits;
use crate::conformance::run::Checked;

/// A check.
pub(super) struct Check {
    pub(super) name: &'static str,
    to: Applies,
    pub(super) run: for<'a> fn(&'a Probe<'a>) -> BoxFuture<'a, Checked>,
}

/// The buses that a check is for.
#[derive(Clone, Copy)]
enum Applies {
    /// Every bus.
    Every,
    /// Buses that outlive their process.
    Lasting,
    /// Buses that outlive their process and that one process has.
    Single,
    /// Buses that processes share.
    Shared,
}

impl Check {
    /// The reason why the check is not for a bus with these traits, if so.
    pub(super) fn does_not_apply(&self, traits: BusTraits) -> Option<&'static str> {
        match self.to {
            Applies::Lasting | Applies::Single if !traits.outlives_process => {
                Some("the bus does not outlive its process (`outlives_process`)")
            }
            Applies::Single if traits.shared => Some("processes share the bus (`shared`)"),
            Applies::Shared if !traits.shared => Some("processes do not share the bus (`shared`)"),
            _ => None,
        }
    }
}

macro_rules! checks {
    ($($module:ident::$name:ident: $to:ident),* $(,)?) => {
        &[$(Check { name: stringify!($name), to: Applies::$to, run: |probe| Box::pin($module::$name(probe)) }),*]
    };
}

/// All checks.
pub(super) const ALL: &[Check] = checks![
    publishing::order: Every,
    publishing::verbatim: Every,
    publishing::publishers: Every,
    publishing::all_or_nothing: Every,
    publishing::cancelled_publish: Every,
    publishing::counting: Every,
    reading::filters: Every,
    reading::tenants: Every,
    reading::filter_change: Every,
    reading::beginning: Every,
    reading::redelivery: Every,
    reading::settling: Every,
    reading::cancelled_next: Every,
    limits::window: Every,
    limits::queue_limits: Every,
    limits::isolation: Every,
    limits::disabled: Every,
    reading::closed_reader: Every,
    past::past: Every,
    publishing::closing: Every,
    keeping::lag: Every,
    keeping::unsubscribing: Every,
    keeping::forgetting: Every,
    seeking::seeking: Every,
    keeping::overrides: Every,
    dead_letters::dead_letters: Every,
    dead_letters::dead_letter_limit: Every,
    definitions::definitions: Every,
    definitions::defining: Every,
    definitions::undefining: Every,
    processes::claims: Every,
    processes::restart: Lasting,
    processes::crash: Lasting,
    definitions::kept_definitions: Lasting,
    processes::one_at_a_time: Single,
    processes::takeover: Shared,
    processes::takeover_after_crash: Shared,
    processes::sharing: Shared,
    processes::shared_overrides: Shared,
    definitions::shared_definitions: Shared,
];
