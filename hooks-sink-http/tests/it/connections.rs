//! Connections: reused, shared between hooks, given up with the attempt.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hooks_core::{
    HumanDuration, Sink,
    sink::{FailureClass, SinkConfig},
};
use hooks_sink_http::{Connections, Endpoint, HttpConfig, HttpVersion, Tls};
use hooks_test::http::Receiver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::raw::{once, read_head, read_request};
use crate::tls::Authority;
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

/// Such receivers accept a second connection and leave it without an answer until the first one ends.
#[tokio::test]
async fn of_a_receiver_that_serves_one_connection_at_a_time_the_next_attempt_takes_it() {
    let authority = Authority::new("ca");
    let acceptor = authority.issue(&["127.0.0.1"], |_| {}).plain_acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (arrived, first_arrived) = oneshot::channel();
    let served = tokio::spawn(async move {
        let mut only = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        read_request(&mut only).await;
        arrived.send(()).unwrap();
        // Only when the second attempt waits for its handshake.
        let second = listener.accept().await.unwrap().0;
        for number in 0..2 {
            only.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            if number == 0 {
                read_request(&mut only).await;
            }
        }
        drop(second);
    });
    let mut config = HttpConfig::new(format!("https://127.0.0.1:{port}/"));
    config.tls = Some(Box::new(Tls { ca_file: authority.path(), ..Tls::default() }));
    let shared = Arc::default();
    let [mut one, mut other] = [(); 2].map(|()| config.clone().build(&context(&shared)).unwrap());
    let batch = batch(&["1"]);
    let first = tokio::spawn({
        let batch = batch.clone();
        async move { one.deliver(&batch).await.map(drop) }
    });
    first_arrived.await.unwrap();
    other.deliver(&batch).await.unwrap();
    first.await.unwrap().unwrap();
    served.await.unwrap();
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

/// An answer to one request on this connection.
async fn answer_one(stream: &mut TcpStream) {
    read_request(stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = sink(&HttpConfig::new(format!("http://{}/", listener.local_addr().unwrap())));
    let batch = batch(&["1"]);
    for _ in 0..20 {
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer_one(&mut stream).await;
            // Dropped: closed before the next request is made, and perhaps before that is noticed.
        };
        let (delivered, ()) = tokio::join!(sink.deliver(&batch), receiver);
        delivered.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_repeated_by_the_sink() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = sink(&HttpConfig::new(format!("http://{}/", listener.local_addr().unwrap())));
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer_one(&mut stream).await;
        // The second request on it is taken, and never answered.
        read_request(&mut stream).await;
        drop(stream);
        listener
    });
    let batch = batch(&["1"]);
    sink.deliver(&batch).await.unwrap();
    let error = sink.deliver(&batch).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry, "{}", error.chain());
    // Nothing else was sent: the next connection there is the one of this delivery.
    let listener = receiver.await.unwrap();
    let third = tokio::spawn(async move { sink.deliver(&batch).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    answer_one(&mut stream).await;
    third.await.unwrap().unwrap();
}

#[tokio::test]
async fn at_most_so_many_at_a_time_per_host() {
    const LIMIT: usize = 2;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let shared = Arc::default();
    let mut deliveries = tokio::task::JoinSet::new();
    for hook in 0..10 {
        let mut config = HttpConfig::new(format!("{url}{hook}"));
        let max_per_host = LIMIT.try_into().unwrap();
        config.connections = Some(Box::new(Connections { max_per_host, ..Connections::default() }));
        let mut sink = config.build(&context(&shared)).unwrap();
        deliveries.spawn(async move { sink.deliver(&batch(&["1"])).await.map(drop) });
    }
    // Answers none before as many came as may come. Connections are reused, so no more than that come.
    let mut streams = Vec::new();
    for _ in 0..LIMIT {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        streams.push(stream);
    }
    for mut stream in streams {
        tokio::spawn(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            loop {
                answer_one(&mut stream).await;
            }
        });
    }
    tokio::select! {
        biased;
        results = deliveries.join_all() => assert!(results.iter().all(Result::is_ok), "{results:?}"),
        _ = listener.accept() => panic!("more than {LIMIT} connections"),
    }
}

