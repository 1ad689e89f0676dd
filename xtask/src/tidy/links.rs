//! Links between the documents lead somewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use crate::links::{links, normal, prose};

/// The documents by path, each with its text.
pub(super) fn check(documents: &BTreeMap<PathBuf, String>, files: &[PathBuf]) -> Vec<Problem> {
    let all = documents.iter().flat_map(|(path, text)| links(text).map(move |(line, link)| (path, line, link)));
    all.filter(|(path, _, link)| !leads_somewhere(path, link, documents, files))
        .map(|(path, line, link)| Problem {
            place: format!("{}:{line}", path.display()),
            what: format!("the link `{link}` leads nowhere"),
            advice: "name a file from the document's own folder on, and a heading as GitHub spells it in links",
        })
        .collect()
}

fn leads_somewhere(from: &Path, link: &str, documents: &BTreeMap<PathBuf, String>, files: &[PathBuf]) -> bool {
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let target = match path {
        "" => from.to_owned(),
        _ => normal(&from.parent().unwrap_or(Path::new("")).join(path)),
    };
    let exists = files.iter().any(|file| file.starts_with(&target));
    let has = |heading| documents.get(&target).is_some_and(|text| headings(text).any(|known| known == heading));
    exists && heading.is_none_or(has)
}

/// The spelling of headings in links: small letters, hyphens for spaces, no punctuation.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles =
        prose(text).filter_map(|(_, line)| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()));
    titles.map(|title| {
        let kept = title.chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
        kept.flat_map(char::to_lowercase).map(|char| if char == ' ' { '-' } else { char }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_a_file_or_folder_and_a_heading() {
        let texts = [
            (
                "README.md",
                "# A\n[1](docs/a.md) [2](docs/a.md#two-words) [3](docs) [4](#a) [5](https://b.c/d)\n```\n[x](y)\n```",
            ),
            ("docs/a.md", "# It's `two`\n## Two words\n[1](../README.md#a)\n[2](b.md) [3](../README.md#b)"),
        ];
        let documents = texts.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        let files: Vec<PathBuf> = documents.iter().map(|(path, _)| path.clone()).collect();
        let problems = check(&documents.into(), &files);
        let found: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.place, problem.what)).collect();
        assert_eq!(
            found,
            ["docs/a.md:4 the link `b.md` leads nowhere", "docs/a.md:4 the link `../README.md#b` leads nowhere"]
        );
        assert_eq!(headings("# It's `two` words").collect::<Vec<_>>(), ["its-two-words"]);
    }
}
