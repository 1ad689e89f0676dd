//! The shop: a route of its own, which publishes events, beside those of hooks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::post;
use axum::{Json, Router};
use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::settings::Strangers;
use hooks_core::{BoxError, Bus, Dispatcher, EncodeError, Event, RawValue, Report};
use hooks_server::admin::{AdminService, HookDefinitions};
use hooks_server::{Keys, Server};
// Hooks of customers are webhooks: linked, the sink is there.
use hooks_sink_http as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use super::accounts;

/// The longest time that the end may take: what is not delivered by then stays in the folder for the next start.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that the handlers need.
#[derive(Clone)]
pub(crate) struct Shop {
    bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    server: Server,
    admin: AdminService,
}

/// What this service publishes.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    customer: String,
    number: u32,
    total: f64,
}

impl Event for Order {
    fn event_type(&self) -> &str {
        "order.placed"
    }

    fn data(&self) -> Result<Option<Box<RawValue>>, EncodeError> {
        hooks_core::encode(self)
    }

    /// Only this customer's hooks receive it.
    fn extensions(&self) -> Vec<(&str, serde_json::Value)> {
        vec![("tenant", self.customer.as_str().into())]
    }
}

impl Shop {
    /// Opens the folder that keeps events until they are delivered, and the hooks that customers made.
    ///
    /// # Errors
    /// When the folder can't be used.
    pub(crate) async fn open(folder: &Path) -> Result<Self, BoxError> {
        let durable = DurableConfig::new(folder);
        let bus: Arc<dyn Bus> = Arc::new(DurableBus::open(&durable)?);
        let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
        // The folder's own keys seal the secrets of hooks.
        let keys = Keys::in_folder(folder)?;
        let definitions = HookDefinitions::new(bus.clone(), "durable", dispatcher.clone(), Some(&keys), strangers());
        for (hook, error) in definitions.restore().await?.failed {
            eprintln!("hook {hook} does not run, and the folder keeps its events: {error}");
        }
        bus.all_subscribed();
        // Its metrics and `/readyz` tell of this bus and these hooks.
        let server = Server::builder(bus.clone(), dispatcher.clone()).build()?;
        let admin = AdminService::new(bus.clone(), dispatcher.clone()).of_daemon(Arc::default());
        Ok(Self { bus, dispatcher, server, admin: admin.with_definitions(definitions) })
    }

    /// The shop's route, those of hooks for customers, and those for operators.
    fn router(&self) -> Router {
        let operators = self.admin.router().merge(self.server.router());
        Router::new()
            .route("/orders", post(place_order))
            .with_state(self.clone())
            .nest("/webhooks", self.admin.router().layer(from_fn(accounts::customers)))
            .nest("/operators", operators.layer(from_fn(accounts::operators)))
    }

    /// Serves until `stop`, then delivers what was accepted.
    ///
    /// # Errors
    /// When connections can't be served.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Report, BoxError> {
        let server = self.server.clone();
        let stop = async move {
            stop.await;
            // What comes from here on is answered 503, so that nothing is accepted that can't be kept.
            server.drain(GRACE).await;
        };
        axum::serve(listener, self.router()).with_graceful_shutdown(stop).await?;
        Ok(self.dispatcher.shutdown(Some(GRACE)).await)
    }
}

/// What customers may set: webhooks, with the options that are safe in a stranger's hand, to any public address.
fn strangers() -> Strangers {
    let mut strangers = Strangers::with_sinks(["http"]);
    // The receivers of this example are on this machine. Leave this out.
    let http = strangers.sinks.entry("http".to_owned()).or_default();
    http.insert("allow_cidrs".to_owned(), json!(["127.0.0.0/8"]));
    strangers
}

/// Publishes an event: once this is answered, it is on the disk and will be delivered.
async fn place_order(State(shop): State<Shop>, Json(order): Json<Order>) -> Result<StatusCode, (StatusCode, String)> {
    let published = shop.bus.publish_event(&order, "/shop").await;
    published.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(StatusCode::ACCEPTED)
}
