//! `hooks serve`: takes events over HTTP and delivers them, until a signal comes.

mod drain;
mod load;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, Dispatcher};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{chain, wide_runtime};
use crate::args::ServeArgs;
use crate::bus::{self, Opened};
use crate::config::{BusConfig, Config, IngestSettings, Problems};
use crate::console::Console;
use crate::exit::Exit;
use crate::ingest::{self, Counters, Settings, State};
use crate::metrics::Sources;
use crate::operator::{self, Desk};
use crate::reload::{Reloads, Running};
use crate::signals::{HangUps, Stops};
use crate::systemd::Notifier;
use load::{Loaded, load};

/// A config file that can be served.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn check(file: &Path) -> Result<Config, Problems> {
    load(file).map(|loaded| loaded.config)
}

pub(crate) fn run(args: &ServeArgs, console: &Console) -> Exit {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            console.say(problems);
            return Exit::Config;
        }
    };
    let ended = wide_runtime().map_err(BoxError::from).and_then(|runtime| {
        let ended = runtime.block_on(serve(loaded, args, console));
        // Whatever still runs has been counted as left behind.
        runtime.shutdown_background();
        ended
    });
    ended.unwrap_or_else(|error| {
        tracing::error!("{}", chain(&*error));
        Exit::Failed
    })
}

async fn serve(loaded: Loaded, args: &ServeArgs, console: &Console) -> Result<Exit, BoxError> {
    let (mut stops, mut hang_ups) = (Stops::new()?, HangUps::new()?);
    let listener = bind(&loaded.config.ingest).await?;
    let address = listener.local_addr()?;
    let mut daemon = Daemon::start(loaded, &args.config, args.grace.0).await?;
    let server = tokio::spawn(ingest::serve(listener, daemon.state.clone()));
    let (notifier, state) = (daemon.notifier.clone(), daemon.state.clone());
    tokio::spawn(async move { notifier.keep_alive(|| state.health()).await });
    tracing::info!(%address, hooks = daemon.running.len(), "serving");
    daemon.notifier.ready(&format!("serving at {address}"));
    let signal = loop {
        tokio::select! {
            biased;
            signal = stops.next() => break signal,
            () = hang_ups.next() => daemon.reload().await,
        }
    };
    let exit = daemon.drain(signal, &mut stops, console).await;
    // Answers that are due are still written.
    server.await?;
    Ok(exit)
}

async fn bind(ingest: &IngestSettings) -> Result<TcpListener, BoxError> {
    let listener = TcpListener::bind(ingest.listen).await;
    listener.map_err(|error| format!("ingest.listen: can't listen at {}: {error}", ingest.listen).into())
}

/// Everything that runs.
struct Daemon<'a> {
    file: &'a Path,
    grace: Duration,
    bus: BusConfig,
    ingest: IngestSettings,
    running: Running,
    dispatcher: Arc<Dispatcher>,
    state: Arc<State>,
    reloads: Arc<Reloads>,
    notifier: Arc<Notifier>,
    operators: Option<JoinHandle<()>>,
}

impl<'a> Daemon<'a> {
    async fn start(loaded: Loaded, file: &'a Path, grace: Duration) -> Result<Self, BoxError> {
        let Loaded { config, tokens } = loaded;
        let Opened { bus, way } = bus::open(&config.bus).await?;
        let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
        let running = Running::start(config.hooks, &dispatcher).await?;
        let (counters, reloads) = (Arc::new(Counters::default()), Arc::new(Reloads::default()));
        let sources = Sources {
            dispatcher: dispatcher.clone(),
            bus: bus.clone(),
            ingest: counters.clone(),
            reloads: reloads.clone(),
        };
        let settings = Settings::new(config.ingest.clone(), tokens, &config.events);
        let state = State::new(bus.clone(), settings, counters, Box::new(move |accept| sources.page(accept)));
        reloads.succeed();
        let desk = Desk::new(bus, dispatcher.clone(), true);
        let operators = operator::listen(way, desk)?;
        let notifier = Arc::new(Notifier::from_environment());
        let (bus, ingest, state) = (config.bus, config.ingest, Arc::new(state));
        Ok(Self { file, grace, bus, ingest, running, dispatcher, state, reloads, notifier, operators })
    }

    /// Reads the config file again and applies what changed, or nothing.
    async fn reload(&mut self) {
        self.notifier.reloading();
        match self.try_reload().await {
            Ok(()) => {
                self.reloads.succeed();
                tracing::info!(hooks = self.running.len(), "the config file was read again and applied");
                self.notifier.ready("serving");
            }
            Err(why) => {
                self.reloads.fail();
                tracing::error!("{why}");
                self.notifier.ready("serving; the last reload failed, see the log");
            }
        }
    }

    async fn try_reload(&mut self) -> Result<(), String> {
        let file = self.file.to_owned();
        let loaded = tokio::task::spawn_blocking(move || load(&file)).await.map_err(|error| error.to_string())?;
        let Loaded { config, tokens } = loaded.map_err(|problems| format!("nothing was changed:\n{problems}"))?;
        let mut fixed = self.ingest.needs_restart(&config.ingest);
        fixed.extend((self.bus != config.bus).then_some("bus"));
        if !fixed.is_empty() {
            return Err(format!("nothing was changed: a new value takes a restart: {}", fixed.join(", ")));
        }
        self.state.set(Settings::new(config.ingest.clone(), tokens, &config.events));
        self.ingest = config.ingest;
        let changes = self.running.changes(config.hooks);
        self.running.apply(changes, &self.dispatcher).await.map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(|error| chain(error)).collect();
            format!("not everything was changed: {}", errors.join("; "))
        })
    }
}
