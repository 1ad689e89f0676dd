use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hooks_core::sink::{DeliveryError, FailureClass, SinkConfig};
use hooks_sink_file::FileConfig;

use crate::support::{Folder, batch, context, deliver, ids, read, sink};

async fn fault(config: &FileConfig) -> DeliveryError {
    let error = deliver(&mut sink(config), &batch(0..1)).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Endpoint, "{}", error.chain());
    error
}

/// The fault: a hook's file was opened by whatever path it was given.
#[tokio::test]
async fn a_file_hook_may_not_write_through_a_relative_path_or_link() {
    let folder = Folder::new();
    let target = folder.join("target");
    fs::write(&target, "").unwrap();

    for relative in ["out.jsonl", "./out.jsonl", "../out.jsonl", "/tmp/../etc/out.jsonl", ""] {
        let config = FileConfig::new(relative);
        assert_eq!(config.validate().len(), 1, "{relative}");
        let error = config.build(&context("a", &Arc::default())).unwrap_err().to_string();
        assert!(error.contains("${CONFIG_DIR}") || error.contains(".."), "{error}");
    }

    symlink(&target, folder.join("link")).unwrap();
    symlink(folder.join("nowhere"), folder.join("dangling")).unwrap();
    for link in ["link", "dangling"] {
        let error = fault(&FileConfig::new(folder.join(link))).await;
        assert!(error.doing.contains("a symbolic link, which is not followed"), "{error}");
    }
    assert_eq!(read(&target), "");
    assert!(!folder.join("nowhere").exists());
}

#[tokio::test]
async fn allowed_roots_hold_as_written() {
    let folder = Folder::new();
    let config = |path: &str| FileConfig::new(folder.join(path)).allowed_roots([folder.join("logs")]);
    assert!(config("logs/a").validate().is_empty());
    let problems = config("logs2/a").validate();
    assert_eq!(problems[0].path, "path");
    assert!(problems[0].message.contains("outside of allowed_roots"), "{}", problems[0]);
    assert!(config("logs2/a").build(&context("a", &Arc::default())).is_err());
}

#[tokio::test]
async fn allowed_roots_are_not_left_through_a_link() {
    let folder = Folder::new();
    for name in ["logs", "secret"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    symlink(folder.join("secret"), folder.join("logs/way-out")).unwrap();
    let config = |path: &str| FileConfig::new(folder.join(path)).create_dirs(true).allowed_roots([folder.join("logs")]);
    for path in ["logs/way-out/a", "logs/way-out/deeper/a"] {
        let error = fault(&config(path)).await;
        assert!(error.doing.contains("outside of allowed_roots"), "{error}");
    }
    assert_eq!(fs::read_dir(folder.join("secret")).unwrap().count(), 0);
    deliver(&mut sink(&config("logs/sub/a")), &batch(0..1)).await.unwrap();
}

#[tokio::test]
async fn allowed_roots_hold_for_a_link_that_comes_later() {
    let folder = Folder::new();
    for name in ["logs/sub", "secret"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let config = FileConfig::new(folder.join("logs/sub/a")).allowed_roots([folder.join("logs")]);
    let mut sink = sink(&config);
    deliver(&mut sink, &batch(0..1)).await.unwrap();
    fs::rename(folder.join("logs/sub"), folder.join("logs/moved")).unwrap();
    symlink(folder.join("secret"), folder.join("logs/sub")).unwrap();
    let error = deliver(&mut sink, &batch(1..2)).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Endpoint);
    assert!(!folder.join("secret/a").exists());
}

#[tokio::test]
async fn a_root_may_itself_be_a_link_or_not_exist_yet() {
    let folder = Folder::new();
    fs::create_dir(folder.join("disk")).unwrap();
    symlink("disk", folder.join("logs")).unwrap();
    let linked = FileConfig::new(folder.join("logs/a")).allowed_roots([folder.join("logs")]);
    deliver(&mut sink(&linked), &batch(0..1)).await.unwrap();
    let new = FileConfig::new(folder.join("new/deep/a")).allowed_roots([folder.join("new")]).create_dirs(true);
    deliver(&mut sink(&new), &batch(0..1)).await.unwrap();
    assert_eq!(ids(&read(folder.join("new/deep/a"))), [0]);
}

#[tokio::test]
async fn missing_folders_are_made_on_request_only() {
    let folder = Folder::new();
    let path = folder.join("a/b/out.jsonl");
    let error = fault(&FileConfig::new(&path)).await;
    assert!(error.doing.contains("does not exist: make it, or set `create_dirs = true`"), "{error}");
    assert!(!folder.join("a").exists());
    deliver(&mut sink(&FileConfig::new(&path).create_dirs(true)), &batch(0..1)).await.unwrap();
    assert_eq!(ids(&read(&path)), [0]);
    assert_eq!(fs::metadata(folder.join("a")).unwrap().permissions().mode() & 0o027, 0);
}

#[tokio::test]
async fn a_hook_recovers_when_its_folder_appears() {
    let folder = Folder::new();
    let path = folder.join("later/out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    let batch = batch(0..2);
    assert!(deliver(&mut sink, &batch).await.is_err());
    fs::create_dir(folder.join("later")).unwrap();
    deliver(&mut sink, &batch).await.unwrap();
    assert_eq!(ids(&read(&path)), [0, 1]);
}

/// A FIFO without a reader makes an ordinary open wait for ever.
#[tokio::test]
async fn what_is_no_regular_file_is_refused_and_nothing_hangs() {
    let folder = Folder::new();
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::create_dir(folder.join("folder")).unwrap();
    let _socket = UnixListener::bind(folder.join("socket")).unwrap();
    for (path, what) in [
        (fifo.as_path(), "a FIFO"),
        (&folder.join("folder"), "a folder"),
        (&folder.join("socket"), "a socket"),
        (Path::new("/dev/full"), "a device"),
        (Path::new("/dev/null"), "a device"),
    ] {
        let error = fault(&FileConfig::new(path)).await;
        assert!(error.doing.ends_with(&format!("it must be a regular file and is {what}")), "{error}");
    }
}

#[tokio::test]
async fn a_file_in_the_place_of_a_folder_is_a_fault_of_the_endpoint() {
    let folder = Folder::new();
    fs::write(folder.join("file"), "x\n").unwrap();
    for create in [false, true] {
        fault(&FileConfig::new(folder.join("file/out.jsonl")).create_dirs(create)).await;
        fault(&FileConfig::new(folder.join("file/sub/out.jsonl")).create_dirs(create)).await;
    }
    assert_eq!(read(folder.join("file")), "x\n");
}
