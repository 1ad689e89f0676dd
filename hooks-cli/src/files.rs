//! Reads files that settings name, where nothing else waits for them: a disk that hangs and a pipe without a writer
//! never give an answer.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// The longest time that a file may take.
const LIMIT: Duration = Duration::from_secs(10);

/// More than any config file has.
const LARGEST: u64 = 256 << 20;

/// The content of a file. It may be a pipe.
///
/// # Errors
/// When it can't be read, or there is no answer for ten seconds.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let owned = path.to_owned();
    within(LIMIT, move || read_all(&owned)).unwrap_or_else(|| Err(silent(LIMIT)))
}

/// The text of a file that holds secrets, without quoting any of it in errors.
///
/// # Errors
/// As for [`read`], and when it is no plain text.
pub(crate) fn secrets(path: &Path) -> io::Result<String> {
    let bytes = read(path)?;
    let text = hooks_core::secret::plain_text(&bytes).map_err(|why| io::Error::new(ErrorKind::InvalidData, why))?;
    Ok(text.to_owned())
}

/// The fingerprint of a file or folder: equal for equal content, which it does not reveal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    Holds(Arc<str>),
    /// It is not there, can't be read, or is no file that can be read again and again.
    Nothing,
    /// It gave no answer.
    Silent,
}

impl Fingerprint {
    /// True if it is something else now. What gave no answer says nothing, so it counts as unchanged.
    pub(crate) fn differs(&self, now: &Self) -> bool {
        self != now && ![self, now].contains(&&Self::Silent)
    }
}

/// Looks at files, at each once.
pub(crate) struct Fingerprints {
    known: BTreeMap<PathBuf, Fingerprint>,
    /// For all of them together.
    left: Duration,
}

impl Default for Fingerprints {
    fn default() -> Self {
        Self { known: BTreeMap::new(), left: LIMIT }
    }
}

impl Fingerprints {
    /// The fingerprints of these now.
    pub(crate) fn of(&mut self, paths: &[PathBuf]) -> Vec<Fingerprint> {
        paths.iter().map(|path| self.look(path)).collect()
    }

    /// Those that gave no answer.
    pub(crate) fn silent(&self) -> impl Iterator<Item = &Path> {
        self.known.iter().filter(|(_, print)| **print == Fingerprint::Silent).map(|(path, _)| path.as_path())
    }

    /// The fingerprint of this now.
    pub(crate) fn look(&mut self, path: &Path) -> Fingerprint {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let (owned, begun) = (path.to_owned(), Instant::now());
        // Where the time is used up, one that hangs like the others costs nothing more.
        let found = if self.left.is_zero() { None } else { within(self.left, move || contents(&owned)) };
        let print = match found {
            Some(Ok(content)) => Fingerprint::Holds(hooks_core::secret::fingerprint(&content).into()),
            Some(Err(_)) => Fingerprint::Nothing,
            None => {
                self.left = self.left.saturating_sub(begun.elapsed());
                Fingerprint::Silent
            }
        };
        self.known.insert(path.to_owned(), print.clone());
        print
    }
}

/// All of a file, or of the files in a folder.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let found = std::fs::metadata(path)?;
    if found.is_file() {
        return read_all(path);
    }
    if !found.is_dir() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let entries: io::Result<Vec<PathBuf>> = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let mut all = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_file()) {
        all.extend_from_slice(entry.as_os_str().as_encoded_bytes());
        all.extend(read_all(entry)?);
    }
    Ok(all)
}

fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes: is it the right one?")));
    }
    Ok(bytes)
}

/// Works on its own thread, which is left behind if it takes too long.
fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = sync_channel(1);
    let spawned = thread::Builder::new().name("files".to_owned()).spawn(move || {
        // Nobody may wait for it any more.
        let _ = done.send(work());
    });
    spawned.ok().and_then(|_| result.recv_timeout(limit).ok())
}

fn silent(limit: Duration) -> io::Error {
    let seconds = limit.as_secs();
    let why = format!("no answer within {seconds} s: is it a pipe that nobody writes to, or on a disk that hangs?");
    io::Error::new(ErrorKind::TimedOut, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(path: &Path) -> Fingerprint {
        Fingerprints::default().of(&[path.to_owned()]).remove(0)
    }

    #[test]
    fn what_is_in_it_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let (first, all) = (print(&file), print(folder.path()));
        let changed = std::fs::metadata(&file).unwrap().modified().unwrap();
        std::fs::write(&file, "two").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(changed).unwrap();
        assert!(print(&file) != first && print(folder.path()) != all);
        std::fs::write(&file, "one").unwrap();
        assert!(print(&file) == first && print(folder.path()) == all);
        assert_eq!(
            (print(Path::new("/nonexistent")), print(Path::new("/dev/zero"))),
            (Fingerprint::Nothing, Fingerprint::Nothing)
        );
    }

    #[test]
    fn what_gives_no_answer_is_left_behind() {
        let (never, waits) = sync_channel::<()>(0);
        assert_eq!(within(Duration::from_millis(1), move || waits.recv()), None);
        drop(never);
        assert_eq!(within(LIMIT, || 7), Some(7));
        let mut fingerprints = Fingerprints { left: Duration::ZERO, ..Fingerprints::default() };
        assert_eq!(fingerprints.of(&["/a".into(), "/b".into()]), [Fingerprint::Silent, Fingerprint::Silent]);
        assert_eq!(fingerprints.silent().count(), 2);
    }

    #[test]
    fn a_file_without_an_end_is_too_large() {
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("larger than"));
    }
}
