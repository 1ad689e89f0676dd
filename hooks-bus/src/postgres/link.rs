//! A connection that renews itself.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::BusError;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Error, Row, Statement};

use super::config::PostgresConfig;
use super::connect::{self, POOLED, REQUEST_TIMEOUT, Wire, failed, message};
use super::rollback::Known;
use crate::sharing::reconnect_delay;

/// The parameters of a statement.
pub(super) type Parameters<'a> = [&'a (dyn ToSql + Sync)];

/// What happens on a connection.
pub(super) enum Happening<'a> {
    /// It was made, for the first time or again: notices may have been missed.
    Connected,
    /// A notice on a channel, with its text.
    Notice(&'a str, &'a str),
}

/// Hears what happens on a connection.
pub(super) type Hearing = Box<dyn Fn(Happening<'_>) + Send + Sync>;

/// A connection for one purpose. Statements are sent one after the other, without waiting for answers in between, and each
/// is a transaction of its own.
pub(super) struct Link {
    state: watch::Receiver<State>,
    /// The time limit for an answer.
    patience: Duration,
}

/// The purpose of a connection.
#[derive(Clone, Copy)]
pub(super) struct Purpose {
    pub(super) name: &'static str,
    /// SQL that its sessions begin with.
    pub(super) begin: &'static str,
    pub(super) patience: Duration,
}

impl Purpose {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, begin: "", patience: REQUEST_TIMEOUT }
    }
}

#[derive(Clone)]
enum State {
    /// The reason why there is no session now.
    Down(String),
    Up(Arc<Session>),
}

struct Session {
    client: Client,
    statements: tokio::sync::Mutex<HashMap<&'static str, Statement>>,
    /// It does not answer: another is to be made.
    broken: Notify,
}

/// The reason why a statement was not done, or may not have been.
pub(super) enum Failed {
    /// There is no connection, or no answer.
    Lost(BusError),
    Refused(Error),
}

impl Failed {
    /// As an error that names the action.
    pub(super) fn to(self, what: &str) -> BusError {
        match self {
            Self::Lost(error) => BusError::Unavailable(format!("{what}: {}", message(error))),
            Self::Refused(error) => failed(what, &error),
        }
    }
}

impl Link {
    /// A link and the task that keeps it, which makes the first connection.
    pub(super) fn new(
        config: Arc<PostgresConfig>,
        purpose: Purpose,
        hearing: Hearing,
        known: Known,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, state) = watch::channel(State::Down("not connected to Postgres yet".to_owned()));
        (Self { state, patience: purpose.patience }, keep(config, purpose, hearing, known, sender))
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// With the reason why the first attempt failed.
    pub(super) async fn connected(&self) -> Result<(), BusError> {
        let mut state = self.state.clone();
        loop {
            if let State::Up(_) = &*state.borrow_and_update() {
                return Ok(());
            }
            let changed = timeout(REQUEST_TIMEOUT * 2, state.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(BusError::Unavailable("Postgres does not answer".to_owned()));
            }
            if let State::Down(why) = &*state.borrow() {
                return Err(BusError::Unavailable(why.clone()));
            }
        }
    }

    /// The reason why there is no connection now, if there is none.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Up(session) if !session.client.is_closed() => None,
            State::Up(_) => Some("the connection to Postgres was lost".to_owned()),
            State::Down(why) => Some(why.clone()),
        }
    }

    /// Runs a statement and returns its rows. It may be done even if that fails or is dropped.
    pub(super) async fn query(&self, sql: &'static str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Failed> {
        let session = match &*self.state.borrow() {
            State::Up(session) => session.clone(),
            State::Down(why) => return Err(Failed::Lost(BusError::Unavailable(why.clone()))),
        };
        match timeout(self.patience, session.query(sql, parameters)).await {
            Ok(Err(error)) if error.is_closed() => {
                Err(Failed::Lost(BusError::Unavailable("the connection to Postgres was lost".to_owned())))
            }
            Ok(result) => result.map_err(Failed::Refused),
            Err(_) => {
                session.broken.notify_one();
                Err(Failed::Lost(BusError::Unavailable("Postgres does not answer".to_owned())))
            }
        }
    }

    /// Runs a statement that returns one row.
    pub(super) async fn one(&self, sql: &'static str, parameters: &Parameters<'_>) -> Result<Row, Failed> {
        let rows = self.query(sql, parameters).await?;
        let none = || Failed::Lost(BusError::Unavailable("Postgres returns no row".to_owned()));
        rows.into_iter().next().ok_or_else(none)
    }
}

