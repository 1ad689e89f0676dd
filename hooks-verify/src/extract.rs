//! An extractor of axum.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRef, FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{Event, NoEvents, Signed, Verifier, VerifyError, events};

/// A request that was verified, and its events. The state of the routes has an `Arc<Verifier>`.
///
/// ```
/// use std::sync::Arc;
/// use axum::{Router, routing::post};
/// use hooks_verify::{Verifier, Webhook, refused};
///
/// async fn receive(webhook: Webhook) -> String {
///     let strange = webhook.events.iter().filter(|event| !event.event_type().starts_with("invoice."));
///     refused(strange.map(|event| event.id()))
/// }
///
/// let verifier = Verifier::new(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])?;
/// let service: Router = Router::new().route("/hooks", post(receive)).with_state(Arc::new(verifier));
/// # Ok::<(), hooks_verify::InvalidKey>(())
/// ```
///
/// Bodies are as long as axum's `DefaultBodyLimit` allows, 2 MB where nothing else is set. Compressed ones have to be unpacked
/// by a layer in front.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// `webhook-id`: the same for a batch that is sent again.
    pub id: String,
    /// In the order of the batch.
    pub events: Vec<Event>,
}

/// The reason why a handler is not called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is not from the sender, was changed, or is old: answered by 401, so that the sender holds the hook and keeps its
    /// events.
    #[error("the request can't be trusted")]
    Signature(#[source] VerifyError),
    /// The sender signed it, and it holds no events: 400, so that the sender sets it aside.
    #[error("the request is signed and is of no use")]
    Content(#[source] NoEvents),
    /// The body is too long: 413. Or it broke off on its way: 503, so that it is sent again.
    #[error("the body can't be read")]
    Body(#[source] BytesRejection),
}

impl<S> FromRequest<S> for Webhook
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Untrusted;

    async fn from_request(request: Request, state: &S) -> Result<Self, Untrusted> {
        let headers = request.headers().clone();
        // What is not signed at all costs no reading.
        let signed = Signed::from_headers(&headers).map_err(Untrusted::Signature)?;
        let body = Bytes::from_request(request, state).await.map_err(Untrusted::Body)?;
        let verifier = Arc::<Verifier>::from_ref(state);
        let id = verifier.verify(&signed, &body, SystemTime::now()).map_err(Untrusted::Signature)?;
        Ok(Self { id: id.to_owned(), events: events(&body).map_err(Untrusted::Content)? })
    }
}

impl IntoResponse for Untrusted {
    fn into_response(self) -> Response {
        match self {
            // Whoever guesses is told no more.
            Self::Signature(_) => StatusCode::UNAUTHORIZED.into_response(),
            Self::Content(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
            Self::Body(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => rejection.into_response(),
            Self::Body(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use std::time::UNIX_EPOCH;
    use tower_service::Service as _;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    async fn status(body: &str, sign: impl FnOnce(String) -> String) -> StatusCode {
        let receive = async |webhook: Webhook| {
            assert_eq!((webhook.id.as_str(), webhook.events.len()), ("msg_1", 1));
            StatusCode::NO_CONTENT
        };
        let verifier = Arc::new(Verifier::new([SECRET]).unwrap());
        let mut service: Router = Router::new().route("/", post(receive)).with_state(verifier);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let signature = sign(crate::verifier::tests::v1(SECRET, "msg_1", &now, body.as_bytes()));
        let request = Request::post("/").header("webhook-id", "msg_1").header("webhook-timestamp", now);
        let request = request.header("webhook-signature", signature).body(Body::from(body.to_owned())).unwrap();
        service.call(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn only_what_is_signed_and_holds_events_reaches_the_handler() {
        let event = r#"[{"id":"1","source":"/a","type":"t"}]"#;
        assert_eq!(status(event, |signature| signature).await, StatusCode::NO_CONTENT);
        assert_eq!(status(event, |signature| signature.replace("v1,", "v1,A")).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(event, |_| String::new()).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status("{}", |signature| signature).await, StatusCode::BAD_REQUEST);
        let long = format!("[{}]", " ".repeat(3 << 20));
        assert_eq!(status(&long, |signature| signature).await, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
