//! Settings of the Postgres bus.

use std::path::PathBuf;
use std::time::Duration;

use hooks_core::{ByteSize, ConfigProblem, HumanDuration, Secret};
use serde::Deserialize;

use crate::duplicates::{self, DuplicateLimits};

/// Keeps events in a Postgres database, where applications publish inside their own transactions; several processes
/// share the hooks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// Servers, of which the first is used that answers and takes writes: `HOST`, `HOST:PORT`, or the folder of a Unix
    /// socket such as `/var/run/postgresql`. The port is 5432 unless it is said.
    pub hosts: Vec<String>,
    /// Name of the database. What the bus keeps is in its schema `hooks`.
    pub database: String,
    /// The role to connect as, which owns the schema.
    pub user: String,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// A file with passwords, as psql reads one: lines of `HOST:PORT:DATABASE:USER:PASSWORD`.
    pub passfile: Option<PathBuf>,
    /// Whether the connection is encrypted, and what is checked then: `disable`, `prefer`, `require`, `verify-ca`,
    /// `verify-full`. A Unix socket is never encrypted.
    pub sslmode: SslMode,
    /// A PEM file of authorities to trust, in place of those of the system. With it, `require` checks as `verify-ca` does.
    pub sslrootcert: Option<PathBuf>,
    /// A PEM file with the client's certificate; needs `sslkey`.
    pub sslcert: Option<PathBuf>,
    /// A PEM file with the key of `sslcert`.
    pub sslkey: Option<PathBuf>,
    /// Creates the schema where there is none. `hooks postgres schema` prints it for those who create it themselves.
    pub create: bool,
    /// Events stay readable for this long after all hooks have them, if `max_bytes` allows it.
    pub retain: HumanDuration,
    /// Bytes of the log. At the limit, events that all hooks have go first, and then publishing is refused.
    pub max_bytes: ByteSize,
    /// An event whose `source` and `id` one had that was accepted this long ago, or less, is accepted and not taken
    /// again, if the publisher chose the id, whoever published it and how; also after a restart. At least 1s. `"0s"`: every
    /// event is taken. The same for all instances.
    pub duplicate_window: HumanDuration,
    /// About how many ids are remembered for it, at some 150 bytes of disk each. When more come within the window, it is
    /// shorter.
    pub duplicate_ids: u32,
    /// An instance that is silent for this long has lost its hooks to the others.
    pub lease: HumanDuration,
    /// Most dead letters of each hook. At the limit the hook is held.
    pub max_dead_letters: u64,
}

/// Whether a connection is encrypted, in the words of libpq.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can; nothing is checked.
    #[default]
    Prefer,
    /// Encrypted; nothing is checked.
    Require,
    /// Encrypted, to a server with a certificate of a trusted authority.
    VerifyCa,
    /// Encrypted, to a server with a certificate of a trusted authority for its name.
    VerifyFull,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            hosts: vec!["127.0.0.1:5432".to_owned()],
            database: "hooks".to_owned(),
            user: "hooks".to_owned(),
            password: None,
            passfile: None,
            sslmode: SslMode::Prefer,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            create: true,
            retain: HumanDuration::new(Duration::ZERO),
            max_bytes: ByteSize::new(10 << 30),
            duplicate_window: duplicates::window(),
            duplicate_ids: duplicates::ids(),
            lease: HumanDuration::new(Duration::from_secs(5)),
            max_dead_letters: 10_000,
        }
    }
}

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Tcp(String, u16),
    /// The folder of its socket.
    Unix(PathBuf, u16),
}

/// The port where nobody says another.
const PORT: u16 = 5432;

impl Host {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.rsplit_once(':') {
            // An IPv6 address has its own colons, unless it is in brackets.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse().ok()?),
            _ => (text, PORT),
        };
        if name.starts_with('/') {
            return Some(Self::Unix(name.into(), port));
        }
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let legal = |char: char| char.is_alphanumeric() || ".-_:%".contains(char);
        (!name.is_empty() && name.chars().all(legal) && port > 0).then(|| Self::Tcp(name.to_owned(), port))
    }
}

