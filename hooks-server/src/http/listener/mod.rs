//! The listener: how many connections there are, and what each may take.

mod connection;
mod explained;
mod patient;
mod places;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::routes;
use super::state::{Phase, State};
use crate::admin::AdminService;

pub(crate) use patient::Patient;
pub(crate) use places::Places;

/// The pause of accepting when it fails: the process has no file descriptors left, say.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time that connections may take to end once everything else has.
const PARTING: Duration = Duration::from_secs(1);

/// Serves connections until [`State::cut`].
pub(crate) async fn listen(
    listener: TcpListener,
    state: &Arc<State>,
    places: &Arc<Places>,
    operators: Option<&AdminService>,
) {
    let mut phase = state.phase();
    tokio::select! {
        () = accept(&listener, state, places, operators) => {}
        () = sample(operators) => {}
        _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
    }
    // Those that are idle end at once, those with an answer to write a little later.
    let _ = timeout(PARTING, places.empty()).await;
}

/// Never returns.
async fn sample(operators: Option<&AdminService>) {
    match operators {
        Some(service) => service.sample().await,
        None => std::future::pending().await,
    }
}

/// Never returns.
async fn accept(listener: &TcpListener, state: &Arc<State>, places: &Arc<Places>, operators: Option<&AdminService>) {
    let (pages, mut is_failing) = (routes::beside_events(state, operators), false);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                is_failing = false;
                let seat = places.enter().await;
                tokio::spawn(connection::serve(stream, state.clone(), pages.clone(), seat));
            }
            // The client went away before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                // What it has is needed elsewhere, in the log perhaps.
                places.dismiss_idle();
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "connections can't be accepted for now");
                }
                sleep(PAUSE).await;
            }
        }
    }
}
