//! Helpers that the tests share.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hooks_core::{
    Envelope, Sink,
    sink::{Batch, DeliveryError, Shared, SinkConfig, SinkContext},
};
use hooks_sink_file::{FileConfig, FileSink};
use rustix::fs::FlockOperation;

pub(crate) fn padded(ids: Range<usize>, padding: usize) -> Batch {
    Batch::for_test(ids.map(|n| hooks_test::padded(n, padding)))
}

pub(crate) fn batch(ids: Range<usize>) -> Batch {
    padded(ids, 10)
}

/// The bytes that a batch is in a file.
pub(crate) fn text(batch: &Batch) -> String {
    batch.lines().map(|line| format!("{line}\n")).collect()
}

pub(crate) fn context(hook: &str, shared: &Arc<Shared>) -> SinkContext {
    SinkContext::new(hooks_test::id(hook), shared.clone())
}

/// A sink that shares nothing with others, as in a process of its own.
pub(crate) fn sink(config: &FileConfig) -> FileSink {
    config.build(&context("test", &Arc::default())).unwrap()
}

pub(crate) async fn deliver(sink: &mut FileSink, batch: &Batch) -> Result<(), DeliveryError> {
    let delivered = sink.deliver(batch).await?;
    assert!(delivered.refused.is_empty());
    Ok(())
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// The ids of a file's lines; every line must be whole.
pub(crate) fn ids(text: &str) -> Vec<usize> {
    assert!(text.is_empty() || text.ends_with('\n'), "the file ends in the middle of a line");
    let id = |line: &str| Envelope::from_json(line.as_bytes()).map(|event| event.id().parse().unwrap());
    text.lines().map(|line| id(line).unwrap_or_else(|error| panic!("{error}: {line:.200}"))).collect()
}

/// A folder that is gone afterwards, by its path without links.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

/// Holds the advisory lock on a file, as another process would, until it is dropped.
pub(crate) fn lock(path: &Path) -> File {
    let file = File::options().append(true).create(true).open(path).unwrap();
    rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}
