//! `cargo xtask test`, all that needs the toolchain alone, and `cargo xtask ci`, the rest: one check after the other, up to
//! the first that fails.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::workspace::{self, Done};
use crate::{api, book, crash, deny, instructions, integration, publish, tidy};

/// A call of cargo.
struct Step<'a> {
    name: &'static str,
    arguments: &'a [&'a str],
    /// A subcommand that not every toolchain has, by its component.
    component: Option<&'static str>,
    variables: &'static [(&'static str, &'static str)],
}

const STEPS: &[Step<'static>] = &[
    Step { name: "format", arguments: &["fmt", "--all", "--check"], component: Some("rustfmt"), variables: &[] },
    Step {
        name: "lints",
        arguments: &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"],
        component: Some("clippy"),
        variables: &[],
    },
    // Of everything, examples and doc tests included.
    Step { name: "tests", arguments: &["test", "--workspace", "--locked"], component: None, variables: &[] },
    Step {
        name: "documentation",
        arguments: &["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"],
        component: None,
        variables: &[("RUSTDOCFLAGS", "-D warnings")],
    },
];

/// Left out: what all else uses, and a library in C that takes longer to compile than all of it.
const NOT_ALONE: [&str; 2] = ["default", "aws-lc-rs"];

/// Compiles the command as the README's first one does, and each published crate without features and with each of them
/// alone, and looks whether the HTTP sink works without any.
fn features() -> Done {
    let demo = ["check", "-p", "hooks-cli", "--no-default-features", "--features", "http,file", "--locked"];
    Step::cargo("features", &demo).run()?;
    for package in publish::published()? {
        let lean = ["check", "-p", &package.name, "--no-default-features", "--lib", "--locked"];
        Step::cargo("features", &lean).run()?;
        for feature in package.features.iter().filter(|feature| !NOT_ALONE.contains(&feature.as_str())) {
            Step::cargo("features", &[&lean[..], &["--features", feature]].concat()).run()?;
        }
    }
    let bare = ["test", "-p", "hooks-sink-http", "--no-default-features", "--lib", "--locked", "features"];
    Step::cargo("features", &bare).run()
}

/// Runs the checks that need no more than the toolchain. A component that is not installed is skipped, and said.
pub(crate) fn test() -> Done {
    let begin = Instant::now();
    let mut skipped = Vec::new();
    announce("tidy");
    tidy::run()?;
    for step in STEPS {
        announce(step.name);
        match step.component {
            Some(component) if !is_installed(step.arguments[0]) => {
                eprintln!("skipped: {component} is not installed: `rustup component add {component}`");
                skipped.push(step.name);
            }
            _ => step.run()?,
        }
    }
    announce(&format!("all is well after {} s", begin.elapsed().as_secs()));
    if !skipped.is_empty() {
        eprintln!("but not checked: {}", skipped.join(", "));
    }
    Ok(())
}

/// Runs those that take longer or need other programs, which are installed.
pub(crate) fn ci() -> Done {
    let begin = Instant::now();
    announce("features");
    features()?;
    announce("dependencies");
    deny::run()?;
    announce("packages of crates");
    publish::run()?;
    announce("public interfaces");
    api::run(&[])?;
    announce("book");
    book::run()?;
    announce("instructions");
    instructions::run(&[])?;
    announce("crashes");
    crash::run(&[])?;
    announce("integrations");
    integration::run(&[])?;
    announce(&format!("all is well after {} s", begin.elapsed().as_secs()));
    Ok(())
}

fn announce(text: &str) {
    eprintln!("── {text}");
}

fn is_installed(subcommand: &str) -> bool {
    let mut probe = workspace::cargo();
    probe.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

impl<'a> Step<'a> {
    fn cargo(name: &'static str, arguments: &'a [&'a str]) -> Self {
        Self { name, arguments, component: None, variables: &[] }
    }

    fn run(&self) -> Done {
        let mut cargo: Command = workspace::cargo();
        cargo.args(self.arguments).envs(self.variables.iter().copied());
        let status = cargo.status().map_err(|error| format!("can't run cargo: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let variables: String = self.variables.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
        Err(format!("{} failed: `{variables}cargo {}`", self.name, self.arguments.join(" ")))
    }
}
