//! What operators ask of a bus and its hooks, of the daemon that runs or of what is kept itself.
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

use hooks_core::{BoxError, Hook};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use desk::Desk;
pub(crate) use protocol::{HookReport, Letter, Request, Response, Which, timestamp};

use crate::bus::{self, Purpose, Way};
use crate::config::BusConfig;
use local::Local;
use socket::{Connection, Listener, SOCKET};

/// How long the last answers may take, once the dispatcher is shut down.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Answers operators.
pub(crate) struct Listening {
    task: JoinHandle<()>,
    desk: Arc<Desk>,
}

/// Answers operators, until that is ended.
///
/// # Errors
/// When it can't.
pub(crate) fn listen(way: Way, desk: Desk) -> Result<Option<Listening>, BoxError> {
    let desk = Arc::new(desk);
    let task = match way {
        Way::None => return Ok(None),
        Way::Folder(folder) => tokio::spawn(Listener::bind(folder.join(SOCKET))?.serve(desk.clone())),
        #[cfg(feature = "nats")]
        Way::Nats(bus) => tokio::spawn(cluster::serve(bus, desk.clone())),
    };
    Ok(Some(Listening { task, desk }))
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
    pub(crate) async fn find(bus: &BusConfig, hooks: Vec<Hook>, purpose: Purpose) -> Result<Self, BoxError> {
        #[cfg(feature = "nats")]
        if let BusConfig::Nats(config) = bus {
            return Ok(Self::Cluster(Box::new(cluster::Cluster::open(config, hooks).await?)));
        }
        if let Some(folder) = bus::folder(bus)
            && let Some(connection) = Connection::open(&folder.join(SOCKET)).await?
        {
            return Ok(Self::Daemon(Box::new(connection)));
        }
        Ok(Self::Folder(Box::new(Local::open(bus, hooks, purpose).await?)))
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

    /// What a status says that no daemon answered for.
    pub(crate) fn source(&self) -> String {
        self.knows_nothing().unwrap_or_else(|| match self {
            Self::Daemon(_) | Self::Folder(_) => "no daemon has the folder: this is what the log says".to_owned(),
            #[cfg(feature = "nats")]
            Self::Cluster(_) => "no daemon runs: this is what NATS has".to_owned(),
        })
    }

    /// Why nothing is known of any hook, if that is so.
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
