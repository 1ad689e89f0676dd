//! Disks that are full or broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hooks_core::{
    Sink,
    sink::{FailureClass, SinkConfig},
};
use hooks_sink_file::FileConfig;

use crate::support::{Folder, context, deliver, ids, padded, read, sink, text};

/// A file system of its own, unmounted afterwards.
struct Mounted {
    at: PathBuf,
    _folder: Folder,
}

impl Mounted {
    /// `None` where the tests may not mount, which is said.
    fn new(arguments: &[&str]) -> Option<Self> {
        let folder = Folder::new();
        let at = folder.path();
        if run("mount", &[arguments, &[at.to_str().unwrap()]].concat()) {
            return Some(Self { at, _folder: folder });
        }
        eprintln!("SKIPPED in part: mounting a small file system is not permitted here");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l", self.at.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// A full disk cuts a batch short again and again, until room is made: no line is torn for good, lost
/// or there twice. `a_limit_of_file_size_…` shows the same where nothing can be mounted.
#[tokio::test]
async fn a_full_disk_is_retried_and_nothing_is_lost_torn_or_repeated_once_there_is_room() {
    let Some(disk) = Mounted::new(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) else { return };
    let (path, ballast) = (disk.at.join("out.jsonl"), disk.at.join("ballast"));
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &padded(0..4, 1_000)).await.unwrap();
    fill(&ballast);
    let batch = padded(4..40, 1_000);
    let mut failures = 0;
    loop {
        match deliver(&mut sink, &batch).await {
            Ok(()) => break,
            Err(error) => assert_eq!(error.class, FailureClass::Retry, "{}", error.chain()),
        }
        failures += 1;
        assert!(failures < 64, "all the room there is was made and the batch still doesn't fit");
        let found = read(&path);
        let all = text(&padded(0..40, 1_000));
        assert!(all.starts_with(&found) && found.len() < all.len(), "in order, each once, as far as there is room");
        // Room for a few more lines, not for all.
        make_room(&ballast, 8_192);
    }
    assert!(failures > 2, "the disk was full {failures} times only");
    deliver(&mut sink, &padded(40..41, 1_000)).await.unwrap();
    sink.flush().await.unwrap();
    assert_eq!(ids(&read(&path)), (0..41).collect::<Vec<_>>());
    assert_eq!(sink.repairs().ended, 0);
}

/// The file is renamed while the disk is full and its last line is torn: that line is made whole where it is, and
/// what the file holds is not written once more to the next one.
#[tokio::test]
async fn a_file_that_is_renamed_on_a_full_disk_ends_whole_and_nothing_is_repeated() {
    for hooks in [1, 2] {
        let Some(disk) = Mounted::new(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) else { return };
        let (path, ballast) = (disk.at.join("out.jsonl"), disk.at.join("ballast"));
        let shared = Arc::default();
        let mut sinks = ["a", "b"].map(|hook| FileConfig::new(&path).build(&context(hook, &shared)).unwrap());
        deliver(&mut sinks[0], &padded(0..4, 1_000)).await.unwrap();
        fill(&ballast);
        make_room(&ballast, 8_192);
        let batch = padded(4..40, 1_000);
        assert!(deliver(&mut sinks[0], &batch).await.is_err());
        let old = disk.at.join("out.jsonl.1");
        fs::rename(&path, &old).unwrap();
        let torn = read(&old);
        assert!(!torn.ends_with('\n') && torn.contains(r#""id":"6""#));
        if hooks == 2 {
            // Whoever notices the new file first has nothing in the old one.
            assert!(deliver(&mut sinks[1], &padded(100..101, 10)).await.is_err());
        }
        assert!(deliver(&mut sinks[0], &batch).await.is_err(), "there is no room yet");
        assert!(read(&old).starts_with(&torn));
        make_room(&ballast, u64::MAX);
        deliver(&mut sinks[0], &batch).await.unwrap();
        let all = [ids(&read(&old)), ids(&read(&path))].concat();
        assert_eq!(all, (0..40).collect::<Vec<_>>(), "{hooks} hooks");
        assert_eq!((sinks[0].repairs().completed, sinks[0].repairs().ended), (1, 0));
    }
}

/// A file that was renamed and is gone holds nothing.
#[tokio::test]
async fn a_file_that_is_removed_on_a_full_disk_is_written_anew() {
    let Some(disk) = Mounted::new(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) else { return };
    let (path, ballast) = (disk.at.join("out.jsonl"), disk.at.join("ballast"));
    let mut sink = sink(&FileConfig::new(&path));
    fill(&ballast);
    make_room(&ballast, 8_192);
    let batch = padded(0..40, 1_000);
    assert!(deliver(&mut sink, &batch).await.is_err());
    fs::rename(&path, disk.at.join("old")).unwrap();
    fs::remove_file(disk.at.join("old")).unwrap();
    make_room(&ballast, u64::MAX);
    deliver(&mut sink, &batch).await.unwrap();
    assert_eq!(ids(&read(&path)), (0..40).collect::<Vec<_>>());
}

/// Two hooks find the disk full in turn, each behind the other's torn line. Nothing is lost, and what is
/// no whole line was counted.
#[tokio::test]
async fn hooks_that_share_a_file_on_a_full_disk_lose_nothing() {
    let Some(disk) = Mounted::new(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) else { return };
    let (path, ballast) = (disk.at.join("out.jsonl"), disk.at.join("ballast"));
    let shared = Arc::default();
    let mut sinks = ["a", "b"].map(|hook| FileConfig::new(&path).build(&context(hook, &shared)).unwrap());
    fill(&ballast);
    let batches = [padded(0..30, 1_500), padded(100..130, 1_500)];
    let mut arrived = [false, false];
    for round in 0.. {
        if arrived == [true, true] {
            break;
        }
        assert!(round < 64, "all the room there is was made and the batches still don't fit");
        for at in [0, 1] {
            arrived[at] = arrived[at] || deliver(&mut sinks[at], &batches[at]).await.is_ok();
            make_room(&ballast, 4_096);
        }
    }
    let found = read(&path);
    let (whole, torn): (Vec<&str>, Vec<&str>) = found.lines().partition(|line| line.ends_with("\"}"));
    let whole: String = whole.into_iter().flat_map(|line| [line, "\n"]).collect();
    for (at, first) in [(0, 0), (1, 100)] {
        let mut own: Vec<_> = ids(&whole).into_iter().filter(|id| id / 100 == at).collect();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own, (first..first + 30).collect::<Vec<_>>());
    }
    assert_eq!(torn.len() as u64, sinks.iter().map(|sink| sink.repairs().ended).sum::<u64>());
    assert!(!torn.is_empty(), "no hook found the other's torn line");
}

/// Writes until there is no room.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

/// At once, also while another program has the file open, as one that a test just started may have.
fn make_room(ballast: &Path, bytes: u64) {
    let size = fs::metadata(ballast).unwrap().len();
    fs::File::options().write(true).open(ballast).unwrap().set_len(size.saturating_sub(bytes)).unwrap();
}

/// Making room by emptying the very file takes lines of the batch with it: they are written again.
#[tokio::test]
async fn room_made_by_emptying_the_file_loses_nothing_of_the_batch() {
    for removed in [false, true] {
        let Some(disk) = Mounted::new(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) else { return };
        let path = disk.at.join("out.jsonl");
        let mut sink = sink(&FileConfig::new(&path));
        deliver(&mut sink, &padded(0..30, 1_000)).await.unwrap();
        let batch = padded(30..70, 1_000);
        assert!(deliver(&mut sink, &batch).await.is_err());
        assert!(read(&path).contains(r#""id":"31""#), "part of the batch was written");
        if removed {
            fs::remove_file(&path).unwrap();
        } else {
            fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        }
        // A removed file keeps its room until its last descriptor is closed: a program that another test
        // starts has a copy for a moment.
        while let Err(error) = deliver(&mut sink, &batch).await {
            assert!(removed && error.class == FailureClass::Retry, "{}", error.chain());
        }
        assert_eq!(read(&path), text(&batch));
    }
}

/// A disk that accepts lines and then fails to keep them: fdatasync says so once. The batch comes
/// again and is written again.
#[tokio::test]
async fn a_failed_fdatasync_is_an_error_and_the_lines_are_written_again() {
    let Some(backing) = Mounted::new(&["-t", "tmpfs", "-o", "size=6m", "tmpfs"]) else { return };
    let image = backing.at.join("image");
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let image_path = image.to_str().unwrap();
    if !run("mkfs.ext4", &["-q", "-F", "-O", "^has_journal", image_path]) {
        eprintln!("SKIPPED: there is no mkfs.ext4 here");
        return;
    }
    let Some(disk) = Mounted::new(&["-o", "loop", image_path]) else { return };
    fill(&backing.at.join("ballast"));
    let path = disk.at.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    let batch = padded(0..8, 100_000);
    deliver(&mut sink, &batch).await.unwrap();
    let error = sink.flush().await.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry, "{}", error.chain());
    make_room(&backing.at.join("ballast"), u64::MAX);
    deliver(&mut sink, &batch).await.unwrap();
    sink.flush().await.unwrap();
    assert!(read(&path).ends_with(&text(&batch)));
}
