//! What a sink says of an attempt for the record.

use std::sync::Arc;

use hooks_core::sink::{Shared, SinkConfig as _, SinkContext};
use hooks_core::{Exchange, HookId, Sink};
use hooks_sink_http::HttpConfig;
use hooks_test::http::{Receiver, answer};
use tokio::io::AsyncReadExt as _;

use crate::raw::{once, read_request};
use crate::{SECRET, batch};

fn recorded(config: &HttpConfig) -> Box<dyn Sink> {
    let mut context = SinkContext::new(HookId::new("a").unwrap(), Arc::<Shared>::default());
    context.recorded = true;
    Box::new(config.build(&context).unwrap())
}

fn phases(exchange: &Exchange) -> Vec<&'static str> {
    exchange.phases.iter().map(|(phase, _)| phase.name()).collect()
}

#[tokio::test]
async fn the_first_attempt_on_a_connection_has_its_making() {
    let receiver = Receiver::start(|_| answer(503, "later")).await;
    let url = format!("http://localhost:{}/in?token=query-sesame", receiver.address.port());
    let mut sink = recorded(&HttpConfig::new(&url).secret(SECRET));
    sink.deliver(&batch(&["1"])).await.unwrap_err();
    let first = sink.exchange();
    assert_eq!((first.status, first.address.as_deref()), (Some(503), Some(&*receiver.address.to_string())));
    assert_eq!(phases(&first), ["resolve", "connect", "first byte", "body"]);
    sink.deliver(&batch(&["1"])).await.unwrap_err();
    let second = sink.exchange();
    assert_eq!(phases(&second), ["first byte", "body"]);
    assert_eq!((second.status, second.address), (first.status, first.address));
    assert_eq!(sink.exchange(), Exchange::default(), "it is told once");
}

#[tokio::test]
async fn an_attempt_that_reaches_nobody_has_the_parts_that_there_were() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut sink = recorded(&HttpConfig::new(format!("http://{address}/")));
    sink.deliver(&batch(&["1"])).await.unwrap_err();
    let exchange = sink.exchange();
    assert_eq!((exchange.status, exchange.address.as_deref(), phases(&exchange)), (None, None, vec!["connect"]));
}

#[tokio::test]
async fn an_attempt_whose_time_is_over_says_on_whom_it_waited() {
    let (asked, mut is_asked) = tokio::sync::oneshot::channel();
    let (address, _serving) = once(async |mut stream| {
        read_request(&mut stream).await;
        asked.send(()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let (mut sink, batch) = (recorded(&HttpConfig::new(format!("http://{address}/"))), batch(&["1"]));
    tokio::select! {
        delivered = sink.deliver(&batch) => panic!("{delivered:?}"),
        _ = &mut is_asked => {}
    }
    assert!(sink.cut_short(&batch).is_none());
    let exchange = sink.exchange();
    assert_eq!((exchange.status, exchange.address.as_deref()), (None, Some(&*address.to_string())));
    assert_eq!(phases(&exchange), ["connect", "first byte"]);
}

#[tokio::test]
async fn nothing_is_measured_where_nothing_is_recorded() {
    let receiver = Receiver::ok().await;
    let mut sink = crate::sink(&HttpConfig::new(receiver.url("/")));
    sink.deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(sink.exchange(), Exchange::default());
}
