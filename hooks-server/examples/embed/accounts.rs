//! The shop's own authentication, in front of the routes of hooks: it says who asks, and hooks heed it.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hooks_core::TenantId;
use hooks_server::{Access, Right};

/// A real shop has sessions, or keys in its database.
const OPERATORS: &str = "Bearer key-of-the-operators";
const CUSTOMERS: [(&str, &str); 2] = [("Bearer key-of-acme", "acme"), ("Bearer key-of-umbrella", "umbrella")];

/// Lets customers through, each to their own hooks.
pub(crate) async fn customers(mut request: Request, next: Next) -> Response {
    let key = request.headers().get(AUTHORIZATION);
    let customer = CUSTOMERS.iter().find(|(known, _)| key.is_some_and(|key| key == known));
    let Some(Ok(tenant)) = customer.map(|(_, name)| TenantId::new(*name)) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    request.extensions_mut().insert(Access::new([Right::Read, Right::Manage], Some(tenant)));
    next.run(request).await
}

/// Lets operators through, to everything.
pub(crate) async fn operators(request: Request, next: Next) -> Response {
    if request.headers().get(AUTHORIZATION).is_none_or(|key| key != OPERATORS) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    next.run(request).await
}
