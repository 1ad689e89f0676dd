//! Any bytes as a record of the history: never a panic, and what is read is written and read the same.

#![no_main]

use hooks_server::history::fuzz_record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz_record(bytes));
