//! The events of the demonstration.

use std::collections::HashMap;

use hooks_core::{BoxError, EnvelopeError, Slice, SliceBuilder};

/// Real GitHub events: `zstd -19 examples/github-events.ndjson`, a seventieth of its size.
static COMPRESSED: &[u8] = include_bytes!("github-events.ndjson.zst");

/// The events that one receiver refuses, counted from 0: one that stands alone, and two neighbours.
pub(super) const POISONED: [usize; 3] = [77, 181, 182];

/// The number of events that are published together.
const SLICE: usize = 4;

fn text() -> Result<String, BoxError> {
    Ok(String::from_utf8(zstd::decode_all(COMPRESSED)?)?)
}

/// The events as they are published, and where each stands by its id.
#[derive(Debug)]
pub(super) struct Sample {
    /// The events, one a line.
    pub(super) text: String,
    pub(super) slices: Vec<Slice>,
    places: HashMap<String, usize>,
}

impl Sample {
    pub(super) fn new() -> Result<Self, BoxError> {
        let text = text()?;
        let lines: Vec<&str> = text.lines().collect();
        let mut builder = SliceBuilder::new("hooks");
        let slice = |lines: &[&str]| {
            lines.iter().try_for_each(|line| builder.push_json(line.as_bytes()))?;
            Ok::<_, EnvelopeError>(builder.finish())
        };
        let slices = lines.chunks(SLICE).map(slice).collect::<Result<Vec<Slice>, _>>()?;
        let events = slices.iter().flat_map(|slice| slice.iter());
        let places: HashMap<String, usize> =
            events.enumerate().map(|(place, event)| (event.id().to_owned(), place)).collect();
        if places.len() == lines.len() && places.len() > POISONED[2] {
            Ok(Self { text, slices, places })
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_events_are_those_of_the_examples() {
        assert!(
            super::text().unwrap() == include_str!("../../../examples/github-events.ndjson"),
            "compress them again"
        );
    }
}
