//! The promises that differ between buses.

/// The promises of a bus beyond the contract of [`Bus`](crate::Bus): the one place that says whether its events
/// outlive the process, are shared between processes, and stay readable.
///
/// ```
/// use hooks_core::bus::BusTraits;
///
/// const TRAITS: BusTraits = BusTraits::new().outlives_process().keeps_events();
/// assert!(TRAITS.outlives_process && !TRAITS.shared);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusTraits {
    /// The log, positions and overrides of hooks outlive the process. So a sink is flushed before its events are
    /// settled, and a shutdown leaves undelivered events for the next run.
    pub outlives_process: bool,
    /// Several processes have the log at the same time, and each hook has one of them as its owner.
    pub shared: bool,
    /// An event that was published before a hook came, or before its filter matched, can be read as long as the log
    /// has it. Where it is false, each hook has a queue, bounded by its
    /// [`QueueLimits`](crate::QueueLimits).
    pub keeps_events: bool,
    /// `publish` accepts all events of a call or none, also when it fails or is dropped.
    pub atomic: bool,
    /// It can say what the events of a tenant take in its log: see [`Bus::count_tenants`](crate::Bus::count_tenants).
    pub counts_tenants: bool,
}

impl BusTraits {
    /// A bus of one process that promises nothing beyond the contract.
    pub const fn new() -> Self {
        Self { outlives_process: false, shared: false, keeps_events: false, atomic: false, counts_tenants: false }
    }

    /// With [`outlives_process`](Self::outlives_process).
    #[must_use]
    pub const fn outlives_process(self) -> Self {
        Self { outlives_process: true, ..self }
    }

    /// With [`shared`](Self::shared).
    #[must_use]
    pub const fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// With [`keeps_events`](Self::keeps_events).
    #[must_use]
    pub const fn keeps_events(self) -> Self {
        Self { keeps_events: true, ..self }
    }

    /// With [`atomic`](Self::atomic).
    #[must_use]
    pub const fn atomic(self) -> Self {
        Self { atomic: true, ..self }
    }

    /// With [`counts_tenants`](Self::counts_tenants).
    #[must_use]
    pub const fn counts_tenants(self) -> Self {
        Self { counts_tenants: true, ..self }
    }
}
