//! Any bytes as lines of events, read in two ways of cutting them: the same events and the same errors.

#![no_main]

use hooks_cli::ndjson::{Intake, Malformed};
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 256;

/// The types of the events (what is filled in differs each time) and what is wrong with the other lines.
fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Vec<Malformed>) {
    let mut intake = Intake::new("/fuzz", LONGEST);
    let (mut types, mut malformed) = (Vec::new(), Vec::new());
    let mut take = |intake: &mut Intake| {
        let taken = intake.take();
        types.extend(taken.events().map(|event| event.event_type().to_owned()));
        malformed.extend(taken.malformed);
    };
    for chunk in chunks {
        intake.push(chunk);
        take(&mut intake);
    }
    intake.finish();
    take(&mut intake);
    (types, malformed)
}

fuzz_target!(|bytes: &[u8]| {
    let length = bytes.first().map_or(1, |first| usize::from(*first).max(1));
    assert_eq!(read(std::iter::once(bytes)), read(bytes.chunks(length)));
});
