//! Warnings to operators before the log is full.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, Once};

use hooks_bus::OnFull;
use hooks_core::{Filter, HookId};
use hooks_test::End;

use super::full::small;
use super::{open, publish};

/// The warnings of all tests of this binary.
static WARNINGS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Keep;

impl Write for Keep {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        WARNINGS.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn listen() {
    static ONCE: Once = Once::new();
    let level = tracing_subscriber::filter::LevelFilter::WARN;
    ONCE.call_once(|| tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(|| Keep).init());
}

/// The warnings that the log in this folder is nearly full.
fn nearly_full(dir: &Path) -> Vec<String> {
    let warnings = String::from_utf8(WARNINGS.lock().unwrap().clone()).unwrap();
    let here = |line: &&str| line.contains("the log is nearly full") && line.contains(&*dir.to_string_lossy());
    warnings.lines().filter(here).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_log_that_no_hook_holds_is_not_said_to_be_nearly_full() {
    listen();
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::Refuse));
    let mut fast = End::new(&bus, "fast", Filter::all()).await;
    for number in 0..600 {
        publish(&bus, number..number + 1).await;
        assert_eq!(fast.read_all().await, [number]);
    }
    assert_eq!(nearly_full(folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_hook_that_fills_the_log_is_named_once_until_it_has_caught_up() {
    listen();
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::DropOldest));
    let mut slow = End::new(&bus, "slow", Filter::all()).await;
    for episode in 1..4 {
        publish(&bus, episode * 600..(episode + 1) * 600).await;
        let said = nearly_full(folder.path());
        assert_eq!(said.len(), episode, "{said:?}");
        assert!(
            said[episode - 1].contains("this hook holds its oldest events") && said[episode - 1].contains("hook=slow")
        );
        slow.read_all().await;
        bus.sync_positions().await.unwrap();
    }
}

#[tokio::test]
async fn a_hook_that_gives_way_is_warned_of_before_it_loses_events() {
    listen();
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::Refuse));
    let _away = End::new(&bus, "away", Filter::all()).await;
    hooks_core::Bus::unsubscribe(&bus, &HookId::new("away").unwrap()).await.unwrap();
    publish(&bus, 0..600).await;
    let said = nearly_full(folder.path());
    assert!(said.len() == 1 && said[0].contains("is about to lose") && said[0].contains("hook=away"), "{said:?}");
}
