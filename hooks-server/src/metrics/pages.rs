//! The page of metrics, which can be large and takes a while with many hooks: rendered on a separate thread, one
//! at a time, shared by all who asked, and taken from a client that reads it too slowly.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use super::text::Format;
use crate::on_own_thread;

/// Renders the page, in pieces.
pub(crate) type Render = dyn Fn(Format) -> Vec<Bytes> + Send + Sync;

/// Most bytes of pages that are still being read, beside the newest.
const READ: u64 = 64 << 20;

/// A page, until it is taken away.
pub(crate) struct Page {
    length: u64,
    pieces: Mutex<Vec<Bytes>>,
}

impl Page {
    fn new(pieces: Vec<Bytes>) -> Self {
        Self { length: pieces.iter().map(|piece| piece.len() as u64).sum(), pieces: Mutex::new(pieces) }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// `None` when it was taken away.
    pub(crate) fn piece(&self, number: usize) -> Option<Bytes> {
        self.pieces.lock().get(number).cloned()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("length", &self.length).finish_non_exhaustive()
    }
}

/// All pages.
pub(crate) struct Pages {
    render: Arc<Render>,
    /// The number of times that rendering began.
    begun: AtomicU64,
    /// Held by the task that renders.
    last: Arc<AsyncMutex<Last>>,
    /// Oldest first.
    read: Mutex<VecDeque<Weak<Page>>>,
}

/// The newest page.
#[derive(Default)]
struct Last {
    number: u64,
    format: Format,
    page: Weak<Page>,
}

impl Pages {
    pub(crate) fn new(render: Arc<Render>) -> Self {
        Self { render, begun: AtomicU64::new(0), last: Arc::default(), read: Mutex::default() }
    }

    /// A page that shows all that was before this call.
    ///
    /// # Errors
    /// When there can be no thread that renders it.
    pub(crate) async fn get(&self, format: Format) -> io::Result<Arc<Page>> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.clone().lock_owned().await;
        if last.number > before
            && last.format == format
            && let Some(page) = last.page.upgrade()
        {
            return Ok(page);
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let render = self.render.clone();
        // The work has the lock: a client that asks and goes away does not make it render twice at once.
        let work = move || {
            let page = Arc::new(Page::new(render(format)));
            *last = Last { number, format, page: Arc::downgrade(&page) };
            page
        };
        let page = on_own_thread("metrics", work).await?;
        self.enter(&page);
        Ok(page)
    }

    /// Takes the oldest away where there are too many.
    fn enter(&self, page: &Arc<Page>) {
        let mut read = self.read.lock();
        read.retain(|page| page.strong_count() > 0);
        let mut bytes: u64 = read.iter().filter_map(Weak::upgrade).map(|page| page.length).sum();
        while bytes > READ
            && let Some(oldest) = read.pop_front()
        {
            if let Some(oldest) = oldest.upgrade() {
                bytes -= oldest.length;
                oldest.pieces.lock().clear();
            }
        }
        read.push_back(Arc::downgrade(page));
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// Pages that hold their number, each rendered when the test lets it.
    fn pages() -> (Arc<Pages>, Receiver<()>, SyncSender<()>) {
        let (began, begins) = sync_channel(8);
        let (go, goes) = sync_channel(8);
        let (goes, number) = (Mutex::new(goes), AtomicU64::new(0));
        let render = move |_| {
            began.send(()).unwrap();
            goes.lock().recv().unwrap();
            vec![Bytes::from(number.fetch_add(1, Ordering::SeqCst).to_string())]
        };
        (Arc::new(Pages::new(Arc::new(render))), begins, go)
    }

    #[tokio::test]
    async fn those_who_asked_before_it_began_share_a_page_and_others_get_a_newer_one() {
        let (pages, begins, go) = pages();
        let ask = || {
            let pages = pages.clone();
            tokio::spawn(async move { pages.get(Format::Plain).await.unwrap() })
        };
        let first = ask();
        tokio::task::yield_now().await;
        begins.recv().unwrap();
        // What they saw before may not be on the page that is being rendered.
        let later = [ask(), ask(), ask()];
        // Whoever goes away takes nothing along.
        let gone = ask();
        tokio::task::yield_now().await;
        gone.abort();
        assert!(begins.try_recv().is_err(), "one at a time");
        go.send(()).unwrap();
        let first = first.await.unwrap();
        go.send(()).unwrap();
        let mut seen = Vec::new();
        for page in later {
            seen.push(page.await.unwrap());
        }
        let text = |page: &Arc<Page>| page.piece(0).unwrap();
        assert_eq!(text(&first), "0");
        assert!(seen.iter().all(|page| text(page) == "1"), "{seen:?}");
    }

    #[tokio::test]
    async fn pages_that_are_read_slowly_are_taken_away_when_they_are_too_many() {
        let pages = Pages::new(Arc::new(|_| vec![Bytes::from_static(&[0; 1 << 20]); 30]));
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(pages.get(Format::Plain).await.unwrap());
        }
        let whole: Vec<bool> = held.iter().map(|page| page.piece(0).is_some()).collect();
        assert_eq!(whole, [false, false, true, true, true]);
    }
}
