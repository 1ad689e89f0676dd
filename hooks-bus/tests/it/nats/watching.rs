//! What an instance hears of the others, whatever the server leaves out.

use async_nats::HeaderMap;
use async_nats::jetstream::kv::Operation;
use hooks_core::{Bus as _, Filter, HookId};
use hooks_test::{End, until};

use super::{Server, bus, disabled};

/// Changes, each followed by a purge before the server has sent it.
const CHANGES: usize = 300;

#[tokio::test]
async fn a_purge_hides_no_change() {
    let Some(server) = Server::start().await else { return };
    let (bus, client) = (bus(&server).await, server.client().await);
    let hook = |number: usize| HookId::new(format!("hook-{number}")).unwrap();
    bus.hooks().set_override(&hook(0), Some(disabled("no"))).await.unwrap();
    let bucket = client.get_key_value("hooks-hooks").await.unwrap();
    let value = bucket.get("note.hook-0").await.unwrap().unwrap();
    let purge =
        HeaderMap::from_iter([("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")].map(|(name, value)| {
            (name.parse::<async_nats::HeaderName>().unwrap(), async_nats::HeaderValue::from(value))
        }));
    let mut answers = Vec::new();
    for number in 1..=CHANGES {
        let key = format!("$KV.hooks-hooks.note.hook-{number}");
        answers.push(client.publish(key, value.clone()).await.unwrap());
        let purged = client.publish_with_headers("$KV.hooks-hooks.other", purge.clone(), "".into());
        answers.push(purged.await.unwrap());
    }
    for answer in answers {
        answer.await.unwrap();
    }
    let unheard = || (0..=CHANGES).filter(|number| bus.hooks().overrides(&hook(*number)).is_none()).count();
    until("every change", || unheard() == 0).await;
}

/// A purge would be one of those that hide a change from older versions.
#[tokio::test]
async fn who_leaves_removes_its_entries_and_purges_nothing() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let _hook = End::new(&bus, "hook", Filter::all()).await;
    until("an owner", || bus.owned().len() == 1).await;
    bus.finish().await;
    let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
    for key in ["alive", "hooks"] {
        let entry = bucket.entry(format!("{key}.{}", bus.instance())).await.unwrap().unwrap();
        assert_eq!(entry.operation, Operation::Delete);
    }
}
