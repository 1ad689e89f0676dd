//! Successes that are odd in some way: the status decides, and what was odd is told.

use hooks_core::{
    Sink,
    sink::{Delivered, DeliveryError, FailureClass, Unread},
};
use hooks_sink_http::{HttpConfig, Tls};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::raw::{once, read_request};
use crate::tls::Authority;
use crate::{batch, sink};

type Outcome = Result<Delivered, DeliveryError>;

/// Answers one request with this and lets go of the connection, without a word to say so.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &'static [u8]) {
    read_request(&mut stream).await;
    stream.write_all(text).await.unwrap();
    stream.flush().await.unwrap();
}

async fn plain(text: &'static [u8]) -> Outcome {
    let (address, task) = once(async move |stream| answer(stream, text).await).await;
    let result = sink(&HttpConfig::new(format!("http://{address}/"))).deliver(&batch(&["1"])).await;
    task.await.unwrap();
    result
}

/// Over TLS, without a close_notify at the end.
async fn secured(text: &'static [u8]) -> Outcome {
    let authority = Authority::new("one");
    let acceptor = authority.issue(&["localhost"], |_| {}).plain_acceptor();
    let (address, task) = once(async move |stream| answer(acceptor.accept(stream).await.unwrap(), text).await).await;
    let mut config = HttpConfig::new(format!("https://localhost:{}/", address.port()));
    config.tls = Some(Box::new(Tls { ca_file: authority.path(), ..Tls::default() }));
    let result = sink(&config).deliver(&batch(&["1"])).await;
    task.await.unwrap();
    result
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_success_whose_body_ends_early_counts() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 100\r\n\r\n{",
        &format!("{CHUNKED}5\r\n{{\"a\":"),
        &format!("{CHUNKED}5\r\n{{\"a\":\r\n"),
        &format!("{CHUNKED}nonsense\r\n"),
        &format!("{CHUNKED}ffffffffffffffffff\r\n{{"),
        CHUNKED,
    ] {
        let text: &'static [u8] = text.to_owned().leak().as_bytes();
        for outcome in [plain(text).await, secured(text).await] {
            let delivered = outcome.unwrap_or_else(|error| panic!("{}: {error}", text.escape_ascii()));
            let odd = delivered.odd.unwrap_or_else(|| panic!("{}", text.escape_ascii()));
            assert!(odd.what.contains("200 OK, but the answer broke off"), "{}", odd.what);
            assert_eq!(odd.unread, Unread::RefusalsIfBefore, "{}", text.escape_ascii());
        }
    }
}

/// Many small servers and load balancers do this.
#[tokio::test]
async fn a_success_that_ends_with_its_connection_counts_also_without_close_notify() {
    let text = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok";
    assert_eq!(plain(text).await.unwrap().odd, None);
    let delivered = secured(text).await.unwrap();
    assert_eq!(delivered.odd.unwrap().unread, Unread::Nothing);
    let text = b"HTTP/1.1 200 OK\r\n\r\n{\"batchItemFailures\":[{\"itemIdentifier\":\"1\"}]}";
    for outcome in [plain(text).await, secured(text).await] {
        assert_eq!(outcome.unwrap().refused.len(), 1, "what is named counts");
    }
}

#[tokio::test]
async fn a_failure_whose_body_ends_early_is_judged_by_its_status() {
    let text = b"HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\nbye";
    for outcome in [plain(text).await, secured(text).await] {
        assert_eq!(outcome.unwrap_err().class, FailureClass::Gone);
    }
}

