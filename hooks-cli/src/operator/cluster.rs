//! Asks the daemons that share hooks, on whichever machines they run, over the bus that they share.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all};
use hooks_core::{
    HookId, HookReport,
    bus::{AskError, Instances},
    chain,
};
use hooks_server::Keys;
use hooks_server::admin::{AdminService, Rekeyed, Request, Response, Status};
use hooks_server::history::{AttemptPage, AttemptQuery};
use tokio::time::timeout;

use super::local::{Open, failed};
use super::reports::{Answers, Heard, Reports};

/// The longest time that a daemon may take to answer what takes no time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers what operators ask this daemon, until the future is dropped.
pub(super) async fn serve(instances: Arc<dyn Instances>, service: AdminService) {
    let answer = move |question: Vec<u8>| {
        let service = service.clone();
        async move { service.answer_json(&question).await }.boxed()
    };
    if let Err(error) = instances.answer(&answer).await {
        tracing::warn!(error = chain(&error), "operators can't ask this daemon");
    }
}

/// Every daemon of the bus, and what the bus keeps.
pub(crate) struct Cluster {
    instances: Arc<dyn Instances>,
    local: Open,
}

impl Cluster {
    pub(super) fn new(local: Open, instances: Arc<dyn Instances>) -> Self {
        Self { instances, local }
    }

    /// Reads and seals definitions with these keys.
    pub(super) fn manage_definitions(&mut self, keys: &Keys) {
        self.local.manage_definitions(keys);
    }

    /// This process, in place of a daemon.
    pub(super) fn local(&mut self) -> &mut Open {
        &mut self.local
    }

    pub(super) async fn ask(&mut self, request: Request) -> Response {
        match &request {
            Request::Status => self.status().await,
            Request::Enable { hook } => self.tell(hook, &request).await,
            Request::Disable { hook } => self.tell(hook, &request).await,
            Request::Replay { hook, .. } | Request::Resend { hook, .. } => self.replay(hook, &request).await,
            Request::Drop { hook, .. } | Request::Seek { hook, .. } => self.at_owner(hook, &request).await,
            Request::Rekey { .. } => self.rekey(request).await,
            Request::Attempts { which } => self.attempts(which, &request).await,
            Request::Outcomes { .. } => self.outcomes(&request).await,
            // What the bus keeps, this process can do as well.
            _ => self.local.ask(request).await,
        }
    }

    pub(super) async fn close(self) {
        self.local.close().await;
    }

    async fn one(&self, daemon: &str, request: &Request) -> Heard {
        let question = serde_json::to_vec(request).unwrap_or_default();
        match self.instances.ask(daemon, question).await {
            Ok(answer) => match serde_json::from_slice(&answer) {
                Ok(response) => Heard::Answer(response),
                Err(error) => Heard::Silence(format!("the instance {daemon} answers strangely: {error}")),
            },
            Err(AskError::Gone(_)) => Heard::Gone,
            Err(error) => Heard::Silence(chain(&error)),
        }
    }

    async fn all(&self, request: &Request, patience: Duration) -> Answers {
        self.each_of(self.instances.living(), request, patience).await
    }

    async fn each_of(&self, daemons: Vec<String>, request: &Request, patience: Duration) -> Answers {
        let asked = join_all(daemons.iter().map(async |daemon| {
            let heard = timeout(patience, self.one(daemon, request)).await;
            heard.unwrap_or_else(|_| Heard::Silence(format!("the instance {daemon} does not answer")))
        }));
        let mut answers = Answers::default();
        for (daemon, heard) in daemons.iter().zip(asked.await) {
            answers.enter(daemon, heard);
        }
        answers
    }

    /// Each daemon must know, because each may come to own the hook. Those that are gone read it in the bucket,
    /// should they come back.
    async fn tell(&mut self, hook: &HookId, request: &Request) -> Response {
        // Whoever disables a hook waits for the attempt that is on its way.
        let patience = ANSWER_TIMEOUT + self.local.attempt_timeout(hook).unwrap_or_default();
        let answers = self.all(request, patience).await;
        let disables = matches!(request, Request::Disable { .. });
        let silence = answers.silence();
        let (mut done, mut refused) = (None, None);
        for (_, response) in answers.given {
            match response {
                Response::Failed(problem) => refused = Some(problem.detail),
                response => done = Some(response),
            }
        }
        match (done, refused, silence) {
            (Some(done), _, None) => done,
            // Nobody runs it.
            (None, Some(_), None) if disables && self.local.has(hook) => self.local.ask(request.clone()).await,
            (None, None, None) => self.local.ask(request.clone()).await,
            (None, Some(error), None) => failed(error),
            (None, Some(error), Some(who)) => failed(format!("{error}; {who}")),
            (_, _, Some(who)) => failed(self.not_all(hook, disables, &who)),
        }
    }

    /// The note on daemons that did not answer.
    fn not_all(&self, hook: &HookId, disables: bool, who: &str) -> String {
        let done = if disables { "disabled" } else { "enabled" };
        if self.instances.place(hook).is_some() && self.local.bus.hooks().overrides(hook).is_some() == disables {
            format!(
                "hook `{hook}` is {done} on the bus, but {who}: there it holds when the instance has read it there, which is at once, or, if it hangs or is cut off, before it goes on with its hooks"
            )
        } else {
            format!("hook `{hook}` is not {done}: {who}; do it again")
        }
    }

