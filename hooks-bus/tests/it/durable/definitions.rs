//! Hooks that are defined in a real folder.

use std::time::Instant;

use hooks_bus::DurableBus;
use hooks_core::{
    Bus, Filter, StartAt,
    bus::{Expected, HookStore as _},
};
use hooks_test::{End, id};

use super::{config, open, publish};

#[tokio::test]
async fn a_defined_hook_that_never_came_holds_the_log_from_its_position_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let bus = open(&config);
    publish(&bus, 0..100).await;
    bus.define(&id("a"), "{}", Expected::Absent, StartAt::End).await.unwrap();
    publish(&bus, 100..200).await;
    bus.sync_positions().await.unwrap();
    let segments = bus.info().segments;
    assert!(segments[0].first <= 100 && segments[1].first > 100, "{segments:?}");
    drop(bus);
    let bus = open(&config);
    publish(&bus, 200..300).await;
    bus.sync_positions().await.unwrap();
    assert_eq!(End::new(&bus, "a", Filter::all()).await.read_all().await, (100..300).collect::<Vec<_>>());
    bus.unsubscribe(&id("a")).await.unwrap();
    assert!(bus.undefine(&id("a"), Expected::Any).await.unwrap());
    bus.sync_positions().await.unwrap();
    assert!(bus.info().segments[0].first > 200, "nobody holds it: {:?}", bus.info());
}

#[tokio::test]
async fn a_folder_that_is_looked_at_shows_what_is_defined_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let bus = open(&config);
    let defined = bus.define(&id("a"), "{\"a\":1}", Expected::Absent, StartAt::End).await.unwrap();
    drop(bus);
    let looked = DurableBus::look(&config).unwrap();
    assert_eq!(looked.definitions(None, 10).await.unwrap(), std::slice::from_ref(&defined));
    // What is changed there is changed in memory alone.
    assert!(looked.undefine(&id("a"), Expected::Any).await.unwrap());
    drop(looked);
    assert_eq!(open(&config).definition(&id("a")).await.unwrap(), Some(defined));
}

#[tokio::test]
async fn a_hook_of_a_folder_from_before_definitions_can_be_defined_and_keeps_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let bus = open(&config);
    drop(End::new(&bus, "old", Filter::all()).await);
    publish(&bus, 0..3).await;
    bus.unsubscribe(&id("old")).await.unwrap();
    assert!(!bus.undefine(&id("old"), Expected::Any).await.unwrap(), "what is not defined stays");
    bus.define(&id("old"), "{}", Expected::Absent, StartAt::End).await.unwrap();
    assert_eq!(End::new(&bus, "old", Filter::all()).await.read_all().await, [0, 1, 2]);
    bus.unsubscribe(&id("old")).await.unwrap();
    // To forget a hook takes the definition along.
    assert!(bus.forget(&id("old")).await.unwrap());
    assert_eq!(bus.definitions(None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn how_many_hooks_are_defined_in_a_second() {
    // On the disk of the checkout: that of temporary files may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let bus = open(&config(folder.path()));
    let text = format!("{{\"sink\":{{\"url\":\"https://a.example/{}\"}}}}", "x".repeat(300));
    let (callers, each) = (64, 300);
    let begun = Instant::now();
    let calling: Vec<_> = (0..callers)
        .map(|caller| {
            let (bus, text) = (bus.clone(), text.clone());
            tokio::spawn(async move {
                for at in 0..each {
                    let hook = id(&format!("h{caller}-{at}"));
                    bus.define(&hook, &text, Expected::Absent, StartAt::End).await.unwrap();
                }
            })
        })
        .collect();
    for caller in calling {
        caller.await.unwrap();
    }
    let took = begun.elapsed();
    let hooks = callers * each;
    println!("{hooks} hooks in {took:?}: {:.0} a second", hooks as f64 / took.as_secs_f64());
    let begun = Instant::now();
    let page = bus.definitions(Some(&id("h3-0")), 100).await.unwrap();
    println!("a page of {} in {:?}", page.len(), begun.elapsed());
    drop(bus);
    let begun = Instant::now();
    let bus = open(&config(folder.path()));
    println!("opened in {:?}", begun.elapsed());
    assert_eq!(bus.definitions(None, usize::MAX).await.unwrap().len(), hooks);
    println!("all read by {:?}", begun.elapsed());
}
