//! `hooks serve`: takes events over HTTP and delivers them, until a signal comes.

mod drain;
pub(super) mod keys;
mod load;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::bus::{ControlChannel, Instances};
use hooks_core::{BoxError, Bus, BusError, DispatchError, Dispatcher, chain};
use hooks_server::admin::{AdminService, HookDefinitions};
use hooks_server::history::History;
use hooks_server::otlp::Telemetry;
use hooks_server::{ApiSettings, IngestSettings, Keys, Reloads, Server, Settings, Signer, Tokens, on_own_thread};
use tokio::net::TcpListener;

use super::{print_config, wide_runtime};
use crate::args::ServeArgs;
use crate::bus;
use crate::config::{Config, ConfiguredBus, HistoryConfig, Origin, Problems};
use crate::console::Console;
use crate::descriptors::ConnectionLimits;
use crate::exit::Exit;
use crate::files::Fingerprint;
use crate::operator::{self, Listening};
use crate::reload::Running;
use crate::signals::{HangUpSignals, OtherSignals, StopSignals};
use crate::single::{self, Surroundings};
use crate::systemd::Notifier;
use crate::telemetry;
use load::{Loaded, load};

/// A config that can be served.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn check(origin: &Origin) -> Result<Config, Problems> {
    load(origin).map(|loaded| loaded.config)
}

pub(crate) fn run(args: &ServeArgs, console: &Console) -> Exit {
    let origin = match single::origin(&args.origin, &surroundings(args)) {
        Ok(origin) => origin,
        Err(why) => {
            console.say(why);
            return Exit::Usage;
        }
    };
    if args.origin.hook.print_config {
        return print_config(&origin, load(&origin));
    }
    let ended = wide_runtime().and_then(|runtime| {
        let ended = runtime.block_on(serve(args, origin, console));
        // Whatever still runs has been counted as left behind.
        runtime.shutdown_background();
        ended
    });
    ended.unwrap_or_else(|error| {
        tracing::error!("{}", chain(&*error));
        Exit::Failed
    })
}

/// What `--to` takes where nothing else is said. Events outlive the daemon.
fn surroundings(args: &ServeArgs) -> Surroundings {
    let dir = args.listen.dir.clone().unwrap_or_else(|| "hooks-data".into());
    Surroundings { dir: Some(dir), listen: args.listen.listen }
}

async fn serve(args: &ServeArgs, origin: Origin, console: &Console) -> Result<Exit, BoxError> {
    // Before anything that takes a while: until then they end the process.
    let (mut stops, mut hang_ups, mut others) = (StopSignals::new()?, HangUpSignals::new()?, OtherSignals::new()?);
    // On a separate task, so that a start that takes long, or hangs, still hears that it is to stop.
    let starting = tokio::spawn(start(origin.clone(), args.grace.get()));
    let started = tokio::select! {
        biased;
        signal = stops.next() => {
            tracing::warn!(signal, "the daemon stopped before it was ready: nothing was accepted");
            return Ok(Exit::Done);
        }
        started = starting => started??,
    };
    let (mut daemon, listener) = match started {
        Ok(started) => started,
        Err(problems) => {
            console.say(problems);
            return Ok(origin.fault());
        }
    };
    if let Some(text) = single::described(&args.origin.hook, &surroundings(args)) {
        tracing::info!("{text}");
    }
    let address = listener.local_addr()?;
    let (notifier, server) = (daemon.notifier.clone(), daemon.server.clone());
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    tokio::spawn(async move { notifier.keep_alive(|| server.health()).await });
    tracing::info!(%address, hooks = daemon.running.len(), "serving");
    daemon.notifier.ready(&format!("serving at {address}"));
    let signal = loop {
        tokio::select! {
            biased;
            signal = stops.next() => break signal,
            // Also one that came while it started: the file may have changed after it was read.
            () = hang_ups.next() => {
                // Files may give no answer for long.
                let loaded = tokio::select! {
                    biased;
                    signal = stops.next() => break signal,
                    loaded = daemon.read_again() => loaded,
                };
                // Nor may a hook that is to end. Each change is whole, and the end makes the rest needless.
                tokio::select! {
                    biased;
                    signal = stops.next() => break signal,
                    () = daemon.reload(loaded) => {}
                }
            }
            signal = others.next() => {
                tracing::warn!(signal, "this signal means nothing here; SIGHUP reads the config file again");
            }
        }
    };
    let exit = daemon.drain(signal, &mut stops, console).await;
    // Answers that are due are still written.
    serving.await?;
    Ok(exit)
}

/// Everything up to the first connection. What is wrong with the config comes as the inner error.
async fn start(origin: Origin, grace: Duration) -> Result<Result<(Daemon, TcpListener), Problems>, BoxError> {
    let loaded = match read(&origin).await? {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(Err(problems)),
    };
    let listener = bind(&loaded.config.ingest).await?;
    Ok(Ok((Daemon::start(loaded, origin, grace).await?, listener)))
}

