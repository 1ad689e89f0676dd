//! Any bytes as the text of an event: never a panic, and what is taken is a sound event on one line.
//!
//! The same holds in the property tests of hooks-core, which every run of the tests tries a little of.

#![no_main]

use hooks_core::{Envelope, Metadata, RawValue, SliceBuilder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut slice = SliceBuilder::new("/fuzz");
    if slice.push_json(bytes).is_err() {
        assert!(slice.is_empty());
        return;
    }
    let event = slice.finish()[0].clone();
    assert!(!event.json().contains(['\n', '\r']));
    // `RawValue` checks the grammar alone: a number too large for a float and half a surrogate are JSON.
    let members: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(event.json()).expect("what is taken is JSON for others, too");
    assert_eq!(members.get("data").map(|data| data.get()), event.data());
    let again = Envelope::from_json(event.json().as_bytes()).expect("what is taken is taken again");
    assert_eq!(again.json(), event.json());

    let metadata = Metadata::new([("fuzz", "yes".into())]).expect("a legal name");
    let line = metadata.apply(&event);
    let delivered = Envelope::from_json(line.as_bytes()).expect("metadata leaves an event an event");
    assert_eq!(delivered.data(), event.data());
});
