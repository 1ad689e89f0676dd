//! Messages that other programs publish into the stream.

use hooks_core::bus::{PastFilter, PastOrder, PastQuery};
use hooks_core::{Bus, BusError, Filter, HookId};
use hooks_test::{End, pause, soon, until};
use tokio::io::AsyncWriteExt as _;

use super::{Server, bus, dead_letter, events, publish};

/// Headers that no client can read, but the server takes.
const HEADERS: [&[u8]; 4] = [
    b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.1\r\nX: y\r\n\r\n",
    b"\xff\xfe\r\n\r\n",
];

#[tokio::test]
async fn what_others_publish_with_odd_headers_holds_nothing_up() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hooks = [End::new(&bus, "all", Filter::all()).await, End::new(&bus, "some", Filter::types(["a"])).await];
    until("owners", || bus.owned().len() == 2).await;
    let mut plain = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let mut sent = br#"CONNECT {"verbose":false,"headers":true}"#.to_vec();
    for (number, headers) in HEADERS.iter().enumerate() {
        let event = events(number..number + 1, "a")[0].clone();
        let all = headers.len() + event.len();
        sent.extend(format!("\r\nHPUB hooks.events.a {} {all}\r\n", headers.len()).as_bytes());
        sent.extend([headers, event.json().as_bytes()].concat());
    }
    sent.extend(b"\r\n");
    plain.write_all(&sent).await.unwrap();
    let stream = server.client().await.get_stream("hooks").await.unwrap();
    soon("the odd ones", async {
        while stream.get_info().await.unwrap().state.messages < HEADERS.len() as u64 {
            pause().await;
        }
    })
    .await;
    publish(&bus, events(4..8, "a")).await;
    for hook in &mut hooks {
        let mut first = hook.read_to(7, 100).await;
        first.dedup();
        assert_eq!(first, (0..8).collect::<Vec<_>>());
    }
    // Nor does it keep anybody from looking at what is before, between or behind.
    for (order, types) in [(PastOrder::OldestFirst, vec![]), (PastOrder::NewestFirst, vec!["a".into()])] {
        let filter = PastFilter::default().types(types);
        let mut query = Some(PastQuery::default().filter(filter).order(order).max_events(3));
        let mut found = Vec::new();
        while let Some(asked) = query {
            let page = soon("a page", bus.past().unwrap().read(&asked)).await.unwrap();
            found.extend(page.events.iter().map(|event| event.envelope.id().parse::<usize>().unwrap()));
            query = asked.next(&page);
        }
        if order == PastOrder::NewestFirst {
            found.reverse();
        }
        assert_eq!(found, (0..8).collect::<Vec<_>>(), "{order:?}");
    }
}

/// It can never be kept, so the call fails at once.
#[tokio::test]
async fn a_dead_letter_that_is_too_long_is_no_reason_to_wait() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let dead_letters = bus.hooks().dead_letters(&HookId::new("hook").unwrap()).unwrap();
    let long = crate::slice(0..1, (1 << 20) - 150)[0].clone();
    let error = dead_letters.keep(vec![dead_letter(1, long)]).await.unwrap_err();
    assert!(matches!(error, BusError::TooLarge(_)), "{error}");
}
