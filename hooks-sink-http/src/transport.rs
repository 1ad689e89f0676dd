//! Failures below HTTP, told without secrets and without the layers between.

use std::error::Error;

use hooks_core::sink::{DeliveryError, FailureClass};
use hyper_util::client::legacy;

use crate::answered::{Asking, Unanswered};
use crate::connect::Unconnected;
use crate::connection_state::ConnectionState;
use crate::guard::Refused;
use crate::http2;
use crate::observed::Unsent;
use crate::received::{End, Received};
use crate::tls;

/// No answer came: connecting failed, or the connection broke before the answer began.
pub(crate) fn failed(request: &str, error: &Unanswered) -> DeliveryError {
    let unconnected = find::<Unconnected>(error);
    let (class, how) = match unconnected {
        _ if find::<Refused>(error).is_some() => (FailureClass::Endpoint, "not allowed".to_owned()),
        _ if http2::is_malformed(error) => {
            (FailureClass::Retry, "a malformed answer, which HTTP/2 forbids to accept".to_owned())
        }
        _ if http2::is_unprocessed(error) => (FailureClass::Unprocessed, "not processed".to_owned()),
        Some(unconnected) => (FailureClass::Retry, unconnected.to_string()),
        None if find::<legacy::Error>(error).is_some_and(legacy::Error::is_connect) => {
            (FailureClass::Retry, "can't connect".to_owned())
        }
        None => (FailureClass::Retry, "no whole answer".to_owned()),
    };
    let failed = DeliveryError::new(class, format!("{request}: {how}"));
    match unconnected.map_or(Some(error as &(dyn Error + 'static)), Error::source) {
        Some(below) => failed.because(cause(below)),
        None => failed,
    }
}

/// An answer that could not be read, if its status is known.
pub(crate) fn unread(error: &Unanswered) -> Option<Received> {
    received(error.connection.as_ref()?, End::Unread(cause(error)))
}

/// An answer whose head has not ended, if its status is known.
pub(crate) fn begun(asking: &Asking) -> Option<Received> {
    received(&asking.connection()?, End::Begun)
}

/// True if nothing was sent, because the connection that was kept is not fit for another request.
pub(crate) fn is_unsent(error: &Unanswered) -> bool {
    find::<Unsent>(error).is_some()
}

fn received(connection: &ConnectionState, end: End) -> Option<Received> {
    let status = connection.take_status()?;
    Some(Received { status, end, is_reused: connection.is_reused(), ..Received::default() })
}

/// The root cause of an error. The layers above it repeat where it happened.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    if let Some(fault) = tls::fault(error) {
        return fault;
    }
    let mut layers: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(layer) = next {
        layers.push(layer.to_string());
        next = layer.source();
    }
    // `client error (Connect)` says nothing that the caller does not.
    layers.retain(|layer| !layer.starts_with("client error ("));
    // The last two: `tcp connect error` and `Connection refused`. Some layers print what is below them.
    let mut told = layers.split_off(layers.len().saturating_sub(2));
    told.dedup();
    match told.as_slice() {
        [upper, lower] if upper.contains(lower.as_str()) => upper.clone(),
        _ => told.join(": "),
    }
}

/// The error of this type that is the cause of another, however far below.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(layer) = next {
        if let Some(found) = layer.downcast_ref() {
            return Some(found);
        }
        // An I/O error names the cause of what it wraps as its own, and passes that over.
        let wrapped = layer.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => layer.source(),
        };
    }
    None
}
