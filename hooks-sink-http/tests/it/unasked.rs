//! Receivers that send answers that nobody asked for: none of them counts for another request once one was seen.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{
    Sink,
    sink::{FailureClass, Shared, SinkConfig},
};
use hooks_sink_http::{HttpConfig, HttpSink, Tls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::raw::read_request;
use crate::tls::Authority;
use crate::{batch, context};

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const FAILED: &str = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";
const OLD: &str = "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 2\r\n\r\n{}";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
const TIMED_OUT: &str = "HTTP/1.1 408 Request Time-out\r\nconnection: close\r\n\r\n";

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// A receiver, and hooks that share connections to it.
struct Place {
    listener: TcpListener,
    tls: Option<(TlsAcceptor, Authority)>,
    shared: Arc<Shared>,
}

impl Place {
    async fn new(is_secure: bool) -> Self {
        let authority = Authority::new("one");
        let tls = is_secure.then(|| (authority.issue(&["localhost"], |_| {}).plain_acceptor(), authority));
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), tls, shared: Arc::default() }
    }

    fn hook(&self, path: &str) -> HttpSink {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let port = self.listener.local_addr().unwrap().port();
        let mut config = HttpConfig::new(format!("{scheme}://localhost:{port}/{path}"));
        let ca_file = self.tls.as_ref().and_then(|(_, authority)| authority.path());
        config.tls = self.tls.is_some().then(|| Box::new(Tls { ca_file, ..Tls::default() }));
        config.build(&context(&self.shared)).unwrap()
    }

    async fn accept(&self) -> Box<dyn Socket> {
        let (stream, _) = self.listener.accept().await.unwrap();
        match &self.tls {
            None => Box::new(stream),
            Some((acceptor, _)) => Box::new(acceptor.accept(stream).await.unwrap()),
        }
    }

    /// Delivers over a connection that is made for it, on which this is answered; the connection, what came of it, and
    /// whether the request asks to close it.
    async fn deliver(&self, sink: &mut HttpSink, answer: &str) -> (Box<dyn Socket>, Result<bool, FailureClass>, bool) {
        let receiver = async {
            let mut stream = self.accept().await;
            let closes = answers(&mut stream, answer).await;
            (stream, closes)
        };
        let batch = batch(&["1"]);
        let both = async { tokio::join!(sink.deliver(&batch), receiver) };
        // Far longer than it takes: so that a sink that uses a kept connection fails instead of hanging.
        let (delivered, (stream, closes)) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        (stream, delivered.map(|delivered| delivered.odd.is_some()).map_err(|error| error.class), closes)
    }
}

/// Answers a request; whether that asks to close the connection.
async fn answers(stream: &mut Box<dyn Socket>, answer: &str) -> bool {
    let request = read_request(stream).await;
    writes(stream, answer).await;
    String::from_utf8(request).unwrap().contains("connection: close\r\n")
}