/// Reads the config, off the threads that serve, and logs what may not be meant, and which files hooks can't use: those
/// fail, and the others run.
async fn read(origin: &Origin) -> std::io::Result<Result<Loaded, Problems>> {
    let origin = origin.clone();
    let load = move || {
        let loaded = load(&origin);
        let unusable = loaded.as_ref().map(|loaded| loaded.config.file_problems()).unwrap_or_default();
        (loaded, unusable)
    };
    let (loaded, unusable) = on_own_thread("config", load).await?;
    if let Ok(loaded) = &loaded {
        loaded.config.warnings().for_each(|warning| tracing::warn!("{warning}"));
        unusable.iter().for_each(|problem| tracing::error!("{problem}"));
    }
    Ok(loaded)
}

async fn bind(ingest: &IngestSettings) -> Result<TcpListener, BoxError> {
    let listener = TcpListener::bind(ingest.listen).await;
    listener.map_err(|error| format!("ingest.listen: can't listen at {}: {error}", ingest.listen).into())
}

/// The number of connections beside the hooks. Logs a warning where it is not what the config says.
fn room(config: &Config) -> ConnectionLimits {
    let lanes = config.hooks.iter().map(|hook| hook.hook.lanes.get()).sum();
    let (room, warning) = ConnectionLimits::now(config.ingest.max_connections.get(), lanes);
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    room
}

fn settings(config: &Config, tokens: Option<Tokens>, keys: &Keys) -> Settings {
    let Config { ingest, events, api, .. } = config;
    Settings {
        ingest: ingest.clone(),
        tokens,
        signer: Signer::new(keys),
        max_pending: api.max_pending,
        max_retained: api.max_retained,
        frame_ancestors: api.frame_ancestors.clone(),
        source: events.source.as_str().into(),
        max_event_bytes: events.max_bytes.get(),
    }
}

/// Counts what tenants take of the log, where that is limited.
async fn count_tenants(bus: &Arc<dyn Bus>, api: &ApiSettings) -> Result<(), BusError> {
    if api.max_retained.is_some() { bus.count_tenants().await } else { Ok(()) }
}

fn definitions(
    bus: &Arc<dyn Bus>,
    configured: &ConfiguredBus,
    dispatcher: &Arc<Dispatcher>,
    keys: Option<&Keys>,
    api: &ApiSettings,
) -> HookDefinitions {
    let strangers = api.strangers();
    let definitions = HookDefinitions::new(bus.clone(), configured.kind(), dispatcher.clone(), keys, strangers.clone());
    definitions.set(keys, strangers, api.max_hooks.get());
    definitions
}

/// Starts the hooks that were made over the API. One that can't be read hurts no other.
async fn restore(definitions: &HookDefinitions) -> Result<(), DispatchError> {
    let restored = definitions.restore().await?;
    for (hook, error) in &restored.failed {
        tracing::error!(%hook, error = chain(error), "a hook that was made over the API can't run; the bus keeps its events");
    }
    if restored.hooks > 0 {
        tracing::info!(hooks = restored.hooks, "hooks that were made over the API run again");
    }
    Ok(())
}

/// The keys that seal definitions: those of the config file, else the daemon's own where they last as long as the bus
/// does.
fn sealing<'a>(bus: &ConfiguredBus, named: Option<&'a Keys>, own: &'a Keys) -> Option<&'a Keys> {
    named.or_else(|| (bus.folder().is_some() || !bus.traits().outlives_process).then_some(own))
}

/// Those that share the bus.
fn instances(control: &ControlChannel) -> Option<Arc<dyn Instances>> {
    match control {
        ControlChannel::Instances(instances) => Some(instances.clone()),
        _ => None,
    }
}

