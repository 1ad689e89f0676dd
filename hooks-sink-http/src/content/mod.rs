//! The content of requests: a body, and the headers that depend on the events in it. Made of a batch alone, so that it is
//! the same at every attempt.

mod binary;
mod data;

use bytes::Bytes;
use hooks_core::sink::Batch;
use http::{HeaderName, HeaderValue};

use crate::config::{Body, Mode};
use crate::template::Templates;

pub(crate) use binary::{PREFIX, SPECVERSION, is_traced};

/// A body, and the headers that the events decide.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The reason why no request can be made of a batch: one of its events is not fit for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) String);

/// How bodies are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    CloudEvents,
    Binary,
    Data,
    Ndjson,
    Template,
}

impl Form {
    pub(crate) fn of(body: &Body) -> Self {
        match body {
            Body::CloudEvents => Self::CloudEvents,
            Body::Binary => Self::Binary,
            Body::Data => Self::Data,
            Body::Ndjson => Self::Ndjson,
            Body::Template(_) => Self::Template,
        }
    }
}

/// Makes the content of requests.
pub(crate) struct Contents {
    pub(crate) mode: Mode,
    pub(crate) form: Form,
    /// Those of the body and of headers, if there are some.
    pub(crate) templates: Option<Box<Templates>>,
}

impl Contents {
    /// True if it takes templates, which cost more than all else.
    pub(crate) fn is_rendered(&self) -> bool {
        self.templates.is_some()
    }

    /// True if there are headers that the events decide, beside the media type.
    pub(crate) fn has_headers(&self) -> bool {
        self.form == Form::Binary || self.is_rendered()
    }

    /// The content for a batch of this hook.
    pub(crate) fn make(&self, hook: &str, batch: &Batch) -> Result<Content, Unfit> {
        let content = match (self.form, self.mode) {
            (Form::CloudEvents, Mode::Batch) => array(batch).into(),
            (Form::CloudEvents, Mode::Single) => first_line(batch).into(),
            (Form::Binary, _) => binary::content(batch)?,
            (Form::Data, Mode::Single) => data::single(batch)?,
            (Form::Data, Mode::Batch) => data::array(batch).into(),
            (Form::Ndjson, _) => lines(batch).into(),
            (Form::Template, _) => Content::default(),
        };
        match &self.templates {
            None => Ok(content),
            Some(templates) => templates.render(hook, batch, content),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(body: Vec<u8>) -> Self {
        Self { body: body.into(), headers: Vec::new() }
    }
}

fn array(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.max_bytes() + 1);
    for line in batch.lines() {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(line.as_bytes());
    }
    body.push(b']');
    body
}

fn first_line(batch: &Batch) -> Vec<u8> {
    batch.lines().next().map(|line| line.into_owned().into_bytes()).unwrap_or_default()
}

fn lines(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.max_bytes());
    batch.text().for_each(|text| body.extend_from_slice(text.as_bytes()));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_was_reserved() {
        let batch = crate::fuzz::batch(&["a", "b", "c"]);
        let body = array(&batch);
        assert_eq!(body.len(), batch.max_bytes() + 1);
        assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&body).unwrap().len(), 3);
        assert_eq!(lines(&batch).len(), batch.max_bytes());
    }
}
