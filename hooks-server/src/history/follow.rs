//! Attempts as they end, a line of JSON each, for as long as somebody reads them.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{AttemptQuery, AttemptReport, History};

/// The longest time without a line. An empty one tells both sides that the other is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// The lines of attempts that fit, from now on. The turn is kept as long as somebody reads them.
pub(crate) fn follow<T: Send + 'static>(
    history: &History,
    query: AttemptQuery,
    turn: T,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut written = history.0.0.written.subscribe();
    let last = written.borrow_and_update().unwrap_or(0);
    let query = AttemptQuery { after: query.after.or(Some(last)), oldest_first: true, ..query };
    let following = Following { history: history.clone(), query, written, _turn: turn };
    stream::unfold(following, |mut following| async {
        let lines = following.next().await?;
        Some((lines, following))
    })
}

struct Following<T> {
    history: History,
    query: AttemptQuery,
    written: watch::Receiver<Option<u64>>,
    _turn: T,
}

impl<T> Following<T> {
    /// The next lines. `None`: none will come.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            // What is written from now on is seen by `changed`.
            let last = (*self.written.borrow_and_update())?;
            let page = match self.history.page(self.query.clone()).await {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            let seen = page.attempts.last().map(|last| last.id).max(page.next);
            // Without a next page, all that was there by then was looked at.
            let seen = seen.max(page.next.is_none().then_some(last));
            self.query.after = self.query.after.max(seen);
            if !page.attempts.is_empty() {
                return Some(Ok(lines(&page.attempts)));
            }
            if page.next.is_some() {
                continue;
            }
            match timeout(SILENCE, self.written.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some(Ok(Bytes::from_static(b"\n"))),
            }
        }
    }
}

fn lines(attempts: &[AttemptReport]) -> Bytes {
    let mut lines = Vec::new();
    for attempt in attempts {
        // Numbers and texts: this does not fail.
        lines.extend(serde_json::to_vec(attempt).unwrap_or_default());
        lines.push(b'\n');
    }
    lines.into()
}
