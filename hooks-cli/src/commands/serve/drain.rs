//! The end of `serve`: takes no more, delivers what there is, and says what became of it.

use std::time::{Duration, Instant};

use hooks_core::{HookStatus, LeftBehind, bus::BusTraits};
use hooks_server::history::History;

use super::Daemon;
use crate::args::LogFormat;
use crate::console::Console;
use crate::exit::Exit;
use crate::outcome::table;
use crate::signals::StopSignals;
use crate::telemetry;

/// The interval at which the service manager is told how far the drain is.
const TICK: Duration = Duration::from_secs(1);

/// After so many ticks the log says for whom it waits, and again after as many.
const TICKS: u64 = 5;

/// The extension of time that it is asked for each time, beside the rest of the grace.
const MARGIN: Duration = Duration::from_secs(5);

impl Daemon {
    /// Delivers what was accepted, for as long as the grace allows or until a second signal.
    pub(super) async fn drain(self, signal: &str, stops: &mut StopSignals, console: &Console) -> Exit {
        let begun = Instant::now();
        tracing::info!(signal, grace = ?self.grace, "taking no more events, delivering what was accepted; a second signal stops at once");
        self.notifier.stopping("delivering what was accepted");
        self.attempts.iter().for_each(History::end_following);
        let work = async {
            // What is being published gets half of the time, the hooks what is left.
            self.server.drain(self.grace / 2).await;
            self.dispatcher.shutdown(Some(self.grace.saturating_sub(begun.elapsed()))).await;
        };
        let is_cut = tokio::select! {
            biased;
            signal = stops.next() => cut_by(signal),
            () = self.tell() => false,
            () = work => false,
        };
        if let Some(history) = &self.attempts {
            history.flush().await;
        }
        if !is_cut {
            tokio::select! {
                biased;
                signal = stops.next() => { cut_by(signal); }
                () = telemetry::end(self.telemetry.as_ref()) => {}
            }
        }
        self.server.cut();
        if let Some(operators) = self.operators {
            operators.end().await;
        }
        let hooks = self.dispatcher.status();
        report(&hooks, console);
        conclude(&hooks, self.bus.traits(), begun.elapsed())
    }

    /// Keeps the service manager and the log informed. Never returns.
    async fn tell(&self) {
        let mut ticks = tokio::time::interval(TICK);
        for tick in 0_u64.. {
            ticks.tick().await;
            let hooks = self.dispatcher.status();
            let left: u64 = hooks.iter().map(|hook| hook.counts.in_flight).sum();
            if tick > 0 && tick.is_multiple_of(TICKS) {
                hooks.iter().filter(|hook| hook.counts.in_flight > 0).for_each(waits_for);
            }
            self.notifier.extend(TICK + MARGIN);
            self.notifier.status(&format!("delivering what was accepted: {left} left"));
        }
    }
}

/// Always true.
fn cut_by(signal: &str) -> bool {
    tracing::warn!(signal, "the daemon stopped at once");
    true
}

fn waits_for(hook: &HookStatus) {
    let error = hook.last_error.as_deref().unwrap_or("none yet");
    tracing::info!(hook = %hook.id, events = hook.counts.in_flight, error, "the hook is still delivering");
}

/// Reports the outcome: a table for people, a line per hook for programs.
fn report(hooks: &[HookStatus], console: &Console) {
    match console.format() {
        LogFormat::Text => console.say(table(hooks).trim_end()),
        LogFormat::Json => {
            for hook in hooks {
                let counts = &hook.counts;
                tracing::info!(
                    hook = %hook.id,
                    taken = hook.came(),
                    delivered = counts.delivered,
                    dropped = counts.dropped(),
                    dead_lettered = counts.dead_lettered,
                    left_behind = hook.left_behind().events,
                    "ledger"
                );
            }
        }
    }
}

fn conclude(hooks: &[HookStatus], bus: BusTraits, took: Duration) -> Exit {
    let lost = !bus.outlives_process;
    let mut exit = Exit::Done;
    for hook in hooks.iter().filter(|hook| !hook.is_drained()) {
        let LeftBehind { events, exact } = hook.left_behind();
        let error = hook.last_error.as_deref().unwrap_or("there was no time");
        if lost {
            tracing::error!(hook = %hook.id, events, exact, error, "events are left behind: they are lost");
            exit = Exit::Failed;
        } else {
            tracing::info!(hook = %hook.id, events, exact, error, "events are left behind: the log keeps them");
        }
    }
    tracing::info!(?took, "the daemon stopped");
    exit
}
