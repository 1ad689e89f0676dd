//! Connections to the server, and the meaning of its errors.

use std::time::Duration;

use hooks_core::BusError;
use tokio_postgres::config::{self, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::{Host, PostgresConfig, SslMode};
use super::{passfile, tls};
use crate::files;

/// The time limit for a connection, and for an answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The oldest server that is supported.
const OLDEST: u32 = 140_000;

/// What each session begins with, whatever role or database say. What is accepted is on the synchronous standbys, too, if
/// there are any. No statement takes so long that compiling it (`jit`) is worth it. A server that is asked for more than it
/// can do in 30 s gives up, and so the session is free again.
const SETUP: &str = "SET default_transaction_isolation = 'read committed'; SET statement_timeout = '30s'; \
     SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '30s'; SET timezone = 'UTC'; SET jit = off; \
     SET client_min_messages = warning; SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

pub(super) const POOLED: &str =
    "a pooler gives each transaction another session: connect to the server itself, or pool by session";

pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Connects to one of the servers: the first that takes writes.
pub(super) async fn connect(config: &PostgresConfig, role: &str) -> Result<(Client, Wire), BusError> {
    let tls = tls::connector(config).await?;
    let mut failed = Vec::new();
    for text in &config.hosts {
        let Some(host) = Host::parse(text) else { continue };
        match options(config, &host, role).await?.connect(tls.clone()).await {
            Ok(connected) => return Ok(connected),
            Err(error) => failed.push(format!("connect to {text}: {}", explain(&error))),
        }
    }
    Err(BusError::Unavailable(failed.join("; ")))
}

async fn options(config: &PostgresConfig, host: &Host, role: &str) -> Result<Config, BusError> {
    let mut options = Config::new();
    let (name, port) = match host {
        Host::Tcp(name, port) => (name.as_str(), *port),
        // As psql looks a socket up in its passfile.
        Host::Unix(_, port) => ("localhost", *port),
    };
    match host {
        Host::Tcp(name, _) => options.host(name),
        Host::Unix(folder, _) => options.host_path(folder),
    };
    options
        .port(port)
        .dbname(&config.database)
        .user(&config.user)
        .application_name(format!("hooks {role}"))
        .connect_timeout(REQUEST_TIMEOUT)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(15))
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .ssl_mode(match (host, config.sslmode) {
            (Host::Unix(..), _) | (_, SslMode::Disable) => config::SslMode::Disable,
            (_, SslMode::Prefer) => config::SslMode::Prefer,
            _ => config::SslMode::Require,
        });
    if let Some(password) = &config.password {
        options.password(password.expose());
    }
    if let Some(path) = &config.passfile {
        let failed = |why: &str| BusError::Unavailable(format!("passfile {}: {why}", path.display()));
        let content = files::read("passfile", path).await?;
        let text = hooks_core::secret::plain_text(&content).map_err(failed)?;
        let password = passfile::find(text, name, port, &config.database, &config.user);
        let password = password
            .ok_or_else(|| failed(&format!("no line fits `{name}:{port}:{}:{}`", config.database, config.user)))?;
        options.password(password.expose());
    }
    Ok(options)
}

/// Sets a new session up, and checks that the bus can use the server.
pub(super) async fn set_up(client: &Client) -> Result<(), BusError> {
    client.batch_execute(SETUP).await.map_err(|error| failed("set up a session", &error))?;
    let sql = "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), current_setting('server_encoding')";
    let row = client.query_one(sql, &[]).await.map_err(|error| failed("ask for the version", &error))?;
    let (number, version, encoding): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
    if u32::try_from(number).unwrap_or(0) < OLDEST {
        return Err(BusError::Unavailable(format!("the server is PostgreSQL {version}: the bus needs 14 or newer")));
    }
    if encoding != "UTF8" {
        let advice = "make one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`";
        return Err(BusError::Unavailable(format!(
            "the database has the encoding {encoding}: events need UTF8, {advice}"
        )));
    }
    Ok(())
}

/// An error that names the action.
pub(super) fn failed(what: &str, error: &Error) -> BusError {
    let text = format!("{what}: {}", explain(error));
    match error.code() {
        Some(&SqlState::DISK_FULL) => BusError::Full(text),
        _ => BusError::Unavailable(text),
    }
}

/// What the server or the connection says.
pub(super) fn said(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => hooks_core::chain(error),
    }
}

/// The same, and what to do about it.
pub(super) fn explain(error: &Error) -> String {
    let said = said(error);
    let Some(advice) = error.code().and_then(advice) else { return said };
    format!("{said}: {advice}")
}

fn advice(code: &SqlState) -> Option<&'static str> {
    Some(match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check the bus's `user` with `password`, `passfile` or `sslcert`, and pg_hba.conf"
        }
        SqlState::INVALID_CATALOG_NAME => "make the database, or set the bus's `database`",
        SqlState::TOO_MANY_CONNECTIONS => {
            "an instance takes four connections: raise max_connections, or the limit of the role or database"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => "the bus's role has to own the schema `hooks` and what is in it",
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_FUNCTION | SqlState::INVALID_SCHEMA_NAME => {
            "a part of the schema `hooks` is gone: `hooks postgres schema` prints all of it"
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            "the server takes no writes: is it a standby? Name all servers in `hosts`"
        }
        SqlState::QUERY_CANCELED => "a statement took too long, or somebody stopped it",
        SqlState::DISK_FULL => "the database has no room left",
        SqlState::UNDEFINED_PSTATEMENT | SqlState::DUPLICATE_PSTATEMENT => POOLED,
        _ => return None,
    })
}

/// An error's text without the words that say it is about the bus.
pub(super) fn message(error: BusError) -> String {
    match error {
        BusError::Unavailable(text) => text,
        error => error.to_string(),
    }
}
