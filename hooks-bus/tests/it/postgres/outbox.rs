//! Rust applications publish within their transactions.

use hooks_bus::postgres::outbox;
use hooks_core::{Bus as _, BusError, Filter, SliceBuilder};
use hooks_test::{End, events};

use super::{Server, bus, client};

#[tokio::test]
async fn events_come_with_their_transaction_in_order_and_as_they_are() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let mut client = client(&server).await;
    let transaction = client.transaction().await.unwrap();
    outbox::publish(&transaction, &events(0..3)).await.unwrap();
    transaction.rollback().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let odd = r#"{"specversion":"1.0","id":"3","source":"/é","type":"a","time":"2026-11-27T10:00:00Z", "data": {"b":[1.50, "],["]}}"#;
    let mut slice = SliceBuilder::new("/test");
    slice.push_json(odd.as_bytes()).unwrap();
    assert_eq!(outbox::publish(&transaction, &slice.finish()).await.unwrap().events, 1);
    outbox::publish(&transaction, &events(4..900)).await.unwrap();
    transaction.commit().await.unwrap();
    let read = hook.take(897).await;
    assert_eq!(read[0].envelope().json(), odd);
    assert_eq!(hooks_test::numbers(&read), (3..900).collect::<Vec<_>>());
}

/// Postgres can't decode it, and nobody has to.
#[tokio::test]
async fn data_may_hold_what_postgres_cannot_decode_however_it_is_published() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let mut client = client(&server).await;
    let odd = |id: usize| {
        format!(
            r#"{{"type":"a","source":"/s","id":"{id}","data":{{"\u0000":["\u0000 \\u0000 \ud83d\ude00","\uDC00\ud800"]}}}}"#
        )
    };
    let slice = |id: usize| {
        let mut slice = SliceBuilder::new("/test");
        slice.push_json(odd(id).as_bytes()).unwrap();
        slice.finish()
    };
    bus.publish(slice(0)).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    outbox::publish(&transaction, &slice(1)).await.unwrap();
    // As other drivers do.
    transaction.execute(outbox::PUBLISH, &[&outbox::parameter(&slice(2)).unwrap()]).await.unwrap();
    transaction.commit().await.unwrap();
    client.execute("SELECT hooks.publish($1::text::json)", &[&odd(3)]).await.unwrap();
    client.execute("INSERT INTO hooks.outbox (event) VALUES ($1::text::json)", &[&odd(4)]).await.unwrap();
    let read = hook.take(5).await;
    let data = |id: usize| slice(id)[0].data().map(str::to_owned);
    for (id, read) in read.iter().enumerate() {
        assert_eq!((read.envelope().id(), read.envelope().data()), (id.to_string().as_str(), data(id).as_deref()));
    }
    for text in [r"\u0000", r"\ud800", r"\udc00", r"\ud800\\ude00"] {
        let event = format!(r#"{{"type":"a","subject":"{text}"}}"#);
        let refused = client.execute("SELECT hooks.publish($1::text::json)", &[&event]).await.unwrap_err();
        let said = refused.as_db_error().unwrap();
        assert_eq!((said.code().code(), said.message()), ("22023", "the event's \"subject\" has control characters"));
    }
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let Some(server) = Server::start() else { return };
    let mut application = client(&server).await;
    let mut own = SliceBuilder::new("/test");
    own.push_json(br#"{"type":"hooks.endpoint.failing"}"#).unwrap();
    let own = own.finish();
    let transaction = application.transaction().await.unwrap();
    assert!(matches!(outbox::publish(&transaction, &own).await, Err(BusError::Reserved(_))));
    let said = outbox::publish(&transaction, &events(0..1)).await.unwrap_err().to_string();
    assert!(said.contains("is this the database of the bus?"), "{said}");
    transaction.rollback().await.unwrap();
    drop(bus(&server).await);
    application.batch_execute("CREATE ROLE shop; SET ROLE shop").await.unwrap();
    let transaction = application.transaction().await.unwrap();
    let said = outbox::publish(&transaction, &events(0..1)).await.unwrap_err().to_string();
    assert!(said.contains("GRANT USAGE ON SCHEMA hooks"), "{said}");
    transaction.rollback().await.unwrap();
    let mut long = SliceBuilder::new("/test").max_event_bytes(usize::MAX);
    long.push_json(format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(64 << 20)).as_bytes()).unwrap();
    application.batch_execute("RESET ROLE").await.unwrap();
    let transaction = application.transaction().await.unwrap();
    let refused = outbox::publish(&transaction, &long.finish()).await.unwrap_err();
    assert!(matches!(&refused, BusError::TooLarge(text) if text.contains("it may have 64 MiB")), "{refused}");
}
