//! The headers that a request has beside those that are configured.

use http::HeaderName;

/// Names a batch, the same at every attempt.
pub(crate) const ID: HeaderName = HeaderName::from_static("webhook-id");
/// The time at which an attempt was signed, in Unix seconds.
pub(crate) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The id again, under the name that some gateways look for.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The DNS name of the sender: in the question whether a receiver wants to be delivered to, and in every delivery.
pub(crate) const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
/// Where a receiver may grant that later.
pub(crate) const REQUEST_CALLBACK: HeaderName = HeaderName::from_static("webhook-request-callback");
/// The sender that a receiver wants to be delivered to by.
pub(crate) const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
/// And how often a minute.
pub(crate) const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
/// W3C Trace Context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The suffix that vendors add to it.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
