//! Any text as a config file: never a panic, and whatever is wrong has a place in the text.

#![no_main]

use std::env::VarError;

use hooks_cli::config::{Variables, WithoutBus, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lookup = |name: &str| if name.len() % 2 == 0 { Ok(name.to_lowercase()) } else { Err(VarError::NotPresent) };
    let variables = Variables { config_dir: Some("/etc/hooks"), lookup: &lookup };
    let Err(problems) = parse(text, "hooks.toml", WithoutBus::Either, &variables) else { return };
    assert!(!problems.list.is_empty());
    assert!(problems.to_string().starts_with("hooks.toml"));
    for problem in &problems.list {
        assert!(!problem.message.is_empty());
        let Some((line, column)) = problem.place else { continue };
        assert!((1..=text.lines().count() + 1).contains(&line), "line {line}");
        assert!(column >= 1, "column {column}");
    }
});