/// Its receiver has nothing to do with that: the error names the limit.
#[tokio::test]
async fn an_attempt_that_waited_for_its_turn_alone_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = HttpConfig::new(format!("http://{}/", listener.local_addr().unwrap()));
    let max_per_host = 1.try_into().unwrap();
    config.connections = Some(Box::new(Connections { max_per_host, ..Connections::default() }));
    let shared = Arc::default();
    let (mut busy, mut waits) = (config.build(&context(&shared)).unwrap(), config.build(&context(&shared)).unwrap());
    let (on_its_way, batch) = (batch(&["1"]), batch(&["2"]));
    let mut first = busy.deliver(&on_its_way);
    assert!((&mut first).now_or_never().is_none());
    assert!(waits.deliver(&batch).now_or_never().is_none());
    let error = waits.cut_short(&batch).unwrap().unwrap_err();
    assert!(error.to_string().contains("nothing was sent") && error.to_string().contains("max_per_host"), "{error}");
    // With its turn it is another matter.
    drop(first);
    assert!(waits.deliver(&batch).now_or_never().is_none());
    assert!(waits.cut_short(&batch).is_none());
}

#[tokio::test]
async fn idle_connections_are_limited() {
    for (connections, reused) in [
        (Connections::default(), true),
        (Connections { max_idle_per_host: 0, ..Connections::default() }, false),
        (Connections { idle_timeout: HumanDuration::new(Duration::from_nanos(1)), ..Connections::default() }, false),
    ] {
        let receiver = Receiver::ok().await;
        let mut config = HttpConfig::new(receiver.url("/"));
        config.connections = Some(Box::new(connections));
        let mut sink = sink(&config);
        for _ in 0..2 {
            sink.deliver(&batch(&["1"])).await.unwrap();
        }
        let seen: Vec<_> = receiver.seen().iter().map(|seen| seen.connection).collect();
        assert_eq!(seen == [1, 1], reused, "{connections:?}: {seen:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_its_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = HttpConfig::new(format!("http://{}/", listener.local_addr().unwrap()));
    let idle_timeout = HumanDuration::new(Duration::from_millis(1));
    config.connections = Some(Box::new(Connections { idle_timeout, ..Connections::default() }));
    let mut sink = sink(&config);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer_one(&mut stream).await;
        stream.read(&mut [0]).await.unwrap_or(0)
    };
    let batch = batch(&["1"]);
    let both = async { tokio::join!(sink.deliver(&batch), receiver) };
    // Far longer than it takes: so that one that stays open fails instead of hanging.
    let (delivered, read) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    delivered.unwrap();
    assert_eq!(read, 0);
}

#[tokio::test]
async fn an_http2_connection_that_died_in_silence_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = HttpConfig::new(format!("http://{}/", listener.local_addr().unwrap()));
    config.http_version = HttpVersion::Http2;
    let mut sink = sink(&config);
    let delivery = tokio::spawn(async move { (sink.deliver(&batch(&["1"])).await, sink) });
    let (mut dead, _) = listener.accept().await.unwrap();
    dead.read_exact(&mut [0; 24]).await.unwrap();
    // Nothing more happens on it: only time passes.
    tokio::time::pause();
    let (result, mut sink) = tokio::time::timeout(Duration::from_secs(3600), delivery).await.unwrap().unwrap();
    tokio::time::resume();
    assert_eq!(result.unwrap_err().class, FailureClass::Retry);
    let next = tokio::spawn(async move { sink.deliver(&batch(&["1"])).await });
    // Another connection, although the first one was never closed.
    listener.accept().await.unwrap();
    next.abort();
    drop(dead);
}

#[tokio::test]
async fn a_proxy_tunnels_what_is_secured() {
    use crate::tls::Authority;
    let authority = Authority::new("one");
    let receiver = authority.receiver(&["localhost"]).await;
    let address = receiver.address;
    let (proxy, tunnel) = once(async move |mut client| {
        let head = String::from_utf8(read_head(&mut client).await).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut server = TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        head
    })
    .await;
    let mut config = HttpConfig::new(format!("https://localhost:{}/in", address.port()));
    config.tls = Some(Box::new(Tls { ca_file: authority.path(), ..Tls::default() }));
    config.bearer = Some(hooks_core::Secret::new("for-the-receiver"));
    config.proxy = Some(Endpoint::new(format!("http://me:open-sesame@{proxy}")));
    let mut sink = sink(&config);
    sink.deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(receiver.only().headers["authorization"], "Bearer for-the-receiver");
    drop((sink, receiver));
    let head = tunnel.await.unwrap().to_lowercase();
    assert!(head.starts_with(&format!("connect localhost:{} http/1.1\r\n", address.port())), "{head}");
    assert!(head.contains("proxy-authorization: basic bwu6b3blbi1zzxnhbwu=") && !head.contains("receiver"), "{head}");
}

#[tokio::test]
async fn flush_and_close_need_no_receiver() {
    let mut sink = sink(&HttpConfig::new("http://127.0.0.1:9/"));
    sink.flush().await.unwrap();
    sink.close().await.unwrap();
}
