//! Hooks that a daemon manages: lists, shows, defines and deletes them.

use std::sync::mpsc::SyncSender;

use hooks_core::{BoxError, EndpointState, HookId};
use hooks_server::admin::{AdminClient, Done, HookDocument, HookMatch, HookMatches, HookPage, Overview, Problem};
use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{Method, Request, Response};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// A daemon.
pub(crate) struct Managed(AdminClient);

/// A hook that was defined.
pub(crate) struct Defined {
    /// True if it was not there before.
    pub(crate) is_new: bool,
    pub(crate) hook: HookDocument,
}

impl Managed {
    pub(crate) fn new(client: AdminClient) -> Self {
        Self(client)
    }

    /// Every hook, by name.
    ///
    /// # Errors
    /// When there is no answer, or another one.
    pub(crate) async fn all(&mut self) -> Result<Vec<HookDocument>, BoxError> {
        let (mut hooks, mut path) = (Vec::new(), "/v1/hooks?limit=500".to_owned());
        loop {
            let answer = self.ask(Request::get(&path).body(Vec::new())?).await?;
            let page: HookPage = self.read(&answer)?;
            hooks.extend(page.hooks);
            let Some(next) = page.next else { return Ok(hooks) };
            path = format!("/v1/hooks?limit=500&after={next}");
        }
    }

    /// How it stands, and how it went.
    ///
    /// # Errors
    /// As for [`all`](Self::all).
    pub(crate) async fn overview(&mut self) -> Result<Overview, BoxError> {
        let answer = self.ask(Request::get("/v1/overview").body(Vec::new())?).await?;
        self.read(&answer)
    }

    /// The first hooks in a state: with many hooks, those among the first thousands.
    ///
    /// # Errors
    /// As for [`all`](Self::all).
    pub(crate) async fn in_state(&mut self, state: EndpointState, most: usize) -> Result<Vec<HookDocument>, BoxError> {
        let path = format!("/v1/hooks?state={}&limit={most}", state.name());
        let answer = self.ask(Request::get(path).body(Vec::new())?).await?;
        self.read::<HookPage>(&answer).map(|page| page.hooks)
    }

    /// Sends the names that hold this text, as long as somebody takes them.
    ///
    /// # Errors
    /// As for [`all`](Self::all).
    pub(crate) async fn names(&mut self, part: &str, found: &SyncSender<String>) -> Result<(), BoxError> {
        let text = if part.is_empty() { String::new() } else { format!("&q={part}") };
        let mut path = format!("/v1/hooks?limit=500{text}");
        loop {
            let answer = self.ask(Request::get(&path).body(Vec::new())?).await?;
            let page: HookPage = self.read(&answer)?;
            let mut names = page.hooks.into_iter().map(|hook| hook.id.to_string());
            let is_wanted = names.all(|name| found.send(name).is_ok());
            let Some(next) = page.next.filter(|_| is_wanted) else { return Ok(()) };
            path = format!("/v1/hooks?limit=500{text}&after={next}");
        }
    }

    /// Every hook, by name, and whether it receives an event.
    ///
    /// # Errors
    /// As for [`all`](Self::all); also when it is no event.
    pub(crate) async fn matches(&mut self, event: &[u8]) -> Result<Vec<HookMatch>, BoxError> {
        let (mut hooks, mut path) = (Vec::new(), "/v1/hooks/match?limit=1000".to_owned());
        loop {
            let request = Request::post(&path).header(CONTENT_TYPE, "application/json").body(event.to_vec())?;
            let answer = self.ask(request).await?;
            let page: HookMatches = self.read(&answer)?;
            hooks.extend(page.hooks);
            let Some(next) = page.next else { return Ok(hooks) };
            path = format!("/v1/hooks/match?limit=1000&after={next}");
        }
    }

    /// One hook.
    ///
    /// # Errors
    /// When there is none, or no answer.
    pub(crate) async fn hook(&mut self, hook: &HookId) -> Result<HookDocument, BoxError> {
        let answer = self.ask(Request::get(path(hook)).body(Vec::new())?).await?;
        self.read(&answer)
    }

    /// Defines a hook as long as it has this revision, or, without one, is not there.
    ///
    /// # Errors
    /// When there is no answer, or, as a [`Problem`], when it can't be.
    pub(crate) async fn define(
        &mut self,
        hook: &HookId,
        settings: &Json,
        revision: Option<u64>,
    ) -> Result<Defined, BoxError> {
        let request = Request::put(path(hook)).header(CONTENT_TYPE, "application/json");
        let request = match revision {
            Some(revision) => request.header(IF_MATCH, format!("\"{revision}\"")),
            None => request.header(IF_NONE_MATCH, "*"),
        };
        let answer = self.ask(request.body(serde_json::to_vec(settings)?)?).await?;
        Ok(Defined { is_new: answer.status() == http::StatusCode::CREATED, hook: self.read(&answer)? })
    }

    /// Deletes a hook, with all that is kept of it, as long as it has this revision, if one is given.
    ///
    /// # Errors
    /// As for [`define`](Self::define).
    pub(crate) async fn delete(&mut self, hook: &HookId, revision: Option<u64>) -> Result<(), BoxError> {
        let mut request = Request::builder().method(Method::DELETE).uri(path(hook));
        if let Some(revision) = revision {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        let answer = self.ask(request.body(Vec::new())?).await?;
        self.read::<Done>(&answer).map(drop)
    }

    /// The answer, if it is that it was done.
    async fn ask(&mut self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, BoxError> {
        let answer = self.0.send(request).await?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(self.read::<Problem>(&answer)?.into()),
        }
    }

    fn read<T: DeserializeOwned>(&self, answer: &Response<Vec<u8>>) -> Result<T, BoxError> {
        serde_json::from_slice(answer.body()).map_err(|error| {
            let (name, status) = (self.0.name(), answer.status());
            format!("{name} answers {status} as no daemon of this version does ({error}): is it one?").into()
        })
    }
}

fn path(hook: &HookId) -> String {
    format!("/v1/hooks/{hook}")
}
