//! Connections to the servers.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{Context, context::ContextBuilder};
use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ReconnectToServer, ServerAddr, ServerError,
};
use hooks_core::BusError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::NatsConfig;
use super::refusal;
use crate::files;
use crate::sharing::reconnect_delay;

/// The time limit for a server's answer to a request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit for the stream's acknowledgement of an event.
pub(super) const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Most events in flight that the stream has not acknowledged.
pub(super) const MAX_ACK_INFLIGHT: usize = 4096;

/// A connection and its events.
pub(super) struct Connected {
    pub(super) client: Client,
    /// Counts connections.
    pub(super) connections: watch::Receiver<u64>,
    pub(super) deny: Deny,
    pub(super) denied: Denied,
}

/// Takes what the server says that the user may not do.
#[derive(Debug, Clone)]
pub(super) struct Deny(watch::Sender<Option<(Instant, String)>>);

impl Deny {
    fn on_event(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(said)) = event
            && said.to_lowercase().contains("permissions")
        {
            self.0.send_replace(Some((Instant::now(), said.clone())));
        }
    }
}

/// The server's last denial of a permission. It arrives apart from the request, which gets no answer.
#[derive(Debug, Clone)]
pub(super) struct Denied(watch::Receiver<Option<(Instant, String)>>);

/// A denial explains failures for this long.
const RECENT: Duration = Duration::from_secs(15);

impl Denied {
    /// The denial of a moment ago, and what to do about it.
    pub(super) fn recently(&self, name: &str) -> Option<String> {
        let said = self.0.borrow().clone().filter(|(at, _)| at.elapsed() < RECENT)?.1;
        Some(format!(
            "{said}: the NATS user needs to publish to `{name}.>`, `$JS.API.>`, `$JS.FC.>`, `$KV.{name}-hooks.>` and `_INBOX.>`, and to subscribe to `_INBOX.>` and `{name}.ask.*`"
        ))
    }

    /// The error, with the denial of a moment ago.
    pub(super) fn explain(&self, name: &str, error: BusError) -> BusError {
        match (error, self.recently(name)) {
            (BusError::Unavailable(text), Some(denied)) => BusError::Unavailable(format!("{text}: {denied}")),
            (error, _) => error,
        }
    }

    /// Waits for a denial, not before `since`, of publishing to this subject. An earlier one, or one about anything
    /// else (a dead letter, an entry), says nothing about an event in flight.
    pub(super) async fn publishing_to(&mut self, subject: impl Fn() -> String, since: Instant) {
        let is_it = |said: &Option<(Instant, String)>| {
            said.as_ref().is_some_and(|(at, said)| {
                *at >= since && said.to_lowercase().contains("publish") && said.contains(&format!("\"{}\"", subject()))
            })
        };
        if self.0.wait_for(is_it).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Connects to one of the servers; the connection then renews itself.
pub(super) async fn connect(config: &NatsConfig) -> Result<Connected, BusError> {
    let (counted, connections) = watch::channel(0);
    let (deny, denied) = watch::channel(None);
    let deny = Deny(deny);
    let on_event = {
        let deny = deny.clone();
        move |event: &Event| {
            if let Event::Connected = event {
                counted.send_modify(|count| *count += 1);
            }
            deny.on_event(event);
            log(event);
        }
    };
    let client = dial(options(config, on_event).await?, config).await?;
    Ok(Connected { client, connections, deny, denied: Denied(denied) })
}

/// An address where nothing listens.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// Connects to one of the servers, once: the client, and what it was to send, ends with the connection. A client that
/// reconnects loses what it has written but sends what came after that, which is then out of order.
pub(super) async fn connect_once(config: &NatsConfig, deny: &Deny) -> Result<Client, BusError> {
    let deny = deny.clone();
    let failed = |error: &dyn std::error::Error| unavailable("connect for publishing", error);
    let nowhere: ServerAddr = NOWHERE.parse().map_err(|error| failed(&error))?;
    let there = nowhere.clone();
    let options = options(config, move |event| deny.on_event(event))
        .await?
        .max_reconnects(config.servers.len())
        .ignore_discovered_servers()
        .reconnect_to_server_callback(move |servers, _| {
            let found = servers.into_iter().find(|server| server.addr == there);
            let target = found.map(|server| ReconnectToServer { addr: server.addr, delay: Some(Duration::ZERO) });
            std::future::ready(target)
        });
    let client = dial(options, config).await?;
    // A client can't be told not to reconnect, but where to.
    client.set_server_pool(nowhere).await.map_err(|error| failed(&error))?;
    Ok(client)
}

async fn dial(options: ConnectOptions, config: &NatsConfig) -> Result<Client, BusError> {
    options.connect(&config.servers[..]).await.map_err(|error| {
        let advice = advice(&error).map(|advice| format!(": {advice}")).unwrap_or_default();
        BusError::Unavailable(format!("connect to {}: {}{advice}", config.servers.join(", "), chain(&error)))
    })
}

/// Advice for a connection that fails.
fn advice(error: &ConnectError) -> Option<&'static str> {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => Some(
            "the server does not take this user: check the bus's `user` with `password`, `token`, `nkey` or `credentials_file`, one of which it asks for",
        ),
        ConnectErrorKind::Authentication => {
            Some("the bus's `nkey` is no seed (`SU…`) of a user, or no signature comes of it")
        }
        ConnectErrorKind::TimedOut => Some("nothing answers there as a NATS server does, or it hangs"),
        _ if hooks_core::chain(error).contains("InvalidContentType") => {
            Some("the server does not speak TLS there: leave out the bus's `tls`, or set up TLS on the server")
        }
        _ => None,
    }
}

