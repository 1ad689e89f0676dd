//! One connection: its limits of time and memory, and how it ends.

use std::convert::Infallible;
use std::future::Future as _;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::explained::{Explained, MAX_HEADERS};
use super::patient::Patient;
use super::places::Seat;
use crate::http::outgoing::Outgoing;
use crate::http::state::{Phase, State};
use crate::http::{body, events, routes};

/// Answers requests until the client goes, takes too long, has to leave for others, or everything ends.
pub(super) async fn serve(stream: TcpStream, state: &Arc<State>, seat: Seat) {
    let ingest = state.settings().ingest.clone();
    // Answers are small, or written in large pieces.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(ingest.head_timeout.0);
    builder.max_buf_size(ingest.max_head.get()).max_headers(MAX_HEADERS).half_close(true);
    let seat = Arc::new(seat);
    let service = service_fn(|request| answer(request, state.clone(), seat.clone()));
    let stream = Explained::new(Patient::new(stream, ingest.body_timeout.0), ingest.max_head.get());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut phase = state.phase();
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
    state: Arc<State>,
    seat: Arc<Seat>,
) -> Result<Response<Outgoing>, Infallible> {
    seat.set_busy(true);
    let (parts, mut body) = request.into_parts();
    let mut answer = match is_welcome(&parts, &state, &seat).await {
        true => routes::answer(&parts, &mut body, &state).await,
        false => events::crowded(&state).map(Outgoing::from),
    };
    let is_read = is_read(&parts.headers, &mut body, answer.status(), &state).await;
    if !is_read || !state.is_accepting() || !seat.may_stay() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    seat.set_busy(false);
    Ok(answer)
}

/// True if there is a place for what is asked, or none is needed.
async fn is_welcome(parts: &Parts, state: &State, seat: &Seat) -> bool {
    if !events::wants_to_publish(parts, state) {
        return true;
    }
    let mut phase = state.phase();
    tokio::select! {
        biased;
        // No place is needed to hear that everything ends.
        _ = phase.wait_for(|phase| *phase != Phase::Accepting) => true,
        placed = seat.settle(state.settings().ingest.publish_timeout.0) => placed,
    }
}

/// True if a body was read to its end, so that another request can follow. What an answer did not need is read first.
async fn is_read(headers: &HeaderMap, body: &mut Incoming, status: StatusCode, state: &State) -> bool {
    match status {
        StatusCode::ACCEPTED => true,
        // There was time enough.
        StatusCode::REQUEST_TIMEOUT => false,
        _ if !state.is_accepting() => false,
        _ => body::discard(body, headers, state.settings().ingest.max_body.get()).await,
    }
}
