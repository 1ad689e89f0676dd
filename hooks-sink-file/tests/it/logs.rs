//! Log lines for operators.

use std::fmt::{Debug, Write};
use std::fs;
use std::sync::{Arc, Mutex, OnceLock};

use hooks_core::sink::SinkConfig;
use hooks_sink_file::FileConfig;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{Folder, batch, context, deliver, padded};

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the warnings of all tests of this binary.
struct Keep;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Keep {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        WARNINGS.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| tracing::subscriber::set_global_default(Keep).unwrap());
}

fn warnings(hook: &str) -> Vec<String> {
    let kept = WARNINGS.lock().unwrap();
    kept.iter().filter(|text| text.contains(&format!("hook={hook} "))).cloned().collect()
}

#[tokio::test]
async fn a_hook_is_warned_of_long_lines_once() {
    listen();
    let folder = Folder::new();
    let config = FileConfig::new(folder.join("out.jsonl"));
    deliver(&mut config.build(&context("long", &Arc::default())).unwrap(), &padded(0..1, 90_000)).await.unwrap();
    assert_eq!(warnings("long").len(), 0);
    for _ in 0..2 {
        let mut sink = config.build(&context("long", &Arc::default())).unwrap();
        deliver(&mut sink, &padded(1..3, 110_000)).await.unwrap();
        deliver(&mut sink, &padded(3..4, 120_000)).await.unwrap();
    }
    let warnings = warnings("long");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("longer than 100 KiB"), "{warnings:?}");
}

#[tokio::test]
async fn an_ended_fragment_is_told() {
    listen();
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    fs::write(&path, "torn").unwrap();
    let mut sink = FileConfig::new(&path).build(&context("torn", &Arc::default())).unwrap();
    deliver(&mut sink, &batch(0..1)).await.unwrap();
    deliver(&mut sink, &batch(1..2)).await.unwrap();
    let warnings = warnings("torn");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("out.jsonl") && warnings[0].contains("middle of a line"), "{warnings:?}");
}
