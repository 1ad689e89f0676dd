//! The server as its owner sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hooks_core::{
    Bus, ConfigProblem, Dispatcher,
    bus::{BusHealth, Instances},
};
use tokio::net::TcpListener;

use crate::admin::AdminService;
use crate::http::{Others, Places, State, listen, router};
use crate::metrics::{Metrics, Requests};
use crate::{IngestSettings, InvalidSettings, Reloads, Settings};

/// Connections beyond [`IngestSettings::max_connections`] that are answered
/// health and metrics, unless the builder says otherwise.
const LOBBY: usize = 64;

/// Takes events over HTTP for one bus, and answers health and metrics. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    state: Arc<State>,
    places: Arc<Places>,
    operators: Option<AdminService>,
    metrics: Arc<Metrics>,
}

/// Makes a [`Server`].
pub struct ServerBuilder {
    bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    settings: Settings,
    connections: Option<(usize, usize)>,
    reloads: Option<Arc<Reloads>>,
    operators: Option<AdminService>,
    instances: Option<Arc<dyn Instances>>,
    telemetry: Option<crate::otlp::Telemetry>,
}

impl ServerBuilder {
    /// The settings to begin with.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The number of connections that [`Server::serve`] takes: so many publish, beyond them so many wait or are answered
    /// health and metrics. For a process that may open fewer files than the settings ask for.
    #[must_use]
    pub fn connections(mut self, places: usize, lobby: usize) -> Self {
        self.connections = Some((places, lobby));
        self
    }

    /// Shows the outcome of reloads in the metrics.
    #[must_use]
    pub fn reloads(mut self, reloads: Arc<Reloads>) -> Self {
        self.reloads = Some(reloads);
        self
    }

    /// Answers operators, too, with this service: on [`Server::serve`]'s own listener, to those whose tokens allow it.
    #[must_use]
    pub fn operators(mut self, service: AdminService) -> Self {
        self.operators = Some(service);
        self
    }

    /// Hands calls of receivers that another instance of a shared bus has asked to the others.
    #[must_use]
    pub fn instances(mut self, instances: Option<Arc<dyn Instances>>) -> Self {
        self.instances = instances;
        self
    }

    /// Makes a span of each request to publish.
    #[must_use]
    pub fn telemetry(mut self, telemetry: Option<crate::otlp::Telemetry>) -> Self {
        self.telemetry = telemetry;
        self
    }

    /// The server.
    ///
    /// # Errors
    /// When a setting makes no sense.
    pub fn build(self) -> Result<Server, InvalidSettings> {
        self.settings.check()?;
        self.operators.iter().for_each(|service| service.accept_as(&self.settings));
        let (places, lobby) = self.connections.unwrap_or((self.settings.ingest.max_connections.get(), LOBBY));
        let requests = Arc::new(Requests::default());
        let metrics = Arc::new(Metrics {
            dispatcher: self.dispatcher.clone(),
            bus: self.bus.clone(),
            requests: Some(requests.clone()),
            reloads: self.reloads,
            history: self.operators.as_ref().and_then(|service| service.history().cloned()),
            telemetry: self.telemetry.clone(),
        });
        let shown = metrics.clone();
        let state =
            State::new(self.bus, self.dispatcher, self.settings, requests, Arc::new(move |format| shown.page(format)));
        let state = state.with_others(self.instances.map(Others::new));
        let state = state.with_telemetry(self.telemetry);
        let places = Arc::new(Places::new(places, lobby));
        Ok(Server { state: Arc::new(state), places, operators: self.operators, metrics })
    }
}

impl Server {
    /// A server for this bus and the dispatcher of its hooks.
    pub fn builder(bus: Arc<dyn Bus>, dispatcher: Arc<Dispatcher>) -> ServerBuilder {
        let settings = Settings::default();
        ServerBuilder {
            bus,
            dispatcher,
            settings,
            connections: None,
            reloads: None,
            operators: None,
            instances: None,
            telemetry: None,
        }
    }

    /// The routes, to be mounted in an axum or hyper server of your own: `POST /v1/events`, `GET /metrics`, `/healthz`,
    /// `/readyz`, and `/v1/grants/…` for receivers. The limits of bodies and the tokens hold there, too; those of connections are the other server's.
    pub fn router(&self) -> Router {
        router(self.state.clone())
    }

    /// Serves connections until [`cut`](Self::cut): so many at once, each with limits of time and memory. It returns
    /// once answers that are due are written.
    pub async fn serve(&self, listener: TcpListener) {
        listen(listener, &self.state, &self.places, self.operators.as_ref()).await;
    }

    /// The fields that differ from those in use and can't change while the server runs.
    pub fn needs_restart(&self, new: &IngestSettings) -> Vec<&'static str> {
        self.state.settings().ingest.needs_restart(new)
    }

    /// Requests that begin from now on have these settings.
    ///
    /// # Errors
    /// When a setting makes no sense, or [needs a restart](Self::needs_restart); nothing is changed then.
    pub fn set(&self, settings: Settings) -> Result<(), InvalidSettings> {
        settings.check()?;
        let fixed = self.needs_restart(&settings.ingest).into_iter();
        InvalidSettings::unless_empty(
            fixed.map(|name| ConfigProblem::new(name, "a new value takes a restart")).collect(),
        )?;
        self.operators.iter().for_each(|service| service.accept_as(&settings));
        self.state.set(settings);
        Ok(())
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The state of the bus.
    pub fn health(&self) -> BusHealth {
        self.state.health()
    }

    /// Publishes nothing more, and waits for what is being published, at most so long. Requests to publish are
    /// answered 503 from now on.
    pub async fn drain(&self, limit: Duration) {
        self.state.drain(limit).await;
    }

    /// Ends all connections of [`serve`](Self::serve). Answers that are due are still written.
    pub fn cut(&self) {
        self.state.cut();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
