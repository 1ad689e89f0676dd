//! A folder as version 1 wrote it, in `tests/fixtures/v1`, is opened by every later version.
//!
//! It was written by [`write`], which stays to show what is in it.

use std::path::{Path, PathBuf};

use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::{Bus, DisabledBy, Filter, HookId, StartAt, bus::Expected};
use hooks_test::End;

use super::{config, dead_letters::letter, open};
use crate::slice;

fn fixture() -> PathBuf {
    fixtures("v1")
}

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// 60 events in slices of three; `all` is done with 0 to 19 and with 25 to 29, `some` with nothing, `none` wants none.
async fn write(config: &DurableConfig) {
    let bus = open(config);
    let mut all = End::new(&bus, "all", Filter::all()).await;
    let _some = End::new(&bus, "some", Filter::types(["test.2"])).await;
    let _none = End::new(&bus, "none", Filter::types(["other"])).await;
    for first in (0..60).step_by(3) {
        bus.publish(slice(first..first + 3, first)).await.unwrap();
    }
    let read = all.read(30).await;
    all.settle(&read[..20]);
    all.settle(&read[25..]);
    let dead_letters = bus.hooks().dead_letters(&HookId::new("all").unwrap()).unwrap();
    dead_letters.keep(vec![letter(4, "400 Bad Request: no")]).await.unwrap();
}

/// A copy, since opening a folder changes it.
fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

async fn check(dir: &Path) {
    let info = DurableBus::inspect(dir).unwrap();
    assert_eq!((info.format, info.end, info.damage.as_slice()), (1, 60, [].as_slice()));
    let hooks: Vec<_> = info.hooks.iter().map(|hook| (hook.hook.as_str(), hook.position, hook.dead_letters)).collect();
    assert_eq!(hooks, [("all", 20, 1), ("none", 60, 0), ("some", 2, 0)]);
    assert_eq!(DurableBus::verify(dir).unwrap().events, 60 - info.segments[0].first);

    let bus = open(&config(dir));
    assert_eq!(bus.log_id(), info.log);
    let mut all = End::new(&bus, "all", Filter::all()).await;
    assert_eq!(all.read_all().await, (20..25).chain(30..60).collect::<Vec<_>>());
    let mut some = End::new(&bus, "some", Filter::types(["test.2"])).await;
    let read = some.read(100).await;
    assert_eq!(hooks_test::numbers(&read), (2..60).step_by(3).collect::<Vec<_>>());
    let expected = slice(57..60, 57);
    assert_eq!(read.last().unwrap().envelope().json(), expected[2].json());
    let dead_letters = bus.hooks().dead_letters(&HookId::new("all").unwrap()).unwrap().list(None, 9).await.unwrap();
    assert_eq!((dead_letters.len(), dead_letters[0].1.detail.as_str()), (1, "400 Bad Request: no"));
    // And it goes on.
    bus.publish(slice(60..61, 1)).await.unwrap();
    assert_eq!(all.read_all().await, [60]);
    let mut late = End::earliest(&bus, "late").await;
    assert_eq!(late.read_all().await, (0..61).collect::<Vec<_>>());
}

#[tokio::test]
async fn version_1_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(), folder.path());
    check(folder.path()).await;
}

/// Written by a daemon of the version before overrides had a type: `gone` was disabled by its receiver, `off` by an
/// operator, and `on`, too, until it was enabled.
#[tokio::test]
async fn overrides_that_were_kept_as_texts_are_read() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures("overrides"), folder.path());
    let bus = open(&config(folder.path()));
    let [gone, off, on] = ["gone", "off", "on"].map(|hook| bus.hooks().overrides(&HookId::new(hook).unwrap()));
    assert!(on.is_none(), "{on:?}");
    let said = gone.and_then(|gone| Some((gone.by, gone.reason?, gone.since))).unwrap();
    assert_eq!(said, (DisabledBy::Receiver, "POST http://127.0.0.1:18999/gone: 410 Gone".to_owned(), 1_795_861_109));
    let off = off.unwrap();
    assert_eq!((off.by, off.reason.as_deref(), off.since), (DisabledBy::Operator, None, 1_795_861_110));
    // What is kept now is kept as it was then.
    let kept = r#"{"by":"operator","reason":null,"since":1795861110,"sink":18276142967184165830,"secrets":"4efd2873-9eae-5d8e-986f-de947624bc18"}"#;
    assert_eq!(serde_json::to_string(&off).unwrap(), kept);
}

#[tokio::test]
async fn what_is_written_now_is_read_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    write(&config(folder.path())).await;
    check(folder.path()).await;
}

/// Written by the first version that kept definitions, by [`write_definitions`].
#[tokio::test]
async fn definitions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures("definitions"), folder.path());
    check_definitions(folder.path()).await;
    let folder = tempfile::tempdir().unwrap();
    write_definitions(&config(folder.path())).await;
    check_definitions(folder.path()).await;
}

/// Three events, and a hook that is defined behind each; the one behind the last is changed and another undefined.
async fn write_definitions(config: &DurableConfig) {
    let bus = open(config);
    for (at, hook) in ["first", "gone", "last"].into_iter().enumerate() {
        bus.publish(slice(at..at + 1, 10)).await.unwrap();
        let (id, text) = (HookId::new(hook).unwrap(), format!("{{\"name\":\"{hook} é\"}}"));
        bus.hooks().define(&id, &text, Expected::Absent, StartAt::End).await.unwrap();
    }
    let [gone, last] = ["gone", "last"].map(|hook| HookId::new(hook).unwrap());
    bus.hooks().define(&last, "{\"changed\":true}", Expected::Any, StartAt::End).await.unwrap();
    assert!(bus.hooks().undefine(&gone, Expected::Any).await.unwrap());
    bus.publish(slice(3..4, 10)).await.unwrap();
}

async fn check_definitions(dir: &Path) {
    let bus = open(&config(dir));
    let there = bus.hooks().definitions(None, 9).await.unwrap();
    let told: Vec<_> = there.iter().map(|one| (one.hook.as_str(), one.revision.get(), &*one.text)).collect();
    assert_eq!(told, [("first", 1, "{\"name\":\"first é\"}"), ("last", 4, "{\"changed\":true}")]);
    assert!(there[0].created == there[0].changed && there[1].created < there[1].changed, "{there:?}");
    for (hook, events) in [("first", vec![1, 2, 3]), ("last", vec![3])] {
        assert_eq!(End::new(&bus, hook, Filter::all()).await.read_all().await, events, "{hook}");
    }
    let again = bus.hooks().define(&HookId::new("gone").unwrap(), "{}", Expected::Absent, StartAt::End).await.unwrap();
    // 5 was that of the removal.
    assert_eq!(again.revision.get(), 6);
}

/// Makes the fixture of a new version: run it by name with `--ignored`, and keep the old ones.
#[tokio::test]
#[ignore = "writes the fixture"]
async fn writes_the_fixture() {
    let dir = fixture();
    assert!(!dir.exists(), "`{}` is there already: a fixture is written once", dir.display());
    write(&config(&dir)).await;
    without_lock(&dir);
}

#[tokio::test]
#[ignore = "writes the fixture"]
async fn writes_the_fixture_of_definitions() {
    let dir = fixtures("definitions");
    assert!(!dir.exists(), "`{}` is there already: a fixture is written once", dir.display());
    write_definitions(&config(&dir)).await;
    without_lock(&dir);
}

fn without_lock(dir: &Path) {
    // So that nothing in it is there only because this machine has room.
    std::fs::remove_file(dir.join("lock")).unwrap();
}
