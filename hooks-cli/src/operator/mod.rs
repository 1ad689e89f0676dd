//! Operators' requests about a bus and its hooks, to the daemon that runs or to what is kept itself.
//!
//! ```text
//!  hooks status ─▶ Request ─▶ the daemon's socket (DIR/operator.sock) ───┐
//!                     ├─ none runs: this process opens the bus ──────────┴▶ Desk ─▶ Response
//!                     └─ a shared bus: every daemon, over the bus (cluster), and what is kept there
//! ```

mod cluster;
mod desk;
mod local;
mod protocol;
mod reports;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, ControlChannel, Dispatcher, Hook, OpenBusError, Purpose};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use desk::Desk;
pub(crate) use protocol::{Letter, Request, Response, Which};

use crate::bus::Handover;
use crate::config::ConfiguredBus;
use local::{Local, Nothing, Open};
use socket::{Connection, Listener, SOCKET};

/// The longest time that the last answers may take, once the dispatcher is shut down.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Answers operators.
pub(crate) struct Listening {
    task: JoinHandle<()>,
    desk: Arc<Desk>,
}

/// Answers operators, until that is ended. Where that can't be, the log says why: events are delivered all the same.
pub(crate) fn listen(control: ControlChannel, desk: Desk) -> Option<Listening> {
    let desk = Arc::new(desk);
    let task = match control {
        ControlChannel::Folder(folder) => match Listener::bind(&folder) {
            Ok(listener) => tokio::spawn(listener.serve(desk.clone())),
            Err(error) => {
                tracing::error!(
                    "operators can't reach this daemon before that is mended and it is started anew: {error}"
                );
                return None;
            }
        },
        ControlChannel::Instances(instances) => tokio::spawn(cluster::serve(instances, desk.clone())),
        _ => return None,
    };
    Some(Listening { task, desk })
}

/// Notes for operators who look at this bus's folder before a daemon runs.
pub(crate) fn obstacle(bus: &ConfiguredBus) -> Option<String> {
    bus.folder().and_then(socket::obstacle)
}

/// Nobody answered at the folder's socket, and yet a process has the bus.
fn unanswered(bus: &ConfiguredBus, error: BoxError) -> BoxError {
    let Some(folder) = bus.folder() else { return error };
    let socket = folder.join(SOCKET);
    format!("{error}; it answers no operators at `{}`: ask again if a daemon is about to start or to end, else its log says why", socket.display())
        .into()
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
    Cluster(Box<cluster::Cluster>),
}

impl Operator {
    /// Talks to the daemon that has the folder open, or opens it for this purpose.
    ///
    /// # Errors
    /// When neither is possible.
    pub(crate) async fn find(bus: &ConfiguredBus, hooks: Vec<Hook>, purpose: Purpose) -> Result<Self, BoxError> {
        let mut handover = Handover::default();
        loop {
            if let Some(folder) = bus.folder()
                && let Some(connection) = Connection::open(folder).await?
            {
                return Ok(Self::Daemon(Box::new(connection)));
            }
            let opened = match bus.open(purpose).await {
                Ok(opened) => opened,
                // The process that has it may leave it, or be a daemon that is about to answer.
                Err(OpenBusError::InUse(_)) if handover.waits().await => continue,
                Err(OpenBusError::InUse(error)) => return Err(unanswered(bus, error)),
                Err(OpenBusError::Missing(why)) => {
                    return Ok(Self::Folder(Box::new(Local::Nothing(Nothing::new(&why, hooks)?))));
                }
                Err(error) => return Err(error.into()),
            };
            let open = Open::new(opened.bus, hooks);
            return Ok(match opened.control {
                ControlChannel::Instances(instances) => Self::Cluster(Box::new(cluster::Cluster::new(open, instances))),
                _ => Self::Folder(Box::new(Local::Open(Box::new(open)))),
            });
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
            Self::Cluster(_) => "no daemon runs: this is what the bus has".to_owned(),
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
        let config = ConfiguredBus::on_disk(folder.path()).unwrap();
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