/// # Errors
/// When connections share a session of the server.
pub(super) async fn have_sessions(links: &[&Link]) -> Result<(), BusError> {
    let failed = |error: Failed| error.to("look for a pooler");
    for (number, link) in links.iter().enumerate() {
        let mark = number.to_string();
        link.query("SELECT set_config('hooks.session', $1, false)", &[&mark]).await.map_err(failed)?;
    }
    for (number, link) in links.iter().enumerate() {
        let row = link.one("SELECT current_setting('hooks.session', true)", &[]).await.map_err(failed)?;
        if row.get::<_, Option<&str>>(0) != Some(number.to_string().as_str()) {
            return Err(BusError::Unavailable(POOLED.to_owned()));
        }
    }
    Ok(())
}

impl Session {
    async fn query(&self, sql: &'static str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        let known = self.statements.lock().await.get(sql).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = self.client.prepare(sql).await?;
                self.statements.lock().await.insert(sql, statement.clone());
                statement
            }
        };
        self.client.query(&statement, parameters).await
    }
}

async fn keep(
    config: Arc<PostgresConfig>,
    purpose: Purpose,
    hearing: Hearing,
    known: Known,
    state: watch::Sender<State>,
) {
    let mut attempts = 0;
    loop {
        let why = match connect::connect(&config, purpose.name).await {
            Ok((client, wire)) => {
                let session = Session { client, statements: Default::default(), broken: Notify::new() };
                let (why, worked) = run(Arc::new(session), wire, purpose.begin, &hearing, &known, &state).await;
                attempts = if worked { 0 } else { attempts };
                why
            }
            Err(error) => message(error),
        };
        attempts += 1;
        tracing::warn!(connection = purpose.name, %why, "there is no connection to Postgres: trying again");
        state.send_replace(State::Down(why));
        sleep(reconnect_delay(attempts)).await;
    }
}

/// Runs a connection to its end. Returns the reason, and whether it worked.
async fn run(
    session: Arc<Session>,
    mut wire: Wire,
    begin: &str,
    hearing: &Hearing,
    known: &Known,
    state: &watch::Sender<State>,
) -> (String, bool) {
    let prepared = async {
        connect::set_up(&session.client).await?;
        known.check(&session.client).await?;
        session.client.batch_execute(begin).await.map_err(|error| failed("begin", &error))
    };
    tokio::select! {
        prepared = timeout(REQUEST_TIMEOUT, prepared) => match prepared {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return (message(error), false),
            Err(_) => return ("Postgres does not answer".to_owned(), false),
        },
        why = drive(&mut wire, hearing) => return (why, false),
    }
    tracing::debug!("connected to Postgres");
    state.send_replace(State::Up(session.clone()));
    hearing(Happening::Connected);
    let why = tokio::select! {
        why = drive(&mut wire, hearing) => why,
        () = session.broken.notified() => "Postgres does not answer".to_owned(),
    };
    (why, true)
}

/// Drives a connection to its end; returns the reason.
async fn drive(wire: &mut Wire, hearing: &Hearing) -> String {
    loop {
        match poll_fn(|context| wire.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notice))) => {
                hearing(Happening::Notice(notice.channel(), notice.payload()))
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return connect::explain(&error),
            None => return "the connection to Postgres was lost".to_owned(),
        }
    }
}

/// The pause before something is tried again that failed.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(200);
