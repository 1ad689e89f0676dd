//! Folders that can't be opened say so, and say what to do.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use hooks_bus::{DurableBus, DurableConfig, OpenError};
use hooks_core::{BoxError, Bus, ByteSize};
use hooks_test::End;

use super::{config, open, publish};
use hooks_core::Filter;

fn error(dir: &Path) -> String {
    error_of(&config(dir))
}

/// The whole chain, as it is shown to people.
fn error_of(config: &DurableConfig) -> String {
    let error = DurableBus::open(config).unwrap_err();
    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

#[test]
fn one_bus_at_a_time_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let text = error(folder.path());
    let dir = folder.path().display();
    assert!(text.starts_with(&format!("`{dir}` is in use by another process")), "{text}");
    assert!(matches!(DurableBus::inspect(folder.path()), Err(OpenError::InUse { .. })));
    drop(bus);
    open(&config(folder.path()));
}

#[test]
fn a_lock_that_somebody_removes_lets_nobody_else_in() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    std::fs::remove_file(folder.path().join("lock")).unwrap();
    assert!(error(folder.path()).contains("is in use by another process"));
    std::fs::remove_file(folder.path().join("lock")).unwrap();
    assert!(matches!(DurableBus::inspect(folder.path()), Err(OpenError::InUse { .. })));
    drop(bus);
    open(&config(folder.path()));
}

#[tokio::test]
async fn a_folder_that_gets_another_name_is_still_the_same() {
    let place = tempfile::tempdir().unwrap();
    let (dir, renamed) = (place.path().join("data"), place.path().join("renamed"));
    let bus = open(&config(&dir));
    let all = End::new(&bus, "all", Filter::all()).await;
    publish(&bus, 0..60).await;
    std::fs::rename(&dir, &renamed).unwrap();
    publish(&bus, 60..200).await;
    // Somebody else's, with files of the same names to be.
    let other = open(&config(&dir));
    let others = End::new(&other, "all", Filter::all()).await;
    publish(&other, 0..300).await;
    publish(&bus, 200..300).await;
    drop((all, bus, others, other));
    let bus = open(&config(&renamed));
    let mut all = End::new(&bus, "all", Filter::all()).await;
    assert_eq!(all.read_all().await, (0..300).collect::<Vec<_>>());
    assert_eq!(DurableBus::verify(&dir).unwrap().events, 300);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    for name in ["format", "lock", "meta.redb", "00000000000000000000.log"] {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&config(folder.path())));
        let path = folder.path().join(name);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for opened in [
            DurableBus::open(&config(folder.path())).err(),
            DurableBus::inspect(folder.path()).err(),
            DurableBus::verify(folder.path()).err(),
        ] {
            let error: BoxError = opened.unwrap().into();
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            assert!(source.contains("no regular file"), "{name}: {error}: {source}");
        }
    }
}

#[test]
fn a_folder_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&config(folder.path())));
    // It may say more than this version does, and have files of other names.
    for (said, version) in [("hooks log, format 2\n", 2), ("hooks log, format 30\nfeatures: more\n", 30)] {
        std::fs::write(folder.path().join("format"), said).unwrap();
        let text = error(folder.path());
        assert!(text.contains(&format!("has format version {version}, this program knows up to 1")), "{text}");
    }
}

#[test]
fn a_file_of_another_program_is_left_as_it_is() {
    for said in ["[format]\nindent = 2\n", "hooks log, format x\n", "hooks log, format -1\n"] {
        let folder = tempfile::tempdir().unwrap();
        let format = folder.path().join("format");
        std::fs::write(&format, said).unwrap();
        let text = error(folder.path());
        assert!(text.contains("was not written by this program: name a folder that nothing else uses"), "{text}");
        assert_eq!(std::fs::read_to_string(&format).unwrap(), said);
        assert!(!folder.path().join("meta.redb").exists());
    }
}