/// Everything that runs.
struct Daemon {
    origin: Origin,
    grace: Duration,
    bus: ConfiguredBus,
    history: HistoryConfig,
    attempts: Option<History>,
    telemetry: Option<Telemetry>,
    log: Arc<dyn Bus>,
    credentials: Vec<(&'static str, Fingerprint)>,
    /// Where `api.secrets_key_file` is not set.
    keys: Keys,
    running: Running,
    definitions: HookDefinitions,
    dispatcher: Arc<Dispatcher>,
    server: Server,
    reloads: Arc<Reloads>,
    notifier: Arc<Notifier>,
    operators: Option<Listening>,
}

impl Daemon {
    async fn start(loaded: Loaded, origin: Origin, grace: Duration) -> Result<Self, BoxError> {
        let Loaded { config, tokens, keys: named, credentials } = loaded;
        let room = room(&config);
        let opened = bus::open(&config.bus).await?;
        let keys = match config.bus.folder().map(Path::to_owned) {
            Some(folder) => on_own_thread("keys", move || Keys::in_folder(&folder)).await??,
            None => Keys::random()?,
        };
        let bus = opened.bus;
        count_tenants(&bus, &config.api).await?;
        let history = bus::open_history(&config.history, &config.bus, bus.log_id()).await?;
        let dispatcher = Dispatcher::new(bus.clone());
        let telemetry = telemetry::of(config.telemetry.as_ref());
        let dispatcher = Arc::new(telemetry::recorded(dispatcher, history.as_ref(), telemetry.as_ref()));
        let settings = settings(&config, tokens, named.as_ref().unwrap_or(&keys));
        dispatcher.take_calls_at(config.api.grants_url());
        let running = Running::start(config.hooks, &dispatcher).await?;
        let sealing = sealing(&config.bus, named.as_ref(), &keys);
        let definitions = definitions(&bus, &config.bus, &dispatcher, sealing, &config.api);
        restore(&definitions).await?;
        bus.all_subscribed();
        let reloads = Arc::new(Reloads::default());
        let service = AdminService::new(bus.clone(), dispatcher.clone()).of_daemon(reloads.clone());
        let service = service.with_definitions(definitions.clone());
        let service = service.with_history(history.clone()).with_instances(instances(&opened.control));
        let server = Server::builder(bus.clone(), dispatcher.clone())
            .settings(settings)
            .connections(room.connections, room.lobby)
            .operators(service.clone())
            .instances(instances(&opened.control))
            .reloads(reloads.clone())
            .telemetry(telemetry.clone());
        let server = server.build()?;
        if let Some(telemetry) = &telemetry {
            telemetry::export(telemetry, server.metrics().clone())?;
        }
        reloads.succeed();
        let operators = operator::listen(opened.control, service);
        let notifier = Arc::new(Notifier::from_environment());
        Ok(Self {
            origin,
            grace,
            bus: config.bus,
            log: bus,
            history: config.history,
            attempts: history,
            telemetry,
            credentials,
            keys,
            running,
            definitions,
            dispatcher,
            server,
            reloads,
            notifier,
            operators,
        })
    }

    /// Reads the config file again, and the files that it names. Cancel safe.
    async fn read_again(&self) -> Result<Loaded, String> {
        self.notifier.reloading();
        let loaded = read(&self.origin).await.map_err(|error| error.to_string())?;
        loaded.map_err(|problems| format!("nothing was changed:\n{problems}"))
    }

    /// Applies what changed, or nothing.
    async fn reload(&mut self, loaded: Result<Loaded, String>) {
        let applied = match loaded {
            Ok(loaded) => self.apply(loaded).await,
            Err(why) => Err(why),
        };
        match applied {
            Ok(()) => {
                self.reloads.succeed();
                tracing::info!(hooks = self.running.len(), "the config file was read again and applied");
                self.notifier.ready("serving");
            }
            Err(why) => {
                self.reloads.fail(&why);
                tracing::error!("{why}");
                self.notifier.ready("serving; the last reload failed, see the log");
            }
        }
    }

    /// The keys in the folder as they are now, if there is one and they are used.
    async fn own_keys(&self, used: bool) -> Result<Keys, String> {
        let Some(folder) = self.bus.folder().filter(|_| used).map(Path::to_owned) else { return Ok(self.keys.clone()) };
        let read = on_own_thread("keys", move || keys::kept(None, Some(&folder))).await;
        read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn apply(&mut self, Loaded { config, tokens, keys, credentials }: Loaded) -> Result<(), String> {
        let own = self.own_keys(keys.is_none()).await.map_err(|why| format!("nothing was changed: {why}"))?;
        let fixed = self.server.needs_restart(&config.ingest).into_iter().map(|name| format!("ingest.{name}"));
        let telemetry = self.telemetry.as_ref().map(Telemetry::settings);
        let others = [
            ("bus", self.bus != config.bus),
            ("history", self.history.settings != config.history.settings),
            ("telemetry", telemetry != config.telemetry.as_ref()),
        ];
        let others = others.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned());
        let fixed: Vec<_> = fixed.chain(others).collect();
        if !fixed.is_empty() {
            return Err(format!("nothing was changed: a new value takes a restart: {}", fixed.join(", ")));
        }
        for ((name, used), (_, now)) in self.credentials.iter().zip(&credentials) {
            if used.differs(now) {
                tracing::warn!("the file of bus.{name} has changed: its credentials are used after a restart");
            }
        }
        room(&config);
        let settings = settings(&config, tokens, keys.as_ref().unwrap_or(&own));
        count_tenants(&self.log, &config.api).await.map_err(|error| format!("nothing was changed: {error}"))?;
        self.server.set(settings).map_err(|error| format!("nothing was changed: {error}"))?;
        self.keys = own;
        self.dispatcher.take_calls_at(config.api.grants_url());
        let sealing = sealing(&self.bus, keys.as_ref(), &self.keys);
        self.definitions.set(sealing, config.api.strangers(), config.api.max_hooks.get());
        // Those that could not be read before may be read now.
        restore(&self.definitions).await.map_err(|error| format!("nothing else was changed: {}", chain(&error)))?;
        let changes = self.running.changes(config.hooks);
        self.running.apply(changes, &self.dispatcher).await.map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(|error| chain(error)).collect();
            format!("not everything was changed: {}", errors.join("; "))
        })
    }
}
