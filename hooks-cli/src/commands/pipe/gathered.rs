//! Events on their way from the input to the bus.

use std::collections::VecDeque;

use hooks_core::{EnvelopeError, Slice, SliceBuilder};

use crate::ndjson::BLOCK;

/// Reading goes on this far, in bytes, while the bus is busy.
const GATHER: usize = 512 << 10;

/// Events that were read and not published yet.
#[derive(Default)]
pub(super) struct Gathered {
    slices: VecDeque<Slice>,
    bytes: usize,
}

impl Gathered {
    pub(super) fn add(&mut self, slices: Vec<Slice>) {
        self.bytes += slices.iter().map(Slice::bytes).sum::<usize>();
        self.slices.extend(slices);
    }

    /// True if reading goes on.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < GATHER
    }

    /// The events to be published next. Those read in small parts go together.
    ///
    /// # Errors
    /// Never: a slice that holds too much was none.
    pub(super) fn next(&mut self) -> Result<Option<Slice>, EnvelopeError> {
        let Some(first) = self.slices.pop_front() else { return Ok(None) };
        let mut together = first.bytes();
        let mut fits = |slice: &mut Slice| {
            together += slice.bytes();
            together <= BLOCK
        };
        let others: Vec<Slice> = std::iter::from_fn(|| {
            let next = self.slices.front_mut()?;
            if fits(next) { self.slices.pop_front() } else { None }
        })
        .collect();
        let slice = if others.is_empty() { first } else { joined(&[&[first], &*others].concat())? };
        self.bytes -= slice.bytes();
        Ok(Some(slice))
    }
}

/// A copy of all.
fn joined(slices: &[Slice]) -> Result<Slice, EnvelopeError> {
    let mut all = SliceBuilder::new("");
    all.reserve(slices.iter().map(|slice| slice.bytes() + slice.len()).sum());
    slices.iter().flat_map(|slice| slice.iter()).try_for_each(|event| all.push_envelope(event))?;
    Ok(all.finish())
}
