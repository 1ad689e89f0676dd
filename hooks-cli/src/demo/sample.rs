//! The events of the demonstration.

use std::collections::HashMap;

use hooks_core::{BoxError, EnvelopeError, Slice, SliceBuilder};

/// Real GitHub events.
pub(super) const TEXT: &str = include_str!("github-events.ndjson");

/// The events that one receiver refuses, counted from 0: one that stands alone, and two neighbours.
pub(super) const POISONED: [usize; 3] = [77, 181, 182];

/// The number of events that are published together.
const SLICE: usize = 4;

/// The events as they are published, and where each stands by its id.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) slices: Vec<Slice>,
    places: HashMap<String, usize>,
}

impl Sample {
    pub(super) fn new() -> Result<Self, BoxError> {
        let lines: Vec<&str> = TEXT.lines().collect();
        let mut builder = SliceBuilder::new("hooks");
        let slice = |lines: &[&str]| {
            lines.iter().try_for_each(|line| builder.push_json(line.as_bytes()))?;
            Ok::<_, EnvelopeError>(builder.finish())
        };
        let slices = lines.chunks(SLICE).map(slice).collect::<Result<Vec<Slice>, _>>()?;
        let events = slices.iter().flat_map(|slice| slice.iter());
        let places = events.enumerate().map(|(place, event)| (event.id().to_owned(), place)).collect();
        let sample = Self { slices, places };
        if sample.len() == lines.len() && sample.len() > POISONED[2] {
            Ok(sample)
        } else {
            Err("the sample events are not what they should be".into())
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }
}
