//! What operators ask of a bus and its hooks, of the daemon that runs or of the folder itself.
//!
//! ```text
//!  hooks status ─▶ Request ─▶ the daemon's socket (DIR/operator.sock) ─┐
//!                     └─ none runs: this process opens the folder ─────┴▶ Desk ─▶ Response
//! ```

mod desk;
mod local;
mod protocol;
mod socket;

use hooks_core::{BoxError, Hook};

pub(crate) use desk::Desk;
pub(crate) use protocol::{HookReport, Letter, Request, Response, Which};
pub(crate) use socket::{Listener, SOCKET};

use crate::bus;
use crate::config::BusConfig;
use local::Local;
use socket::Connection;

/// Whoever answers: a daemon, or this process.
pub(crate) enum Operator {
    Daemon(Box<Connection>),
    Folder(Box<Local>),
}

impl Operator {
    /// Talks to the daemon that has the folder open, or opens it.
    ///
    /// # Errors
    /// When neither is possible.
    pub(crate) async fn find(bus: &BusConfig, hooks: Vec<Hook>) -> Result<Self, BoxError> {
        if let Some(folder) = bus::folder(bus)
            && let Some(connection) = Connection::open(&folder.join(SOCKET)).await?
        {
            return Ok(Self::Daemon(Box::new(connection)));
        }
        Ok(Self::Folder(Box::new(Local::open(bus, hooks).await?)))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When there is none, or it is that it can't be done.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response, BoxError> {
        let response = match self {
            Self::Daemon(connection) => connection.ask(&request).await?,
            Self::Folder(local) => local.ask(request).await,
        };
        match response {
            Response::Failed { error } => Err(error.into()),
            other => Ok(other),
        }
    }

    /// Ends what this process began.
    pub(crate) async fn close(self) {
        if let Self::Folder(local) = self {
            local.close().await;
        }
    }
}
