//! A disk that hangs.

use hooks_core::HookId;
use tempfile::TempDir;

use super::super::{AttemptQuery, History, HistorySettings, Skip};
use super::LOG;

#[tokio::test(start_paused = true)]
#[expect(clippy::await_holding_lock, reason = "the thread that writes hangs for as long")]
async fn a_seek_does_not_wait_for_a_disk_that_hangs() {
    let folder = TempDir::new().unwrap();
    let history = History::open(folder.path(), &HistorySettings::default(), LOG).unwrap();
    let hangs = history.0.0.shelf.lock();
    let hook = HookId::new("a").unwrap();
    // Without a limit this never ends.
    history.skipped(&Skip { hook: &hook, tenant: None, positions: 0..9, events: 9 }).await;
    drop(hangs);
    let page = history.page(AttemptQuery::default()).await.unwrap();
    assert_eq!(page.attempts[0].events, 9, "it is written all the same");
}
