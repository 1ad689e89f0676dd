//! Looks attempts up: from the segments of each chain, one record after the other, in the order of their numbers.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use hooks_core::AttemptOutcome;
use parking_lot::Mutex;

use super::index::{Key, StoredIndex};
use super::record::{FRAME, Record};
use super::report::{AttemptPage, AttemptQuery, AttemptReport};
use super::segment::{self, Chain, index_path};
use super::shelf::{Shelf, View};

/// Most records that are looked at for a page.
const MOST_LOOKS: usize = 50_000;

/// A page of attempts, at this time in microseconds since 1970.
///
/// # Errors
/// When a segment can't be read.
pub(super) fn page(shelf: &Mutex<Shelf>, query: &AttemptQuery, now: u64) -> io::Result<AttemptPage> {
    let hook = query.hook.as_ref().map(|hook| Key::Hook(hook.as_str()));
    // There are fewer records about an event than about a hook.
    let key = query.position.map(Key::Position).or(hook);
    let mut search = {
        let shelf = shelf.lock();
        let age = u64::try_from(shelf.limits().max_age.as_micros()).unwrap_or(u64::MAX);
        Search { query, oldest: now.saturating_sub(age), log: shelf.log(), walks: walks(&shelf, query, key) }
    };
    let limit = query.limit.clamp(1, AttemptQuery::LIMITS.1);
    let mut page = AttemptPage::default();
    for looks in 1.. {
        let Some(number) = search.next(key)? else { return Ok(page) };
        let record = search.take();
        if search.is_over(number) {
            return Ok(page);
        }
        page.attempts.extend(record);
        if page.attempts.len() == limit || looks == MOST_LOOKS {
            page.next = Some(number);
            break;
        }
    }
    // A next page with nothing in it is no next page, where that is known.
    if search.next(key)?.is_none_or(|number| search.is_over(number)) {
        page.next = None;
    }
    Ok(page)
}

fn walks(shelf: &Shelf, query: &AttemptQuery, key: Option<Key<'_>>) -> Vec<Walk> {
    let wanted = |chain: &Chain| query.delivered.is_none_or(|delivered| (*chain == Chain::Delivered) == delivered);
    let may_have = |view: &View| {
        let (numbers, began) = (view.summary.numbers, view.summary.began);
        let is_behind = match query.after {
            Some(after) if query.oldest_first => numbers.1 > after,
            Some(after) => numbers.0 < after,
            None => true,
        };
        is_behind
            && query.since.is_none_or(|since| began.1 >= since)
            && query.until.is_none_or(|until| began.0 <= until)
    };
    let walk = |chain| {
        let mut views: VecDeque<View> = shelf.views(chain, key).into_iter().filter(may_have).collect();
        if !query.oldest_first {
            views.make_contiguous().reverse();
        }
        Walk { views, open: None, read: Vec::new(), number: None }
    };
    Chain::ALL.into_iter().filter(wanted).map(walk).collect()
}

/// A search that goes on.
struct Search<'a> {
    query: &'a AttemptQuery,
    /// What ended before is too old.
    oldest: u64,
    log: hooks_core::uuid::Uuid,
    walks: Vec<Walk>,
}

/// The records of a chain, in their order.
struct Walk {
    views: VecDeque<View>,
    open: Option<Open>,
    /// The frame of the record at the head.
    read: Vec<u8>,
    /// Its number. `None`: it is not read yet.
    number: Option<u64>,
}

/// A segment that is walked through.
struct Open {
    file: File,
    log: hooks_core::uuid::Uuid,
    offsets: VecDeque<u32>,
}