/// For publishing: many events in flight, each acknowledged.
pub(super) fn publisher(client: &Client) -> Context {
    ContextBuilder::new()
        .timeout(ACK_TIMEOUT)
        .ack_timeout(ACK_TIMEOUT)
        .max_ack_inflight(MAX_ACK_INFLIGHT)
        .backpressure_on_inflight(true)
        .build(client.clone())
}

/// For all other requests, so that these don't wait behind events.
pub(super) fn api(client: &Client) -> Context {
    ContextBuilder::new().timeout(REQUEST_TIMEOUT).backpressure_on_inflight(true).build(client.clone())
}

/// Fails if there is no connection now.
pub(super) fn connected(client: &Client) -> Result<(), BusError> {
    match client.connection_state() {
        State::Connected => Ok(()),
        _ => Err(BusError::Unavailable("not connected to NATS; trying to".to_owned())),
    }
}

/// An error that names the action and all causes of its failure.
pub(super) fn unavailable(what: &str, error: &dyn std::error::Error) -> BusError {
    BusError::Unavailable(format!("{what}: {}", chain(error)))
}

/// An error's text without the words that say it is about the bus.
pub(super) fn message(error: BusError) -> String {
    match error {
        BusError::Unavailable(text) => text,
        error => error.to_string(),
    }
}

/// An error with its causes, and with advice where the server's error code has some.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let advice = refusal::said(error).map_or("", |refused| refusal::class(refused).1);
    let text = hooks_core::chain(error);
    if advice.is_empty() { text } else { format!("{text}: {advice}") }
}

/// The options of a connection; `on_event` is told its events.
async fn options(
    config: &NatsConfig,
    on_event: impl Fn(&Event) + Send + Sync + 'static,
) -> Result<ConnectOptions, BusError> {
    let mut options = ConnectOptions::new()
        .name("hooks")
        .connection_timeout(REQUEST_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(config.lease.get().min(Duration::from_secs(10)))
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            on_event(&event);
            std::future::ready(())
        });
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        options = options.user_and_password(user.clone(), password.expose().to_owned());
    }
    if let Some(token) = &config.token {
        options = options.token(token.expose().to_owned());
    }
    if let Some(seed) = &config.nkey {
        options = options.nkey(seed.expose().to_owned());
    }
    if let Some(path) = &config.credentials_file {
        let failed = |why: &str| BusError::Unavailable(format!("credentials_file {}: {why}", path.display()));
        let content = files::read("credentials_file", path).await?;
        let text = hooks_core::secret::plain_text(&content).map_err(failed)?;
        // The parser's error may quote the file, which is a secret.
        options = options.credentials(text).map_err(|_| failed("no NATS credentials"))?;
    }
    if let Some(tls) = &config.tls {
        options = options.require_tls(true);
        // Each connection reads them again; errors of now are reported now.
        for (setting, path) in [("tls.ca", &tls.ca), ("tls.cert", &tls.cert), ("tls.key", &tls.key)] {
            if let Some(path) = path {
                let content = files::read(setting, path).await?;
                let failed = |why| BusError::Unavailable(format!("{setting} {}: {why}", path.display()));
                hooks_core::secret::without_mark(&content).map_err(failed)?;
            }
        }
        if let Some(ca) = &tls.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
    }
    Ok(options)
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Draining | Event::Closed => tracing::debug!(%event, "a NATS connection ends"),
        _ => tracing::warn!(%event, "the NATS connection has trouble"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_denial_is_about_its_subject_and_what_was_sent_before_it() {
        let (deny, denied) = watch::channel(None);
        let mut denied = Denied(denied);
        let at = Instant::now();
        let said = |subject: &str| format!("Permissions Violation for Publish to \"{subject}\"");
        let mut stops = async |since: Instant| {
            let wait = denied.publishing_to(|| "hooks.events.a".to_owned(), since);
            tokio::time::timeout(Duration::from_millis(1), wait).await.is_ok()
        };
        for other in ["hooks.dead.a.b.1", "$KV.hooks-hooks.alive.me", "hooks.events.a.b", "hooks.events"] {
            deny.send_replace(Some((at, said(other))));
            assert!(!stops(at).await, "{other}");
        }
        deny.send_replace(Some((at, said("hooks.events.a"))));
        assert!(stops(at).await && !stops(at + Duration::from_millis(1)).await, "it may have been allowed since");
    }
}
