//! Who sends a request, and what that allows.

use std::time::SystemTime;

use http::HeaderMap;

use super::answer::Refusal;
use crate::signed::is_signed;
use crate::tokens::Given;
use crate::{Access, Right, Settings};

/// The sender of a request.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) access: Access,
    /// False for one who needs no token: a browser sends that for any page.
    pub(super) by_token: bool,
}

impl Sender {
    /// # Errors
    /// When a token is needed that is not there or not good, or one that says that it is signed is not.
    pub(super) fn of(headers: &HeaderMap, settings: &Settings) -> Result<Self, Refusal> {
        let given = Given::of(headers);
        if let Given::Token(token) = given {
            let known = settings.tokens.as_ref().and_then(|tokens| tokens.find(token).cloned());
            let signed = || settings.signer.verify(token, SystemTime::now());
            if let Some(access) = known.or_else(signed) {
                return Ok(Self { access, by_token: true });
            }
        }
        // Whoever sends a token that ends does not get more when it has ended.
        let is_open = settings.tokens.is_none() && !matches!(given, Given::Token(token) if is_signed(token));
        if is_open { Ok(Self { access: Access::everything(), by_token: false }) } else { Err(Refusal::Unauthorized) }
    }

    /// # Errors
    /// When it may not, or a tenant asks for what is about everybody.
    pub(super) fn reads_all(headers: &HeaderMap, settings: &Settings) -> Result<(), Refusal> {
        let Self { access, .. } = Self::of(headers, settings)?;
        if !access.may(Right::Read) {
            return Err(Refusal::Forbidden(Right::Read));
        }
        if access.tenant().is_some() { Err(Refusal::NotOfTenant) } else { Ok(()) }
    }
}

/// The one tenant whose events a request may publish, or everybody's.
///
/// # Errors
/// As for [`Sender::of`], and when it may not publish.
pub(super) fn publisher(headers: &HeaderMap, settings: &Settings) -> Result<Option<hooks_core::TenantId>, Refusal> {
    // The way of those that need no token, at no cost.
    if settings.tokens.is_none() && !headers.contains_key(http::header::AUTHORIZATION) {
        return Ok(None);
    }
    let Sender { access, .. } = Sender::of(headers, settings)?;
    if access.may(Right::Publish) { Ok(access.tenant().cloned()) } else { Err(Refusal::Forbidden(Right::Publish)) }
}