impl Search<'_> {
    /// The number of the next record.
    fn next(&mut self, key: Option<Key<'_>>) -> io::Result<Option<u64>> {
        for walk in &mut self.walks {
            walk.look(key, self.query)?;
        }
        let numbers = self.walks.iter().filter_map(|walk| walk.number);
        Ok(if self.query.oldest_first { numbers.min() } else { numbers.max() })
    }

    /// Takes the next record, if it is wanted.
    fn take(&mut self) -> Option<AttemptReport> {
        let numbers = self.walks.iter().enumerate().filter_map(|(index, walk)| Some((walk.number?, index)));
        let (_, index) = if self.query.oldest_first { numbers.min() } else { numbers.max() }?;
        let walk = &mut self.walks[index];
        walk.number = None;
        let record = Record::read(walk.read.get(FRAME..)?)?;
        let is_of_log = walk.open.as_ref().is_some_and(|open| open.log == self.log);
        let fits = record.facts.number >= self.oldest && fits(self.query, &record, is_of_log);
        if fits { AttemptReport::of(&record) } else { None }
    }

    /// True if no record from this number on is wanted: attempts end after they begin.
    fn is_over(&self, number: u64) -> bool {
        let least = self.query.since.unwrap_or(0).max(self.oldest);
        !self.query.oldest_first && number < least
    }
}

/// True if a record is wanted.
fn fits(query: &AttemptQuery, record: &Record<'_>, is_of_log: bool) -> bool {
    let facts = &record.facts;
    query.hook.as_ref().is_none_or(|hook| hook.as_str() == facts.hook)
        && query.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == facts.tenant)
        && query.position.is_none_or(|position| is_of_log && record.has(position))
        && query.delivered.is_none_or(|delivered| (facts.outcome == AttemptOutcome::Delivered) == delivered)
        && query.since.is_none_or(|since| facts.began >= since)
        && query.until.is_none_or(|until| facts.began <= until)
}

impl Walk {
    /// Reads the next record, unless it is read.
    fn look(&mut self, key: Option<Key<'_>>, query: &AttemptQuery) -> io::Result<()> {
        while self.number.is_none() {
            let Some(open) = &mut self.open else {
                let Some(view) = self.views.pop_front() else { return Ok(()) };
                self.open = Open::new(view, key, query)?;
                continue;
            };
            let next = if query.oldest_first { open.offsets.pop_front() } else { open.offsets.pop_back() };
            let Some(offset) = next else {
                self.open = None;
                continue;
            };
            // One that is damaged costs itself.
            if segment::read_record(&open.file, offset, &mut self.read)? {
                self.number = number_of(&self.read);
            }
        }
        Ok(())
    }
}

impl Open {
    /// `None`: the segment is gone, for newer ones.
    fn new(view: View, key: Option<Key<'_>>, query: &AttemptQuery) -> io::Result<Option<Self>> {
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        };
        let offsets = match view.offsets {
            Some(offsets) => offsets,
            None => match StoredIndex::open(&index_path(&view.path)) {
                Ok(Some(index)) => key.map_or_else(|| index.all(), |key| index.find(key))?,
                Ok(None) => return Ok(None),
                Err(error) => return gone(error),
            },
        };
        let file = match File::open(&view.path) {
            Ok(file) => file,
            Err(error) => return gone(error),
        };
        let mut open = Self { file, log: view.summary.log, offsets: offsets.into() };
        if let Some(after) = query.after {
            open.begin_behind(after, query.oldest_first)?;
        }
        Ok(Some(open))
    }

    /// Leaves out what comes before a page, and the record that it begins behind. Numbers rise with offsets.
    fn begin_behind(&mut self, after: u64, oldest_first: bool) -> io::Result<()> {
        let (mut low, mut high, mut read) = (0, self.offsets.len(), Vec::new());
        while low < high {
            let middle = low.midpoint(high);
            let mut at = middle;
            // One that is damaged says nothing: the next one does.
            while at < high && !segment::read_record(&self.file, self.offsets[at], &mut read)? {
                at += 1;
            }
            let number = number_of(&read).filter(|_| at < high);
            if number.is_some_and(|number| number < after || (oldest_first && number == after)) {
                low = at + 1;
            } else {
                high = middle;
            }
        }
        if oldest_first {
            self.offsets.drain(..low);
        } else {
            self.offsets.truncate(low);
        }
        Ok(())
    }
}

fn number_of(frame: &[u8]) -> Option<u64> {
    frame.get(FRAME..FRAME + 8)?.try_into().ok().map(u64::from_le_bytes)
}
