//! `cargo xtask tidy`: the rules of the workspace that no compiler knows. What breaks one is named with
//! its place, and with what to do.

mod dependencies;
mod layout;
mod links;
mod problem;
mod sources;

use std::collections::BTreeMap;
use std::fs;

use crate::workspace::{self, Done};
use problem::Problem;

/// Checks the whole workspace.
pub(crate) fn run() -> Done {
    let problems = problems()?;
    if problems.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = problems.iter().map(Problem::to_string).collect();
    Err(format!("the workspace is not tidy\n{}", list.join("\n")))
}

fn problems() -> Result<Vec<Problem>, String> {
    let files = workspace::files()?;
    let mut problems = layout::check(&files);
    problems.extend(dependencies::check(&dependencies::metadata()?)?);
    problems.extend(dependencies::lean()?);
    problems.extend(dependencies::oldest_compiler()?);
    let mut documents = BTreeMap::new();
    for file in &files {
        let bytes =
            fs::read(workspace::root().join(file)).map_err(|error| format!("read {}: {error}", file.display()))?;
        // What is no text has no lines to look at.
        if let Ok(text) = String::from_utf8(bytes) {
            problems.extend(sources::check(&file.to_string_lossy().replace('\\', "/"), &text));
            if file.extension().is_some_and(|extension| extension == "md") {
                documents.insert(file.clone(), text);
            }
        }
    }
    problems.extend(links::check(&documents, &files));
    Ok(problems)
}
