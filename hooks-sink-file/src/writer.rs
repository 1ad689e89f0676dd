//! One open file, shared by all hooks that append to it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hooks_core::sink::DeliveryError;
use parking_lot::Mutex;

use crate::config::WriteOptions;
use crate::fault::{failure, is_no_room};
use crate::lines::Lines;
use crate::open::{self, Lock};
use crate::path;
use crate::progress::{Opening, Progress};
use crate::redelivery::Redelivery;
use crate::tail::{self, Plan};
use crate::write::{Repair, write};

/// Times that the file may be renamed or removed between opening and locking it.
const REOPENS: usize = 8;

/// Appends to one path. Everything here blocks.
pub(crate) struct Writer {
    path: PathBuf,
    /// fdatasync; a test puts a failing one here.
    sync_data: fn(&File) -> io::Result<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// The number of times that a file was opened: names the open one.
    opens: u64,
    /// The number of times that written lines may not have reached the disk.
    losses: u64,
    /// True if lines that somebody wants on the disk may not be there yet.
    dirty: bool,
    /// True if what the file seems to end with may not be on the disk and never get there.
    distrust_tail: bool,
    /// Finds redelivered lines that the file holds.
    redelivery: Redelivery,
}

struct Open {
    file: Arc<File>,
    device: u64,
    folder: OwnedFd,
    entry: Entry,
}

/// The state of the file's entry in its folder.
enum Entry {
    NotAsked,
    Unsynced(File),
    Synced,
}

/// The next step of an append.
enum Action {
    /// Nothing: the lines stand at this offset, before a torn line that what comes next may continue.
    Skip(u64),
    /// To write. The file has this size.
    Append(u64, Plan),
}

/// The result of an attempt to append.
pub(crate) struct Appended {
    /// `Ok`: the file holds every line.
    pub(crate) result: Result<(), DeliveryError>,
    /// The part of the lines that the file holds, for the next attempt with the same lines.
    pub(crate) progress: Progress,
    /// The repair of a line that was torn before.
    pub(crate) repair: Option<Repair>,
    /// For [`Writer::sync`].
    pub(crate) losses: u64,
    /// The device that the file is on.
    pub(crate) device: Option<u64>,
}

impl Writer {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, sync_data: File::sync_data, state: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends lines in one write. `held` is what attempts with the same lines left.
    pub(crate) fn append(&self, lines: &Lines<'_>, mut progress: Progress, options: WriteOptions) -> Appended {
        let mut state = self.state.lock();
        let mut repair = None;
        let result = self.lock_current(&mut state, options).and_then(|(file, _lock)| {
            let opening = state.opening();
            progress = match std::mem::take(&mut progress).in_file(&file, opening, lines) {
                Ok(progress) => progress,
                Err((left, old)) => {
                    progress = left.checked(&old, lines);
                    self.leave_renamed(&mut state, &old, lines, &mut progress, options, &mut repair)?;
                    std::mem::take(&mut progress).leave(lines, &file, opening)
                }
            };
            self.append_rest(&mut state, &file, lines, &mut progress, options, &mut repair)
        });
        let device = state.open.as_ref().map(|open| open.device);
        Appended { result, progress, repair, losses: state.losses, device }
    }

    /// Appends what the file does not hold already.
    fn append_rest(
        &self,
        state: &mut State,
        file: &File,
        lines: &Lines<'_>,
        progress: &mut Progress,
        options: WriteOptions,
        repair: &mut Option<Repair>,
    ) -> Result<(), DeliveryError> {
        let start = progress.whole_lines(lines);
        if start == lines.len() {
            return Ok(());
        }
        let looked = state.look(file, lines, start).map_err(|error| failure(self.doing("read the end of"), error))?;
        let (size, plan) = match looked {
            Action::Skip(offset) => {
                state.dirty |= options.sync;
                progress.add(start, offset, lines.len() - start);
                return Ok(());
            }
            Action::Append(size, plan) => (size, plan),
        };
        let wrote = write(file, plan, lines, start);
        state.dirty |= options.sync && wrote.bytes > 0;
        state.distrust_tail &= wrote.result.is_err();
        *repair = wrote.repair.or(*repair);
        if wrote.of_text > 0 {
            let ended = u64::from(plan == Plan::EndFragment);
            progress.add(start, size + ended - plan.present() as u64, plan.present() + wrote.of_text);
        }
        wrote.result.map_err(|error| failure(self.doing("append to"), error))
    }

