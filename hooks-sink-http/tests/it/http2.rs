//! Requests that were not processed over HTTP/2.

use std::time::Duration;

use hooks_core::{
    Sink,
    sink::{Delivered, DeliveryError, FailureClass},
};
use hooks_sink_http::{HttpConfig, HttpVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::raw::{once, read_head};
use crate::{batch, sink};

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Reads frames until the request on a stream has begun; its stream.
async fn request(stream: &mut TcpStream) -> u32 {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        if head[3] == 1 {
            return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The result of a request that is answered with a frame.
async fn answered(answer: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Option<FailureClass> {
    outcome(answer).await.err().map(|error| error.class)
}

async fn outcome(answer: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Result<Delivered, DeliveryError> {
    let (address, task) = once(async move |mut stream| {
        stream.read_exact(&mut [0; 24]).await.unwrap();
        stream.write_all(SETTINGS).await.unwrap();
        let id = request(&mut stream).await;
        stream.write_all(&answer(id)).await.unwrap();
        let _ = stream.shutdown().await;
        // Until the client has gone: with something left to read a reset could overtake the answer.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let config = HttpConfig { http_version: HttpVersion::Http2, ..HttpConfig::new(format!("http://{address}/")) };
    let mut sink = sink(&config);
    let outcome = sink.deliver(&batch(&["1"])).await;
    drop(sink);
    task.await.unwrap();
    outcome
}

/// RFC 9113 forbids to accept it, so it comes again for ever: the operator has to see why.
#[tokio::test]
async fn a_malformed_answer_is_named() {
    let connection = b"\x88\x00\x0aconnection\x05close";
    let no_content_but_a_length = b"\x88\x0f\x0d\x015";
    for head in [&connection[..], no_content_but_a_length] {
        let error = outcome(move |id| frame(1, 5, id, head)).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Retry);
        assert!(error.to_string().contains("a malformed answer"), "{}", error.chain());
    }
}

#[tokio::test]
async fn what_was_not_processed_is_told_from_what_failed() {
    const RESET: u8 = 3;
    const GO_AWAY: u8 = 7;
    let reset = |reason: u8| answered(move |id| frame(RESET, 0, id, &[0, 0, 0, reason]));
    let go_away = |last: u8, reason: u8| answered(move |_| frame(GO_AWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, reason]));
    let (no_error, internal, refused, calm) = (0, 2, 7, 11);
    assert_eq!(reset(refused).await, Some(FailureClass::Unprocessed));
    assert_eq!(go_away(0, no_error).await, Some(FailureClass::Unprocessed));
    // It may have been processed, or the receiver asks for less.
    assert_eq!(reset(internal).await, Some(FailureClass::Retry));
    assert_eq!(reset(calm).await, Some(FailureClass::Retry));
    assert_eq!(go_away(1, no_error).await, Some(FailureClass::Retry));
    assert_eq!(go_away(0, calm).await, Some(FailureClass::Retry));
    // `:status: 200`, and a stream that is reset behind it: the status counts.
    let answer = |id| [frame(1, 4, id, &[0x88]), frame(RESET, 0, id, &[0, 0, 0, 7])].concat();
    assert_eq!(answered(answer).await, None);
}

/// A connection that is there and answers nothing, as before a backend that hangs, holds no hook for ever.
#[tokio::test]
async fn a_request_without_an_answer_is_the_last_on_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let arrived = Notify::new();
    let receiver = async {
        let mut held = Vec::new();
        for answers in [false, true] {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 24]).await.unwrap();
            stream.write_all(SETTINGS).await.unwrap();
            let id = request(&mut stream).await;
            arrived.notify_one();
            if answers {
                stream.write_all(&frame(1, 5, id, &[0x88])).await.unwrap();
            }
            held.push(stream);
        }
        std::future::pending::<()>().await;
    };
    let config = HttpConfig { http_version: HttpVersion::Http2, ..HttpConfig::new(url) };
    let mut sink = sink(&config);
    let deliver = async {
        let one = batch(&["1"]);
        tokio::select! {
            result = sink.deliver(&one) => panic!("{result:?}"),
            () = arrived.notified() => {}
        }
        assert!(sink.cut_short(&one).is_none());
        timeout(Duration::from_secs(60), sink.deliver(&one)).await.unwrap().unwrap();
    };
    tokio::select! {
        () = receiver => {}
        () = deliver => {}
    }
}

/// The answer of an HTTP/1 server to the preface is about that, and not about the events.
#[tokio::test]
async fn a_refusal_of_http2_is_not_one_of_the_events() {
    for status in ["400 Bad Request", "410 Gone", "200 OK"] {
        let (address, task) = once(async move |mut stream| {
            read_head(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let config = HttpConfig { http_version: HttpVersion::Http2, ..HttpConfig::new(format!("http://{address}/")) };
        let mut sink = sink(&config);
        let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Retry, "{status}: {}", error.chain());
        drop(sink);
        task.await.unwrap();
    }
}
