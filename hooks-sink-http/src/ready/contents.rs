//! What requests are made of: their method, and the form of their bodies.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{free_name, header_value};
use super::problems::Problems;
use crate::config::{Body, HttpConfig, Method, Mode, Template};
use crate::content::{Contents, Form, PREFIX};
use crate::header_names::{IDEMPOTENCY_KEY, TRACEPARENT, TRACESTATE};
use crate::template;

/// The media types of bodies that have no other.
const BATCH: HeaderValue = HeaderValue::from_static("application/cloudevents-batch+json");
const SINGLE: HeaderValue = HeaderValue::from_static("application/cloudevents+json");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn method(config: &HttpConfig, problems: &mut Problems) -> http::Method {
    if config.verify.is_some() && config.method != Method::Post {
        problems.add("method", "with `verify` the receiver grants POST, and nothing else: remove one of them");
    }
    match config.method {
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
    }
}

/// The media type of all bodies, unless the events decide that.
pub(super) fn content_type(config: &HttpConfig, problems: &mut Problems) -> Option<HeaderValue> {
    match (&config.body, config.mode) {
        (Body::CloudEvents, Mode::Batch) => Some(BATCH),
        (Body::CloudEvents, Mode::Single) => Some(SINGLE),
        (Body::Ndjson, _) => Some(NDJSON),
        (Body::Data, Mode::Batch) => Some(JSON),
        (Body::Binary, _) | (Body::Data, Mode::Single) => None,
        (Body::Template(template), _) => {
            let value = problems.take("body.content_type", header_value(&template.content_type))?;
            if !template.content_type.contains('/') {
                problems.add("body.content_type", "expected a media type, for example \"application/json\"");
            }
            // It is no secret.
            HeaderValue::from_bytes(value.as_bytes()).ok()
        }
    }
}

/// `headers` are those that are the same in every request.
pub(super) fn contents(config: &HttpConfig, headers: &HeaderMap, problems: &mut Problems) -> Contents {
    let (mode, form) = (config.mode, Form::of(&config.body));
    if form == Form::Binary && mode == Mode::Batch {
        problems.add("body", "binary mode is of one event a request: set `mode = \"single\"`, too");
    }
    if form == Form::Binary {
        let names = config.headers.iter().map(|(name, _)| ("headers", name));
        let names = names
            .chain(config.header_templates.iter().flat_map(|map| map.keys()).map(|name| ("header_templates", name)));
        for (table, name) in names.filter(|(_, name)| name.to_ascii_lowercase().starts_with(PREFIX)) {
            problems.add(
                format!("{table}.{name}"),
                "in binary mode this is an attribute of the event: set `metadata` of the hook",
            );
        }
    }
    if let Some(template) = config.template() {
        of_template(template, problems);
    }
    header_templates(config, headers, problems);
    values(config, problems);
    let (templates, faults) = template::problems(config);
    faults.into_iter().for_each(|(path, message)| problems.add(path, message));
    Contents { mode, form, templates }
}

fn of_template(template: &Template, problems: &mut Problems) {
    problems.file("body.template_file", template.template.is_some(), template.template_file.as_deref());
    match &template.template {
        Some(text) if text.trim().is_empty() => problems.add("body.template", "an empty template sends nothing"),
        None if template.template_file.is_none() => {
            problems.add("body.template", "it is missing: set it, or `body.template_file`");
        }
        _ => {}
    }
}

fn header_templates(config: &HttpConfig, headers: &HeaderMap, problems: &mut Problems) {
    let mut known: Vec<HeaderName> = headers.keys().cloned().collect();
    known.extend(config.oauth2.is_some().then_some(AUTHORIZATION));
    known.extend(config.idempotency_key.then_some(IDEMPOTENCY_KEY));
    known.extend(config.traceparent.then_some([TRACEPARENT, TRACESTATE]).into_iter().flatten());
    known.extend(config.hmac.iter().filter_map(|hmac| hmac.header.parse().ok()));
    for name in config.header_templates.iter().flat_map(|templates| templates.keys()) {
        let path = template::header_problem(name);
        let Some(name) = problems.take(&path, free_name(name)) else { continue };
        if known.contains(&name) {
            problems.add(path, "another setting sets this header, too: remove one of them");
        }
        known.push(name);
    }
}

fn values(config: &HttpConfig, problems: &mut Problems) {
    let Some(values) = config.values.as_deref() else { return };
    if config.template().is_none() && config.header_templates.is_none() {
        problems.add("values", "they are for templates, and there is none: set `body.template` or `header_templates`");
    }
    let is_name = |name: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        name.bytes().all(legal) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
    };
    for name in values.keys().filter(|name| !is_name(name)) {
        problems.add(format!("values.{name}"), "a template can't name this: use letters, digits and `_`");
    }
}