impl PostgresConfig {
    /// All problems, each with the path of the setting. Reads no file and asks no server.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, text: String| problems.push(ConfigProblem::new(path.to_owned(), text));
        if self.hosts.is_empty() {
            wrong("hosts", "needs at least one server, for example \"127.0.0.1:5432\"".to_owned());
        }
        for (at, host) in self.hosts.iter().enumerate().filter(|(_, host)| Host::parse(host).is_none()) {
            let text =
                "is no server: `HOST`, `HOST:PORT` or the folder of a Unix socket such as \"/var/run/postgresql\"";
            wrong(&format!("hosts[{at}]"), format!("`{host}` {text}"));
        }
        for (path, name) in [("database", &self.database), ("user", &self.user)] {
            if name.is_empty() || name.contains('\0') {
                wrong(path, "needs a name".to_owned());
            }
        }
        if self.password.is_some() && self.passfile.is_some() {
            wrong("", "set one of `password` and `passfile`".to_owned());
        }
        if let Some(password) = &self.password
            && let Err(why) = hooks_core::secret::without_mark(password.expose().as_bytes())
        {
            wrong("password", why.to_owned());
        }
        if self.sslcert.is_some() != self.sslkey.is_some() {
            wrong("sslcert", "`sslcert` and `sslkey` go together".to_owned());
        }
        if self.sslmode == SslMode::Disable {
            let files = [("sslrootcert", &self.sslrootcert), ("sslcert", &self.sslcert)];
            for (path, _) in files.into_iter().filter(|(_, file)| file.is_some()) {
                wrong(path, "has no effect with `sslmode = \"disable\"`".to_owned());
            }
        }
        if self.max_bytes < ByteSize::new(MIN_BYTES) {
            wrong("max_bytes", format!("must be at least {}", ByteSize::new(MIN_BYTES)));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&self.lease.get()) {
            wrong("lease", format!("{} is not between 1s and 5m", self.lease));
        }
        if self.max_dead_letters == 0 || i64::try_from(self.max_dead_letters).is_err() {
            wrong("max_dead_letters", "must be at least 1 and fit into a bigint".to_owned());
        }
        problems.extend(self.duplicates().problems());
        problems
    }

    fn duplicates(&self) -> DuplicateLimits {
        DuplicateLimits { window: self.duplicate_window, ids: self.duplicate_ids }
    }

    /// The seconds for which an event is known. 0: none is.
    pub(super) fn known_for(&self) -> f64 {
        self.duplicate_window.get().as_secs_f64()
    }
}

/// The smallest log: a few partitions.
const MIN_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<String> {
        let config: PostgresConfig = serde_json::from_str(json).unwrap();
        config.problems().iter().map(|problem| problem.path.clone()).collect()
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(problems("{}"), [""; 0]);
        let bad = r#"{"hosts":["a b","x:y"],"database":"","user":"","password":"\ufeffa","passfile":"f","sslmode":"disable","sslrootcert":"r","sslcert":"c","max_bytes":1,"lease":"1ms","max_dead_letters":0,"duplicate_window":"1ms","duplicate_ids":0}"#;
        let expected = [
            "hosts[0]",
            "hosts[1]",
            "database",
            "user",
            "",
            "password",
            "sslcert",
            "sslrootcert",
            "sslcert",
            "max_bytes",
            "lease",
            "max_dead_letters",
            "duplicate_window",
            "duplicate_ids",
        ];
        assert_eq!(problems(bad), expected);
        assert_eq!(problems(r#"{"hosts":[]}"#), ["hosts"]);
    }

    #[test]
    fn a_server_is_a_name_an_address_or_a_folder() {
        let tcp = |name: &str, port| Some(Host::Tcp(name.to_owned(), port));
        assert_eq!(Host::parse("db.example"), tcp("db.example", 5432));
        assert_eq!(Host::parse("10.0.0.1:6432"), tcp("10.0.0.1", 6432));
        assert_eq!(Host::parse("[::1]:5433"), tcp("::1", 5433));
        assert_eq!(Host::parse("::1"), tcp("::1", 5432));
        assert_eq!(Host::parse("/run/pg:5433"), Some(Host::Unix("/run/pg".into(), 5433)));
        for text in ["", ":5432", "a:0", "a/b", "postgres://a@b/c"] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let config: PostgresConfig = serde_json::from_str(r#"{"password":"open sesame"}"#).unwrap();
        assert!(!format!("{config:?}").contains("sesame"));
    }
}
