//! Links of documents: finding them, and giving them other targets.

use std::path::{Component, Path, PathBuf};

/// The links of a text, each with its line, but for those to other sites and those in code.
pub(crate) fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(move |(target, _)| (number, target)).filter(|(_, target)| !target.contains("://"))
    })
}

/// The lines outside blocks of code, counted from 1.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(move |(_, line)| {
        let fence = line.starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The same text with other targets, but for what is in blocks of code.
pub(crate) fn rewrite(text: &str, target: impl Fn(&str) -> String) -> String {
    let prose: std::collections::BTreeSet<usize> = prose(text).map(|(number, _)| number).collect();
    let lines = text.lines().zip(1..).map(|(line, number)| match prose.contains(&number) {
        true => rewrite_line(line, &target),
        false => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

fn rewrite_line(line: &str, target: &impl Fn(&str) -> String) -> String {
    let mut parts = line.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |written, part| match part.split_once(')') {
        Some((link, rest)) => format!("{written}]({}){rest}", target(link)),
        None => format!("{written}]({part}"),
    })
}

/// The same path without `.` and `..`.
pub(crate) fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, component| {
        match component {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_replaced_outside_of_code() {
        let text = "[a](b.md) and ![c](d.png)](x\n```\n[e](f)\n```\n";
        let new = rewrite(text, |link| format!("<{link}>"));
        assert_eq!(new, "[a](<b.md>) and ![c](<d.png>)](x\n```\n[e](f)\n```\n");
    }
}
