//! Answers to clients.

use std::ops::Range;

use bytes::Bytes;
use hooks_core::bus::Published;
use http::header::{ACCEPT, ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Right;
use crate::admin::{JSON, PROBLEM};

/// An answer whose body is complete.
pub(super) type Answer = Response<Bytes>;

/// Seconds after which a client that was turned away may come again.
const AGAIN: HeaderValue = HeaderValue::from_static("1");

/// For whoever has to say who he is.
pub(super) const UNAUTHORIZED: &str = "a good token is missing: `Authorization: Bearer …`";

/// What a tenant is told who asks for what is about all.
pub(crate) const NOT_OF_TENANT: &str =
    "this is about all tenants, and the token is one tenant's, whose hooks are at /v1/hooks (`hooks get`)";

/// For a token that has other rights.
pub(crate) fn without_right(right: Right) -> String {
    format!("the token has not the right `{right}`: the daemon's `api.tokens` say what each token may")
}

/// Everything was accepted.
#[derive(Serialize, JsonSchema)]
pub(super) struct Accepted {
    /// The number of events.
    accepted: usize,
    /// The number of these whose `source` and `id` the bus had already, and that it did not take again. Missing: none.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    duplicates: u64,
}

/// Everything was accepted.
pub(super) fn accepted(Published { events, duplicates, .. }: Published) -> Answer {
    json(StatusCode::ACCEPTED, JSON, &Accepted { accepted: events, duplicates: duplicates as u64 })
}

/// A text for programs that look for a status, and people.
pub(super) fn text(status: StatusCode, text: &'static str) -> Answer {
    with(status, HeaderValue::from_static(TEXT), Bytes::from_static(text.as_bytes()))
}

/// The media type of texts.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// A body of this media type.
pub(super) fn with<B>(status: StatusCode, media_type: HeaderValue, body: B) -> Response<B> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}

/// The reason why nothing of a request was published.
#[derive(Debug)]
pub(super) enum Refusal {
    NotFound,
    /// The methods that there are.
    Method(&'static str),
    Unauthorized,
    /// The media types that are taken.
    MediaType(&'static str),
    Encoding,
    /// More bytes or events than this.
    TooLarge(String),
    TooSlow,
    /// The client's body broke off, or is not what HTTP makes of one.
    Broken(String),
    Faults(Vec<Fault>, u64),
    /// Events of another tenant than the token's.
    OtherTenant(Vec<Fault>, u64),
    /// The right that the token has not.
    Forbidden(Right),
    /// A tenant's token, for what is about everybody.
    NotOfTenant,
    /// The request is no event, for this reason.
    NoEvent(String),
    /// The fault of the `Host` header.
    Host(&'static str),
    /// There is no room now.
    Busy(String),
    /// The bus has no room and does not wait for any.
    Full(String),
    /// Too much of a tenant waits for its receivers.
    TenantFull(String),
    Unavailable(String),
    /// These events, counted from 0, were accepted before that.
    Partly {
        accepted: Vec<Range<usize>>,
        why: Box<Refusal>,
    },
    Draining,
    Internal,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "EventFault")]
pub(super) struct Fault {
    /// The element of an array, from 0; the event's number in any body where it is another tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    /// Line of the body, from 1.
    pub(super) line: usize,
    /// Column of that line, in bytes from 1.
    pub(super) column: usize,
    /// What it is.
    pub(super) reason: String,
}

/// The reason why not all events were published.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PublishProblem")]
pub(super) struct Body<'a> {
    /// The name of the status.
    title: &'a str,
    /// A status of HTTP.
    status: u16,
    /// The reason.
    detail: &'a str,
    /// The same.
    error: &'a str,
    /// Everything that is wrong with the events.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    faults: &'a [Fault],
    /// Faults that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    more: u64,
    /// The number of events that were accepted all the same.
    #[serde(skip_serializing_if = "is_zero")]
    accepted: u64,
    /// Which ones were: from and to, counted from 1 in the order of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_events: Vec<[usize; 2]>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::OtherTenant(..) | Self::Forbidden(_) | Self::NotOfTenant => StatusCode::FORBIDDEN,
            Self::MediaType(_) | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) | Self::Faults(..) | Self::NoEvent(_) | Self::Host(_) => StatusCode::BAD_REQUEST,
            Self::Busy(_) | Self::Unavailable(_) | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::TenantFull(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Partly { why, .. } => why.status(),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn error(&self) -> String {
        match self {
            Self::NotFound => "there is nothing here: events go to POST /v1/events, and the page is at /ui/".to_owned(),
            Self::Method(methods) => format!("the method has to be {methods}"),
            Self::Unauthorized => UNAUTHORIZED.to_owned(),
            Self::MediaType(accepted) => format!("the Content-Type has to be one of {accepted}, in UTF-8"),
            Self::Encoding => {
                "a body with a Content-Encoding, or a Transfer-Encoding but chunked, is not taken".to_owned()
            }
            Self::TooSlow => "the body took too long".to_owned(),
            Self::Partly { why, .. } => why.error(),
            Self::Faults(..) => "nothing was published: not everything in the body is an event".to_owned(),
            Self::OtherTenant(..) => {
                "nothing was published: this token takes events of its own tenant alone".to_owned()
            }
            Self::Forbidden(right) => without_right(*right),
            Self::NotOfTenant => NOT_OF_TENANT.to_owned(),
            Self::Draining => "the server is about to stop".to_owned(),
            Self::Internal => "publishing failed; it is not known whether the events were accepted".to_owned(),
            Self::Host(why) => format!("header `host` {why}"),
            Self::TooLarge(why)
            | Self::Broken(why)
            | Self::NoEvent(why)
            | Self::Full(why)
            | Self::TenantFull(why)
            | Self::Unavailable(why)
            | Self::Busy(why) => why.clone(),
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Method(methods) => Some((ALLOW, HeaderValue::from_static(methods))),
            Self::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::MediaType(accepted) => Some((ACCEPT, HeaderValue::from_static(accepted))),
            Self::Busy(_) | Self::Unavailable(_) | Self::TenantFull(_) | Self::Draining => Some((RETRY_AFTER, AGAIN)),
            Self::TooSlow | Self::Broken(_) | Self::Host(_) => Some((CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
        }
    }

    pub(super) fn answer(&self) -> Answer {
        let (faults, more): (&[Fault], u64) = match self {
            Self::Faults(faults, more) | Self::OtherTenant(faults, more) => (faults, *more),
            _ => (&[], 0),
        };
        let accepted: &[Range<usize>] = if let Self::Partly { accepted, .. } = self { accepted } else { &[] };
        let status = self.status();
        let error = self.error();
        let body = Body {
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: &error,
            error: &error,
            faults,
            more,
            accepted: accepted.iter().map(|range| range.len() as u64).sum(),
            accepted_events: accepted.iter().map(|range| [range.start + 1, range.end]).collect(),
        };
        let mut answer = json(status, PROBLEM, &body);
        answer.headers_mut().extend(self.header());
        answer
    }
}

fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Answer {
    // Texts and numbers only: this does not fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    with(status, HeaderValue::from_static(media_type), Bytes::from(body))
}
