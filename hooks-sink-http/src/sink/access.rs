//! The access token that an attempt sends.

use std::sync::Arc;

use hooks_core::BoxError;
use hooks_core::sink::{DeliveryError, SinkContext};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::HttpSink;
use crate::client::Client;
use crate::kept::Kept;
use crate::oauth2::{Fetch, Token, TokenRequest, TokenSource};
use crate::question::Withheld;
use crate::received::Received;

/// A sink's access token, and how it gets one.
pub(super) struct Access {
    request: Box<TokenRequest>,
    client: Arc<Client>,
    source: Arc<TokenSource>,
    token: Option<Token>,
    /// True if the attempt has fetched one: another would be refused for the same reason.
    is_new: bool,
    /// True while the attempt waits for a token.
    waits: bool,
}

impl Access {
    pub(super) fn new(request: Box<TokenRequest>, context: &SinkContext) -> Result<Box<Self>, BoxError> {
        let sources = context.kept::<Kept<TokenSource>, BoxError>("access tokens", || Ok(Kept::default()))?;
        let client = request.client.clone().within(context.attempt_timeout).client(context)?;
        let source = sources.of(request.identity.as_ref(), TokenSource::default);
        Ok(Box::new(Self { request, client, source, token: None, is_new: false, waits: false }))
    }

    /// Gets a token, from the token endpoint if need be.
    async fn obtain(&mut self) -> Result<(), Withheld> {
        self.waits = true;
        let token = match self.source.next(now()).await {
            Fetch::Use(token) => Ok(token),
            Fetch::Fail(withheld) => Err(withheld),
            Fetch::Ask(_held, last) => {
                self.is_new = true;
                let answer = self.request.fetch(&self.client).await;
                self.source.answered(answer, last, now())
            }
        };
        self.waits = false;
        self.token = Some(token?);
        Ok(())
    }
}

impl HttpSink {
    /// Gets the token that the attempt sends, if it sends one.
    pub(super) async fn obtain_token(&mut self) -> Result<(), DeliveryError> {
        let Some(access) = &mut self.access else { return Ok(()) };
        let obtained = access.obtain().await;
        if let (Ok(()), Some(token)) = (&obtained, &access.token) {
            self.mask.learn(&token.authorization);
        }
        let is_new = access.is_new;
        self.tell(|report| report.token(is_new, obtained.as_ref().err().map(|withheld| &*withheld.what)));
        obtained.map_err(Withheld::error)
    }

    /// Begins an attempt, for which a token may be fetched once.
    pub(super) fn begin_access(&mut self) {
        if let Some(access) = &mut self.access {
            (access.is_new, access.waits) = (false, false);
        }
    }

    /// Gets another token if the receiver refuses one that was fetched before this attempt. True if it did.
    pub(super) async fn renew_token(&mut self, received: &Received) -> Result<bool, DeliveryError> {
        let Some(access) = self.access.as_mut().filter(|access| !access.is_new) else { return Ok(false) };
        let Some(token) = access.token.take_if(|_| received.status == StatusCode::UNAUTHORIZED) else {
            return Ok(false);
        };
        access.source.refused(&token);
        self.obtain_token().await?;
        // Once is enough: what another sink fetched is new, too.
        if let Some(access) = &mut self.access {
            access.is_new = true;
        }
        Ok(true)
    }

    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        let token = self.access.as_ref().and_then(|access| access.token.as_ref());
        headers.extend(token.map(|token| (AUTHORIZATION, token.authorization.clone())));
    }

    /// The result of an attempt whose time was over before it had a token.
    pub(super) fn cut_short_without_token(&mut self) -> Option<DeliveryError> {
        let access = self.access.as_mut().filter(|access| access.waits)?;
        access.waits = false;
        let name = &access.request.name;
        let withheld = Withheld::endpoint(format!("no access token: {name}: no answer came in time"));
        if access.is_new {
            access.source.give_up(&withheld);
        }
        self.tell(|report| report.token(true, Some(&withheld.what)));
        Some(withheld.error())
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
