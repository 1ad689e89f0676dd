//! `cargo xtask test` and `cargo xtask ci`: one check after the other, up to the first that fails.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{Done, crash, instructions, integration, tidy, workspace};

/// What to do about a part of the toolchain that is not installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Skip,
    Fail,
}

/// A call of cargo.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    /// A subcommand that not every toolchain has, by its component.
    component: Option<&'static str>,
    variables: &'static [(&'static str, &'static str)],
}

const STEPS: &[Step] = &[
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

/// Runs all checks.
pub(crate) fn run(missing: Missing) -> Done {
    let begin = Instant::now();
    let mut skipped = Vec::new();
    announce("tidy");
    tidy::run()?;
    for step in STEPS {
        announce(step.name);
        match step.component {
            Some(component) if !is_installed(step.arguments[0]) => {
                let advice = format!("{component} is not installed: `rustup component add {component}`");
                if missing == Missing::Fail {
                    return Err(advice);
                }
                eprintln!("skipped: {advice}");
                skipped.push(step.name);
            }
            _ => step.run()?,
        }
    }
    announce("instructions");
    match missing {
        Missing::Skip if !instructions::can_count() => {
            eprintln!("skipped: valgrind is not installed: `apt-get install valgrind`");
            skipped.push("instructions");
        }
        _ => instructions::run(&[])?,
    }
    announce("crashes");
    crash::run(&[])?;
    announce("integrations");
    match missing {
        Missing::Fail => integration::run(&[])?,
        Missing::Skip => skipped.extend(integration::run_possible()?),
    }
    announce(&format!("all is well after {} s", begin.elapsed().as_secs()));
    if !skipped.is_empty() {
        eprintln!("but not checked: {}", skipped.join(", "));
    }
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

impl Step {
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
