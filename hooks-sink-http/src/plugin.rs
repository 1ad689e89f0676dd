//! The settings of a webhook as those of a sink: what is wrong with them, and the sink that is built from them.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use hooks_core::{
    BatchLimits, BoxError, ConfigProblem, RetryPolicy, Secret,
    sink::{SigningOption, SinkConfig, SinkContext},
};

use crate::config::{HttpConfig, Loaded, Mode, SigningSecrets};
use crate::endpoint::Endpoint;
use crate::ready::Ready;
use crate::sink::HttpSink;
use crate::tls;

impl SinkConfig for HttpConfig {
    const KIND: &'static str = "http";
    type Sink = HttpSink;

    fn build(&self, context: &SinkContext) -> Result<HttpSink, BoxError> {
        let first = |mut problems: Vec<ConfigProblem>| problems.swap_remove(0);
        let mut ready = Ready::new(self).map_err(first)?;
        if let Some(loaded) = Loaded::read(self)? {
            ready = Ready::new(&loaded.config).map_err(|problems| loaded.placed(first(problems)))?;
        }
        HttpSink::new(ready, context)
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        Ready::new(self).err().unwrap_or_default()
    }

    fn untrusted_defaults() -> serde_json::Map<String, serde_json::Value> {
        serde_json::Map::from_iter([("guard".to_owned(), true.into())])
    }

    fn untrusted_problems(&self) -> Vec<ConfigProblem> {
        let message = "holds credentials, which are shown to whoever may see the hook: use `basic`";
        let has_some = self.url.parts().is_ok_and(|parts| parts.authorization.is_some());
        has_some.then(|| ConfigProblem::new("url", message)).into_iter().collect()
    }

    fn signing() -> Option<SigningOption> {
        Some(SigningOption::new("secret", crate::new_secret).or(&["secret_file"]))
    }

    fn batch_limits(&self) -> BatchLimits {
        match self.mode {
            Mode::Batch => BatchLimits::default(),
            Mode::Single => BatchLimits::immediate().max_events(NonZeroUsize::MIN),
        }
    }

    fn problems(&self, batch: &BatchLimits, retry: &RetryPolicy) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if let Some(connecting) = self.connect_timeout.filter(|connecting| *connecting >= retry.attempt_timeout) {
            let message = format!(
                "{} is over before the sink's connect_timeout of {connecting} is: an address that gives no answer leaves \
                 no time for the next. Raise this, or lower that (to half of it or less)",
                retry.attempt_timeout
            );
            problems.push(ConfigProblem::new("retry.attempt_timeout", message));
        }
        if self.mode == Mode::Single && batch.max_events != NonZeroUsize::MIN {
            let message =
                format!("{} events at a time contradict the sink's mode = \"single\": set 1", batch.max_events);
            problems.push(ConfigProblem::new("batch.max_events", message));
        }
        if self.mode == Mode::Single && !batch.max_age.get().is_zero() {
            let message = "with the sink's mode = \"single\" no event waits for another: set \"0s\"";
            problems.push(ConfigProblem::new("batch.max_age", message.to_owned()));
        }
        problems
    }

    fn warnings(&self) -> Vec<ConfigProblem> {
        let mut warnings = Vec::new();
        let mut warn = |path: &str, message: &str| warnings.push(ConfigProblem::new(path, message));
        if self.guard && self.proxy.is_some() {
            let message = "a proxy resolves names by itself, so the guard judges literal addresses in `url` only: \
                           have the proxy refuse private addresses";
            warn("proxy", message);
        }
        if self.tls.as_ref().is_some_and(|tls| tls.dangerously_accept_any_certificate) {
            let message = "anybody on the way can read and answer what is sent: name the authority in `tls.ca_file`";
            warn("tls.dangerously_accept_any_certificate", message);
        }
        for path in self.shows_credentials() {
            warn(path, "credentials travel in the clear, for everybody on the way to read: use https://");
        }
        warnings
    }

    fn files(&self) -> Vec<PathBuf> {
        let Self { bearer_file, secret_file, basic, oauth2, hmac, tls, .. } = self;
        let mut files = vec![bearer_file, secret_file];
        files.extend(basic.iter().map(|basic| &basic.password_file));
        files.extend(oauth2.iter().flat_map(|oauth2| [&oauth2.client_secret_file, &oauth2.private_key_file]));
        files.extend(hmac.iter().map(|hmac| &hmac.secret_file));
        files.extend(self.template().map(|template| &template.template_file));
        files.extend(tls.iter().flat_map(|tls| [&tls.ca_file, &tls.cert_file, &tls.key_file]));
        files.into_iter().flatten().cloned().collect()
    }

    fn file_problems(&self) -> Vec<ConfigProblem> {
        if self.template().is_none_or(|template| template.template_file.is_none()) {
            return Vec::new();
        }
        // That alone is read: whoever checks may not be the one who may read secrets.
        let loaded = match Loaded::with_template(self) {
            Ok(loaded) => loaded,
            Err(error) => return vec![ConfigProblem::new("body.template_file", error.to_string())],
        };
        let problems = Ready::new(&loaded.config).err().unwrap_or_default();
        problems.into_iter().map(|problem| loaded.placed(problem)).collect()
    }

    fn system_files(&self) -> Vec<PathBuf> {
        if self.trusts_the_system() { tls::system_files() } else { Vec::new() }
    }

    fn secrets(&self) -> Vec<Secret> {
        let Self { url, headers, values, basic, bearer, oauth2, secret, hmac, proxy, .. } = self;
        let optional = [
            bearer.as_ref(),
            basic.as_ref().and_then(|basic| basic.password.as_ref()),
            hmac.as_ref().and_then(|hmac| hmac.secret.as_ref()),
            proxy.as_ref().map(Endpoint::secret),
        ];
        let of_tokens = oauth2.iter().flat_map(|oauth2| {
            [Some(oauth2.token_url.secret()), oauth2.client_secret.as_ref(), oauth2.private_key.as_ref()]
        });
        let named = headers.iter().map(|(_, value)| value);
        let named = named.chain(values.iter().flat_map(|values| values.values()));
        let signing = secret.iter().flat_map(SigningSecrets::iter);
        let optional =
            optional.into_iter().chain(of_tokens).map(|secret| secret.cloned().unwrap_or_else(|| Secret::new("")));
        [url.secret()].into_iter().chain(named).chain(signing).cloned().chain(optional).collect()
    }
}
