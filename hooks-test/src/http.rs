//! A receiver that speaks HTTP as it should.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use hooks_core::{RawValue, serde_json};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::{Condvar, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::LATE;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it came.
    pub body: Vec<u8>,
    /// On which connection, from 1.
    pub connection: usize,
    /// The version of HTTP.
    pub version: Version,
}

impl Seen {
    /// The path.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The elements of the array that the body is, each as the bytes it came in.
    pub fn elements(&self) -> Vec<String> {
        let raw: Vec<&RawValue> = serde_json::from_slice(&self.body).unwrap();
        raw.into_iter().map(|element| element.get().to_owned()).collect()
    }
}

/// Answers requests and keeps them; stops when dropped.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Requests>,
    task: JoinHandle<()>,
    /// Of a receiver on a thread of its own.
    _runtime: Option<Runtime>,
}

type Answer = dyn Fn(&Seen) -> Response<String> + Send + Sync;

struct Requests {
    answer: Box<Answer>,
    /// Each request takes one permit before it is answered; a closed gate holds them.
    gate: Semaphore,
    /// False where there are too many to keep.
    keeps: bool,
    seen: Mutex<Vec<Seen>>,
    /// Those that nobody has [waited](Receiver::wait) for.
    arrivals: Mutex<usize>,
    arrived: Condvar,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.seen.fmt(f)
    }
}

/// An answer with this status and body.
pub fn answer(status: u16, body: &str) -> Response<String> {
    Response::builder().status(status).body(body.to_owned()).unwrap()
}

/// In an async test.
impl Receiver {
    /// Answers each request.
    pub async fn start(answer: impl Fn(&Seen) -> Response<String> + Send + Sync + 'static) -> Self {
        Self::listen(None, false, Requests::new(answer)).await
    }

    /// Answers everything with 200 and nothing more.
    pub async fn ok() -> Self {
        Self::start(|_| Response::default()).await
    }

    /// The same over TLS.
    pub async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::listen(Some(acceptor), false, Requests::new(|_| Response::default())).await
    }

    /// The same over HTTP/2, to clients that speak it without asking.
    pub async fn start_h2() -> Self {
        Self::listen(None, true, Requests::new(|_| Response::default())).await
    }

    async fn listen(acceptor: Option<TlsAcceptor>, h2: bool, requests: Requests) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(requests);
        let task = tokio::spawn(accept(listener, acceptor, h2, requests.clone()));
        Self { address, requests, task, _runtime: None }
    }
}

/// On a thread of its own, for a test that blocks.
impl Receiver {
    /// Answers each request with a status.
    pub fn on_thread(answer: impl Fn(&Seen) -> u16 + Send + Sync + 'static) -> Self {
        Self::run(Requests::with_status(answer))
    }

    /// Answers each request, with headers if need be.
    pub fn answering(answer: impl Fn(&Seen) -> Response<String> + Send + Sync + 'static) -> Self {
        Self::run(Requests::new(answer))
    }

    /// Answers nothing until [`open`](Self::open).
    pub fn closed() -> Self {
        Self::run(Requests { gate: Semaphore::new(0), ..Requests::with_status(|_| 200) })
    }

    /// Answers each request and keeps none, however many there are.
    pub fn forgetful(answer: impl Fn(&Seen) -> u16 + Send + Sync + 'static) -> Self {
        Self::run(Requests { keeps: false, ..Requests::with_status(answer) })
    }

    fn run(requests: Requests) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut receiver = runtime.block_on(Self::listen(None, false, requests));
        receiver._runtime = Some(runtime);
        receiver
    }
}

impl Receiver {
    /// The URL of a path there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers from now on.
    pub fn open(&self) {
        self.requests.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Answers one request more.
    pub fn answer_one(&self) {
        self.requests.gate.add_permits(1);
    }

    /// Waits for the next request.
    pub fn wait(&self) {
        let mut arrivals = self.requests.arrivals.lock();
        let waited = self.requests.arrived.wait_while_for(&mut arrivals, |arrivals| *arrivals == 0, LATE);
        assert!(!waited.timed_out(), "no request came");
        *arrivals -= 1;
    }

    /// The requests that were answered.
    pub fn seen(&self) -> Vec<Seen> {
        self.requests.seen.lock().clone()
    }

    /// The only request that arrived.
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1);
        seen.into_iter().next().unwrap()
    }

    /// Leaves out from now on the requests that came so far.
    pub fn forget(&self) {
        self.requests.seen.lock().clear();
        *self.requests.arrivals.lock() = 0;
    }

    /// The events that arrived at a path, each as the bytes it came in.
    pub fn events(&self, path: &str) -> Vec<String> {
        self.seen().iter().filter(|seen| seen.path() == path).flat_map(Seen::elements).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Requests {
    fn new(answer: impl Fn(&Seen) -> Response<String> + Send + Sync + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            keeps: true,
            seen: Mutex::default(),
            arrivals: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    fn with_status(status: impl Fn(&Seen) -> u16 + Send + Sync + 'static) -> Self {
        Self::new(move |seen| answer(status(seen), ""))
    }

    /// Where the gate is open, whoever waited for the request finds it among those that were seen.
    async fn answer(&self, seen: Seen) -> Response<String> {
        let open = self.gate.try_acquire().map(SemaphorePermit::forget).is_ok();
        if open {
            self.keep(&seen);
        }
        *self.arrivals.lock() += 1;
        self.arrived.notify_all();
        if !open {
            if let Ok(permit) = self.gate.acquire().await {
                permit.forget();
            }
            self.keep(&seen);
        }
        (self.answer)(&seen)
    }

    fn keep(&self, seen: &Seen) {
        if self.keeps {
            self.seen.lock().push(seen.clone());
        }
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, h2: bool, requests: Arc<Requests>) {
    for connection in 1.. {
        let (stream, _) = listener.accept().await.unwrap();
        let requests = requests.clone();
        let Some(acceptor) = &acceptor else {
            tokio::spawn(serve(stream, connection, h2, requests));
            continue;
        };
        let handshake = acceptor.accept(stream);
        tokio::spawn(async move {
            if let Ok(stream) = handshake.await {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(stream, connection, h2, requests).await;
            }
        });
    }
}

async fn serve<S>(stream: S, connection: usize, h2: bool, requests: Arc<Requests>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let requests = requests.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = read(body).await;
            let (method, uri, headers, version) = (head.method, head.uri, head.headers, head.version);
            let seen = Seen { method, uri, headers, body, connection, version };
            Ok::<_, Infallible>(requests.answer(seen).await)
        }
    });
    // A client that goes away is no concern of a receiver.
    let _ = if h2 {
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
    } else {
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    };
}

async fn read(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    bytes
}
