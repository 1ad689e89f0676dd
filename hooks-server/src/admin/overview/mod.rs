//! `GET /v1/overview`: how it stands with all hooks or a tenant's, and how it went; `GET /v1/live`: the same as it changes.

mod live;
mod report;
mod samples;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response as HttpResponse;
use hooks_core::{Dispatcher, Figures, TenantId};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::openapi::{Operation, Routes};
use super::response::{Problem, Response};
use super::routes::{JSON, Whose, bad_request, json};
use super::service::{AdminService, unavailable};
use crate::{Access, on_own_thread};
use samples::{INTERVAL, Samples};

pub use report::{Allowed, LogFigures, Now, Overview, Sample};

/// The figures of all hooks are at least so old before they are counted again, and so many times as old as counting takes.
const FRESH: (Duration, u32) = (Duration::from_millis(900), 20);

pub(super) fn routes() -> Routes<AdminService> {
    let overview =
        Operation::get("/v1/overview", "getOverview", "How it stands with the hooks, and how it went in the last hour")
            .answers::<Overview>(200, "How it stands, of what the sender may see.");
    Routes::new().on(overview, overview_of).on(live::operation(), live::follow)
}

async fn overview_of(
    State(service): State<AdminService>,
    Whose(tenant): Whose,
    Extension(access): Extension<Access>,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        return Err(bad_request(format!("`?{query}` is not understood: nothing can be asked here")));
    }
    let overview = service.overview(tenant.as_ref(), &access).await?;
    Ok(json(StatusCode::OK, JSON, &overview))
}

/// What overviews are made of.
#[derive(Default)]
pub(super) struct Overviews {
    samples: Mutex<Samples>,
    /// The figures of all hooks, when they were counted, and how long that took.
    counted: AsyncMutex<Option<(Instant, Duration, Figures)>>,
}

impl fmt::Debug for Overviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overviews").finish_non_exhaustive()
    }
}

impl AdminService {
    /// Takes a sample for the [`Overview`] every 15 seconds, and never returns. The daemon's own listener does; call it where
    /// [`router`](Self::router) is mounted elsewhere.
    ///
    /// # Cancel safety
    /// A call that is dropped took whole samples.
    pub async fn sample(&self) {
        let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let service = self.clone();
            let sample = move || {
                let accepted = service.bus().monitor().stats().accepted;
                let by_tenant = service.dispatcher().figures_by_tenant();
                service.overviews().samples.lock().add(SystemTime::now(), accepted, &by_tenant);
            };
            // Without a thread now there may be one at the next tick.
            let _ = on_own_thread("samples", sample).await;
        }
    }

    /// How it stands, and how it went: with all hooks or a tenant's.
    pub(super) async fn overview(&self, tenant: Option<&TenantId>, access: &Access) -> Result<Overview, Problem> {
        let now = self.now(tenant).await.map_err(|error| unavailable(error.to_string()))?;
        Ok(Overview {
            now,
            samples: self.overviews().samples.lock().of(tenant),
            interval: INTERVAL.as_secs(),
            access: Allowed::by(access),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    pub(super) async fn whole_overview(&self) -> Result<Response, Problem> {
        self.overview(None, &Access::everything()).await.map(|overview| Response::Overview(Box::new(overview)))
    }

    async fn now(&self, tenant: Option<&TenantId>) -> io::Result<Now> {
        if let Some(tenant) = tenant {
            let (dispatcher, tenant) = (self.dispatcher_of(), tenant.clone());
            let figures = on_own_thread("figures", move || dispatcher.figures(Some(&tenant))).await?;
            return Ok(Now::of_tenant(&figures));
        }
        let (figures, monitor) = (self.overviews().all(self.dispatcher_of()).await?, self.bus().monitor());
        let trouble = monitor.health().trouble().map(str::to_owned);
        Ok(Now::of_all(&figures, &monitor.stats(), trouble, self.reload_failure()))
    }
}

impl Overviews {
    /// The figures of all hooks, which those who ask share.
    async fn all(&self, dispatcher: Arc<Dispatcher>) -> io::Result<Figures> {
        let mut counted = self.counted.lock().await;
        if let Some((at, took, figures)) = *counted
            && at.elapsed() < FRESH.0.max(took * FRESH.1)
        {
            return Ok(figures);
        }
        let begun = Instant::now();
        let figures = on_own_thread("figures", move || dispatcher.figures(None)).await?;
        *counted = Some((Instant::now(), begun.elapsed(), figures));
        Ok(figures)
    }
}