    /// Leaves a file that was renamed while it held a part of the lines. What it holds is not written again; the line
    /// that it ends in the middle of is made whole there, as soon as there is room. What a removed file held is gone.
    fn leave_renamed(
        &self,
        state: &mut State,
        old: &Arc<File>,
        lines: &Lines<'_>,
        progress: &mut Progress,
        options: WriteOptions,
        repair: &mut Option<Repair>,
    ) -> Result<(), DeliveryError> {
        let failed = |error| failure(self.doing("leave the file that was renamed at"), error);
        let found = old.metadata().map_err(failed)?;
        if found.nlink() == 0 {
            *progress = Progress::default();
            return Ok(());
        }
        let _lock = Lock::take(old, &self.path)?;
        let (start, torn) = (progress.whole_lines(lines), progress.torn(lines, found.len()));
        let Some(line) = lines.bytes()[start..].split_inclusive(|byte| *byte == b'\n').next().filter(|_| torn > 0)
        else {
            return Ok(());
        };
        let line = Lines::new(vec![String::from_utf8_lossy(line)]);
        let wrote = write(old, Plan::Continue(torn), &line, 0);
        progress.add(start, found.len() - torn as u64, torn + wrote.of_text);
        *repair = wrote.repair;
        if options.sync && wrote.bytes > 0 && (self.sync_data)(old).is_err() {
            // Whatever it held is written again.
            state.record_loss();
            return Err(DeliveryError::retry(format!("{}: it was renamed", self.doing("sync"))));
        }
        match wrote.result {
            Err(error) if is_no_room(&error) => Err(failed(error)),
            // It can't be made whole there: it comes whole in the next file.
            _ => Ok(()),
        }
    }

    /// Puts on the disk what was appended since `losses` was told, or says that it can't be.
    ///
    /// A failed fdatasync drops what it could not write, and the next one succeeds without it. So
    /// after a failure everybody whose lines were not yet known to be on the disk is told to write
    /// them again.
    pub(crate) fn sync(&self, losses: u64) -> Result<(), DeliveryError> {
        let mut state = self.state.lock();
        if state.losses != losses {
            return Err(DeliveryError::retry(format!("{}: it failed before", self.doing("sync"))));
        }
        if !state.dirty {
            return Ok(());
        }
        self.sync_open(&mut state).map_err(|error| {
            state.record_loss();
            failure(self.doing("sync"), error)
        })
    }

    fn sync_open(&self, state: &mut State) -> io::Result<()> {
        let Some(open) = &mut state.open else { return Ok(()) };
        (self.sync_data)(&open.file)?;
        if let Entry::Unsynced(folder) = &open.entry {
            path::sync_folder(folder)?;
            open.entry = Entry::Synced;
        }
        state.dirty = false;
        Ok(())
    }

    /// The file that the path leads to now, locked.
    fn lock_current(&self, state: &mut State, options: WriteOptions) -> Result<(Arc<File>, Lock), DeliveryError> {
        for _ in 0..REOPENS {
            let file = self.opened(state, options)?;
            let lock = Lock::take(&file, &self.path)?;
            if open::is_at(&file, &self.path)? {
                return Ok((file, lock));
            }
            drop(lock);
            self.close_file(state);
        }
        Err(DeliveryError::retry(format!("{}: it is replaced again and again", self.doing("open"))))
    }

    fn opened(&self, state: &mut State, options: WriteOptions) -> Result<Arc<File>, DeliveryError> {
        if state.open.is_none() {
            let folder = path::open_folder(self.path.parent().unwrap_or(Path::new("/")))?;
            let file = Arc::new(open::open(&folder, &self.path, options.mode)?);
            let device = file.metadata().map_err(|error| failure(self.doing("look at"), error))?.dev();
            state.opens += 1;
            state.open = Some(Open { file, device, folder, entry: Entry::NotAsked });
        }
        let Some(open) = &mut state.open else { unreachable!("opened above") };
        if options.sync && matches!(open.entry, Entry::NotAsked) {
            // Before anything is written: a folder that can't be synced would make every flush fail,
            // and every flush that fails makes the lines come again.
            let folder = path::readable(&open.folder)
                .map_err(|errno| failure(format!("open the folder of `{}` to sync it", self.path.display()), errno))?;
            open.entry = Entry::Unsynced(folder);
        }
        Ok(open.file.clone())
    }

    /// Leaves a file that was renamed or removed.
    fn close_file(&self, state: &mut State) {
        tracing::info!(path = %self.path.display(), "the file was renamed or removed: opening the path again");
        if state.dirty
            && let Err(error) = self.sync_open(state)
        {
            tracing::warn!(path = %self.path.display(), %error, "the file that was renamed or removed can't be synced");
            state.record_loss();
        }
        state.open = None;
        state.redelivery = Redelivery::Over;
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} `{}`", self.path.display())
    }
}

impl State {
    fn opening(&self) -> Opening {
        Opening { number: self.opens, losses: self.losses }
    }

