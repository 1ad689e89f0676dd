//! The request for a token.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use hooks_core::BoxError;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use ring::digest;
use tokio::time::Instant;
use url::form_urlencoded::{self, Serializer};

use super::answer;
use super::assertion::AssertionKey;
use super::tokens::Token;
use crate::client::{Client, ClientSettings};
use crate::mask::{self, Mask};
use crate::question::Withheld;
use crate::{retry_after, transport};

/// Most bytes of an answer.
const MAX_ANSWER: usize = 64 << 10;

/// Most bytes of the reason why there is no token.
const REASON: usize = 300;

/// How the client proves who it is.
pub(crate) enum Credentials {
    /// In a header.
    Basic(HeaderValue),
    /// In the body.
    Secret(Box<str>),
    /// By a new assertion each time.
    Assertion { key: AssertionKey, audience: Box<str>, key_id: Option<Box<str>> },
}

/// Fetches tokens of one client from one token endpoint.
pub(crate) struct TokenRequest {
    pub(crate) uri: Uri,
    /// For errors: method and address, without secrets.
    pub(crate) name: Box<str>,
    pub(crate) client_id: Box<str>,
    pub(crate) credentials: Credentials,
    /// The parameters that are the same in each request, as a form.
    pub(crate) form: Box<str>,
    pub(crate) agent: HeaderValue,
    pub(crate) client: ClientSettings,
    /// All of the settings, as a hash: who has the same, shares the token.
    pub(crate) identity: digest::Digest,
}

impl TokenRequest {
    /// Fetches a token.
    pub(crate) async fn fetch(&self, client: &Client) -> Result<Token, Withheld> {
        let asked = Instant::now().into_std();
        let (request, assertion) = self.make(SystemTime::now())?;
        let failed = |why: String, retry_after| {
            let parameters = self.parameters();
            let secrets = [self.secret(), &assertion].into_iter().chain(parameters.iter().map(String::as_str));
            let secrets = secrets.chain(self.address());
            let why = Mask::of_texts(secrets).excerpt(why.as_bytes(), REASON);
            Withheld { retry_after, ..Withheld::endpoint(format!("no access token: {}: {why}", self.name)) }
        };
        let answered = client.request(request, &mut None).await;
        let answered = answered.map_err(|error| {
            Withheld::endpoint(format!("no access token: {}", transport::failed(&self.name, &error).chain()))
        })?;
        let (head, body) = answered.response.into_parts();
        let wait = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry_after::parse(value, SystemTime::now()));
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| failed(format!("{}: {}", head.status, unread(&error)), wait))?.to_bytes();
        let issued = answer::read(head.status, &body).map_err(|why| failed(why, wait))?;
        Ok(Token::new(issued, asked))
    }

    /// The request, and the assertion in it.
    fn make(&self, now: SystemTime) -> Result<(Request<Full<Bytes>>, String), Withheld> {
        let mut form = Serializer::new(self.form.to_string());
        let mut authorization = None;
        let assertion = match &self.credentials {
            Credentials::Basic(value) => {
                authorization = Some(value.clone());
                String::new()
            }
            Credentials::Secret(secret) => {
                form.append_pair("client_id", &self.client_id).append_pair("client_secret", secret);
                String::new()
            }
            Credentials::Assertion { key, audience, key_id } => {
                let assertion = key.assert(&self.client_id, audience, key_id.as_deref(), now);
                let assertion = assertion.ok_or_else(|| Withheld::endpoint(format!("{}: {UNSIGNED}", self.name)))?;
                form.append_pair("client_id", &self.client_id)
                    .append_pair("client_assertion_type", ASSERTION_TYPE)
                    .append_pair("client_assertion", &assertion);
                assertion
            }
        };
        let mut request = Request::new(Full::from(form.finish()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // The next one is asked for in an hour, say.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(USER_AGENT, self.agent.clone());
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        Ok((request, assertion))
    }

    /// The values of the parameters that are set by name.
    fn parameters(&self) -> Vec<String> {
        let pairs = form_urlencoded::parse(self.form.as_bytes());
        pairs.filter(|(name, _)| !OWN.contains(&&**name)).map(|(_, value)| value.into_owned()).collect()
    }

    /// The path and query of the endpoint, in parts. The error for an answer without a token has a word of these paths.
    fn address(&self) -> impl Iterator<Item = &str> {
        mask::parts(self.uri.path(), self.uri.query()).filter(|part| *part != "access_token")
    }

    fn secret(&self) -> &str {
        match &self.credentials {
            Credentials::Basic(value) => value.to_str().unwrap_or_default(),
            Credentials::Secret(secret) => secret,
            Credentials::Assertion { .. } => "",
        }
    }
}

/// Parameters that are no secret.
const OWN: [&str; 2] = ["grant_type", "scope"];

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const UNSIGNED: &str = "the assertion can't be signed: the system gives no random numbers";

fn unread(error: &BoxError) -> String {
    match error.downcast_ref::<hyper::Error>() {
        Some(error) => format!("the answer broke off: {}", transport::cause(error)),
        None => format!("the answer is longer than {MAX_ANSWER} bytes"),
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").field("request", &self.name).finish_non_exhaustive()
    }
}
