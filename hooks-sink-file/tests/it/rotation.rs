use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use hooks_core::{
    Sink,
    sink::{FailureClass, SinkConfig},
};
use hooks_sink_file::FileConfig;

use crate::support::{Folder, batch, context, deliver, ids, read, sink};

#[tokio::test]
async fn after_a_rename_the_next_line_is_in_the_new_file() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(0..2)).await.unwrap();
    fs::rename(&path, folder.join("out.jsonl.1")).unwrap();
    deliver(&mut sink, &batch(2..3)).await.unwrap();
    sink.flush().await.unwrap();
    assert_eq!(ids(&read(folder.join("out.jsonl.1"))), [0, 1]);
    assert_eq!(ids(&read(&path)), [2]);
}

#[tokio::test]
async fn a_file_that_rotation_has_made_again_is_used() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(0..1)).await.unwrap();
    fs::rename(&path, folder.join("old")).unwrap();
    fs::write(&path, "").unwrap();
    deliver(&mut sink, &batch(1..2)).await.unwrap();
    assert_eq!(ids(&read(&path)), [1]);
}

#[tokio::test]
async fn after_a_removal_the_file_is_made_again() {
    let folder = Folder::new();
    let path = folder.join("sub/out.jsonl");
    let mut sink = sink(&FileConfig::new(&path).create_dirs(true));
    for n in 0..3 {
        deliver(&mut sink, &batch(n..n + 1)).await.unwrap();
        assert_eq!(ids(&read(&path)), [n]);
        if n == 0 {
            fs::remove_file(&path).unwrap();
        } else {
            fs::remove_dir_all(folder.join("sub")).unwrap();
        }
    }
}

#[tokio::test]
async fn a_truncated_file_goes_on_from_its_new_end() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(0..50)).await.unwrap();
    fs::copy(&path, folder.join("copy")).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    deliver(&mut sink, &batch(50..51)).await.unwrap();
    assert_eq!(ids(&read(&path)), [50], "no hole where the old lines were");
}

#[tokio::test]
async fn a_link_put_in_the_place_of_the_open_file_is_refused() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(0..1)).await.unwrap();
    fs::rename(&path, folder.join("moved")).unwrap();
    symlink("moved", &path).unwrap();
    let error = deliver(&mut sink, &batch(1..2)).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Endpoint, "{}", error.chain());
    assert_eq!(ids(&read(folder.join("moved"))), [0]);
}

#[tokio::test]
async fn a_folder_link_that_leads_elsewhere_now_is_followed_there() {
    let folder = Folder::new();
    for name in ["monday", "tuesday"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    symlink("monday", folder.join("today")).unwrap();
    let shared = Arc::default();
    let mut today = FileConfig::new(folder.join("today/out")).build(&context("a", &shared)).unwrap();
    let mut monday = FileConfig::new(folder.join("monday/out")).build(&context("b", &shared)).unwrap();
    deliver(&mut today, &batch(0..1)).await.unwrap();
    deliver(&mut monday, &batch(1..2)).await.unwrap();
    fs::remove_file(folder.join("today")).unwrap();
    symlink("tuesday", folder.join("today")).unwrap();
    deliver(&mut today, &batch(2..3)).await.unwrap();
    deliver(&mut monday, &batch(3..4)).await.unwrap();
    today.flush().await.unwrap();
    assert_eq!(ids(&read(folder.join("monday/out"))), [0, 1, 3]);
    assert_eq!(ids(&read(folder.join("tuesday/out"))), [2]);
}
