//! Stands in for TLS where the feature `tls` is off. Settings that ask for it are refused before anything gets here.

use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;

use hooks_core::BoxError;

use crate::config::{HttpVersion, Tls};
use crate::features;
use crate::stream::Stream;

#[derive(Default)]
pub(crate) struct Files;

impl Files {
    pub(crate) fn read(_: &Tls) -> Result<Self, BoxError> {
        Err(features::needed("tls").into())
    }

    pub(crate) fn fingerprint(&self) -> &'static str {
        ""
    }
}

/// There is none.
#[derive(Clone)]
pub(crate) struct Secured(Infallible);

impl Secured {
    pub(crate) fn new(_: &Tls, _: &Files, _: HttpVersion) -> Result<Self, BoxError> {
        Err(features::needed("tls").into())
    }

    pub(crate) fn as_a_stranger(&mut self) {}

    pub(crate) fn offer_nothing(&mut self) {}

    pub(crate) async fn connect(&self, _: String, _: Box<dyn Stream>) -> Result<(Box<dyn Stream>, bool), BoxError> {
        match self.0 {}
    }
}

pub(crate) fn fault(_: &(dyn Error + 'static)) -> Option<String> {
    None
}

pub(crate) fn advice(_: &(dyn Error + 'static)) -> Option<&'static str> {
    None
}

pub(crate) fn system_files() -> Vec<PathBuf> {
    Vec::new()
}
