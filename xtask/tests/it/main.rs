//! Uses of the crates from outside of the workspace.

#![allow(clippy::unwrap_used, reason = "tests")]

mod outside;
