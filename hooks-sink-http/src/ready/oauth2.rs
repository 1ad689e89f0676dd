//! The request for access tokens.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};
use ring::digest::{self, SHA256};
use url::Url;
use url::form_urlencoded::{self, Serializer};

use super::headers::AGENT;
use super::problems::Problems;
use crate::client::ClientSettings;
use crate::config::{ClientAuth, HttpConfig, HttpVersion, OAuth2};
use crate::endpoint::{self, without_path};
use crate::oauth2::{AssertionKey, Credentials, TokenRequest};

/// The parameters that the other settings set.
const RESERVED: [&str; 6] =
    ["grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// `headers` and `client` are those of deliveries.
pub(super) fn request(
    config: &HttpConfig,
    headers: &HeaderMap,
    client: &ClientSettings,
    problems: &mut Problems,
) -> Option<Box<TokenRequest>> {
    let oauth2 = config.oauth2.as_deref()?;
    if headers.contains_key(AUTHORIZATION) {
        problems.add("oauth2", "another setting sets the header `authorization`, too: only one of them can");
    }
    if oauth2.client_id.is_empty() {
        problems.add("oauth2.client_id", "it is empty: who asks for a token?");
    }
    let form = form(oauth2, problems);
    let parts = problems.take("oauth2.token_url", oauth2.token_url.parts());
    let url = parts.as_ref().map(|parts| &parts.url);
    let credentials = credentials(oauth2, url, problems);
    let parts = parts?;
    if parts.authorization.is_some() {
        problems.add("oauth2.token_url", "holds credentials: write them into `client_id` and `client_secret`");
    }
    let judged = parts.url.host().and_then(|host| Some(client.guard.as_ref()?.judge_host(&host)));
    if let Some(Err(refused)) = judged {
        problems.add("oauth2.token_url", refused.to_string());
    }
    let uri =
        problems.take("oauth2.token_url", Uri::try_from(parts.url.as_str()).map_err(|error| error.to_string()))?;
    let client = ClientSettings {
        is_secure: parts.url.scheme() == "https",
        http_version: HttpVersion::Http1,
        max_idle_per_host: 0,
        ..client.clone()
    };
    Some(Box::new(TokenRequest {
        uri,
        name: format!("POST {}", without_path(&parts.url)).into(),
        client_id: oauth2.client_id.as_str().into(),
        credentials: credentials?,
        identity: identity(oauth2, &form, &client),
        form: form.into(),
        agent: AGENT,
        client,
    }))
}

/// The parameters that are the same in each request.
fn form(oauth2: &OAuth2, problems: &mut Problems) -> String {
    // RFC 6749, section 3.3.
    let is_scope = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    if !oauth2.scopes.iter().all(is_scope) {
        problems
            .add("oauth2.scopes", "a scope is printable ASCII without spaces, quotes and backslashes: one an entry");
    }
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !oauth2.scopes.is_empty() {
        form.append_pair("scope", &oauth2.scopes.join(" "));
    }
    for (name, value) in &oauth2.parameters {
        if RESERVED.contains(&name.as_str()) {
            problems.add(format!("oauth2.parameters.{name}"), "another setting of `oauth2` sets it: remove it");
        }
        form.append_pair(name, value.expose());
    }
    form.finish()
}

fn credentials(oauth2: &OAuth2, url: Option<&Url>, problems: &mut Problems) -> Option<Credentials> {
    let OAuth2 { client_secret, client_secret_file, private_key, private_key_file, .. } = oauth2;
    let has_key = private_key.is_some() || private_key_file.is_some();
    // What a file holds is put into its place when the sink is built.
    let secret = client_secret.as_ref().map_or("", |secret| secret.expose());
    if oauth2.client_auth == ClientAuth::Jwt && has_key {
        problems.file("oauth2.private_key_file", private_key.is_some(), private_key_file.as_deref());
        if client_secret.is_some() || client_secret_file.is_some() {
            problems.add("oauth2.client_secret", "`private_key` signs the assertion: remove one of them");
        }
    } else {
        problems.required("oauth2.client_secret", client_secret.as_ref(), client_secret_file.as_deref());
    }
    if oauth2.client_auth != ClientAuth::Jwt {
        let unused = [
            ("private_key", has_key),
            ("key_id", oauth2.key_id.is_some()),
            ("assertion_audience", oauth2.assertion_audience.is_some()),
        ];
        for (name, _) in unused.iter().filter(|(_, is_set)| *is_set) {
            problems.add(format!("oauth2.{name}"), "is of an assertion: set `client_auth = \"jwt\"`, or remove it");
        }
    }
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    match oauth2.client_auth {
        // RFC 6749, section 2.3.1.
        ClientAuth::Basic => {
            endpoint::basic(encoded(&oauth2.client_id).as_bytes(), encoded(secret).as_bytes()).map(Credentials::Basic)
        }
        ClientAuth::Body => Some(Credentials::Secret(secret.into())),
        ClientAuth::Jwt => {
            let key = match private_key {
                Some(pem) => problems.take("oauth2.private_key", AssertionKey::of_pem(pem.expose()))?,
                None => AssertionKey::of_secret(secret),
            };
            let audience = oauth2.assertion_audience.as_deref().or(url.map(Url::as_str))?.into();
            Some(Credentials::Assertion { key, audience, key_id: oauth2.key_id.as_deref().map(Into::into) })
        }
    }
}

/// Everything that a token depends on, as a hash.
fn identity(oauth2: &OAuth2, form: &str, client: &ClientSettings) -> digest::Digest {
    let OAuth2 { client_id, client_auth, key_id, assertion_audience, .. } = oauth2;
    let secrets = [Some(oauth2.token_url.secret()), oauth2.client_secret.as_ref(), oauth2.private_key.as_ref()];
    let secrets = secrets.map(|secret| secret.map_or("", |secret| secret.expose()));
    let all =
        format!("{client_id:?} {client_auth:?} {key_id:?} {assertion_audience:?} {secrets:?} {form:?} {client:?}");
    digest::digest(&SHA256, all.as_bytes())
}
