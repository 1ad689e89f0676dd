//! Files that end in the middle of a line.

use std::fs;
use std::sync::Arc;

use hooks_core::sink::{Batch, SinkConfig};
use hooks_sink_file::{FileConfig, Repairs};

use crate::support::{Folder, batch, context, deliver, ids, padded, read, sink, text};

#[tokio::test]
async fn a_line_that_a_crash_tore_is_whole_after_redelivery() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let (before, again) = (text(&batch(0..2)), batch(2..5));
    let whole = text(&again);
    let head = whole.find("2\",\"source").unwrap() + 1;
    let mut repaired = 0;
    for cut in 0..whole.len() {
        fs::write(&path, format!("{before}{}", &whole[..cut])).unwrap();
        let mut sink = sink(&FileConfig::new(&path));
        deliver(&mut sink, &again).await.unwrap();
        let found = read(&path);
        assert!(found.ends_with(&whole), "cut at {cut}");
        let mut seen = ids(&found);
        // Lines come twice only where the cut leaves open which line is torn.
        let line = whole[..cut].rfind('\n').map_or(0, |end| end + 1);
        if cut - line < head {
            seen.drain(2..2 + whole[..line].lines().count());
        }
        assert_eq!(seen, [0, 1, 2, 3, 4], "cut at {cut}");
        assert_eq!(sink.repairs().ended, 0);
        repaired += sink.repairs().completed;
    }
    assert_eq!(repaired as usize, whole.len() - again.len(), "every cut inside of a line");
}

#[tokio::test]
async fn a_torn_line_of_somebody_else_is_ended_and_counted() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    for (fragment, whole_file) in [("{\"id\":\"else", false), ("no json", true), ("\0\0\0", false)] {
        let before = if whole_file { fragment.to_owned() } else { format!("x\n{fragment}") };
        fs::write(&path, &before).unwrap();
        let mut sink = sink(&FileConfig::new(&path));
        deliver(&mut sink, &batch(0..2)).await.unwrap();
        deliver(&mut sink, &batch(2..3)).await.unwrap();
        assert_eq!(read(&path), format!("{before}\n{}", text(&batch(0..3))));
        assert_eq!(sink.repairs(), Repairs { completed: 0, ended: 1 });
    }
}

#[tokio::test]
async fn a_fragment_longer_than_the_batch_is_ended() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let long = text(&Batch::for_test(vec![hooks_test::padded(7, 50_000)]));
    let fragment = &long[..40_000];
    fs::write(&path, fragment).unwrap();
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(0..1)).await.unwrap();
    assert_eq!(read(&path), format!("{fragment}\n{}", text(&batch(0..1))));
}

#[tokio::test]
async fn the_other_hook_of_a_shared_file_ends_the_fragment_and_both_are_whole() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let torn = padded(100..102, 500);
    let fragment = text(&torn)[..300].to_owned();
    fs::write(&path, &fragment).unwrap();
    let shared = Arc::default();
    let [mut first, mut second] = ["a", "b"].map(|hook| FileConfig::new(&path).build(&context(hook, &shared)).unwrap());
    deliver(&mut second, &batch(0..1)).await.unwrap();
    deliver(&mut first, &torn).await.unwrap();
    assert_eq!(read(&path), format!("{fragment}\n{}{}", text(&batch(0..1)), text(&torn)));
    assert_eq!((first.repairs().ended, second.repairs().ended), (0, 1));
}

/// After a kill, positions from some batches before the torn line were the last that were kept.
#[tokio::test]
async fn a_torn_line_is_continued_however_many_batches_come_again_before_it() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let all = text(&batch(0..20));
    let (torn, next) = (all.find("\"17\"").unwrap() + 4, 20);
    for (first, size) in [(0, 1), (3, 2), (5, 7), (17, 3), (10, 100)] {
        fs::write(&path, &all[..torn]).unwrap();
        let mut sink = sink(&FileConfig::new(&path));
        let mut at = first;
        while at < next {
            let end = next.min(at + size);
            deliver(&mut sink, &batch(at..end)).await.unwrap();
            at = end;
        }
        assert_eq!(read(&path), all, "from {first} in batches of {size}");
        assert_eq!(sink.repairs(), Repairs { completed: 1, ended: 0 });
        deliver(&mut sink, &batch(0..1)).await.unwrap();
        assert_eq!(read(&path), all.clone() + &text(&batch(0..1)), "new lines are never taken for old ones");
    }
}

/// Each kill but the last left whole lines, which were written again.
#[tokio::test]
async fn a_torn_line_is_continued_after_several_kills() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let (all, twice) = (text(&batch(3..20)), text(&batch(0..9)) + &text(&batch(3..12)));
    let torn = all.find("\"17\"").unwrap() + 4;
    fs::write(&path, twice.clone() + &all[..torn]).unwrap();
    let mut sink = sink(&FileConfig::new(&path));
    for first in (3..20).step_by(2) {
        deliver(&mut sink, &batch(first..20.min(first + 2))).await.unwrap();
    }
    assert_eq!(read(&path), twice + &all);
    assert_eq!(sink.repairs(), Repairs { completed: 1, ended: 0 });
}

#[tokio::test]
async fn lines_that_come_again_only_in_part_are_written_whole() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let before = text(&batch(0..5)) + "{\"id\":\"else";
    fs::write(&path, &before).unwrap();
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(1..3)).await.unwrap();
    assert_eq!(read(&path), before, "they stand there, and the torn line may still be continued");
    deliver(&mut sink, &batch(4..7)).await.unwrap();
    assert_eq!(read(&path), before.clone() + "\n" + &text(&batch(4..7)));
    deliver(&mut sink, &batch(1..3)).await.unwrap();
    assert_eq!(read(&path), before + "\n" + &text(&batch(4..7)) + &text(&batch(1..3)));
    assert_eq!(sink.repairs(), Repairs { completed: 0, ended: 1 });
}
