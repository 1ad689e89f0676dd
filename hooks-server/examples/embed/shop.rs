//! The shop: routes of its own, which publish events and manage hooks, beside those of the hooks server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as InPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::{
    BoxError, Bus, DispatchError, Dispatcher, EncodeError, Event, Filter, Hook, HookId, HookStatus, RawValue, Report,
    chain,
};
use hooks_server::Server;
use hooks_server::admin::AdminService;
use hooks_sink_http::HttpConfig;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

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
}

/// What a customer registers.
#[derive(Deserialize)]
struct Webhook {
    url: String,
    secret: String,
}

/// An answer that says what went wrong.
type Refusal = (StatusCode, String);

impl Shop {
    /// Opens the folder that keeps events until they are delivered.
    ///
    /// # Errors
    /// When the folder can't be used.
    pub(crate) fn open(folder: &Path) -> Result<Self, BoxError> {
        let bus: Arc<dyn Bus> = Arc::new(DurableBus::open(&DurableConfig::new(folder))?);
        let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
        // Its metrics and `/readyz` tell of this bus and these hooks.
        let server = Server::builder(bus.clone(), dispatcher.clone()).build()?;
        let admin = AdminService::new(bus.clone(), dispatcher.clone()).of_daemon(Arc::default());
        // A real shop adds its customers' hooks here, from its own database, and then calls `bus.all_subscribed()`.
        Ok(Self { bus, dispatcher, server, admin })
    }

    /// The shop's routes, those of the hooks server under `/hooks`, and those of its operators.
    fn router(&self) -> Router {
        Router::new()
            .route("/orders", post(place_order))
            .route("/customers", get(customers))
            .route("/customers/{id}/webhook", put(register).delete(remove))
            .route("/customers/{id}/webhook/enabled", put(set_enabled))
            .with_state(self.clone())
            // Whoever reaches this may publish: give the server tokens, or a layer of yours that asks for them.
            .nest("/hooks", self.server.router())
            // The same for operators, who see every hook, disable it, and replay its dead letters.
            .nest("/operators", self.admin.router())
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

/// Publishes an event: once this is answered, it is on the disk and will be delivered.
async fn place_order(State(shop): State<Shop>, Json(order): Json<Order>) -> Result<StatusCode, Refusal> {
    let published = shop.bus.publish_event(&order, "/shop").await;
    published.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(StatusCode::ACCEPTED)
}

/// Adds a customer's hook, or changes it.
async fn register(
    State(shop): State<Shop>,
    InPath(id): InPath<HookId>,
    Json(webhook): Json<Webhook>,
) -> Result<StatusCode, Refusal> {
    let hook = hook(&id, webhook).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let done = if shop.dispatcher.hook_status(&id).is_none() {
        shop.dispatcher.add(hook).await.map(|()| StatusCode::CREATED)
    } else {
        shop.dispatcher.replace(hook).await.map(|()| StatusCode::NO_CONTENT)
    };
    done.map_err(refused)
}

fn hook(id: &HookId, Webhook { url, secret }: Webhook) -> Result<Hook, BoxError> {
    let sink = HttpConfig {
        // Customers choose the address: it must not be one of our own network. Receivers of this example are on this
        // machine; leave them out.
        guard: true,
        allow_cidrs: vec!["127.0.0.0/8".parse()?],
        ..HttpConfig::new(url).secret(secret)
    };
    Ok(Hook::new(id.as_str(), sink)?.filter(Filter::types(["order.*"])))
}

/// `true` or `false`: a hook that is disabled keeps its events for later.
async fn set_enabled(
    State(shop): State<Shop>,
    InPath(id): InPath<HookId>,
    Json(enabled): Json<bool>,
) -> Result<StatusCode, Refusal> {
    let changed = if enabled { shop.dispatcher.enable(&id).await } else { shop.dispatcher.disable(&id).await };
    changed.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a hook with everything that is kept for it.
async fn remove(State(shop): State<Shop>, InPath(id): InPath<HookId>) -> Result<StatusCode, Refusal> {
    let was_there = shop.dispatcher.forget(&id).await.map_err(refused)?;
    Ok(if was_there { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

/// How every customer's hook is doing: its state, counts, lag and last error.
async fn customers(State(shop): State<Shop>) -> Json<Vec<HookStatus>> {
    Json(shop.dispatcher.status())
}

fn refused(error: DispatchError) -> Refusal {
    let status = match error {
        DispatchError::UnknownHook(_) => StatusCode::NOT_FOUND,
        DispatchError::ShutDown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, chain(&error))
}
