//! Taking events over HTTP, and the pages for health and metrics.
//!
//! ```text
//! connection ─▶ head ─▶ who? what? how much? ─▶ body ─▶ every event checked ─▶ publish ─▶ 202
//!  (bounded)   (time)    401 405 413 415       (time,       400 with        (time) 503 507
//!                                             memory)     all faults
//! ```
//!
//! A request is published as a whole or not at all, also when its client goes away.

mod answer;
mod auth;
mod binary;
mod body;
mod connection;
mod decode;
mod explained;
mod format;
mod fullness;
mod media_type;
mod outgoing;
mod pages;
mod patient;
mod places;
mod routes;
mod state;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

pub(crate) use auth::Tokens;
pub(crate) use state::{Counters, Settings, State};

use state::Phase;

/// The pause of accepting when it fails: the process has no file descriptors left, say.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time that connections may take to end once everything else has.
const PARTING: Duration = Duration::from_secs(1);

/// Serves connections until [`State::cut`].
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut phase = state.phase();
    tokio::select! {
        () = accept(&listener, &state) => {}
        _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
    }
    // Those that are idle end at once, those with an answer to write a little later.
    let _ = timeout(PARTING, state.places.empty()).await;
}

/// Never returns.
async fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut is_failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                is_failing = false;
                let (state, seat) = (state.clone(), state.places.enter().await);
                tokio::spawn(async move { connection::serve(stream, &state, seat).await });
            }
            // The client went away before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                // What it has is needed elsewhere, in the log perhaps.
                state.places.dismiss_idle();
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "connections can't be accepted for now");
                }
                sleep(PAUSE).await;
            }
        }
    }
}
