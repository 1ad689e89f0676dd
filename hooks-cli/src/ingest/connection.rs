//! One connection: its limits of time and memory, and how it ends.

use std::convert::Infallible;
use std::future::Future as _;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::patient::Patient;
use super::routes;
use super::state::{Phase, State};

/// Most headers of a request.
const MAX_HEADERS: usize = 100;

/// Answers requests until the client goes, takes too long, or everything ends.
pub(super) async fn serve(stream: TcpStream, state: &Arc<State>) {
    let ingest = state.settings().ingest.clone();
    // Answers are small and complete.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(ingest.head_timeout.0);
    builder.max_buf_size(ingest.max_head.get()).max_headers(MAX_HEADERS).half_close(true);
    let busy = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| answer(request, state.clone(), busy.clone()));
    let stream = TokioIo::new(Patient::new(stream, ingest.body_timeout.0));
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut phase = state.phase();
    // What goes wrong on a connection is the client's doing, who knows it.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
    }
    connection.as_mut().graceful_shutdown();
    // An answer that is due is still written; a request that has not come is not waited for.
    poll_fn(|context| match connection.as_mut().poll(context) {
        Poll::Pending if busy.load(Ordering::Relaxed) => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
    busy: Arc<AtomicBool>,
) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    busy.store(true, Ordering::Relaxed);
    let mut answer = routes::answer(request, &state).await;
    if !state.is_accepting() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    busy.store(false, Ordering::Relaxed);
    Ok(answer.map(Full::new))
}