    /// The step that the file's end asks for. Lines that may continue the torn one do so: taken for lines before
    /// it, a line that was published twice could be left out.
    fn look(&mut self, file: &File, lines: &Lines<'_>, start: usize) -> io::Result<Action> {
        let (size, plan) = look(file, lines, start, self.distrust_tail)?;
        if plan != Plan::EndFragment || self.distrust_tail {
            self.redelivery = Redelivery::Over;
            return Ok(Action::Append(size, plan));
        }
        let there = self.redelivery.find(file, size, &lines.bytes()[start..])?;
        Ok(there.map_or(Action::Append(size, plan), Action::Skip))
    }

    /// Lines may not have reached the disk: the next sync tells those who wait for them.
    fn record_loss(&mut self) {
        self.losses += 1;
        self.dirty = false;
        self.distrust_tail = true;
        self.open = None;
        self.redelivery = Redelivery::Over;
    }
}

/// The file's size, and what its end asks for.
fn look(file: &File, lines: &Lines<'_>, start: usize, distrust: bool) -> io::Result<(u64, Plan)> {
    let size = file.metadata()?.len();
    let mut last = [0];
    if size == 0 || file.read_at(&mut last, size - 1)? == 0 || last == *b"\n" {
        return Ok((size, Plan::Fresh));
    }
    if distrust {
        return Ok((size, Plan::EndFragment));
    }
    let text = &lines.bytes()[start..];
    let mut end = vec![0; text.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
    let offset = size - end.len() as u64;
    file.read_exact_at(&mut end, offset)?;
    Ok((size, tail::plan(&end, offset == 0, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: WriteOptions = WriteOptions { mode: None, sync: true };

    /// A device that fails to keep what it took.
    fn broken(_: &File) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()))
    }

    fn writer() -> (tempfile::TempDir, Writer) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("out");
        (folder, Writer::new(path))
    }

    fn lines(text: &str) -> Lines<'_> {
        Lines::new(vec![text.into()])
    }

    fn append(writer: &Writer, text: &str, progress: Progress) -> Appended {
        let appended = writer.append(&lines(text), progress, OPTIONS);
        assert!(appended.result.is_ok());
        appended
    }

    #[test]
    fn a_failed_sync_is_told_to_everybody_who_waits_for_one_and_the_next_is_not_believed() {
        let (_folder, mut writer) = writer();
        let first = append(&writer, "a\n", Progress::default());
        let second = append(&writer, "b\n", Progress::default());
        writer.sync_data = broken;
        assert!(writer.sync(second.losses).is_err());
        writer.sync_data = File::sync_data;
        assert!(writer.sync(first.losses).is_err(), "the other hook's lines are lost as well");
        let again = append(&writer, "a\n", first.progress);
        assert!(writer.sync(again.losses).is_ok());
        assert_eq!(std::fs::read(&writer.path).unwrap(), b"a\nb\na\n", "written again, not taken for there");
    }

    #[test]
    fn after_a_failed_sync_a_torn_line_is_not_continued() {
        let (_folder, mut writer) = writer();
        let first = append(&writer, "x\n", Progress::default());
        std::fs::write(&writer.path, "x\nab").unwrap();
        writer.sync_data = broken;
        assert!(writer.sync(first.losses).is_err());
        writer.sync_data = File::sync_data;
        let again = append(&writer, "abc\n", Progress::default());
        assert_eq!(again.repair, Some(Repair::Ended));
        std::fs::write(&writer.path, "x\nab").unwrap();
        assert_eq!(append(&writer, "abc\n", Progress::default()).repair, Some(Repair::Completed), "once");
    }

    #[test]
    fn a_renamed_file_is_synced_before_it_is_left_and_a_failure_is_told() {
        let (folder, mut writer) = writer();
        let first = append(&writer, "a\n", Progress::default());
        std::fs::rename(&writer.path, folder.path().join("old")).unwrap();
        writer.sync_data = broken;
        let second = append(&writer, "b\n", Progress::default());
        writer.sync_data = File::sync_data;
        assert!(writer.sync(first.losses).is_err());
        assert!(writer.sync(second.losses).is_ok());
    }

    #[test]
    fn nothing_is_synced_that_nobody_asked_for_or_that_is_synced() {
        let (_folder, mut writer) = writer();
        let first = append(&writer, "a\n", Progress::default());
        assert!(writer.sync(first.losses).is_ok());
        writer.sync_data = broken;
        assert!(writer.sync(first.losses).is_ok(), "already on the disk");
        let unsynced = writer.append(&lines("b\n"), Progress::default(), WriteOptions { sync: false, ..OPTIONS });
        assert!(writer.sync(unsynced.losses).is_ok());
        let third = append(&writer, "c\n", Progress::default());
        assert!(writer.sync(third.losses).is_err());
    }
}
