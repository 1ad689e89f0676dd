//! Failures below HTTP, told without secrets and without the layers between.

use std::error::Error;

use hooks_core::{BoxError, DeliveryError, FailureClass};

use crate::guard::Refused;

/// No answer came: connecting failed, or the connection broke before the answer began.
pub(crate) fn failed(request: &str, error: reqwest::Error) -> DeliveryError {
    let (class, how) = if find::<Refused>(&error).is_some() {
        (FailureClass::Endpoint, "not allowed")
    } else if error.is_builder() {
        (FailureClass::Endpoint, "can't be sent")
    } else if error.is_connect() {
        (FailureClass::Retry, "can't connect")
    } else {
        (FailureClass::Retry, "no whole answer")
    };
    DeliveryError::new(class, format!("{request}: {how}")).because(cause(error))
}

/// What went wrong at the bottom. The layers above it repeat where it happened, and some print the address
/// with its query.
pub(crate) fn cause(error: reqwest::Error) -> BoxError {
    let error = error.without_url();
    let mut layers: Vec<String> = Vec::new();
    let mut next = error.source();
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
        [] => error.to_string().into(),
        [upper, lower] if upper.contains(lower.as_str()) => upper.clone().into(),
        _ => told.join(": ").into(),
    }
}

/// The error of this type that is the cause of another, however far below.
pub(crate) fn find<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
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
