//! Stands in for HTTP/2 where the feature `http2` is off. Settings that ask for it are refused before anything gets here.

use std::error::Error;

use hyper_util::client::legacy::Builder;

use crate::config::HttpVersion;

pub(crate) fn set(_: &mut Builder, _: HttpVersion) {}

pub(crate) fn is_of(_: &(dyn Error + 'static)) -> bool {
    false
}

pub(crate) fn is_unprocessed(_: &(dyn Error + 'static)) -> bool {
    false
}

pub(crate) fn is_malformed(_: &(dyn Error + 'static)) -> bool {
    false
}
