//! Connections: reused, shared between hooks, given up with the attempt.

use std::sync::Arc;

use hooks_core::{Sink, SinkConfig};
use hooks_sink_http::HttpConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::raw::read_request;
use crate::receiver::Receiver;
use crate::{batch, context, sink};

#[tokio::test]
async fn hooks_with_the_same_tls_settings_share_connections() {
    let receiver = Receiver::ok().await;
    let shared = Arc::default();
    // The client lives as long as a sink that holds it.
    let mut sinks = Vec::new();
    for path in ["/one", "/two", "/one"] {
        let mut sink = HttpConfig::new(receiver.url(path)).header("x-path", path).build(&context(&shared)).unwrap();
        sink.deliver(&batch(&["1"])).await.unwrap();
        sinks.push(sink);
    }
    let seen: Vec<_> = receiver.seen().iter().map(|seen| (seen.uri.path().to_owned(), seen.connection)).collect();
    assert_eq!(seen, [("/one".to_owned(), 1), ("/two".to_owned(), 1), ("/one".to_owned(), 1)]);
}

#[tokio::test]
async fn a_dropped_attempt_leaves_the_sink_usable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, request_arrived) = oneshot::channel();
    let receiver = tokio::spawn(async move {
        // Never answers the first request, and sees that its connection is closed.
        let (mut silent, _) = listener.accept().await.unwrap();
        let first = read_request(&mut silent).await;
        arrived.send(()).unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0, "the connection of a dropped attempt is closed");
        let (mut stream, _) = listener.accept().await.unwrap();
        let second = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        (first, second)
    });
    let mut sink = sink(&HttpConfig::new(format!("http://{address}/")));
    let batch = batch(&["1", "2"]);
    tokio::select! {
        biased;
        result = sink.deliver(&batch) => panic!("{result:?} without an answer"),
        arrived = request_arrived => arrived.unwrap(),
    }
    sink.deliver(&batch).await.unwrap();
    let (first, second) = receiver.await.unwrap();
    let body = |request: &[u8]| request[request.windows(4).position(|four| four == b"\r\n\r\n").unwrap()..].to_vec();
    assert_eq!(body(&first), body(&second));
}

#[tokio::test]
async fn flush_and_close_need_no_receiver() {
    let mut sink = sink(&HttpConfig::new("http://127.0.0.1:9/"));
    sink.flush().await.unwrap();
    sink.close().await.unwrap();
}
