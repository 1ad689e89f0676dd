//! The receiver of a customer: it believes what is signed, and answers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hooks_core::BoxError;
use hooks_sink_http::verify::{Signed, Verifier};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

#[derive(Clone)]
struct Customer {
    verifier: Arc<Verifier>,
    events: Sender<Value>,
}

/// A receiver that knows this secret, and the events that it got.
///
/// # Errors
/// When it is no secret.
pub(crate) fn router(secret: &str) -> Result<(Router, Receiver<Value>), BoxError> {
    let (events, received) = channel(16);
    let customer = Customer { verifier: Arc::new(Verifier::new([secret])?), events };
    Ok((Router::new().route("/", post(receive)).with_state(customer), received))
}

async fn receive(State(customer): State<Customer>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signed = Signed::from_headers(&headers);
    if signed.and_then(|signed| customer.verifier.verify(&signed, &body, SystemTime::now()).map(drop)).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(events) = serde_json::from_slice::<Vec<Value>>(&body) else { return StatusCode::BAD_REQUEST };
    for event in events {
        if customer.events.send(event).await.is_err() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    StatusCode::NO_CONTENT
}
