//! The sink against real receivers on the loopback interface: a correct one (hyper), and raw sockets for
//! those that misbehave.
#![allow(clippy::unwrap_used, reason = "tests")]

mod answers;
mod bodies;
mod conformance;
mod connections;
mod fuzz;
mod http2;
mod misbehaving;
mod notes;
mod oauth2;
mod odd;
mod options;
mod raw;
mod recorded;
mod requests;
mod secrets;
mod tls;
mod unasked;
mod unharmed;
mod untrusted;
mod verify;

use std::sync::Arc;

use hooks_core::sink::{Batch, Shared, SinkConfig, SinkContext};
use hooks_sink_http::{HttpConfig, HttpSink};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn context(shared: &Arc<Shared>) -> SinkContext {
    SinkContext::new(hooks_test::id("test"), shared.clone())
}

fn sink(config: &HttpConfig) -> HttpSink {
    config.build(&context(&Arc::default())).unwrap()
}

fn batch(ids: &[&str]) -> Batch {
    sized_batch(ids, 10)
}

/// Events of these ids, each with a text of this length.
fn sized_batch(ids: &[&str], length: usize) -> Batch {
    Batch::for_test(ids.iter().map(|id| hooks_test::padded(id, length)))
}
