//! `cargo xtask new-sink NAME`: a crate for a sink of one's own, made from the example.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::{self, Done};

/// The example that new sinks begin as. Its kind is `print`, its types begin with `Print`.
const EXAMPLE: &str = include_str!("../../hooks-core/examples/print/sink.rs");

/// Makes the crate `hooks-sink-<name>`.
pub(crate) fn run(name: &str, folder: Option<&str>) -> Done {
    let kind = Kind::new(name)?;
    let folder = match folder {
        Some(folder) => PathBuf::from(folder),
        None => workspace::root().join("..").join(kind.package()),
    };
    if folder.exists() {
        return Err(format!("{} exists already", folder.display()));
    }
    write(&folder.join("Cargo.toml"), &kind.manifest())?;
    write(&folder.join("src/lib.rs"), &kind.library())?;
    println!("{}", kind.next_steps(&folder));
    Ok(())
}

fn write(path: &Path, text: &str) -> Done {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("write {}: {error}", path.display()))
}

/// The `kind` in a config file: lower-case letters, digits and `_`.
struct Kind(String);

impl Kind {
    fn new(name: &str) -> Result<Self, String> {
        let name = name.replace('-', "_");
        let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
        let legal = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
        if !begins_well || !name.chars().all(legal) || name.ends_with('_') || name.contains("__") {
            return Err(format!("`{name}` can't be the name of a sink: lower-case letters, digits and single `-`"));
        }
        Ok(Self(name))
    }

    fn package(&self) -> String {
        format!("hooks-sink-{}", self.0.replace('_', "-"))
    }

    /// `my_queue` as `MyQueue`.
    fn type_name(&self) -> String {
        let capital = |word: &str| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
        };
        self.0.split('_').map(capital).collect()
    }

    fn manifest(&self) -> String {
        let core = workspace::root().join("hooks-core");
        format!(
            r#"[package]
name = "{}"
version = "0.1.0"
edition = "2024"

[dependencies]
hooks-core = {{ version = "{}", path = '{}' }}

[dev-dependencies]
tokio = {{ version = "1", features = ["rt", "macros", "time"] }}

[workspace]
"#,
            self.package(),
            env!("CARGO_PKG_VERSION"),
            core.display()
        )
    }

    fn library(&self) -> String {
        let words = [
            ("\"print\"", format!("{:?}", self.0)),
            ("PrintConfig", format!("{}Config", self.type_name())),
            ("Print<", format!("{}<", self.type_name())),
            ("Print {", format!("{} {{", self.type_name())),
        ];
        words.iter().fold(EXAMPLE.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn next_steps(&self, folder: &Path) -> String {
        format!(
            "{}: a sink that prints, to be made yours. `cargo test` in it runs the conformance kit.\n\n\
             A binary that has it, and depends on the crates {} and hooks-cli:\n\n    \
             use {} as _;\n\n    \
             fn main() -> std::process::ExitCode {{\n        hooks_cli::main()\n    }}",
            folder.display(),
            self.package(),
            self.package().replace('-', "_"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let kind = Kind::new("my-queue").unwrap_or_else(|text| panic!("{text}"));
        assert_eq!(kind.0, "my_queue");
        assert_eq!(kind.package(), "hooks-sink-my-queue");
        assert_eq!(kind.type_name(), "MyQueue");
        for bad in ["", "-a", "a-", "a--b", "A", "1a", "../a", "é"] {
            assert!(Kind::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_of_the_example_remains() {
        let library = Kind::new("queue").unwrap_or_else(|text| panic!("{text}")).library();
        assert!(!library.contains("Print<") && !library.contains("PrintConfig"), "{library}");
        assert!(library.contains("const KIND: &'static str = \"queue\";"), "{library}");
    }

    #[test]
    fn a_folder_that_exists_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let error = run("queue", folder.path().to_str()).unwrap_err();
        assert!(error.ends_with("exists already"), "{error}");
    }
}
