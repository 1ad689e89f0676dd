//! Reads files that the settings name.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hooks_core::BusError;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The time limit for reading a file.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A file's content. A separate thread reads it, and is left behind if the disk does not answer.
///
/// # Errors
/// With the setting and the path: when it is no regular file, can't be read or gives no answer.
pub(crate) async fn read(setting: &str, path: &Path) -> Result<Vec<u8>, BusError> {
    let owned = path.to_owned();
    let (sender, read) = oneshot::channel();
    let work = move || sender.send(read_regular(&owned));
    let spawned = thread::Builder::new().name("files".to_owned()).spawn(work);
    let read = match (spawned, timeout(READ_TIMEOUT, read).await) {
        (Err(error), _) => Err(error),
        (_, Ok(ended)) => ended.unwrap_or_else(|error| Err(io::Error::other(error))),
        (_, Err(_)) => Err(io::Error::other("no answer: is it on a disk that hangs?")),
    };
    read.map_err(|error| BusError::Unavailable(format!("{setting} {}: {error}", path.display())))
}

fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    // tidy-allow(bus-io): a file of the operator's, not of a bus; small
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it must be a regular file"));
    }
    // tidy-allow(bus-io): as above
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_regular_file_is_named() {
        for (path, why) in [
            ("/dev/zero", "it must be a regular file"),
            ("/", "it must be a regular file"),
            ("/nonexistent", "No such file or directory (os error 2)"),
        ] {
            let error = read("credentials_file", Path::new(path)).await.unwrap_err().to_string();
            assert!(error.contains(&format!("credentials_file {path}: {why}")), "{error}");
        }
    }
}
