//! A webhook receiver on a thread of its own.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::{Receiver as Channel, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) authorization: Option<String>,
}

/// Answers requests and keeps them.
pub(crate) struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrivals: Channel<()>,
    gate: Arc<Semaphore>,
    /// Ends the receiver when it is dropped.
    _runtime: Runtime,
}

type Answer = dyn Fn(&Seen) -> u16 + Send + Sync;

#[derive(Clone)]
struct Service {
    answer: Arc<Answer>,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrived: Sender<()>,
    gate: Arc<Semaphore>,
    keeps: bool,
}

impl Receiver {
    /// Answers each request with a status.
    pub(crate) fn start(answer: impl Fn(&Seen) -> u16 + Send + Sync + 'static) -> Self {
        Self::gated(Semaphore::MAX_PERMITS, answer)
    }

    /// Answers nothing until [`open`](Self::open).
    pub(crate) fn closed() -> Self {
        Self::gated(0, |_| 200)
    }

    /// Answers each request and keeps none, however many there are.
    pub(crate) fn forgetful(answer: impl Fn(&Seen) -> u16 + Send + Sync + 'static) -> Self {
        Self::new(Semaphore::MAX_PERMITS, false, answer)
    }

    fn gated(permits: usize, answer: impl Fn(&Seen) -> u16 + Send + Sync + 'static) -> Self {
        Self::new(permits, true, answer)
    }

    fn new(permits: usize, keeps: bool, answer: impl Fn(&Seen) -> u16 + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, arrivals) = channel();
        let (seen, gate) = (Arc::default(), Arc::new(Semaphore::new(permits)));
        let service = Service { answer: Arc::new(answer), seen: Arc::clone(&seen), arrived, gate: gate.clone(), keeps };
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, service.clone()));
            }
        });
        Self { address, seen, arrivals, gate, _runtime: runtime }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers from now on.
    pub(crate) fn open(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Waits for the next request.
    pub(crate) fn wait(&self) {
        self.arrivals.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Leaves out from now on the requests that came so far.
    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
        while self.arrivals.try_recv().is_ok() {}
    }

    /// The events that arrived at a path, each as the bytes it came in.
    pub(crate) fn events(&self, path: &str) -> Vec<String> {
        self.seen().iter().filter(|seen| seen.path == path).flat_map(|seen| elements(&seen.body)).collect()
    }
}

async fn serve(stream: TcpStream, service: Service) {
    let answer = service_fn(|request: Request<Incoming>| {
        let service = service.clone();
        async move {
            let path = request.uri().path().to_owned();
            let authorization = request.headers().get("authorization");
            let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
            let seen = Seen { path, body: read(request.into_body()).await, authorization };
            let _ = service.arrived.send(());
            let _permit = service.gate.acquire().await;
            let status = (service.answer)(&seen);
            if service.keeps {
                service.seen.lock().unwrap().push(seen);
            }
            Ok::<_, Infallible>(Response::builder().status(status).body(String::new()).unwrap())
        }
    });
    // A client that goes away is no concern of a receiver.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn read(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    String::from_utf8(bytes).unwrap()
}

/// The elements of a JSON array, byte for byte.
fn elements(body: &str) -> Vec<String> {
    let raw: Vec<&serde_json::value::RawValue> = serde_json::from_str(body).unwrap();
    raw.into_iter().map(|element| element.get().to_owned()).collect()
}
