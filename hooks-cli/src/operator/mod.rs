//! Operators' requests about a bus and its hooks, to the daemon that runs or to what is kept itself.
//!
//! ```text
//!  hooks status ─▶ Request ─▶ the daemon's socket (DIR/operator.sock) ───┐
//!                     ├─ none runs: this process opens the folder ───────┴▶ Desk ─▶ Response
//!                     └─ NATS: every daemon, by its server (cluster), and what is kept there
//! ```

#[cfg(feature = "nats")]
mod cluster;
mod desk;
mod local;
mod protocol;
#[cfg(feature = "nats")]
mod reports;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use hooks_bus::OpenError;
use hooks_core::{BoxError, Dispatcher, Hook};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use desk::Desk;
pub(crate) use protocol::{HookReport, Letter, Request, Response, Which, timestamp};

use crate::bus::{self, Patience, Purpose, Way};
use crate::config::BusConfig;
use local::Local;
use socket::{Connection, Listener, SOCKET};

/// The longest time that the last answers may take, once the dispatcher is shut down.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Answers operators.
pub(crate) struct Listening {
    task: JoinHandle<()>,
    desk: Arc<Desk>,
}

/// Answers operators, until that is ended. Where that can't be, the log says why: events are delivered all the same.
pub(crate) fn listen(way: Way, desk: Desk) -> Option<Listening> {
    let desk = Arc::new(desk);
    let task = match way {
        Way::None => return None,
        Way::Folder(folder) => match Listener::bind(&folder) {
            Ok(listener) => tokio::spawn(listener.serve(desk.clone())),
            Err(error) => {
                tracing::error!(
                    "operators can't reach this daemon before that is mended and it is started anew: {error}"
                );
                return None;
            }
        },
        #[cfg(feature = "nats")]
        Way::Nats(bus) => tokio::spawn(cluster::serve(bus, desk.clone())),
    };
    Some(Listening { task, desk })
}

/// Notes for operators who look at this bus's folder before a daemon runs.
pub(crate) fn obstacle(bus: &BusConfig) -> Option<String> {
    bus::folder(bus).and_then(socket::obstacle)
}

fn is_in_use(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse { .. }))
}

/// Nobody answered at the folder's socket, and yet somebody has the folder.
fn unanswered(error: BoxError) -> BoxError {
    match error.downcast_ref() {
        Some(OpenError::InUse { dir }) => {
            let socket = dir.join(SOCKET);
            format!("{error}; it answers no operators at `{}`: ask again if a daemon is about to start or to end, else its log says why", socket.display())
                .into()
        }
        _ => error,
    }
}

impl Listening {
    /// Listens no more. Who has asked over the socket still hears what came of it: how far a replay was, say.
    pub(crate) async fn end(self) {
        self.task.abort();
        // The socket's file goes with it.
        let _ = self.task.await;
        let _ = timeout(LAST_ANSWERS, self.desk.all_answered()).await;
    }
}

/// Whoever answers: a daemon, this process, or all daemons of a cluster.
pub(crate) enum Operator {
    Daemon(Box<Connection>),
    Folder(Box<Local>),
    #[cfg(feature = "nats")]
    Cluster(Box<cluster::Cluster>),
}

impl Operator {
    /// Talks to the daemon that has the folder open, or opens it for this purpose.
    ///
    /// # Errors
    /// When neither is possible.
    pub(crate) async fn find(bus: &BusConfig, mut hooks: Vec<Hook>, purpose: Purpose) -> Result<Self, BoxError> {
        #[cfg(feature = "nats")]
        if let BusConfig::Nats(config) = bus {
            return Ok(Self::Cluster(Box::new(cluster::Cluster::open(config, hooks).await?)));
        }
        let mut patience = Patience::default();
        loop {
            if let Some(folder) = bus::folder(bus)
                && let Some(connection) = Connection::open(folder).await?
            {
                return Ok(Self::Daemon(Box::new(connection)));
            }
            match Local::open(bus, &mut hooks, purpose).await {
                Ok(local) => return Ok(Self::Folder(Box::new(local))),
                // Whoever has it may leave it, or be a daemon that is about to answer.
                Err(error) if is_in_use(&error) && patience.waits().await => {}
                Err(error) => return Err(unanswered(error)),
            }
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When there is none, or it is that it can't be done.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response, BoxError> {
        let response = match self {
            Self::Daemon(connection) => connection.ask(&request).await?,
            Self::Folder(local) => local.ask(request).await,
            #[cfg(feature = "nats")]
            Self::Cluster(cluster) => cluster.ask(request).await,
        };
        match response {
            Response::Failed { error } => Err(error.into()),
            other => Ok(other),
        }
    }

    /// The status when no daemon answered.
    pub(crate) fn source(&self) -> String {
        self.knows_nothing().unwrap_or_else(|| match self {
            Self::Daemon(_) | Self::Folder(_) => "no daemon has the folder: this is what the log says".to_owned(),
            #[cfg(feature = "nats")]
            Self::Cluster(_) => "no daemon runs: this is what NATS has".to_owned(),
        })
    }

    /// The dispatcher, where this process delivers: shut down, it lets a replay end and say how far it came.
    pub(crate) fn dispatcher(&self) -> Option<Arc<Dispatcher>> {
        match self {
            Self::Folder(local) => local.dispatcher(),
            _ => None,
        }
    }

    /// The reason why nothing is known of any hook, if that is so.
    pub(crate) fn knows_nothing(&self) -> Option<String> {
        match self {
            Self::Folder(local) => local.knows_nothing(),
            _ => None,
        }
    }

    /// Ends what this process began.
    pub(crate) async fn close(self) {
        match self {
            Self::Daemon(_) => {}
            Self::Folder(local) => local.close().await,
            #[cfg(feature = "nats")]
            Self::Cluster(cluster) => cluster.close().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use hooks_bus::{DurableBus, DurableConfig};
    use hooks_core::HookId;
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_starts_is_asked_once_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let config = DurableConfig::new(folder.path());
        let _daemon = DurableBus::open(&config).unwrap();
        let config = BusConfig::Durable(config);
        let starts = async {
            sleep(Duration::from_millis(1)).await;
            Listener::bind(folder.path()).unwrap()
        };
        let (found, _listener) = tokio::join!(Operator::find(&config, Vec::new(), Purpose::Look), starts);
        assert!(matches!(found.unwrap(), Operator::Daemon(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_hangs_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = tokio::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        for request in [Request::Status, Request::Log, Request::Enable { hook: HookId::new("a").unwrap() }] {
            let mut connection = Connection::open(folder.path()).await.unwrap().unwrap();
            let error = connection.ask(&request).await.unwrap_err().to_string();
            assert!(error.contains("does not answer for 15s"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_daemon_that_goes_away_is_named_whatever_it_has_answered_by_then() {
        let folder = tempfile::tempdir().unwrap();
        for answer in ["", "{\"status\""] {
            let listener = tokio::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap();
            let goes = async {
                // The request stays unread: the operator sees a reset.
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let mut connection = Connection::open(folder.path()).await.unwrap().unwrap();
            let ((), asked) = tokio::join!(goes, connection.ask(&Request::Status));
            let error = asked.unwrap_err().to_string();
            assert!(error.starts_with("the daemon went away before it answered"), "{error}");
            std::fs::remove_file(folder.path().join(SOCKET)).unwrap();
        }
    }
}
