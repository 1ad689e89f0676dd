//! The events of the demonstration.

use std::collections::HashMap;

use hooks_core::{BoxError, Envelope};

use crate::ndjson::Intake;

/// Real GitHub events.
pub(super) const TEXT: &str = include_str!("../../../examples/github-events.ndjson");

/// Which of them one receiver refuses, counted from 0: one that stands alone, and two neighbours.
pub(super) const POISONED: [usize; 3] = [77, 181, 182];

/// The events as they are published, and where each stands by its id.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) events: Vec<Envelope>,
    places: HashMap<String, usize>,
}

impl Sample {
    pub(super) fn new() -> Result<Self, BoxError> {
        let mut intake = Intake::new("hooks", TEXT.len());
        intake.push(TEXT.as_bytes());
        intake.finish();
        let events = intake.take().events;
        let places = events.iter().enumerate().map(|(place, event)| (event.id().to_owned(), place)).collect();
        let sample = Self { events, places };
        if sample.places.len() == sample.events.len() && sample.len() > POISONED[2] {
            Ok(sample)
        } else {
            Err("the sample events are not what they should be".into())
        }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }
}
