//! The `hooks` binary from outside: real files, real receivers, real signals.
#![allow(clippy::unwrap_used, reason = "tests")]

mod command;
mod config;
mod endings;
mod examples;
mod job;
mod malformed;
mod readme;
mod receiver;
mod secrets;
mod serve;
mod trials;
