//! Rules on the text of source files.
//!
//! An exception says so on its line or the line before: `tidy-allow(name of the rule): reason`.

use super::problem::Problem;

/// Longest file of code, its unit tests not counted.
const MAX_LINES: usize = 400;

/// The part of a file that a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Code that is no test.
    Product,
    Tests,
    /// Tests and other code.
    Code,
    /// Comments, too.
    Text,
}

/// Texts that must not stand in some files.
struct Rule {
    name: &'static str,
    applies: fn(&File<'_>) -> bool,
    place: Place,
    texts: &'static [&'static str],
    advice: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "core-io",
        applies: |file| file.path.starts_with("hooks-core/src/"),
        place: Place::Product,
        texts: &[
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::os::",
            "io::stdin",
            "io::stdout",
            "io::stderr",
            "tokio::fs",
            "tokio::net",
            "tokio::process",
            "tokio::signal",
            "println!",
            "eprintln!",
        ],
        advice: "hooks-core does no I/O: move this to a sink, a bus or hooks-cli",
    },
    Rule {
        name: "bus-io",
        applies: |file| file.path.starts_with("hooks-bus/src/") && file.path != "hooks-bus/src/durable/folder.rs",
        place: Place::Product,
        texts: &["std::fs", "rustix::", "tokio::fs", "std::os::"],
        advice: "the durable bus touches files through its `Disk`, so that the simulated disk sees everything",
    },
    Rule {
        name: "environment",
        applies: |file| file.is_library() && !file.path.starts_with("hooks-cli/") && !file.path.starts_with("xtask/"),
        place: Place::Product,
        texts: &["std::env", "tokio::signal", "env::var"],
        advice: "only hooks-cli reads the environment and signals: take what is needed as a setting",
    },
    Rule {
        name: "unbounded",
        applies: |file| file.is_rust(),
        place: Place::Code,
        texts: &[
            "unbounded_channel",
            "mpsc::unbounded",
            "flume::unbounded",
            "std::sync::mpsc::channel",
            "mpsc::channel()",
        ],
        advice: "every queue has a bound and a named overflow policy: use a bounded channel",
    },
    Rule {
        name: "static-mut",
        applies: |file| file.is_rust(),
        place: Place::Code,
        texts: &["static mut "],
        advice: "pass the state along, or share it behind a lock that belongs to somebody",
    },
    Rule {
        name: "thread-sleep",
        applies: |file| file.is_rust(),
        place: Place::Code,
        texts: &["thread::sleep"],
        advice: "wait for the event itself: a channel, a notification, the end of a thread",
    },
    Rule {
        name: "test-sleep",
        applies: |file| file.is_rust() && !file.has_paused_time(),
        place: Place::Tests,
        texts: &["time::sleep"],
        advice: "no test sleeps to wait: wait for the event itself, or pause tokio's time",
    },
    Rule {
        name: "machine",
        applies: |file| file.path != "Cargo.lock" && !file.path.ends_with(".ndjson"),
        place: Place::Text,
        texts: &["/root/", "/home/", "/Users/", "C:\\Users\\", "index.crates.io"],
        advice: "paths of one machine and addresses of registries mean nothing to others",
    },
];

/// One file and where in it tests stand.
struct File<'a> {
    path: &'a str,
    text: &'a str,
    /// The line, from 0, at which unit tests begin; 0 in files that hold tests only.
    tests_from: usize,
}

/// This file, which names everything that must not stand anywhere.
const RULES_THEMSELVES: &str = "xtask/src/tidy/sources.rs";

pub(super) fn check(path: &str, text: &str) -> Vec<Problem> {
    let file = File::new(path, text);
    let mut problems: Vec<Problem> = file.length().into_iter().chain(file.lints()).collect();
    for rule in RULES.iter().filter(|rule| path != RULES_THEMSELVES && (rule.applies)(&file)) {
        problems.extend(file.broken(rule));
    }
    problems
}

