//! The file's path: as the settings name it, and as it is on the disk.
//!
//! Links above the file are followed, once, and what they lead to is judged. From there on nothing
//! follows a link any more, so swapping a folder for a link in between leads nowhere.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use hooks_core::sink::DeliveryError;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::config::FileConfig;
use crate::fault::failure;

/// The fault of a file's path as the settings name it.
pub(crate) fn file_problem(path: &Path) -> Option<String> {
    let written = path.as_os_str().as_bytes();
    if path.is_absolute() && (written.ends_with(b"/") || written.ends_with(b"/.")) {
        return Some(format!("`{}` names a folder: add the file's name", path.display()));
    }
    folder_problem(path)
}

/// The fault of a folder's path as the settings name it.
pub(crate) fn folder_problem(path: &Path) -> Option<String> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Some("a path can't hold a NUL character".to_owned());
    }
    if path.components().any(|component| component == Component::ParentDir) {
        return Some(format!("`{}` holds `..`: write the path that it leads to", path.display()));
    }
    if !path.is_absolute() {
        let is_dollar = |part: &Component<'_>| part.as_os_str() == "$CONFIG_DIR";
        let below = path.components().filter(|part| *part != Component::CurDir && !is_dollar(part));
        return Some(format!(
            "`{}` is not absolute: write `${{CONFIG_DIR}}/{}` for a place beside the config file",
            path.display(),
            below.collect::<PathBuf>().display()
        ));
    }
    None
}

/// True if the path lies inside one of the folders, as they are written.
pub(crate) fn inside(path: &Path, roots: &[PathBuf]) -> bool {
    roots.iter().any(|root| path.starts_with(root))
}

/// Says that the path lies in none of the folders.
pub(crate) fn outside(path: &Path, roots: &[PathBuf]) -> String {
    let roots: Vec<String> = roots.iter().map(|root| format!("`{}`", root.display())).collect();
    format!("`{}` lies outside of allowed_roots: {}", path.display(), roots.join(", "))
}

/// The file's path once links above it are followed. Makes missing folders, if that is wanted.
pub(crate) fn resolve(config: &FileConfig) -> Result<PathBuf, DeliveryError> {
    let path = config.path();
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(DeliveryError::endpoint(format!("`{}` names no file", path.display())));
    };
    let place = follow(parent)?;
    let folder = place.path();
    if let Some(roots) = config.roots() {
        let roots = roots.iter().map(|root| Ok(follow(root)?.path())).collect::<Result<Vec<_>, DeliveryError>>()?;
        if !inside(&folder, &roots) {
            return Err(DeliveryError::endpoint(format!(
                "`{}` leads to a folder outside of allowed_roots, `{}`",
                path.display(),
                folder.display()
            )));
        }
    }
    if !place.missing.as_os_str().is_empty() {
        if !config.creates_dirs() {
            return Err(DeliveryError::endpoint(format!(
                "the folder `{}` does not exist: make it, or set `create_dirs = true`",
                folder.display()
            )));
        }
        make_folders(&place)?;
    }
    Ok(folder.join(name))
}

/// A folder that may be there in part.
struct Place {
    /// The part of the path that exists, without links.
    existing: PathBuf,
    /// The missing part below it.
    missing: PathBuf,
}

impl Place {
    fn path(&self) -> PathBuf {
        self.existing.components().chain(self.missing.components()).collect()
    }
}

fn follow(path: &Path) -> Result<Place, DeliveryError> {
    for ancestor in path.ancestors() {
        match fs::canonicalize(ancestor) {
            Ok(existing) => {
                let missing = path.strip_prefix(ancestor).map(Path::to_owned).unwrap_or_default();
                return Ok(Place { existing, missing });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failure(format!("look up the folder `{}`", path.display()), error)),
        }
    }
    Err(DeliveryError::endpoint(format!("the folder `{}` does not exist", path.display())))
}

fn make_folders(place: &Place) -> Result<(), DeliveryError> {
    let doing = || format!("make the folder `{}`", place.path().display());
    let mut folder = open_folder(&place.existing)?;
    for name in &place.missing {
        match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o750)) {
            // Somebody else made it just now.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failure(doing(), errno)),
        }
        // A folder whose entry is not on the disk takes the file with it when the power goes.
        sync_folder(&readable(&folder).map_err(|errno| failure(doing(), errno))?)
            .map_err(|error| failure(doing(), error))?;
        folder = step(&folder, name).map_err(|errno| failure(doing(), errno))?;
    }
    Ok(())
}

/// Opens a folder by a path that holds no links, and fails if it does.
pub(crate) fn open_folder(path: &Path) -> Result<OwnedFd, DeliveryError> {
    let open = || {
        let mut folder = rustix::fs::openat(CWD, "/", FOLDER, Mode::empty())?;
        for part in path.components().filter(|part| *part != Component::RootDir) {
            folder = step(&folder, part.as_os_str())?;
        }
        Ok(folder)
    };
    open().map_err(|errno: Errno| failure(format!("open the folder `{}`", path.display()), errno))
}

fn step(folder: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(folder, name, FOLDER, Mode::empty())
}

/// Passes through folders that may be entered but not listed, where there is a way.
#[cfg(any(target_os = "linux", target_os = "android"))]
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The same folder, open in the way that syncing asks for.
pub(crate) fn readable(folder: &OwnedFd) -> Result<fs::File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(folder, ".", flags, Mode::empty()).map(fs::File::from)
}

/// Puts a folder's entries on the disk, where the file system can.
pub(crate) fn sync_folder(folder: &fs::File) -> io::Result<()> {
    match folder.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_they_are_written() {
        let problem = |path: &str| file_problem(Path::new(path)).unwrap_or_default();
        assert_eq!(problem("/var/log/a.jsonl"), "");
        assert_eq!(
            problem("./logs/a.jsonl"),
            "`./logs/a.jsonl` is not absolute: write `${CONFIG_DIR}/logs/a.jsonl` for a place beside the config file"
        );
        assert!(problem("a.jsonl").contains("`${CONFIG_DIR}/a.jsonl`"));
        assert!(
            problem("$CONFIG_DIR/a.jsonl")
                .ends_with(": write `${CONFIG_DIR}/a.jsonl` for a place beside the config file")
        );
        assert!(problem("").contains("not absolute"));
        assert!(problem("/var/log/../a").contains("holds `..`"));
        assert!(problem("../a").contains("holds `..`"));
        assert!(problem("/var/log/").contains("names a folder"));
        assert!(problem("/var/log/.").contains("names a folder"));
        assert!(problem("/").contains("names a folder"));
        assert!(problem("/a\0b").contains("NUL"));
    }

    #[test]
    fn inside_goes_by_whole_names() {
        let roots = [PathBuf::from("/var/log/"), PathBuf::from("/srv")];
        assert!(inside(Path::new("/var/log/a"), &roots));
        assert!(inside(Path::new("/srv/b/c"), &roots));
        assert!(!inside(Path::new("/var/logs/a"), &roots));
        assert!(!inside(Path::new("/etc/a"), &roots));
    }

    #[test]
    fn a_folder_is_not_opened_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        fs::create_dir_all(real.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", real.join("link")).unwrap();
        assert!(open_folder(&real.join("a/b")).is_ok());
        let error = open_folder(&real.join("link/b")).unwrap_err();
        assert_eq!(error.class, hooks_core::sink::FailureClass::Endpoint);
    }
}