/// Heads that browsers and curl take.
#[tokio::test]
async fn heads_that_are_not_quite_right_are_read() {
    let many = (0..90).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for head in [
        "x-folded: one\r\n two\r\n",
        "x-control: a\u{1}b\r\n",
        "x-delete: a\u{7f}b\r\n",
        "x-space : a\r\n",
        "x bad name: a\r\n",
        "no colon at all\r\n",
        ": no name\r\n",
        "x-utf-8: \u{e9}\r\n",
        &many,
    ] {
        let text = format!(
            "HTTP/1.1 200 OK\r\n{head}content-length: 46\r\n\r\n{{\"batchItemFailures\":[{{\"itemIdentifier\":\"1\"}}]}}"
        );
        let delivered = plain(text.leak().as_bytes()).await.unwrap_or_else(|error| panic!("{head}: {}", error.chain()));
        assert_eq!(delivered.refused.len(), 1, "{head}: the body was read");
    }
    for text in
        ["HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200 OK\n\nok", "HTTP/1.0 200 caf\u{e9}\r\n\r\n"]
    {
        plain(text.as_bytes()).await.unwrap_or_else(|error| panic!("{text}: {}", error.chain()));
    }
}

/// An answer that can't be read has a status all the same.
#[tokio::test]
async fn a_head_that_cannot_be_read_counts_by_its_status_line() {
    let many = (0..200).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    let long = format!("x-long: {}\r\n", "y".repeat(1 << 20));
    for head in [
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "content-length: -1\r\n\r\n{}",
        "content-length: two\r\n\r\n{}",
        "content-length: 99999999999999999999\r\n\r\n{}",
        "transfer-encoding: chunked\r\n",
        "x-cut: o",
        "",
        &(many + "\r\n"),
        &(long + "\r\n"),
    ] {
        let shown: String = head.chars().take(60).collect();
        for interim in ["", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"] {
            let text =
                |status: &str| -> &'static [u8] { format!("{interim}HTTP/1.1 {status}\r\n{head}").leak().as_bytes() };
            for outcome in [plain(text("200 OK")).await, secured(text("200 OK")).await] {
                let delivered = outcome.unwrap_or_else(|error| panic!("{shown}: {}", error.chain()));
                let odd = delivered.odd.unwrap_or_else(|| panic!("{shown}"));
                assert!(
                    odd.what.contains("200 OK, but the rest of the answer can't be read: "),
                    "{shown}: {}",
                    odd.what
                );
                assert_eq!(odd.unread, Unread::RefusalsIfBefore);
            }
            assert_eq!(plain(text("410 Gone")).await.unwrap_err().class, FailureClass::Gone, "{shown}");
            assert_eq!(plain(text("503 Busy")).await.unwrap_err().class, FailureClass::Retry, "{shown}");
        }
    }
}

/// Of a version that is not spoken here.
#[tokio::test]
async fn a_status_line_of_another_version_counts() {
    for version in ["HTTP/2", "HTTP/2.0", "HTTP/3", "HTTP/9.9"] {
        let text = |status: &str| -> &'static [u8] { format!("{version} {status}\r\n\r\n").leak().as_bytes() };
        for outcome in [plain(text("200 OK")).await, secured(text("200")).await] {
            let delivered = outcome.unwrap_or_else(|error| panic!("{version}: {}", error.chain()));
            assert!(delivered.odd.is_some(), "{version}");
        }
        assert_eq!(plain(text("410 Gone")).await.unwrap_err().class, FailureClass::Gone, "{version}");
    }
}

/// A status that was heard before says nothing of the next request.
#[tokio::test]
async fn a_status_counts_for_one_request() {
    for closing in [&b""[..], b"nonsense\r\n\r\n", b"HTTP/1.1 200"] {
        let (address, task) = once(async move |mut stream| {
            for text in [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", closing] {
                read_request(&mut stream).await;
                stream.write_all(text).await.unwrap();
            }
        })
        .await;
        let mut sink = sink(&HttpConfig::new(format!("http://{address}/")));
        assert_eq!(sink.deliver(&batch(&["1"])).await.unwrap().odd, None);
        let error = sink.deliver(&batch(&["2"])).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Retry, "{}", error.chain());
        task.await.unwrap();
    }
}
