//! A receiver that speaks HTTP as it should.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// On which connection, from 1.
    pub(crate) connection: usize,
    pub(crate) version: Version,
}

type Answer = dyn Fn(&Seen) -> Response<String> + Send + Sync;

/// Answers requests and keeps them; stops when dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response<String> + Send + Sync + 'static) -> Self {
        Self::listen(None, false, Arc::new(answer)).await
    }

    pub(crate) async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::listen(Some(acceptor), false, Arc::new(|_: &Seen| Response::default())).await
    }

    /// Speaks HTTP/2 to clients that do so without asking.
    pub(crate) async fn start_h2() -> Self {
        Self::listen(None, true, Arc::new(|_: &Seen| Response::default())).await
    }

    /// Answers everything with 200 and nothing more.
    pub(crate) async fn ok() -> Self {
        Self::start(|_| Response::default()).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The only request that arrived.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1);
        seen.into_iter().next().unwrap()
    }

    async fn listen(acceptor: Option<TlsAcceptor>, h2: bool, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = seen.clone();
        let task = tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, requests) = (answer.clone(), requests.clone());
                match &acceptor {
                    None => drop(tokio::spawn(serve(stream, connection, h2, answer, requests))),
                    Some(acceptor) => {
                        let handshake = acceptor.accept(stream);
                        tokio::spawn(async move {
                            if let Ok(stream) = handshake.await {
                                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                serve(stream, connection, h2, answer, requests).await;
                            }
                        });
                    }
                }
            }
        });
        Self { address, seen, task }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn answer(status: u16, body: &str) -> Response<String> {
    Response::builder().status(status).body(body.to_owned()).unwrap()
}

async fn serve<S>(stream: S, connection: usize, h2: bool, answer: Arc<Answer>, requests: Arc<Mutex<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, requests) = (answer.clone(), requests.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = read(body).await;
            let seen = Seen {
                method: head.method,
                uri: head.uri,
                headers: head.headers,
                body,
                connection,
                version: head.version,
            };
            let response = answer(&seen);
            requests.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            Ok::<_, Infallible>(response)
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
