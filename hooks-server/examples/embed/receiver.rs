//! The receiver of a customer: it believes what is signed, and answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::post;
use hooks_core::BoxError;
use hooks_verify::{Verifier, Webhook};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

#[derive(Clone)]
struct Customer {
    verifier: Arc<Verifier>,
    events: Sender<Value>,
}

impl FromRef<Customer> for Arc<Verifier> {
    fn from_ref(customer: &Customer) -> Self {
        customer.verifier.clone()
    }
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

async fn receive(State(customer): State<Customer>, webhook: Webhook) -> StatusCode {
    for event in webhook.events {
        let Ok(event) = serde_json::from_str(event.json()) else { return StatusCode::BAD_REQUEST };
        if customer.events.send(event).await.is_err() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    StatusCode::NO_CONTENT
}
