//! Operators' requests about a bus and its hooks, to the daemon that runs or to what is kept itself.
//!
//! ```text
//!  hooks status ─▶ Request ─▶ the daemon's socket (DIR/operator.sock), over HTTP ─┐
//!                     ├─ none runs: this process opens the bus ───────────────────┴▶ AdminService ─▶ Response
//!                     ├─ --url: the daemon there (remote), over HTTP ─────────────▶ AdminService ─▶ Response
//!                     └─ a shared bus: every daemon, over the bus (cluster), and what is kept there
//! ```

mod cluster;
mod local;
mod managed;
#[cfg(feature = "http")]
mod remote;
mod reports;

use std::sync::Arc;

use hooks_core::{
    BoxError, Dispatcher, Hook,
    bus::{ControlChannel, OpenBusError, Purpose},
};
use hooks_server::admin::{self, AdminClient, AdminService, AdminSocket, Request, Response, Status};
use hooks_server::history::{AttemptQuery, AttemptReport};
use hooks_server::{Keys, on_own_thread};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bus::Handover;
use crate::config::{ConfiguredBus, HistoryConfig};
use local::{Local, Nothing, Open};

pub(crate) use managed::{Defined, Managed};
#[cfg(feature = "http")]
pub(crate) use remote::Remote;

/// Answers operators.
pub(crate) struct Listening {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// Answers operators, until that is ended. Where that can't be, the log says why: events are delivered all the same.
pub(crate) fn listen(control: ControlChannel, service: AdminService) -> Option<Listening> {
    let (end, ended) = oneshot::channel();
    let ended = async { drop(ended.await) };
    let task = match control {
        ControlChannel::Folder(folder) => match AdminSocket::bind(&folder) {
            Ok(socket) => tokio::spawn(async move { socket.serve(&service, ended).await }),
            Err(error) => {
                tracing::error!(
                    "operators can't reach this daemon before that is mended and it is started anew: {error}"
                );
                return None;
            }
        },
        ControlChannel::Instances(instances) => tokio::spawn(async move {
            tokio::select! {
                () = ended => {}
                () = cluster::serve(instances, service) => {}
            }
        }),
        _ => return None,
    };
    Some(Listening { task, end })
}

/// Notes for operators who look at this bus's folder before a daemon runs.
pub(crate) fn obstacle(bus: &ConfiguredBus) -> Option<String> {
    bus.folder().and_then(admin::obstacle)
}

/// Nobody answered at the folder's socket, and yet a process has the bus.
fn unanswered(bus: &ConfiguredBus, error: BoxError) -> BoxError {
    let Some(folder) = bus.folder() else { return error };
    let socket = folder.join(admin::SOCKET);
    format!("{error}; it answers no operators at `{}`: ask again if a daemon is about to start or to end, else its log says why", socket.display())
        .into()
}

impl Listening {
    /// Listens no more. Who has asked over the socket still hears what came of it: how far a replay was, say.
    pub(crate) async fn end(self) {
        drop(self.end);
        // The socket's file goes with it.
        let _ = self.task.await;
    }
}

/// Whoever answers: a daemon, this process, or all daemons of a cluster.
pub(crate) enum Operator {
    Daemon(Box<AdminClient>),
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
                && let Some(client) = AdminClient::connect(folder).await?
            {
                return Ok(Self::Daemon(Box::new(client)));
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

    /// Reads and seals definitions with these keys, where this process does what a daemon would.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn manage_definitions(&mut self, keys: impl FnOnce() -> Result<Keys, BoxError>) -> Result<(), BoxError> {
        match self {
            Self::Folder(local) => {
                if let Local::Open(open) = &mut **local {
                    open.manage_definitions(&keys()?);
                }
            }
            Self::Cluster(cluster) => cluster.manage_definitions(&keys()?),
            Self::Daemon(_) => {}
        }
        Ok(())
    }

    /// Shows a history that no daemon has, or records in it, where this process does what a daemon would.
    ///
    /// # Errors
    /// When it can't be read, or written.
    pub(crate) async fn use_history(
        &mut self,
        purpose: Purpose,
        of: impl FnOnce() -> Result<(HistoryConfig, ConfiguredBus), BoxError>,
    ) -> Result<(), BoxError> {
        let open = match self {
            Self::Folder(local) => match &mut **local {
                Local::Open(open) => open,
                Local::Nothing(_) => return Ok(()),
            },
            Self::Cluster(cluster) => cluster.local(),
            Self::Daemon(_) => return Ok(()),
        };
        let ((history, bus), log) = (of()?, open.bus.log_id());
        let use_it = move || match purpose {
            Purpose::Look => history.look(&bus, log),
            _ => history.open(&bus, log).map_err(|error| format!("history: {error}")),
        };
        let history = on_own_thread("history", use_it).await??;
        open.show_history(history);
        Ok(())
    }

    /// Shows attempts as they end, until the daemon does.
    ///
    /// # Errors
    /// When there is no daemon, or it does not answer.
    pub(crate) async fn follow(
        &mut self,
        which: &AttemptQuery,
        show: &mut (dyn FnMut(AttemptReport) + Send),
    ) -> Result<(), BoxError> {
        match self {
            Self::Daemon(client) => client.follow(which, show).await,
            Self::Folder(_) => Err("no daemon runs that could make an attempt".into()),
            Self::Cluster(_) => {
                Err("daemons that share a bus are followed one at a time: give the address of one with --url".into())
            }
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When there is none, or it is that it can't be done.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response, BoxError> {
        let response = match self {
            Self::Daemon(client) => client.ask(&request).await?,
            Self::Folder(local) => local.ask(request).await,
            Self::Cluster(cluster) => cluster.ask(request).await,
        };
        Ok(response.into_result()?)
    }

    /// Asks for the status.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn status(&mut self) -> Result<Status, BoxError> {
        match self.ask(Request::Status).await? {
            Response::Status(status) => Ok(status),
            _ => Err("an answer to another question".into()),
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
    use std::time::Duration;

    use hooks_bus::{DurableBus, DurableConfig};
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
            AdminSocket::bind(folder.path()).unwrap()
        };
        let (found, _listener) = tokio::join!(Operator::find(&config, Vec::new(), Purpose::Look), starts);
        assert!(matches!(found.unwrap(), Operator::Daemon(_)));
    }
}
