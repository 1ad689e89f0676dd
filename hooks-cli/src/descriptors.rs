//! The limit of open files of the process, and how it is shared out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most seats for connections beyond `ingest.max_connections`, which health and metrics are asked on.
const LOBBY: u64 = 64;

/// Kept for the log, the runtime, operators and name look-ups.
const RESERVE: u64 = 64;

/// Raises the limit to what the system allows this process.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it can't be raised, it stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// The number of connections that are taken, so that hooks and the log find descriptors when they need some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections: usize,
    pub(crate) lobby: usize,
}

impl ConnectionLimits {
    /// The limits for so many connections beside hooks that need so many descriptors; and a warning for the operator
    /// where all that does not fit.
    pub(crate) fn now(connections: usize, hooks: usize) -> (Self, Option<String>) {
        Self::within(getrlimit(Resource::Nofile).current, connections, hooks)
    }

    fn within(limit: Option<u64>, connections: usize, hooks: usize) -> (Self, Option<String>) {
        // No limit at all.
        let limit = limit.unwrap_or(u64::MAX);
        let (lobby, reserve) = (LOBBY.min(limit / 8), RESERVE.min(limit / 2));
        let (wanted, hooks) = (connections as u64, hooks as u64);
        let left = limit.saturating_sub(lobby + reserve + hooks).max(limit / 4).max(1);
        let given = wanted.min(left);
        let limits = Self { connections: usize::try_from(given).unwrap_or(connections), lobby: lobby.max(1) as usize };
        let needed = wanted.saturating_add(hooks + LOBBY + RESERVE);
        let warning = (needed > limit).then(|| {
            format!(
                "hooks with {hooks} {} and {connections} connections (ingest.max_connections) don't fit into the {limit} files that this process may have open: only {given} connections are taken; allow it {needed} (LimitNOFILE of the service, ulimit -n), or lower ingest.max_connections",
                if hooks == 1 { "lane" } else { "lanes" }
            )
        });
        (limits, warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_and_the_log_come_first_and_nobody_is_locked_out() {
        let given = |limit, connections, hooks| {
            let (limits, warning) = ConnectionLimits::within(limit, connections, hooks);
            (limits.connections, limits.lobby, warning.is_some())
        };
        assert_eq!(given(Some(65_536), 1024, 10), (1024, 64, false));
        assert_eq!(given(None, 1_000_000, 10_000), (1_000_000, 64, false));
        assert_eq!(given(Some(1024), 1024, 10), (886, 64, true));
        assert_eq!(given(Some(1024), 886, 10), (886, 64, false), "as the warning says");
        assert_eq!(given(Some(1024), 1024, 10_000), (256, 64, true));
        assert_eq!(given(Some(64), 1024, 1), (23, 8, true));
        assert_eq!(given(Some(0), 1024, 1), (1, 1, true));
    }
}
