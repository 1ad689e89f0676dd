//! `cargo xtask book`: the documents as a book, made by mdBook.
//!
//! ```text
//! README.md, ARCHITECTURE.md, CHANGELOG.md, docs/ ─▶ target/book/src, their links adapted ─▶ mdbook
//!     ─▶ target/book/html ─▶ every link in it looked up
//! ```
//!
//! Documents link to one another, and to files of the repository, by paths that work there. In the book all pages are
//! in one folder, and other files are linked at the repository's address.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::links::{normal, rewrite};
use crate::packages;
use crate::workspace::{self, Done};

/// The version that the book is built with.
const VERSION: &str = "0.5.4";

/// Where files of the repository are read by people.
const REPOSITORY: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/tree/main/");

/// Builds the book, and checks its links.
pub(crate) fn run() -> Done {
    let mdbook = packages::compiled("mdbook", VERSION, &["--no-default-features"])?;
    let folder = workspace::root().join("target/book");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("empty {}: {error}", folder.display()))?;
    }
    stage(&folder)?;
    workspace::output(Command::new(mdbook).arg("build").arg(&folder))?;
    let pages = folder.join("html");
    let broken = broken_links(&pages)?;
    if !broken.is_empty() {
        return Err(format!("links of the book lead nowhere:\n{}", broken.join("\n")));
    }
    eprintln!("the book is in {}", pages.join("index.html").display());
    Ok(())
}

/// Writes the book's sources.
fn stage(folder: &Path) -> Done {
    let files: BTreeSet<PathBuf> = workspace::files()?.into_iter().filter(|file| belongs(file)).collect();
    let pages = folder.join("src");
    for file in &files {
        let from = workspace::root().join(file);
        let to = pages.join(page(file));
        let bytes = fs::read(&from).map_err(|error| format!("read {}: {error}", from.display()))?;
        let bytes = match file.extension() {
            Some(extension) if extension == "md" => {
                let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", file.display()))?;
                rewrite(&text, |link| adapted(file, link, &files)).into_bytes()
            }
            _ => bytes,
        };
        write(&to, &bytes)?;
    }
    let settings = fs::read(workspace::root().join("docs/book.toml"));
    write(&folder.join("book.toml"), &settings.map_err(|error| format!("read docs/book.toml: {error}"))?)
}

/// True of what the book has: its pages and their images.
fn belongs(file: &Path) -> bool {
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"];
    let page = file.starts_with("docs") && file.extension().is_some_and(|extension| extension == "md");
    page || file.starts_with("docs/images") || top.iter().any(|name| file == Path::new(name))
}

/// A file's place in the book.
fn page(file: &Path) -> &Path {
    file.strip_prefix("docs").unwrap_or(file)
}

/// A link of a document, as it stands in the book.
fn adapted(from: &Path, link: &str, files: &BTreeSet<PathBuf>) -> String {
    let (path, heading) = link.split_once('#').map_or((link, String::new()), |(path, name)| (path, format!("#{name}")));
    if link.contains("://") || path.is_empty() {
        return link.to_owned();
    }
    let target = normal(&from.parent().unwrap_or(Path::new("")).join(path));
    match files.contains(&target) {
        true => format!("{}{heading}", page(&target).display()),
        false => format!("{REPOSITORY}{}{heading}", target.display()),
    }
}

/// The links of the pages that lead to nothing in the book.
fn broken_links(pages: &Path) -> Result<Vec<String>, String> {
    let mut broken = Vec::new();
    for entry in fs::read_dir(pages).map_err(|error| format!("read {}: {error}", pages.display()))? {
        let file = entry.map_err(|error| format!("read {}: {error}", pages.display()))?.path();
        // The page for addresses that don't exist is served below any address.
        if file.extension().is_none_or(|extension| extension != "html") || file.ends_with("404.html") {
            continue;
        }
        let html = fs::read_to_string(&file).map_err(|error| format!("read {}: {error}", file.display()))?;
        let links = ["href=\"", "src=\""].into_iter().flat_map(|attribute| html.split(attribute).skip(1));
        for link in links.filter_map(|rest| rest.split('"').next()) {
            if !link.contains(':') && !leads_somewhere(&file, link) {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    broken.sort();
    broken.dedup();
    Ok(broken)
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, name)| (path, Some(name)));
    let target = if path.is_empty() { page.to_owned() } else { page.with_file_name(path) };
    match heading.filter(|name| !name.is_empty()) {
        None => target.is_file(),
        Some(name) => fs::read_to_string(target).is_ok_and(|html| html.contains(&format!("id=\"{name}\""))),
    }
}

fn write(to: &Path, bytes: &[u8]) -> Done {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    fs::write(to, bytes).map_err(|error| format!("write {}: {error}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_beside_one_another_and_other_files_at_the_repository() {
        let files = ["README.md", "docs/guide.md", "docs/images/a.png"].map(PathBuf::from).into();
        let from = |file: &str, link: &str| adapted(Path::new(file), link, &files);
        assert_eq!(from("README.md", "docs/guide.md#events"), "guide.md#events");
        assert_eq!(from("docs/guide.md", "../README.md"), "README.md");
        assert_eq!(from("docs/guide.md", "images/a.png"), "images/a.png");
        assert_eq!(from("docs/guide.md", "#events"), "#events");
        assert_eq!(from("docs/guide.md", "https://a.b/c.md"), "https://a.b/c.md");
        assert_eq!(from("docs/guide.md", "../examples/a.toml"), format!("{REPOSITORY}examples/a.toml"));
    }

    #[test]
    fn links_that_lead_nowhere_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let page = |name: &str, html: &str| fs::write(folder.path().join(name), html).unwrap();
        page(
            "a.html",
            r##"<a href="b.html#there"><a href="b.html#gone"><a href="c.html"><a href="#x"><a href="https://d">"##,
        );
        page("b.html", r#"<h2 id="there"></h2><img src="none.png"><a href="mailto:e@f">"#);
        let broken = broken_links(folder.path()).unwrap();
        let broken: Vec<_> = broken.iter().map(|line| line.rsplit('/').next().unwrap()).collect();
        assert_eq!(broken, ["a.html: #x", "a.html: b.html#gone", "a.html: c.html", "b.html: none.png"]);
    }
}
