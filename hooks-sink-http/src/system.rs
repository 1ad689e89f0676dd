//! The system's certificate authorities: where they are, and what tells that they changed.

use std::path::PathBuf;
use std::sync::LazyLock;

/// The files and folders of them, as they were found first: looking for them at each of many hooks takes long.
pub(crate) fn known() -> Vec<PathBuf> {
    static KNOWN: LazyLock<Vec<PathBuf>> = LazyLock::new(paths);
    KNOWN.clone()
}

fn paths() -> Vec<PathBuf> {
    // Where the platform has a service for that, it is asked for each certificate.
    if cfg!(any(target_vendor = "apple", target_os = "windows", target_os = "android")) {
        return Vec::new();
    }
    let found = openssl_probe::probe();
    found.cert_file.into_iter().chain(found.cert_dir).collect()
}

/// Changes whenever something is written or put in its place: which it is, and when it changed, which nobody can
/// set. `None`: it is not there.
pub(crate) type Stamp = Option<(u64, u64, i64, i64)>;

/// One for each path. Cheap, unlike reading what is there: that happens once for all that share a client.
#[cfg(unix)]
pub(crate) fn stamps() -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let stamp = |path: PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
    };
    paths().into_iter().map(stamp).collect()
}

/// There are no files.
#[cfg(not(unix))]
pub(crate) fn stamps() -> Vec<Stamp> {
    Vec::new()
}