    /// The owner delivers.
    async fn replay(&mut self, hook: &HookId, request: &Request) -> Response {
        if let Some(response) = self.owner(hook, request).await {
            return response;
        }
        if self.instances.place(hook).is_some() && self.all(&Request::Status, ANSWER_TIMEOUT).await.anybody() {
            return failed(format!(
                "no daemon has the hook `{hook}` now: one takes it within a few seconds if it is in its config; try again"
            ));
        }
        let delivers = !matches!(request, Request::Resend { which, .. } if which.dry_run);
        if let Err(error) = self.local.run(hook, delivers).await {
            return failed(error);
        }
        // A daemon that ended without a word has it for a lease. Whether that is over is asked before each attempt.
        let _ = timeout(self.instances.lease() + ANSWER_TIMEOUT, self.instances.owned(hook)).await;
        self.local.ask(request.clone()).await
    }

    /// Any daemon has all hooks of the config, and asks the others for their attempts.
    async fn outcomes(&self, request: &Request) -> Response {
        let mut why = "no daemon runs that could say what became of it".to_owned();
        for daemon in self.instances.living() {
            match timeout(2 * ANSWER_TIMEOUT, self.one(&daemon, request)).await {
                Ok(Heard::Answer(response)) => return response,
                Ok(Heard::Silence(silence)) => why = silence,
                Ok(Heard::Gone) => {}
                Err(_) => why = format!("the instance {daemon} does not answer"),
            }
        }
        failed(why)
    }

    /// Each daemon has those that it made; one that ended may have left some here.
    async fn attempts(&mut self, which: &AttemptQuery, request: &Request) -> Response {
        let answers = self.all(request, ANSWER_TIMEOUT).await;
        let silent = answers.silence();
        let mut pages = Vec::new();
        if let Response::Attempts(page) = self.local.ask(request.clone()).await {
            pages.push(page);
        }
        let mut why = None;
        for (daemon, response) in answers.given {
            match response {
                Response::Attempts(page) => pages.push(page),
                Response::Failed(problem) => why = Some(format!("{daemon}: {}", problem.detail)),
                _ => why = Some(format!("{daemon}: it is of another version")),
            }
        }
        match (pages.is_empty(), &why, &silent) {
            (true, Some(why), _) | (true, None, Some(why)) => return failed(why.clone()),
            (true, None, None) => return self.local.ask(request.clone()).await,
            _ => {}
        }
        let silent = AttemptPage { silent: silent.into_iter().chain(why).collect(), ..AttemptPage::default() };
        Response::Attempts(AttemptPage::merge(pages.into_iter().chain([silent]), which))
    }

    /// The owner knows what it has on its way. Where there is none, nothing is.
    async fn at_owner(&mut self, hook: &HookId, request: &Request) -> Response {
        match self.owner(hook, request).await {
            Some(response) => response,
            None => self.local.ask(request.clone()).await,
        }
    }

    /// A daemon without the key could not follow, and one that seals with another would undo it.
    async fn rekey(&mut self, request: Request) -> Response {
        let look = Request::Rekey { dry_run: true };
        let ours = self.local.ask(look.clone()).await;
        let Response::Rekeyed(Rekeyed { key, .. }) = &ours else { return ours };
        let answers = self.all(&look, ANSWER_TIMEOUT).await;
        let silence = answers.silence();
        for (daemon, response) in answers.given {
            let why = match response {
                Response::Rekeyed(theirs) if theirs.key == *key => continue,
                Response::Rekeyed(theirs) => format!("seals with key {}", theirs.key),
                Response::Failed(problem) => problem.detail,
                _ => "answers another question".to_owned(),
            };
            return failed(format!(
                "nothing was sealed anew: the first key here is {key}, and the instance {daemon}: {why}; put the key first in its file, too, and reload it"
            ));
        }
        match silence {
            Some(who) => failed(format!("nothing was sealed anew: {who}")),
            None => self.local.ask(request).await,
        }
    }

    /// The answer of a hook's owner, if there is one.
    async fn owner(&mut self, hook: &HookId, request: &Request) -> Option<Response> {
        let owner = self.instances.place(hook)?.owner?;
        match self.one(&owner, request).await {
            Heard::Answer(response) => Some(response),
            Heard::Silence(why) => Some(failed(why)),
            Heard::Gone => None,
        }
    }

    async fn status(&mut self) -> Response {
        let Response::Status(Status { hooks: kept, trouble, .. }) = self.local.ask(Request::Status).await else {
            return failed("an answer to another question".to_owned());
        };
        // Where nobody delivers, those may be there that can't any more, and say why.
        let daemons = Some(self.instances.living()).filter(|living| !living.is_empty());
        let daemons = daemons.unwrap_or_else(|| self.instances.lapsed());
        let answers = self.each_of(daemons, &Request::Status, ANSWER_TIMEOUT).await;
        let (running, trouble) = (answers.anybody(), trouble.or_else(|| answers.trouble()));
        let reload = answers.reload();
        let mut known = Reports::new(answers);
        let hooks = kept.into_iter().map(|kept| {
            let place = self.instances.place(&kept.id);
            let lag = kept.lag;
            let report =
                known.of(HookReport { lag: None, ..kept }, place.as_ref().and_then(|place| place.owner.as_deref()));
            HookReport { position: place.map(|place| place.position), lag: report.lag.or(lag), ..report }
        });
        Response::Status(Status { hooks: hooks.collect(), running, trouble, reload })
    }
}
