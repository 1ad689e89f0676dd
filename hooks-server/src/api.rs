//! `[api]`: who may do what over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use hooks_core::settings::{Shape, Strangers, kinds, unknown_field};
use hooks_core::sink::{SinkFactory, SinkPlugin};
use hooks_core::{ByteSize, ConfigProblem, Secret, TenantId};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Access, Right};

/// Who may do what over HTTP. Without tokens, whoever reaches a loopback address may do everything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// The kinds of sinks that hooks made over the API may have. Of their options only those may be set that are safe for
    /// strangers.
    pub sinks: Vec<String>,
    /// Options of sinks that hold for all hooks made over the API, by kind: `api.sink_options.http.allow_cidrs`.
    pub sink_options: BTreeMap<String, Map<String, Value>>,
    /// Most hooks of one tenant.
    pub max_hooks: NonZeroUsize,
    /// A file with the keys of signed tokens: 32 bytes in base64, or several, a line each. The first signs, all are good.
    /// Read again on SIGHUP. A relative path begins at the folder of this file. Not set: a durable bus keeps a key in its
    /// folder; on another bus signed tokens end with the process.
    pub secrets_key_file: Option<PathBuf>,
    /// The address at which receivers reach this server from outside, for example `https://events.example.com`. With it, a
    /// receiver that is asked whether it wants to be delivered to (`verify` of a sink) may grant later, at an address below
    /// it that it is given.
    pub public_url: Option<String>,
    /// The origins whose pages may show the page at `/ui/` in a frame, for example `https://portal.example.com` or
    /// `https://*.example.com`. Not set: none.
    pub frame_ancestors: Vec<String>,
    /// The tokens that clients have to send (`Authorization: Bearer …`), and what each may do.
    pub tokens: Vec<TokenSettings>,
    /// Most bytes of a tenant's events that may wait for its receivers. While more do, requests to publish with the
    /// tenant's tokens are answered 429.
    pub max_pending: ByteSize,
    /// Most bytes of the log that a tenant's events may take, those included that its hooks have. While they take more,
    /// requests to publish with the tenant's tokens are answered 507. For the durable bus. Not set: no limit.
    pub max_retained: Option<ByteSize>,
}

/// A token, and what it may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = require)]
pub struct TokenSettings {
    /// Its name, for people.
    pub name: String,
    /// The token itself,
    pub token: Option<Secret>,
    /// or a file with it, or with several, a line each. Read again on SIGHUP. A relative path begins at the folder of
    /// this file.
    pub token_file: Option<PathBuf>,
    /// What it may do, and nothing else: `"publish"`, `"read"` (hooks, dead letters, the log and its events, metrics), `"manage"`
    /// (change hooks, replay and drop dead letters, make signed tokens).
    pub may: BTreeSet<Right>,
    /// The one tenant whose events and hooks it is about. Not set: everybody's.
    #[schemars(with = "Option<String>")]
    pub tenant: Option<TenantId>,
}

fn require(schema: &mut Schema) {
    schema.insert("required".to_owned(), serde_json::json!(["name", "may"]));
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            sinks: vec!["http".to_owned()],
            sink_options: BTreeMap::new(),
            max_hooks: NonZeroUsize::MIN.saturating_add(999),
            secrets_key_file: None,
            public_url: None,
            frame_ancestors: Vec::new(),
            tokens: Vec::new(),
            max_pending: ByteSize::new(256 << 20),
            max_retained: None,
        }
    }
}

impl ApiSettings {
    /// What clients may set in the hooks that they define.
    pub fn strangers(&self) -> Strangers {
        let mut strangers = Strangers::with_sinks(self.sinks.iter().map(String::as_str));
        for (kind, options) in &self.sink_options {
            strangers.sinks.insert(kind.clone(), options.clone());
        }
        strangers
    }

    /// The address below which receivers grant.
    pub fn grants_url(&self) -> Option<String> {
        self.public_url.as_ref().map(|url| format!("{}/v1/grants", url.trim_end_matches('/')))
    }

