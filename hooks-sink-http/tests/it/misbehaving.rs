//! Receivers that misbehave below or within HTTP.

use std::time::Duration;

use hooks_core::{
    ByteSize, Sink,
    sink::{Delivered, DeliveryError, FailureClass},
};
use hooks_sink_http::HttpConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::raw::{once, read_head, read_request, write_endlessly};
use crate::{batch, sink, sized_batch};

/// Delivers to a receiver that reads the request, writes this, and closes the connection.
async fn answered_with(answer: &'static str) -> Result<Delivered, DeliveryError> {
    let (address, task) = once(async move |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let result = sink(&HttpConfig::new(format!("http://{address}/"))).deliver(&batch(&["1"])).await;
    task.await.unwrap();
    result
}

/// Delivers to a receiver that writes this head and then the piece again and again, and waits until the
/// connection is closed. Returns also how many bytes the receiver could write.
async fn flooded_with(head: &'static str, piece: &'static str) -> (Result<Delivered, DeliveryError>, usize) {
    let (address, task) = once(async move |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        write_endlessly(&mut stream, piece.repeat(100).as_bytes()).await
    })
    .await;
    let mut sink = sink(&HttpConfig::new(format!("http://{address}/")));
    // Far longer than it takes: so that a sink that reads on fails instead of hanging.
    let result = tokio::time::timeout(Duration::from_secs(60), sink.deliver(&batch(&["1"]))).await.unwrap();
    // Ends only when the sink closed the connection.
    (result, task.await.unwrap())
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn an_endless_body_is_not_read() {
    let (result, written) = flooded_with("HTTP/1.1 500 Oops\r\n\r\n", "0123456789").await;
    let error = result.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.answer.unwrap().detail.len() < 1_100);
    // What is in the kernel's buffers counts, too.
    assert!(written < 64 << 20, "{written} bytes were taken");
}

#[tokio::test]
async fn an_endless_success_counts_whatever_it_says() {
    let (result, _) = flooded_with(CHUNKED, "a\r\n0123456789\r\n").await;
    assert_eq!(result.unwrap().odd, None, "it can't name refused events");
    let (result, _) = flooded_with("HTTP/1.1 200 OK\r\n\r\n{\"all\": \"", "fine ").await;
    let odd = result.unwrap().odd.unwrap();
    assert!(odd.what.contains("longer than max_response_bytes"), "{odd:?}");
}

#[tokio::test]
async fn the_limit_is_the_configured_one() {
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(2_000));
    for (limit, read) in [(body.len() as u64, true), (body.len() as u64 - 1, false)] {
        let text = body.clone();
        let receiver = hooks_test::http::Receiver::start(move |_| hooks_test::http::answer(200, &text)).await;
        let mut config = HttpConfig::new(receiver.url("/"));
        config.max_response_bytes = ByteSize::new(limit);
        let delivered = sink(&config).deliver(&batch(&["1"])).await.unwrap();
        assert_eq!(delivered.odd.is_none(), read, "{limit}");
    }
}

#[tokio::test]
async fn endless_headers_end_the_attempt() {
    for (head, piece) in
        [("HTTP/1.1 500 Oops\r\n", "x-more: and more\r\n"), ("HTTP/1.1 500 Oops\r\nx-more: ", "and more")]
    {
        let (result, written) = flooded_with(head, piece).await;
        assert_eq!(result.unwrap_err().class, FailureClass::Retry);
        assert!(written < 64 << 20, "{written} bytes were taken");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_tried_again() {
    for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 99 Low\r\n\r\n", "\0"] {
        let error = answered_with(answer).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Retry, "{answer:?}");
        assert!(error.to_string().ends_with(": no whole answer"), "{answer:?}: {error}");
        assert!(error.source.is_some(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_whole_answer_counts_although_the_connection_closes() {
    answered_with("HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    answered_with("HTTP/1.0 204 No Content\r\n\r\n").await.unwrap();
    let gone = answered_with("HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\nbye").await.unwrap_err();
    assert_eq!((gone.class, gone.answer.unwrap().detail.as_str()), (FailureClass::Gone, "bye"));
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(500);
    let answer: &'static str = format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").leak();
    answered_with(answer).await.unwrap();
}

/// A flood that never ends, from a thread of its own: it would keep the reader busy for ever.
#[tokio::test]
async fn interim_answers_without_end_are_no_answer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let flood = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        // The request.
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        let interims = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
        while stream.write_all(interims.as_bytes()).is_ok() {}
    });
    let mut sink = sink(&HttpConfig::new(url));
    let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.chain().contains("interim answers (1xx) and no final one"), "{}", error.chain());
    flood.join().unwrap();
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_counts() {
    let (address, task) = once(async move |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        // As careful servers do: takes what still comes, so that no reset overtakes the answer.
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let batch = sized_batch(&["1", "2", "3", "4", "5", "6", "7", "8"], 1_000_000);
    let error = sink(&HttpConfig::new(format!("http://{address}/"))).deliver(&batch).await.unwrap_err();
    assert_eq!(error.class, FailureClass::TooLarge, "{}", error.chain());
    task.await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = sink(&HttpConfig::new(format!("http://{address}/in?k=v"))).deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry);
    let chain = error.chain();
    assert!(chain.starts_with(&format!("POST http://{address}/…: can't connect: ")), "{chain}");
    assert!(chain.contains("Connection refused"), "{chain}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_tried_again() {
    let error = sink(&HttpConfig::new("http://nowhere.invalid/")).deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.to_string().ends_with("can't connect"), "{error}");
}