async fn writes(stream: &mut Box<dyn Socket>, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// Waits until the sink has let go of the connection.
async fn ends(mut stream: Box<dyn Socket>) {
    assert_eq!(stream.read(&mut [0; 64]).await.unwrap_or(0), 0);
}

/// From here on neither the hook nor its neighbour uses a connection twice, whatever comes on it. Each says so, if it
/// has not yet.
async fn nothing_is_mistaken(place: &Place, mut hook: HttpSink, mut neighbour: HttpSink, told: bool) {
    let twice = format!("{FAILED}{TAKEN}");
    let sinks = [&mut hook, &mut neighbour];
    for (index, says) in [(0, !told), (1, true), (0, false), (1, false)] {
        for _ in 0..2 {
            let (_, result, closes) = place.deliver(sinks[index], &twice).await;
            assert_eq!((result, closes), (Err(FailureClass::Retry), true));
        }
        let (_, result, closes) = place.deliver(sinks[index], &format!("{TAKEN}{TAKEN}")).await;
        assert_eq!((result, closes), (Ok(says), true), "said once");
    }
}

#[tokio::test]
async fn a_receiver_that_answers_twice_at_once() {
    let firsts = [FAILED, TAKEN, OLD, CHUNKED];
    for (is_secure, first) in firsts.iter().flat_map(|first| [(false, *first), (true, *first)]) {
        let place = Place::new(is_secure).await;
        let (mut hook, neighbour) = (place.hook("a"), place.hook("b"));
        let (stream, result, closes) = place.deliver(&mut hook, &format!("{first}{TAKEN}")).await;
        assert_eq!((result.is_ok(), closes), (first != FAILED, false), "{first}");
        ends(stream).await;
        // The rest may be seen before the answer is judged, or after.
        nothing_is_mistaken(&place, hook, neighbour, result == Ok(true)).await;
    }
}

#[tokio::test]
async fn a_receiver_that_answers_again_later() {
    for (is_secure, first) in [TAKEN, OLD, CHUNKED].iter().flat_map(|first| [(false, *first), (true, *first)]) {
        let place = Place::new(is_secure).await;
        let (mut hook, neighbour) = (place.hook("a"), place.hook("b"));
        let (mut stream, result, closes) = place.deliver(&mut hook, first).await;
        assert_eq!((result, closes), (Ok(false), false), "{first}");
        writes(&mut stream, TAKEN).await;
        ends(stream).await;
        nothing_is_mistaken(&place, hook, neighbour, false).await;
    }
}

/// Their requests are on their way, or they are idle.
#[tokio::test]
async fn connections_that_were_kept_before_are_not_believed_and_not_used() {
    let place = Place::new(false).await;
    let (mut hook, mut second, mut third) = (place.hook("a"), place.hook("b"), place.hook("c"));
    let batch = batch(&["1"]);
    let receiver = async {
        let mut streams = [place.accept().await, place.accept().await, place.accept().await];
        for stream in &mut streams {
            read_request(stream).await;
        }
        for stream in &mut streams {
            writes(stream, TAKEN).await;
        }
        streams
    };
    let (one, two, three, streams) =
        tokio::join!(hook.deliver(&batch), second.deliver(&batch), third.deliver(&batch), receiver);
    assert!([one, two, three].iter().all(Result::is_ok));
    let [mut first, mut middle, mut last] = streams;
    // One of the three takes the next request.
    let receiver = async {
        let (mut asked, mut idle, rest) = tokio::select! {
            head = first.read_u8() => { head.unwrap(); (first, middle, last) }
            head = middle.read_u8() => { head.unwrap(); (middle, last, first) }
            head = last.read_u8() => { head.unwrap(); (last, first, middle) }
        };
        read_request(&mut asked).await;
        writes(&mut idle, TAKEN).await;
        ends(idle).await;
        writes(&mut asked, TAKEN).await;
        (asked, rest)
    };
    let (doubted, _kept) = tokio::join!(hook.deliver(&batch), receiver);
    let error = doubted.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.to_string().contains("200 may answer an earlier request"), "{error}");
    nothing_is_mistaken(&place, hook, second, false).await;
}

/// Bytes that the runtime has not noticed yet.
#[tokio::test]
async fn what_waits_on_a_connection_is_seen_before_it_takes_a_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = HttpConfig::new(format!("http://{}/", listener.local_addr().unwrap()));
    let (answered, first) = std::sync::mpsc::sync_channel(2);
    let receiver = std::thread::spawn(move || {
        for answer in [TAKEN, FAILED] {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
            while !request.ends_with(b"]") {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            answered.send(stream).unwrap();
        }
    });
    let mut sink = config.build(&context(&Arc::default())).unwrap();
    assert_eq!(sink.deliver(&batch(&["1"])).await.unwrap().odd, None);
    // Without a turn for the runtime in between.
    first.recv().unwrap().write_all(TAKEN.as_bytes()).unwrap();
    assert_eq!(sink.deliver(&batch(&["2"])).await.unwrap_err().class, FailureClass::Retry);
    receiver.join().unwrap();
}

#[tokio::test]
async fn a_server_that_says_goodbye_is_trusted() {
    for is_secure in [false, true] {
        let place = Place::new(is_secure).await;
        let mut hook = place.hook("a");
        for _ in 0..3 {
            let (mut stream, result, closes) = place.deliver(&mut hook, TAKEN).await;
            assert_eq!((result, closes), (Ok(false), false));
            writes(&mut stream, TIMED_OUT).await;
            ends(stream).await;
        }
        // Nor is anything wrong with one that closes or is kept.
        let (mut stream, result, closes) = place.deliver(&mut hook, TAKEN).await;
        assert_eq!((result, closes), (Ok(false), false));
        let last = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{}", &TAKEN["HTTP/1.1 200 OK\r\n".len()..]);
        for answer in [TAKEN, TAKEN, &last] {
            let batch = batch(&["1"]);
            let (delivered, closes) = tokio::join!(hook.deliver(&batch), answers(&mut stream, answer));
            assert_eq!((delivered.unwrap().odd, closes), (None, false));
        }
        ends(stream).await;
        let (_, result, closes) = place.deliver(&mut hook, TAKEN).await;
        assert_eq!((result, closes), (Ok(false), false));
    }
}
