use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use hooks_core::{
    Sink,
    sink::{FailureClass, SinkConfig},
};
use hooks_sink_file::FileConfig;

use crate::support::{Folder, batch, context, deliver, ids, lock, padded, read, sink, text};

#[tokio::test]
async fn lines_are_whole_and_in_order() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    let batches = [batch(0..3), batch(3..4), batch(4..10)];
    for batch in &batches {
        deliver(&mut sink, batch).await.unwrap();
    }
    sink.close().await.unwrap();
    assert_eq!(read(&path), batches.iter().map(text).collect::<String>());
}

#[tokio::test]
async fn what_is_in_the_file_stays() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    std::fs::write(&path, "earlier\n").unwrap();
    deliver(&mut sink(&FileConfig::new(&path)), &batch(0..1)).await.unwrap();
    assert_eq!(read(&path), format!("earlier\n{}", text(&batch(0..1))));
}

#[tokio::test]
async fn nothing_is_made_before_the_first_delivery() {
    let folder = Folder::new();
    let path = folder.join("sub/out.jsonl");
    let mut sink = sink(&FileConfig::new(&path).create_dirs(true));
    sink.flush().await.unwrap();
    sink.close().await.unwrap();
    assert!(!folder.join("sub").exists());
}

/// The fault: a sink that queues the write and answers at once. While nothing can be written, there is
/// no `Ok`; when there is one, the file has the line.
#[tokio::test]
async fn a_file_write_is_acknowledged_only_after_it_is_written() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    let held = lock(&path);
    for _ in 0..2 {
        let error = deliver(&mut sink, &batch(0..1)).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Retry);
        assert_eq!(read(&path), "");
    }
    drop(held);
    for n in 0..100 {
        deliver(&mut sink, &batch(n..n + 1)).await.unwrap();
        assert!(read(&path).ends_with(&text(&batch(n..n + 1))), "event {n} is acknowledged and not there");
    }
}

#[tokio::test]
async fn the_answer_says_what_was_written_where() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let batch = batch(0..1);
    let delivered = sink(&FileConfig::new(&path)).deliver(&batch).await.unwrap();
    let want = format!("appended 1 line, {} bytes, to `{}`", text(&batch).len(), path.display());
    assert_eq!(delivered.answer.summary, want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_that_share_a_file_never_cut_into_a_line_and_keep_their_order() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let shared = Arc::default();
    let hooks = ["a", "b", "c"].map(|hook| FileConfig::new(&path).build(&context(hook, &shared)).unwrap());
    let tasks = hooks.into_iter().zip(0..).map(|(mut sink, hook)| {
        tokio::spawn(async move {
            for n in 0..40 {
                let first = hook * 1_000 + n * 5;
                deliver(&mut sink, &padded(first..first + 5, 20_000)).await.unwrap();
                sink.flush().await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let ids = ids(&read(&path));
    for hook in 0..3 {
        let own: Vec<_> = ids.iter().copied().filter(|id| id / 1_000 == hook).collect();
        assert_eq!(own, (hook * 1_000..hook * 1_000 + 200).collect::<Vec<_>>());
    }
    assert_eq!(ids.len(), 600);
}

#[tokio::test]
async fn a_hook_shares_a_file_under_another_name() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("real")).unwrap();
    std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
    let shared = Arc::default();
    let mut real = FileConfig::new(folder.join("real/out")).build(&context("a", &shared)).unwrap();
    let mut link = FileConfig::new(folder.join("link//./out")).build(&context("b", &shared)).unwrap();
    deliver(&mut real, &batch(0..1)).await.unwrap();
    deliver(&mut link, &batch(1..2)).await.unwrap();
    deliver(&mut real, &batch(2..3)).await.unwrap();
    assert_eq!(ids(&read(folder.join("real/out"))), [0, 1, 2]);
}

#[tokio::test]
async fn a_new_file_gets_the_mode_that_is_set_and_an_old_one_keeps_its_own() {
    let folder = Folder::new();
    let mode = |name: &str| std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    let config = |name: &str| FileConfig::new(folder.join(name));
    deliver(&mut sink(&config("plain")), &batch(0..1)).await.unwrap();
    assert_eq!(mode("plain") & !0o640, 0);
    // Beyond what any usual umask leaves.
    deliver(&mut sink(&config("set").mode("0666".parse().unwrap())), &batch(0..1)).await.unwrap();
    assert_eq!(mode("set"), 0o666);
    deliver(&mut sink(&config("set").mode("0600".parse().unwrap())), &batch(1..2)).await.unwrap();
    assert_eq!(mode("set"), 0o666);
}

#[tokio::test]
async fn without_sync_lines_are_written_all_the_same() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path).sync(false));
    deliver(&mut sink, &batch(0..2)).await.unwrap();
    sink.flush().await.unwrap();
    assert_eq!(ids(&read(&path)), [0, 1]);
}

#[tokio::test]
async fn a_large_event_is_one_line() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let batch = padded(0..1, 900_000);
    deliver(&mut sink(&FileConfig::new(&path)), &batch).await.unwrap();
    assert_eq!(read(&path), text(&batch));
}
