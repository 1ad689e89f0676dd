//! A log that went back: the server that answers now lacks what another had, as an asynchronous standby may when it takes
//! over, or it is an older copy. Its rows fit together, so hooks go on where these say; what this instance knows beyond
//! is of events that are gone, in whose places others come.

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::{BusError, HookId};
use parking_lot::Mutex;
use tokio_postgres::Client;

use super::connect::failed;
use super::hook::Hook;
use super::registry::Registry;
use super::tail::{Mark, Tail};

/// What the log has in the place of an event that was read, its end, and its beginning.
const CHECK: &str = "SELECT (SELECT (extract(epoch FROM at) * 1000000)::bigint FROM hooks.log WHERE position = $1), last, \
     (SELECT (extract(epoch FROM at) * 1000000)::bigint FROM hooks.log WHERE position = last), \
     (SELECT min(first) FROM hooks.partitions) FROM hooks.last_position() AS last";

/// The last position up to a time.
const UP_TO: &str = "SELECT hooks.position_at(timestamptz 'epoch' + ($1::bigint + 1) * interval '1 microsecond') - 1";

/// What this instance knows that a log which went back makes wrong.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) tail: Arc<Tail>,
    pub(super) hooks: Arc<Mutex<HashMap<HookId, Arc<Hook>>>>,
    pub(super) registry: Arc<Mutex<Registry>>,
}

impl Known {
    /// Compares what is known with the server of a new connection, before anything else is asked of it.
    pub(super) async fn check(&self, client: &Client) -> Result<(), BusError> {
        let mark = self.tail.mark();
        let said = |error: &tokio_postgres::Error| failed("compare the log", error);
        let row = client.query_one(CHECK, &[&mark.position.cast_signed()]).await.map_err(|error| said(&error))?;
        let (there, last): (Option<i64>, u64) = (row.get(0), row.get::<_, i64>(1).unsigned_abs());
        // Positions that were heard of may be lost, too, though not read yet.
        self.tail.ends_at(last);
        // What lies before the beginning was dropped once all hooks had passed it.
        let begin: u64 = row.get::<_, Option<i64>>(3).unwrap_or(0).unsigned_abs();
        if there == Some(mark.micros) || mark.position < begin || mark.position == 0 {
            return Ok(());
        }
        let kept = client.query_one(UP_TO, &[&mark.micros]).await.map_err(|error| said(&error))?;
        let kept = kept.get::<_, i64>(0).unsigned_abs();
        let end = Mark { position: last, micros: row.get::<_, Option<i64>>(2).unwrap_or(0) };
        // Another connection may have been first.
        if !self.tail.roll_back(mark, end, kept) {
            return Ok(());
        }
        tracing::error!(
            known = mark.position,
            last,
            "the log went back: the server lacks what another had, or is an older copy; hooks go on where its rows say, about behind {kept}"
        );
        self.registry.lock().roll_back();
        for hook in self.hooks.lock().values() {
            hook.lose(u64::MAX);
            hook.roll_back(kept);
        }
        Ok(())
    }
}
