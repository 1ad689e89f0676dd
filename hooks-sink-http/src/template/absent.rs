//! Stands in for templates where they are not built in. No value of this type is ever made.

use hooks_core::sink::Batch;

use crate::config::HttpConfig;
use crate::content::{Content, Unfit};

pub(crate) enum Templates {}

impl Templates {
    pub(crate) fn render(&self, _: &str, _: &Batch, _: Content) -> Result<Content, Unfit> {
        match *self {}
    }
}

/// That they are not built in is said elsewhere.
pub(crate) fn problems(_: &HttpConfig) -> (Option<Box<Templates>>, Vec<(String, String)>) {
    (None, Vec::new())
}

/// The path of a header's template.
pub(crate) fn header_problem(name: &str) -> String {
    format!("header_templates.{name}")
}
