//! The receivers' side of webhooks that are signed after Standard Webhooks and carry CloudEvents.
//!
//! ```text
//! request ─▶ Verifier: who sent it, unchanged, fresh? ─▶ events ─▶ Repeats: for the first time? ─▶ your work
//!                │ no: 401                                 │ none: 400                              │
//!                ▼                                         ▼                                        ▼
//!             answer ◀──────────────────────────── refused: 200 that names the events that you don't want
//! ```
//!
//! ```
//! use std::num::NonZeroUsize;
//! use hooks_verify::{Repeats, events, refused};
//!
//! // Of a request that `Verifier::verify` believes.
//! let body = br#"[{"id":"1","source":"/shop","type":"invoice.paid","data":{"number":7}},
//!                 {"id":"2","source":"/shop","type":"invoice.lost"}]"#;
//! let mut repeats = Repeats::new(NonZeroUsize::new(10_000).expect("not 0"));
//! let mut unwanted = Vec::new();
//! for event in events(body)? {
//!     if repeats.contains(&event) {
//!         continue;
//!     }
//!     match event.event_type() {
//!         "invoice.paid" => {
//!             println!("{:?}", event.data::<serde_json::Value>()?);
//!             // Behind the work: what fails comes again.
//!             repeats.insert(&event);
//!         }
//!         _ => unwanted.push(event.id().to_owned()),
//!     }
//! }
//! // With status 200: the sender sets these aside, and delivers the others never again.
//! assert_eq!(refused(unwanted), r#"{"batchItemFailures":[{"itemIdentifier":"2"}]}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `axum`: `Webhook`, an extractor that reads the body once, verifies it and gives the events.
//! - `tower`: `VerifyLayer`, for any service of HTTP.
//!
//! # Invariants
//! - It does no I/O, keeps no clock, and depends on nothing else of the workspace: services that receive pay for no sender.
//! - No error and no `Debug` output shows a key.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod events;
#[cfg(feature = "axum")]
mod extract;
mod key;
#[cfg(feature = "tower")]
mod layer;
mod repeats;
mod verifier;

pub use events::{Event, NoEvents, events, refused};
#[cfg(feature = "axum")]
pub use extract::{Untrusted, Webhook};
pub use key::Key;
#[cfg(feature = "tower")]
pub use layer::{Verified, Verify, VerifyLayer};
pub use repeats::Repeats;
pub use verifier::{InvalidKey, Signed, TOLERANCE, Verifier, VerifyError, plain_hmac};
