//! From what an operator wrote to ready objects. No I/O: whatever is wrong is found before anything runs,
//! but for what files hold.

mod client;
mod contents;
mod headers;
mod oauth2;
mod problems;
#[cfg(test)]
mod tests;

use hooks_core::{ConfigProblem, Secret};
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderName, Method, Uri};
use url::Url;

use crate::client::ClientSettings;
use crate::compress::Encoding;
use crate::config::{AnswerMeaning, Answers, HttpConfig, SigningSecrets};
use crate::content::Contents;
use crate::features;
use crate::keys::SigningKey;
use crate::oauth2::TokenRequest;
use crate::sign::{self, Signer};
use problems::Problems;

/// Settings that were checked, in the form in which they are used.
pub(crate) struct Ready {
    /// The address, without credentials.
    pub(crate) url: Url,
    /// The same, as it is sent.
    pub(crate) uri: Uri,
    /// The method of requests.
    pub(crate) method: Method,
    /// All headers that are the same in every request.
    pub(crate) headers: HeaderMap,
    /// Makes those that are not.
    pub(crate) signer: Signer,
    /// Makes bodies.
    pub(crate) contents: Contents,
    /// Texts that templates see, which are secret.
    pub(crate) values: Vec<Secret>,
    /// The compression, if any.
    pub(crate) encoding: Option<Encoding>,
    /// True if the batch's id is sent under the name of `idempotency-key`, too.
    pub(crate) idempotency_key: bool,
    /// True if a trace context is sent.
    pub(crate) traceparent: bool,
    /// Most bytes of an answer's body.
    pub(crate) max_response_bytes: usize,
    /// True if the receiver is known to name refused events.
    pub(crate) partial_answers: bool,
    /// What its answers mean, where it is not the usual.
    pub(crate) answers: Answers,
    /// The name in which the receiver is asked before anything is delivered, if it has to be.
    pub(crate) asks_as: Option<Box<str>>,
    /// Gets access tokens, if some are sent.
    pub(crate) oauth2: Option<Box<TokenRequest>>,
    /// The client's settings.
    pub(crate) client: ClientSettings,
    /// Most requests in flight to the host.
    pub(crate) max_per_host: usize,
}

impl Ready {
    /// Everything that is wrong, or none of it.
    pub(crate) fn new(config: &HttpConfig) -> Result<Self, Vec<ConfigProblem>> {
        let mut problems = Problems::default();
        let endpoint = problems.take("url", config.url.parts());
        problems.0.extend(features::lacking(config, endpoint.as_ref().map(|parts| &parts.url)));
        let in_url = endpoint.as_ref().and_then(|parts| parts.authorization.clone());
        let mut headers = headers::all(config, in_url, &mut problems);
        let signer =
            Signer { standard: standard(config, &mut problems), plain: plain(config, &headers, &mut problems) };
        let method = contents::method(config, &mut problems);
        let contents = contents::contents(config, &headers, &mut problems);
        let max_response_bytes = config.max_response_bytes.get();
        if max_response_bytes < 1024 {
            problems.add("max_response_bytes", "too small to hold an answer: set at least 1KiB");
        }
        let client = client::settings(config, endpoint.as_ref().map(|parts| &parts.url), &mut problems);
        let answers = answers(config, &mut problems);
        let oauth2 = oauth2::request(config, &headers, &client, &mut problems);
        // A proxy that sees the request sees its credentials in it; else they are in what is asked of it before.
        if let (false, Some(value)) =
            (client.is_secure, client.proxy.as_ref().and_then(|proxy| proxy.authorization.clone()))
        {
            headers.insert(PROXY_AUTHORIZATION, value);
        }
        let uri = endpoint.as_ref().map(|parts| Uri::try_from(parts.url.as_str()).map_err(|error| error.to_string()));
        let uri = uri.and_then(|uri| problems.take("url", uri));
        match (endpoint, uri) {
            (Some(parts), Some(uri)) if problems.0.is_empty() => Ok(Self {
                url: parts.url,
                uri,
                headers,
                method,
                signer,
                contents,
                values: config.values.iter().flat_map(|values| values.values()).cloned().collect(),
                encoding: Encoding::of(features::name(config.compression)),
                idempotency_key: config.idempotency_key,
                traceparent: config.traceparent,
                max_response_bytes,
                partial_answers: config.partial_answers,
                answers,
                asks_as: config.verify.and(config.origin.clone()),
                oauth2,
                client,
                max_per_host: config.connections.as_deref().copied().unwrap_or_default().max_per_host.get(),
            }),
            _ => Err(problems.0),
        }
    }
}

fn answers(config: &HttpConfig, problems: &mut Problems) -> Answers {
    let answers = config.answers.as_deref().cloned().unwrap_or_default();
    if !answers.can_deliver() {
        problems.add("answers", "no answer means `delivered`, so each batch would be sent for ever: leave one");
    }
    let refused = answers.meaning(401).filter(|meaning| *meaning != AnswerMeaning::Endpoint);
    if config.oauth2.is_some() && refused.is_some() {
        problems.add("answers", "with `oauth2`, 401 says that the access token is no good: add \"401\" = \"endpoint\"");
    }
    answers
}

fn standard(config: &HttpConfig, problems: &mut Problems) -> Vec<SigningKey> {
    problems.file("secret_file", config.secret.is_some(), config.secret_file.as_deref());
    config.secret.as_ref().map_or_else(Vec::new, |secrets| keys(secrets, problems))
}

fn keys(secrets: &SigningSecrets, problems: &mut Problems) -> Vec<SigningKey> {
    if secrets.iter().len() == 0 {
        problems.add("secret", "an empty list signs nothing: name a secret, or remove it");
    }
    let several = secrets.iter().len() > 1;
    let path = |at: usize| if several { format!("secret[{at}]") } else { "secret".to_owned() };
    let keys = secrets.iter().enumerate();
    keys.filter_map(|(at, secret)| problems.take(path(at), SigningKey::parse(secret.expose()))).collect()
}

fn plain(config: &HttpConfig, headers: &HeaderMap, problems: &mut Problems) -> Option<(HeaderName, ring::hmac::Key)> {
    let hmac = config.hmac.as_deref()?;
    problems.required("hmac.secret", hmac.secret.as_ref(), hmac.secret_file.as_deref());
    let name = problems.take("hmac.header", headers::free_name(&hmac.header))?;
    if headers.contains_key(&name) {
        problems.add("hmac.header", "another setting sets this header, too");
    }
    let secret = hmac.secret.as_ref()?;
    Some((name, sign::plain_key(secret.expose())))
}