#[test]
fn what_a_crash_left_of_a_setup_is_finished() {
    for left in ["", "hooks lo", "hooks log, format ", "hooks log, format 1", "\0\0\0\0"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("format"), left).unwrap();
        std::fs::write(folder.path().join("meta.redb"), "begun").unwrap();
        drop(open(&config(folder.path())));
        assert_eq!(std::fs::read_to_string(folder.path().join("format")).unwrap(), "hooks log, format 1\n");
    }
}

#[tokio::test]
async fn a_folder_without_its_format_or_database_can_t_be_used() {
    for missing in ["format", "meta.redb"] {
        let folder = tempfile::tempdir().unwrap();
        {
            let bus = open(&config(folder.path()));
            publish(&bus, 0..3).await;
        }
        std::fs::remove_file(folder.path().join(missing)).unwrap();
        let text = error(folder.path());
        assert!(text.contains("can't be used") && text.contains(missing), "{text}");
        // Nothing was changed: with the file back it opens.
        assert!(!folder.path().join(missing).exists());
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let text = error(&dir);
        assert!(text.contains("a file is in the way"), "{text}");
    }
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = config(folder.path());
    small.segment_size = ByteSize::new(100);
    assert_eq!(error_of(&small), "the bus's `segment_size`: 100 is less than 4KiB");
    let mut full = config(folder.path());
    full.max_bytes = ByteSize::new(10 << 10);
    assert_eq!(
        error_of(&full),
        "the bus's `max_bytes`: 10KiB is less than two segments: raise it to at least 16KiB, or lower segment_size"
    );
}

/// As another user, in a child process: root may do anything.
fn as_nobody(dir: &Path) -> Result<Option<String>, BoxError> {
    if !rustix_is_root() {
        eprintln!("skipped: needs root, to become another user");
        return Ok(None);
    }
    // The test program itself may stand where only root can read it.
    let copy = tempfile::tempdir()?;
    std::fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o755))?;
    let program = copy.path().join("open");
    std::fs::copy(std::env::current_exe()?, &program)?;
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--exact", "durable::lock::opens_what_it_is_told_to", "--nocapture", "--ignored"])
        .env("HOOKS_TEST_OPEN", dir)
        .output()?;
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn rustix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|proc| std::os::unix::fs::MetadataExt::uid(&proc) == 0)
}

#[test]
#[ignore = "a part of the tests for other users"]
fn opens_what_it_is_told_to() {
    if let Some(dir) = std::env::var_os("HOOKS_TEST_OPEN") {
        println!("error: {}", error(Path::new(&dir)));
    }
}

#[test]
fn another_user_is_told_that_the_folder_is_not_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    drop(open(&config(&dir)));
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let Some(text) = as_nobody(&dir).unwrap() else { return };
    assert!(text.contains("this user may not write there; change its owner or mode"), "{text}");
    // A folder of theirs with a database of somebody else's.
    chown(&dir, Some(65534), Some(65534)).unwrap();
    chown(dir.join("lock"), Some(65534), Some(65534)).unwrap();
    let text = as_nobody(&dir).unwrap().unwrap();
    assert!(text.contains("this user may not write there"), "{text}");
}

#[test]
fn a_folder_that_can_only_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&config(folder.path())));
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    chown(folder.path(), Some(65534), None).ok();
    let text = as_nobody(folder.path()).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let Some(text) = text else { return };
    assert!(text.contains("error: can't") && text.contains("may not write there"), "{text}");
}

#[tokio::test]
async fn the_folder_is_made_for_its_owner_alone_and_keeps_its_log_id() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b/data");
    let bus = open(&config(&dir));
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&dir).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let log = bus.log_id();
    let mut a = End::new(&bus, "a", Filter::all()).await;
    publish(&bus, 0..1).await;
    assert_eq!(a.read_all().await, [0]);
    drop((a, bus));
    assert_eq!(open(&config(&dir)).log_id(), log);
}