impl<'a> File<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let is_test = path.contains("/tests/") || path.contains("/benches/") || path.starts_with("hooks-test/");
        let unit_tests = || text.lines().position(|line| line.trim() == "#[cfg(test)]");
        let tests_from = if is_test { 0 } else { unit_tests().unwrap_or(usize::MAX) };
        Self { path, text, tests_from }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_library(&self) -> bool {
        self.is_rust() && self.path.contains("/src/")
    }

    fn has_paused_time(&self) -> bool {
        self.text.contains("start_paused") || self.text.contains("time::pause()")
    }

    fn broken<'b>(&'b self, rule: &'static Rule) -> impl Iterator<Item = Problem> + 'b {
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            let text = rule.texts.iter().find(|text| line.contains(**text))?;
            let counts = self.looks(rule.place, index, line) && !self.is_allowed(rule.name, index);
            counts.then(|| Problem {
                place: format!("{}:{}", self.path, index + 1),
                what: format!("`{}` ({})", text.trim(), rule.name),
                advice: rule.advice,
            })
        })
    }

    fn looks(&self, place: Place, index: usize, line: &str) -> bool {
        let is_comment = line.trim_start().starts_with("//");
        let is_test = index >= self.tests_from;
        match place {
            Place::Text => true,
            Place::Code => !is_comment,
            Place::Product => !is_comment && !is_test,
            Place::Tests => !is_comment && is_test,
        }
    }

    fn is_allowed(&self, rule: &str, line: usize) -> bool {
        let mark = format!("tidy-allow({rule}): ");
        let has_mark = |line: usize| self.text.lines().nth(line).is_some_and(|text| text.contains(&mark));
        has_mark(line) || (line > 0 && has_mark(line - 1))
    }

    fn length(&self) -> Option<Problem> {
        let lines = self.text.lines().count();
        let counted = if self.tests_from == 0 { lines } else { lines.min(self.tests_from) };
        (self.is_rust() && counted > MAX_LINES && !self.text.contains("tidy-allow(length): ")).then(|| Problem {
            place: self.path.to_owned(),
            what: format!("{counted} lines, more than {MAX_LINES} (length)"),
            advice: "split it by what its parts are about",
        })
    }

    /// Every crate of the workspace takes part in its lints.
    fn lints(&self) -> Option<Problem> {
        let is_crate = self.path.ends_with("/Cargo.toml") && self.path.matches('/').count() == 1;
        (is_crate && !self.text.contains("[lints]\nworkspace = true")).then(|| Problem {
            place: self.path.to_owned(),
            what: "does not take the lints of the workspace".to_owned(),
            advice: "add `[lints]` with `workspace = true`",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(path, text).into_iter().map(|problem| format!("{}: {}", problem.place, problem.what)).collect()
    }

    #[test]
    fn the_core_does_no_io() {
        for (text, what) in [
            ("use std::fs::File;", "std::fs"),
            ("let x = std::net::TcpStream::connect(y);", "std::net"),
            ("println!();", "println!"),
            ("tokio::net::lookup_host(x)", "tokio::net"),
        ] {
            assert_eq!(found("hooks-core/src/a.rs", text), [format!("hooks-core/src/a.rs:1: `{what}` (core-io)")]);
            assert!(found("hooks-cli/src/a.rs", text).is_empty(), "others may");
            assert!(found("hooks-core/tests/it/a.rs", text).is_empty(), "tests may");
        }
        assert!(found("hooks-core/src/a.rs", "/// println!()\n//! std::fs\n// std::net").is_empty(), "comments may");
        assert!(found("hooks-core/src/a.rs", "#[cfg(test)]\nmod tests { use std::fs; }").is_empty(), "unit tests may");
    }

    #[test]
    fn the_durable_bus_touches_files_in_one_place() {
        let text = "use std::fs::File;";
        assert_eq!(found("hooks-bus/src/durable/log.rs", text), ["hooks-bus/src/durable/log.rs:1: `std::fs` (bus-io)"]);
        assert!(found("hooks-bus/src/durable/folder.rs", text).is_empty());
        assert!(found("hooks-bus/src/durable/tests/sim.rs", text).is_empty(), "tests may");
    }

    #[test]
    fn the_environment_is_read_in_one_place() {
        let text = "fn a() { std::env::var(b) }";
        assert_eq!(found("hooks-bus/src/a.rs", text), ["hooks-bus/src/a.rs:1: `std::env` (environment)"]);
        assert!(found("hooks-cli/src/a.rs", text).is_empty());
    }

    #[test]
    fn no_unbounded_queues_and_no_mutable_statics() {
        let text = "let (a, b) = tokio::sync::mpsc::unbounded_channel();";
        assert_eq!(found("hooks-bus/src/a.rs", text), ["hooks-bus/src/a.rs:1: `unbounded_channel` (unbounded)"]);
        let text = "static mut A: u32 = 1;";
        assert_eq!(found("hooks-bus/src/a.rs", text), ["hooks-bus/src/a.rs:1: `static mut` (static-mut)"]);
    }

    #[test]
    fn no_test_sleeps() {
        let sleep = "tokio::time::sleep(a).await;";
        assert_eq!(found("hooks-bus/tests/it/a.rs", sleep), ["hooks-bus/tests/it/a.rs:1: `time::sleep` (test-sleep)"]);
        let unit = format!("\n#[cfg(test)]\nmod tests {{ {sleep} }}");
        assert_eq!(found("hooks-bus/src/a.rs", &unit), ["hooks-bus/src/a.rs:3: `time::sleep` (test-sleep)"]);
        assert!(found("hooks-bus/src/a.rs", sleep).is_empty(), "what is no test may wait");
        let paused = format!("#[tokio::test(start_paused = true)]\n{sleep}");
        assert!(found("hooks-bus/tests/it/a.rs", &paused).is_empty(), "paused time does not wait");
        let thread = "std::thread::sleep(a);";
        assert_eq!(found("hooks-bus/src/a.rs", thread), ["hooks-bus/src/a.rs:1: `thread::sleep` (thread-sleep)"]);
    }

    #[test]
    fn nothing_of_one_machine() {
        let text = "see /home/me/notes";
        assert_eq!(found("ARCHITECTURE.md", text), ["ARCHITECTURE.md:1: `/home/` (machine)"]);
        assert_eq!(found("hooks-cli/src/a.rs", &format!("// {text}")).len(), 1, "comments, too");
        assert!(found("examples/github-events.ndjson", text).is_empty());
    }

    #[test]
    fn files_are_short() {
        let lines = |count: usize| "//\n".repeat(count);
        assert!(found("hooks-bus/src/a.rs", &lines(400)).is_empty());
        assert_eq!(found("hooks-bus/src/a.rs", &lines(401)), ["hooks-bus/src/a.rs: 401 lines, more than 400 (length)"]);
        let with_tests = format!("{}#[cfg(test)]\n{}", lines(400), lines(300));
        assert!(found("hooks-bus/src/a.rs", &with_tests).is_empty(), "unit tests don't count");
        assert_eq!(found("hooks-bus/tests/it/a.rs", &lines(401)).len(), 1);
        assert!(found("README.md", &lines(2_000)).is_empty());
    }

    #[test]
    fn exceptions_have_a_reason() {
        let allowed = |reason: &str| format!("// tidy-allow(core-io):{reason}\nuse std::fs;\nuse std::fs;");
        assert_eq!(found("hooks-core/src/a.rs", &allowed(" why")), ["hooks-core/src/a.rs:3: `std::fs` (core-io)"]);
        assert_eq!(found("hooks-core/src/a.rs", &allowed("")).len(), 2, "no reason, no exception");
    }

    #[test]
    fn crates_take_the_lints() {
        assert!(found("hooks-bus/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n").is_empty());
        assert_eq!(
            found("hooks-bus/Cargo.toml", "[package]"),
            ["hooks-bus/Cargo.toml: does not take the lints of the workspace"]
        );
        assert!(found("Cargo.toml", "[workspace]").is_empty());
    }
}
