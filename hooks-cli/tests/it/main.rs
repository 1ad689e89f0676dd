//! The `hooks` binary from outside: real files, real receivers, real signals.
#![allow(clippy::unwrap_used, reason = "tests")]

mod command;
mod config;
mod demo;
mod docs;
mod documents;
mod endings;
mod examples;
mod job;
mod lines;
mod listen;
mod malformed;
mod matches;
mod options;
mod publish;
mod receivers;

mod secrets;
pub(crate) mod serve;
mod signals;
mod single;
mod templates;
mod test_delivery;
mod unread;