    fn sink_problems(&self, problems: &mut Vec<ConfigProblem>) {
        // The default is no error where the sink is not linked.
        let named = self.sinks.iter().enumerate().filter(|_| *self.sinks != *Self::default().sinks);
        for (index, kind) in named.filter(|(_, kind)| SinkPlugin::find(kind).is_none()) {
            let why = format!("`{kind}` is no kind of sink; linked into this binary: {}", kinds::<dyn SinkFactory>());
            problems.push(ConfigProblem::new(format!("sinks[{index}]"), why));
        }
        for (kind, options) in &self.sink_options {
            let Some(plugin) = SinkPlugin::find(kind).filter(|_| self.sinks.contains(kind)) else {
                problems
                    .push(ConfigProblem::new(format!("sink_options.{kind}"), "it is not among `api.sinks`".to_owned()));
                continue;
            };
            let shape = Shape::of(plugin);
            let Some(known) = shape.closed(shape.root()) else { continue };
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            for name in options.keys().filter(|name| !known.contains_key(*name)) {
                problems.push(ConfigProblem::new(format!("sink_options.{kind}.{name}"), unknown_field(name, &names)));
            }
        }
    }

    /// Everything that makes no sense: the path of a setting, and what is wrong with it. No token is in it.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.secrets_key_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            problems.push(ConfigProblem::new("secrets_key_file".to_owned(), "expected the path of a file".to_owned()));
        }
        if self.public_url.as_ref().is_some_and(|url| !is_public_url(url)) {
            let why =
                "expected the address of this server, as https://events.example.com, without credentials and query";
            problems.push(ConfigProblem::new("public_url".to_owned(), why.to_owned()));
        }
        for (index, origin) in self.frame_ancestors.iter().enumerate().filter(|(_, origin)| !is_origin(origin)) {
            let why = format!(
                "`{origin}` is no origin: expected a scheme and a host, as https://portal.example.com or https://*.example.com"
            );
            problems.push(ConfigProblem::new(format!("frame_ancestors[{index}]"), why));
        }
        self.sink_problems(&mut problems);
        let mut names = BTreeMap::new();
        for (index, token) in self.tokens.iter().enumerate() {
            let found = token.problems().into_iter();
            problems.extend(found.map(|(field, why)| ConfigProblem::new(format!("tokens[{index}]{field}"), why)));
            if let Some(before) = names.insert(token.name.as_str(), index)
                && !token.name.is_empty()
            {
                let why = format!("`{}` is the name of tokens[{before}], too", token.name);
                problems.push(ConfigProblem::new(format!("tokens[{index}].name"), why));
            }
        }
        problems
    }
}

impl TokenSettings {
    fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            problems.push((".name", "expected a name, for people"));
        }
        match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => problems.push((".token_file", "`token` is set, too: set one of them")),
            (None, None) => problems.push(("", "the token is missing: set `token` or `token_file`")),
            (Some(token), None) if !is_token(token.expose()) => {
                problems
                    .push((".token", "a token has visible ASCII characters only, without spaces, and at least one"));
            }
            (None, Some(file)) if file.as_os_str().is_empty() => {
                problems.push((".token_file", "expected the path of a file"));
            }
            _ => {}
        }
        if self.may.is_empty() {
            problems.push((".may", "a token that may do nothing: name `publish`, `read` or `manage`, or several"));
        }
        problems
    }

    /// What it allows.
    pub fn access(&self) -> Access {
        Access::new(self.may.iter().copied(), self.tenant.clone()).named(self.name.as_str())
    }
}

fn is_public_url(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|url| {
        let has_host = url.authority().is_some_and(|host| !host.as_str().contains('@') && !host.host().is_empty());
        matches!(url.scheme_str(), Some("https" | "http")) && has_host && url.query().is_none()
    }) && !url.contains('#')
}

/// True for the origin of a page, as a `Content-Security-Policy` may name it.
fn is_origin(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let host = host.strip_prefix("*.").unwrap_or(host);
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    host.split('.').all(is_label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_may_show_the_page() {
        for good in ["https://portal.example.com", "http://localhost:3000", "https://*.example.com", "https://10.0.0.1"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "https:",
            "https://",
            "https://*",
            "https://a/b",
            "https://a b",
            "https://a;script-src",
            "a.b",
            "'self'",
            "https://a:b",
            "https://a..b",
            "ftp://a",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
        let settings =
            ApiSettings { frame_ancestors: vec!["https://a".to_owned(), "*".to_owned()], ..ApiSettings::default() };
        let problems = settings.problems();
        assert!(problems.len() == 1 && problems[0].to_string().starts_with("frame_ancestors[1]"), "{problems:?}");
    }
}
