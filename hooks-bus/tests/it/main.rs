//! Black-box tests of the buses, through the traits that the dispatcher uses.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
#[cfg(feature = "durable")]
mod durable;
#[cfg(any(feature = "nats", feature = "postgres"))]
mod fixture;
mod memory;
mod model;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "durable", feature = "postgres"))]
mod small;
mod storm;

use std::ops::Range;

use hooks_core::Slice;

/// Events named by their numbers, in one block, each with this much data.
fn slice(range: Range<usize>, data: usize) -> Slice {
    hooks_test::thirds(range, |_| data)
}
