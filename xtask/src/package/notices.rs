//! The licences of what is in the binary, with their texts: most ask that these come with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::parts::Part;

/// Licences that may be in the binary. They ask for no more than that their text is passed on.
const ALLOWED: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Files of this name hold a licence.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// Stands in the text of the Apache licence, which ends with how to apply it.
const APACHE: &str = "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION";

/// The crates whose licence is none of those that are allowed.
pub(super) fn refused(parts: &[Part]) -> Vec<String> {
    let refused = parts.iter().filter(|part| !is_allowed(&part.license));
    refused.map(|part| format!("{} {}: {}", part.name, part.version, part.license)).collect()
}

/// True if each part between `AND` has a choice that is allowed.
fn is_allowed(expression: &str) -> bool {
    // A choice within parentheses is one of several that all apply.
    let flat = expression.replace(['(', ')'], "");
    let has_choice = |part: &str| part.split(" OR ").any(|license| ALLOWED.contains(&base(license)));
    if expression.contains('(') { flat.split(" AND ").all(has_choice) } else { flat.split(" OR ").any(all_allowed) }
}

fn all_allowed(licenses: &str) -> bool {
    licenses.split(" AND ").all(|license| ALLOWED.contains(&base(license)))
}

/// An exception takes nothing away.
fn base(license: &str) -> &str {
    license.split(" WITH ").next().unwrap_or(license).trim()
}

/// All of them, and each text once.
pub(super) fn text(parts: &[Part]) -> Result<String, String> {
    let foreign = parts.iter().filter(|part| part.is_foreign);
    let mut list = "This program contains the following crates.\n\n".to_owned();
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    let mut bare = Vec::new();
    for part in foreign {
        let name = format!("{} {}", part.name, part.version);
        list.push_str(&format!("{name}: {}; {}\n", part.license, part.authors));
        let failed = |error| format!("read {}: {error}", part.folder.display());
        let mut files: Vec<_> =
            fs::read_dir(&part.folder).map_err(failed)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        let licenses: Vec<_> = files.iter().filter(|file| file.is_file() && is_license(file)).collect();
        if licenses.is_empty() {
            bare.push((name, &part.license));
            continue;
        }
        for file in licenses {
            let text = fs::read(file).map_err(failed)?;
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (name, license) in bare {
        // This one names nobody in its text: that of another crate is the same.
        let apache = texts.iter_mut().find(|(text, _)| license.contains("Apache-2.0") && text.contains(APACHE));
        let Some((_, names)) = apache else {
            return Err(format!("{name} comes without the text of its licence, {license}: find it, and add it here"));
        };
        names.push(name);
    }
    for (text, mut names) in texts {
        names.dedup();
        list.push_str(&format!("\n{}\n{}:\n\n{text}\n", "=".repeat(80), names.join(", ")));
    }
    Ok(list)
}

fn is_license(file: &Path) -> bool {
    let title = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
    NAMES.iter().any(|name| title.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_read() {
        for allowed in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT AND ISC",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-1.0",
            "Apache-2.0 AND ISC",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND AGPL-3.0", "LGPL-2.1 OR MPL-2.0"] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }

    #[test]
    fn cargo_deny_allows_the_same() {
        let text = super::super::read(".cargo/deny.toml").unwrap();
        let list = text.split("\nallow = [").nth(1).unwrap().split(']').next().unwrap();
        assert_eq!(list.split('"').skip(1).step_by(2).collect::<Vec<_>>(), ALLOWED);
    }

    #[test]
    fn every_licence_is_allowed_and_its_text_is_there() {
        let parts = super::super::parts::all().unwrap();
        assert_eq!(refused(&parts), [""; 0]);
        let text = text(&parts).unwrap();
        assert!(text.contains("tokio 1.") && text.contains("Permission is hereby granted"), "{}", text.len());
        assert!(!text.contains("hooks-core 0."));
        // Each is listed, and named again above a text.
        for part in parts.iter().filter(|part| part.is_foreign) {
            let name = format!("{} {}", part.name, part.version);
            assert!(text.matches(&name).count() > 1, "{name}");
        }
    }
}
