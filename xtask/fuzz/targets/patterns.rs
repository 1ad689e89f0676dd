//! Any JSON as an event pattern and any text as the `data` of an event: never a panic, whatever is wrong has a place in
//! the pattern, and an event matches if no field keeps it away. The pattern ends at the first line feed.

#![no_main]

use hooks_core::EventPattern;
use hooks_core::event_pattern::{Paths, Projection};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (pattern, data) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(json) = serde_json::from_str::<serde_json::Value>(pattern) else { return };
    let pattern = match EventPattern::new(&json) {
        Ok(pattern) => pattern,
        Err(error) => {
            assert!(!error.faults.is_empty());
            for fault in error.faults {
                assert!(json.pointer(&fault.pointer).is_some() && !fault.message.is_empty(), "{fault:?}");
            }
            return;
        }
    };
    let matches = pattern.matches(Some(data));
    assert_eq!(pattern.mismatch(Some(data)).is_none(), matches);
    let mut paths = Paths::default();
    let ids = paths.add(&pattern);
    let mut found = Projection::default();
    found.read(&paths, Some(data));
    assert_eq!(pattern.matches_in(&ids, &found), matches);
    for warning in pattern.warnings() {
        assert!(json.pointer(&warning.pointer).is_some(), "{warning:?}");
    }
});
