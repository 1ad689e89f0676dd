//! Asks the daemons that share hooks through NATS, on whichever machines they run, through NATS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::{BoxError, Hook, HookId};
use tokio::time::timeout;

use super::desk::Desk;
use super::local::Open;
use super::protocol::{HookReport, Request, Response};
use crate::commands::chain;

/// How long a daemon may take to answer what takes no time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers what operators ask this daemon, until the future is dropped.
pub(super) async fn serve(bus: NatsBus, desk: Arc<Desk>) {
    let answer = async |question: Vec<u8>| {
        let response = match serde_json::from_slice(&question) {
            Ok(request) => desk.answer(request).await,
            Err(error) => Response::Failed { error: format!("not understood: {error}") },
        };
        serde_json::to_vec(&response).unwrap_or_default()
    };
    if let Err(error) = bus.answer(answer).await {
        tracing::warn!(error = chain(&error), "operators can't ask this daemon");
    }
}

/// Every daemon of the bus, and what NATS keeps.
pub(crate) struct Cluster {
    bus: NatsBus,
    local: Open,
}

impl Cluster {
    pub(super) async fn open(config: &NatsConfig, hooks: Vec<Hook>) -> Result<Self, BoxError> {
        // Whoever looks makes nothing.
        let bus = NatsBus::connect(NatsConfig { create: false, ..config.clone() }).await?;
        Ok(Self { local: Open::new(Arc::new(bus.clone()), hooks), bus })
    }

    pub(super) async fn ask(&mut self, request: Request) -> Response {
        let daemons = self.bus.instances();
        match &request {
            Request::Status => self.status(&daemons).await,
            Request::Enable { .. } | Request::Disable { .. } if !daemons.is_empty() => {
                self.tell(&daemons, &request).await
            }
            Request::Replay { hook, .. } if !daemons.is_empty() => match self.bus.place(hook) {
                Some(place) => match place.owner {
                    Some(owner) => answer_of(self.one(&owner, &request).await),
                    None => failed(format!("no daemon has the hook `{hook}` now: try again, or add it to the config")),
                },
                None => self.local.ask(request).await,
            },
            // What NATS keeps, this process can do as well.
            _ => self.local.ask(request).await,
        }
    }

    pub(super) async fn close(self) {
        self.local.close().await;
    }

    async fn one(&self, daemon: &str, request: &Request) -> Result<Response, String> {
        let question = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        let answer = self.bus.ask(daemon, question).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer).map_err(|error| format!("the instance {daemon} answers strangely: {error}"))
    }

    async fn all(&self, daemons: &[String], request: &Request) -> Vec<Result<Response, String>> {
        join_all(daemons.iter().map(async |daemon| {
            let answer = timeout(PATIENCE, self.one(daemon, request)).await;
            answer.unwrap_or_else(|_| Err(format!("the instance {daemon} does not answer")))
        }))
        .await
    }

    /// Each daemon must know, because each may come to own the hook.
    async fn tell(&self, daemons: &[String], request: &Request) -> Response {
        let (mut done, mut refused) = (None, None);
        for answer in self.all(daemons, request).await {
            match answer {
                Ok(Response::Failed { error }) => refused = Some(error),
                Ok(response) => done = Some(response),
                Err(error) => return failed(format!("not every daemon knows, do it again: {error}")),
            }
        }
        done.or(refused.map(failed)).unwrap_or_else(|| failed("no daemon answered".to_owned()))
    }

    async fn status(&mut self, daemons: &[String]) -> Response {
        let Response::Status { hooks: kept, .. } = self.local.ask(Request::Status).await else {
            return failed("an answer to another question".to_owned());
        };
        let mut best: BTreeMap<HookId, (u8, HookReport)> = BTreeMap::new();
        let mut silent = None;
        for (daemon, answer) in daemons.iter().zip(self.all(daemons, &Request::Status).await) {
            match answer {
                Ok(Response::Status { hooks, .. }) => {
                    hooks.into_iter().for_each(|report| self.choose(&mut best, daemon, report));
                }
                Ok(_) => {}
                Err(error) => silent = Some(error),
            }
        }
        let hooks = kept.into_iter().map(|kept| {
            let report = best.remove(&kept.id).map(|(_, report)| report);
            self.placed(report.unwrap_or_else(|| unheard(kept, silent.as_deref())))
        });
        Response::Status { hooks: hooks.collect(), running: !daemons.is_empty() }
    }

    /// The owner knows a hook best, then whoever runs it.
    fn choose(&self, best: &mut BTreeMap<HookId, (u8, HookReport)>, daemon: &str, report: HookReport) {
        let owner = self.bus.place(&report.id).and_then(|place| place.owner);
        let owns = owner.is_some_and(|owner| owner == daemon);
        let rank = if owns { 2 } else { u8::from(report.sink.is_some()) };
        if best.get(&report.id).is_none_or(|(other, _)| *other < rank) {
            best.insert(report.id.clone(), (rank, report));
        }
    }

    fn placed(&self, report: HookReport) -> HookReport {
        let Some(place) = self.bus.place(&report.id) else { return report };
        let lag = report.lag.or_else(|| hooks_core::Bus::lag(&self.bus, &report.id).map(Into::into));
        HookReport { owner: place.owner, position: Some(place.position), lag, ..report }
    }
}

/// Of a hook that no daemon reported.
fn unheard(kept: HookReport, silent: Option<&str>) -> HookReport {
    match silent {
        Some(error) => HookReport { state: "unknown".to_owned(), last_error: Some(error.to_owned()), ..kept },
        None => kept,
    }
}

fn answer_of(answer: Result<Response, String>) -> Response {
    answer.unwrap_or_else(failed)
}

fn failed(error: String) -> Response {
    Response::Failed { error }
}
