//! One secret or several, and those that files hold.

use std::path::PathBuf;

use hooks_core::{BoxError, ConfigProblem, Secret};
use serde::{Deserialize, Deserializer};

use super::{Body, HttpConfig, OAuth2};
use crate::files;

/// One secret or several.
#[derive(Debug, Clone, Default)]
pub struct SigningSecrets(pub(super) Vec<Secret>);

impl SigningSecrets {
    /// All of them, in the order they were written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Secret> {
        self.0.iter()
    }
}

impl FromIterator<Secret> for SigningSecrets {
    fn from_iter<I: IntoIterator<Item = Secret>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for SigningSecrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum or a visitor: their errors may quote the value.
        let written = match serde_json::Value::deserialize(deserializer) {
            Ok(serde_json::Value::Array(several)) => several,
            Ok(one) => vec![one],
            Err(_) => Vec::new(),
        };
        let secrets: Result<Self, _> = written.into_iter().map(serde_json::from_value::<Secret>).collect();
        match secrets {
            Ok(secrets) => Ok(secrets),
            Err(_) => Err(serde::de::Error::custom("expected a secret in quotes, or a list of them")),
        }
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for SigningSecrets {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SigningSecrets".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string", "writeOnly": true },
                { "type": "array", "items": { "type": "string", "writeOnly": true }, "minItems": 1 },
            ]
        })
    }
}

/// The setting of a file with a template.
pub(crate) const TEMPLATE: &str = "body.template_file";

/// Settings whose secrets and templates are all there: those of files were read. A problem that one of them causes names
/// its file.
pub(crate) struct Loaded {
    pub(crate) config: HttpConfig,
    files: Vec<(&'static str, &'static str, PathBuf)>,
}

impl Loaded {
    /// Reads every file that a `…_file` setting of a secret or template names; `None` when there is none.
    pub(crate) fn read(config: &HttpConfig) -> Result<Option<Self>, BoxError> {
        let mut loaded = Self::with_template(config)?;
        let config = &mut loaded.config;
        let mut read = |of, setting, path: &mut Option<PathBuf>| {
            let Some(path) = path.take() else { return Ok(None) };
            let secret = files::secret(setting, &path);
            loaded.files.push((of, setting, path));
            secret.map(Some)
        };
        if let Some(text) = read("secret", "secret_file", &mut config.secret_file)? {
            let lines = text.expose().lines().map(str::trim).filter(|line| !line.is_empty());
            config.secret = Some(lines.map(Secret::new).collect());
        }
        if let Some(token) = read("bearer", "bearer_file", &mut config.bearer_file)? {
            config.bearer = Some(token);
        }
        if let Some(basic) = &mut config.basic
            && let Some(password) = read("basic.password", "basic.password_file", &mut basic.password_file)?
        {
            basic.password = Some(password);
        }
        if let Some(oauth2) = &mut config.oauth2 {
            let OAuth2 { client_secret, client_secret_file, private_key, private_key_file, .. } = &mut **oauth2;
            let secrets = [
                ("oauth2.client_secret", "oauth2.client_secret_file", client_secret, client_secret_file),
                ("oauth2.private_key", "oauth2.private_key_file", private_key, private_key_file),
            ];
            for (of, setting, secret, path) in secrets {
                if let Some(read) = read(of, setting, path)? {
                    *secret = Some(read);
                }
            }
        }
        if let Some(hmac) = &mut config.hmac
            && let Some(secret) = read("hmac.secret", "hmac.secret_file", &mut hmac.secret_file)?
        {
            hmac.secret = Some(secret);
        }
        Ok((!loaded.files.is_empty()).then_some(loaded))
    }

    /// Reads the file of the template alone.
    pub(crate) fn with_template(config: &HttpConfig) -> Result<Self, BoxError> {
        let mut loaded = Self { config: config.clone(), files: Vec::new() };
        if let Body::Template(template) = &mut loaded.config.body
            && let Some(path) = template.template_file.take()
        {
            template.template = Some(files::text(TEMPLATE, &path)?);
            loaded.files.push(("body.template", TEMPLATE, path));
        }
        Ok(loaded)
    }

    /// A problem, at the setting that it is really about: `secret[1]` may be in a file.
    pub(crate) fn placed(&self, problem: ConfigProblem) -> ConfigProblem {
        let ConfigProblem { path, message } = problem;
        let of = path.split('[').next().unwrap_or_default();
        let file = self.files.iter().find(|(read, ..)| *read == of);
        let path = file.map_or(path.clone(), |(_, setting, file)| format!("{setting} {}", file.display()));
        ConfigProblem { path, message }
    }
}
