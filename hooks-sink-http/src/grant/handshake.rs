//! One sink's part in asking a receiver.

use std::sync::Arc;

use bytes::Bytes;
use hooks_core::sink::{Callback, Callbacks, SinkContext};
use hooks_core::{BoxError, HookId, Rate};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use super::registry::{Grant, Granted, Grants};
use crate::endpoint::without_path;
use crate::header_names::REQUEST_CALLBACK;
use crate::question::{Held, Turn, Withheld};
use crate::ready::Ready;

/// Asks a receiver once before everything else.
pub(crate) struct Handshake {
    grant: Arc<Grant>,
    origin: Box<str>,
    uri: Uri,
    headers: HeaderMap,
    hook: HookId,
    /// Where the receiver may grant later. `None` for a test, which shows what was sent to whoever asked for it.
    callbacks: Option<Arc<Callbacks>>,
    /// The secret that the receiver was given for that.
    secret: Option<Box<str>>,
    /// For errors: method and address, without secrets.
    pub(crate) name: Box<str>,
    pub(crate) phase: Phase,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It delivers.
    Delivers,
    /// It waits while another one asks.
    Waits,
    /// It has asked, and waits for the answer.
    Asks,
}

impl Handshake {
    /// `None` where nothing has to be granted.
    pub(crate) fn new(ready: &Ready, context: &SinkContext) -> Result<Option<Box<Self>>, BoxError> {
        let Some(origin) = &ready.asks_as else { return Ok(None) };
        let grants = context.kept::<Grants, BoxError>("grants of webhook receivers", || Ok(Grants::default()))?;
        let mut headers = ready.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_ENCODING);
        Ok(Some(Box::new(Self {
            grant: grants.of(&ready.url, origin),
            origin: origin.clone(),
            uri: ready.uri.clone(),
            headers,
            hook: context.hook.clone(),
            callbacks: (!context.test).then(|| context.callbacks()),
            secret: None,
            name: format!("OPTIONS {}", without_path(&ready.url)).into(),
            phase: Phase::Delivers,
        })))
    }

    /// Waits until it is this sink's turn, unless there is a grant already.
    pub(crate) async fn turn(&mut self) -> (Turn<Granted>, Option<Held>) {
        if let Some(granted) = self.grant.question.known() {
            return (Turn::Known(granted), None);
        }
        let before = self.grant.question.answers();
        self.phase = Phase::Waits;
        let (next, held) = self.grant.question.turn(before).await;
        if matches!(next, Turn::Fail(_)) {
            // The hook waits for the receiver's call, too.
            self.callback();
            // It may have called before this one waited.
            if let Some(granted) = self.grant.question.known() {
                self.forget_call();
                return (Turn::Known(granted), Some(held));
            }
        }
        (next, Some(held))
    }

    /// The question.
    pub(crate) fn request(&mut self) -> Request<Full<Bytes>> {
        let callback = self.callback();
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        request.headers_mut().extend(callback.map(|callback| (REQUEST_CALLBACK, callback)));
        request
    }

    /// The address where the receiver may grant later.
    fn callback(&mut self) -> Option<HeaderValue> {
        self.secret = None;
        let callbacks = self.callbacks.as_ref().filter(|callbacks| callbacks.are_possible())?;
        let now = tokio::time::Instant::now().into_std();
        let (secret, end) = self.grant.secret(now)?;
        let grant: Arc<dyn Callback> = self.grant.clone();
        let address = callbacks.expect(&secret, &self.hook, &grant, end, now)?;
        let mut value = HeaderValue::try_from(address).ok()?;
        value.set_sensitive(true);
        self.secret = Some(secret);
        Some(value)
    }

    /// The meaning of an answer's head. The error is the reason.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Result<Granted, String> {
        super::answer::read(headers, &self.origin)
    }

    /// Nothing was granted, for this reason: an error's text. Who may see it may not grant in the receiver's place.
    pub(crate) fn not_granted(&self, why: &str) -> String {
        let name = &self.name;
        match &self.secret {
            None => format!("{name}: not granted: {why}"),
            Some(secret) => {
                let why = why.replace(&**secret, "[secret]");
                format!("{name}: not granted: {why}; it waits for the receiver to call back")
            }
        }
    }

    /// Remembers an answer, for all who ask the same.
    pub(crate) fn answered(&self, answer: Result<Granted, Withheld>) {
        if answer.is_ok() {
            self.forget_call();
        }
        self.grant.question.answered(answer);
    }

    /// The receiver has granted, and nobody waits for its call.
    fn forget_call(&self) {
        if let (Some(callbacks), Some(_)) = (&self.callbacks, &self.secret) {
            let grant: Arc<dyn Callback> = self.grant.clone();
            callbacks.forget(&grant);
        }
    }

    /// True if it is granted, in whichever way.
    pub(crate) fn is_granted(&self) -> bool {
        self.grant.question.known().is_some()
    }

    /// The rate that the receiver allows, if it named one.
    pub(crate) fn allowed_rate(&self) -> Option<Rate> {
        self.grant.question.known()?.per_minute.map(Rate::per_minute)
    }

    /// The attempt's time was over before there was a grant: why.
    pub(crate) fn cut_short(&mut self) -> Option<Withheld> {
        let phase = std::mem::replace(&mut self.phase, Phase::Delivers);
        let name = &self.name;
        let withheld = match phase {
            Phase::Delivers => return None,
            Phase::Waits => Withheld::endpoint(format!("{name}: not granted: another attempt has asked, and waits")),
            Phase::Asks if self.is_granted() => {
                Withheld::endpoint(format!("{name}: granted, but the answer did not end in time"))
            }
            Phase::Asks => Withheld::endpoint(self.not_granted("no answer came in time")),
        };
        if phase == Phase::Asks {
            self.answered(Err(withheld.clone()));
        }
        Some(withheld)
    }
}
