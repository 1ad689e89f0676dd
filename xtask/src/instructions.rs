//! `cargo xtask instructions`: how many instructions the functions take that every event goes through,
//! counted by valgrind's callgrind, against a baseline that only changes openly.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::packages::{self, Package};
use crate::workspace::{self, Done};

/// Behind the name of what is counted as the whole run: work on several threads. The run of this name only prepares, and is
/// taken off.
const PREPARES: &str = "-start";

/// The rise over the baseline that is a failure, in percent.
const TOLERANCE: u64 = 5;

/// Each may take no more than the other: what a receiver gets in another shape.
const NO_MORE_THAN: [(&str, &str); 2] = [("binary", "single"), ("data", "single")];

/// The program that counts.
const VALGRIND: Package = Package { program: "valgrind", package: "valgrind" };

/// Counts and compares; with `--update`, writes what was counted as the new baseline.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let update = match arguments {
        [] => false,
        ["--update"] => true,
        _ => return Err("usage: cargo xtask instructions [--update]".to_owned()),
    };
    packages::provide(&[VALGRIND])?;
    let program =
        workspace::built("instructions", &["bench", "--package", "hooks-cli", "--bench", "instructions", "--no-run"])?;
    let names = workspace::output(Command::new(&program).arg("--names"))?;
    let names: Vec<&str> = names.lines().collect();
    let counted = names.iter().filter(|name| !name.ends_with(PREPARES)).map(|name| {
        let is_whole = names.iter().any(|other| other.strip_suffix(PREPARES) == Some(name));
        Ok((*name, if is_whole { difference(&program, name)? } else { count(&program, name, &MARKED)? }))
    });
    let counted = counted.collect::<Result<Vec<_>, String>>()?;
    let dearer = dearer(&counted);
    if !dearer.is_empty() {
        return Err(format!("{}\nmake it cheaper: that is a promise, with no tolerance", dearer.join("\n")));
    }
    let path = workspace::root().join("hooks-cli/benches/instructions/baseline.txt");
    if update {
        let text: String = counted.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        return fs::write(&path, text).map_err(|error| format!("write {}: {error}", path.display()));
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    let rises = compare(&parse(&text), &counted);
    if rises.is_empty() {
        return Ok(());
    }
    let advice =
        "make it cheaper, or say in the commit why it has to be so and run `cargo xtask instructions --update`";
    Err(format!("{}\n{advice}", rises.join("\n")))
}

/// Counts only what runs within the bench's `counted`.
const MARKED: [&str; 2] = ["--collect-atstart=no", "--toggle-collect=*instructions::counted*"];

fn difference(program: &Path, name: &str) -> Result<u64, String> {
    let whole = count(program, name, &[])?;
    let prepared = count(program, &format!("{name}{PREPARES}"), &[])?;
    whole.checked_sub(prepared).ok_or_else(|| format!("{name}: preparing took more than the whole"))
}

fn count(program: &Path, name: &str, options: &[&str]) -> Result<u64, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").args(options);
    valgrind.arg("--callgrind-out-file=/dev/null").arg(program).arg(name);
    let output = valgrind.output().map_err(|error| format!("can't run valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    match collected.filter(|count| *count > 0 && output.status.success()) {
        Some(count) => Ok(count),
        None => Err(format!("{valgrind:?} counted nothing:\n{said}")),
    }
}

fn parse(text: &str) -> BTreeMap<&str, u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect()
}

/// The counts that rose too far, or have no baseline. Everything is printed.
fn compare(baseline: &BTreeMap<&str, u64>, counted: &[(&str, u64)]) -> Vec<String> {
    let mut rises = Vec::new();
    for (name, count) in counted {
        let Some(before) = baseline.get(name) else {
            rises.push(format!("{name}: {count} instructions, and no baseline"));
            continue;
        };
        let change = 100.0 * (*count as f64 / *before as f64 - 1.0);
        let text = format!("{name}: {count} instructions, {change:+.1} % of the baseline");
        eprintln!("{text}");
        if count * 100 > before * (100 + TOLERANCE) {
            rises.push(text);
        }
    }
    rises
}

/// Those that take more than what they are compared with.
fn dearer(counted: &[(&str, u64)]) -> Vec<String> {
    let of = |name: &str| counted.iter().find(|(known, _)| *known == name).map(|(_, count)| *count);
    let compared = NO_MORE_THAN.iter().filter_map(|(name, other)| Some((name, of(name)?, other, of(other)?)));
    let more = |(name, count, other, limit): (&&str, u64, &&str, u64)| {
        let ratio = count as f64 / limit as f64;
        eprintln!("{name}: {ratio:.3} × {other}");
        (count > limit).then(|| format!("{name}: {count} instructions, {ratio:.3} × the {limit} of {other}"))
    };
    compared.filter_map(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_beyond_the_tolerance_is_named() {
        let baseline = parse("envelope 1000\nfilter 100\n");
        assert!(compare(&baseline, &[("envelope", 1050), ("filter", 60)]).is_empty());
        assert_eq!(
            compare(&baseline, &[("envelope", 1051), ("route", 1)]),
            ["envelope: 1051 instructions, +5.1 % of the baseline", "route: 1 instructions, and no baseline"]
        );
    }

    #[test]
    fn another_shape_that_costs_more_is_named() {
        assert!(dearer(&[("single", 1000), ("binary", 1000), ("data", 900), ("template", 5000)]).is_empty());
        assert_eq!(
            dearer(&[("single", 1000), ("binary", 1001), ("data", 900)]),
            ["binary: 1001 instructions, 1.001 × the 1000 of single"]
        );
    }
}
