//! Settings of the NATS bus.

use std::path::PathBuf;
use std::time::Duration;

use hooks_core::{ByteSize, ConfigProblem, HumanDuration, Secret};
use serde::Deserialize;

/// Keeps events in a NATS JetStream stream; several processes share the hooks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// Addresses of servers of one cluster: `nats://host:4222`, `tls://host:4222`.
    pub servers: Vec<String>,
    /// Names everything on the server: the stream `NAME` with the subjects `NAME.events.>`,
    /// the stream `NAME-dead` with the subjects `NAME.dead.>`, and the key-value bucket `NAME-hooks`.
    /// Instances with the same name share their hooks. Letters, digits, `-` and `_`.
    pub name: String,
    /// Name of a user, with `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// A token.
    pub token: Option<Secret>,
    /// The seed of an nkey (`SU…`).
    pub nkey: Option<Secret>,
    /// A credentials file, with a JWT and its key.
    pub credentials_file: Option<PathBuf>,
    /// Encrypts the connection. Not set: as the address says.
    pub tls: Option<NatsTls>,
    /// Creates streams and bucket where they don't exist. Existing ones are checked and never changed.
    pub create: bool,
    /// Copies of everything in a cluster, 1 to 5. Not set: 1 when created.
    pub replicas: Option<usize>,
    /// Bytes of events that the stream keeps; more are refused. Not set: 10 GiB when created.
    pub max_bytes: Option<ByteSize>,
    /// Events older than this are dropped, delivered or not. Not set: never when created.
    pub max_age: Option<HumanDuration>,
    /// The time for which the stream remembers ids, to drop events that are published twice. Not set: 2m when created.
    pub duplicate_window: Option<HumanDuration>,
    /// An instance that is silent for this long has lost its hooks to the others.
    pub lease: HumanDuration,
    /// Most dead letters of each hook. At the limit the hook is held.
    pub max_dead_letters: u64,
}

/// TLS of the connection to NATS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NatsTls {
    /// A PEM file of authorities to trust besides those of the system.
    pub ca: Option<PathBuf>,
    /// A PEM file with the client's certificate; needs `key`.
    pub cert: Option<PathBuf>,
    /// A PEM file with the key of `cert`.
    pub key: Option<PathBuf>,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            name: "hooks".to_owned(),
            user: None,
            password: None,
            token: None,
            nkey: None,
            credentials_file: None,
            tls: None,
            create: true,
            replicas: None,
            max_bytes: None,
            max_age: None,
            duplicate_window: None,
            lease: HumanDuration::new(Duration::from_secs(5)),
            max_dead_letters: 10_000,
        }
    }
}

impl NatsConfig {
    /// All problems, each with the path of the setting. Reads no file and asks no server.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, text: String| problems.push(ConfigProblem::new(path.to_owned(), text));
        if self.servers.is_empty() {
            wrong("servers", "needs at least one address, for example \"nats://127.0.0.1:4222\"".to_owned());
        }
        for (at, server) in self.servers.iter().enumerate() {
            if let Some(text) = wrong_address(server) {
                wrong(&format!("servers[{at}]"), text);
            }
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(legal) {
            wrong("name", format!("`{}` is no name: 1 to 64 letters, digits, `-` and `_`", self.name));
        }
        if self.user.is_some() != self.password.is_some() {
            wrong("user", "`user` and `password` go together".to_owned());
        }
        for (path, secret) in [("password", &self.password), ("token", &self.token), ("nkey", &self.nkey)] {
            if let Some(Err(why)) =
                secret.as_ref().map(|secret| hooks_core::secret::without_mark(secret.expose().as_bytes()))
            {
                wrong(path, why.to_owned());
            }
        }
        let ways = [self.user.is_some(), self.token.is_some(), self.nkey.is_some(), self.credentials_file.is_some()];
        if ways.iter().filter(|way| **way).count() > 1 {
            wrong("", "set one of `user` with `password`, `token`, `nkey`, `credentials_file`".to_owned());
        }
        if self.tls.as_ref().is_some_and(|tls| tls.cert.is_some() != tls.key.is_some()) {
            wrong("tls", "`cert` and `key` go together".to_owned());
        }
        if self.replicas.is_some_and(|replicas| !(1..=5).contains(&replicas)) {
            wrong("replicas", "JetStream keeps 1 to 5 copies".to_owned());
        }
        if self.max_bytes == Some(ByteSize::new(0)) {
            wrong("max_bytes", "0 bytes hold no event: set at least 1".to_owned());
        }
        if self.max_age.is_some_and(|age| age.get() < Duration::from_secs(1)) {
            wrong("max_age", "must be at least 1s".to_owned());
        }
        if self.duplicate_window.is_some_and(|window| window.get() < Duration::from_millis(100)) {
            wrong("duplicate_window", "must be at least 100ms".to_owned());
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&self.lease.get()) {
            wrong("lease", format!("{} is not between 1s and 5m", self.lease));
        }
        if self.max_dead_letters == 0 {
            wrong("max_dead_letters", "must be at least 1".to_owned());
        }
        problems
    }
}

fn wrong_address(server: &str) -> Option<String> {
    let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
    if rest.contains('@') {
        return Some("the address holds credentials: set `user` and `password`, or `token`".to_owned());
    }
    if !["nats", "tls"].contains(&scheme) || rest.is_empty() || server.parse::<async_nats::ServerAddr>().is_err() {
        return Some(format!("`{server}` is no address of a server, for example \"nats://127.0.0.1:4222\""));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<String> {
        let config: NatsConfig = serde_json::from_str(json).unwrap();
        config.problems().iter().map(|problem| problem.path.clone()).collect()
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(problems("{}"), [""; 0]);
        let bad = r#"{"servers":["http://x","nats://a:b@c"],"name":"a b","user":"u","token":"t","tls":{"cert":"c"},"replicas":6,"max_bytes":0,"max_age":"1ms","duplicate_window":"1ms","lease":"1ms","max_dead_letters":0}"#;
        let expected = [
            "servers[0]",
            "servers[1]",
            "name",
            "user",
            "",
            "tls",
            "replicas",
            "max_bytes",
            "max_age",
            "duplicate_window",
            "lease",
            "max_dead_letters",
        ];
        assert_eq!(problems(bad), expected);
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        let marked = |name: &str| format!("{{\"{name}\":\"\\ufeffsesame\"}}");
        assert_eq!(problems(&marked("token")), ["token"]);
        assert_eq!(problems(&marked("nkey")), ["nkey"]);
        assert!(problems(&marked("password")).contains(&"password".to_owned()));
    }

    #[test]
    fn secrets_are_not_printed() {
        let config: NatsConfig = serde_json::from_str(r#"{"user":"u","password":"open sesame"}"#).unwrap();
        assert!(!format!("{config:?}").contains("sesame"));
    }
}
