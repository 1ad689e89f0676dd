//! One connection: its limits of time and memory, and how it ends.

use std::convert::Infallible;
use std::future::Future as _;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::explained::{Explained, MAX_HEADERS};
use super::patient::Patient;
use super::places::Seat;
use crate::Settings;
use crate::http::lent::Lent;
use crate::http::state::{Phase, State};
use crate::http::{body, events};

/// What a connection's requests need.
struct Connection {
    state: Arc<State>,
    /// The routes beside events.
    pages: Router,
    seat: Seat,
}

/// Answers requests until the client goes, takes too long, has to leave for others, or everything ends.
pub(super) async fn serve(stream: TcpStream, state: Arc<State>, pages: Router, seat: Seat) {
    let ingest = state.settings().ingest.clone();
    // Answers are small, or written in large pieces.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(ingest.head_timeout.get());
    builder.max_buf_size(ingest.max_head.get()).max_headers(MAX_HEADERS).half_close(true);
    let mut phase = state.phase();
    let shared = Arc::new(Connection { state, pages, seat });
    let service = service_fn(|request| answer(request, shared.clone()));
    let stream = Explained::new(Patient::new(stream, ingest.body_timeout.get()), ingest.max_head.get());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let seat = &shared.seat;
    // What goes wrong on a connection is the client's doing, who knows it.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = seat.dismissed() => {}
        _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
    }
    connection.as_mut().graceful_shutdown();
    // An answer that is due is still written; a request that has not come is not waited for. In the lobby, where the
    // seat is needed, what can be written at once has to do.
    poll_fn(|context| match connection.as_mut().poll(context) {
        Poll::Pending if seat.is_busy() && seat.is_placed() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

async fn answer(
    request: Request<Incoming>,
    connection: Arc<Connection>,
) -> Result<Response<Either<Full<Bytes>, Body>>, Infallible> {
    let Connection { state, pages, seat } = &*connection;
    seat.set_busy(true);
    let (parts, mut body) = request.into_parts();
    let waits = parts.headers.contains_key(EXPECT);
    let (mut answer, is_read) =
        if parts.uri.path() == events::PATH && !matches!(parts.method, Method::GET | Method::HEAD) {
            let settings = state.settings();
            let asked = events::look(&parts, &settings);
            let answer = if asked.is_err() || is_welcome(&settings, state, seat).await {
                events::answer(asked, &parts, &mut body, state, &settings).await
            } else {
                events::crowded(state)
            };
            let is_read = body::read_rest(&mut body, waits, answer.status(), state).await;
            (answer.map(Full::new).map(Either::Left), is_read)
        } else {
            let mut body = Lent::new(body);
            let answer = pages.clone().call(Request::from_parts(parts, Body::new(body.clone()))).await?;
            let is_read = body::read_rest(&mut body, waits, answer.status(), state).await;
            (answer.map(Either::Right), is_read)
        };
    if !is_read || !state.is_accepting() || !seat.may_stay() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    seat.set_busy(false);
    Ok(answer)
}

/// True if there is a place for somebody who may publish, or none is needed.
async fn is_welcome(settings: &Settings, state: &State, seat: &Seat) -> bool {
    let mut phase = state.phase();
    tokio::select! {
        biased;
        // No place is needed to hear that everything ends.
        _ = phase.wait_for(|phase| *phase != Phase::Accepting) => true,
        placed = seat.settle(settings.ingest.publish_timeout.get()) => placed,
    }
}
