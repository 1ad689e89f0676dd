//! Files that settings name: read when a sink is built, with errors that name setting and file.

use std::io::Read as _;
use std::path::Path;

use hooks_core::{BoxError, Secret};

/// More than any certificate bundle or secret has.
const LARGEST: u64 = 4 << 20;

/// The bytes of a file.
pub(crate) fn bytes(setting: &str, path: &Path) -> Result<Vec<u8>, BoxError> {
    let problem = |what: String| BoxError::from(format!("{setting} {}: {what}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| problem(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| problem(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(problem(format!("it is larger than {LARGEST} bytes: is it the right one?")));
    }
    Ok(bytes)
}

/// The secret that a file holds: its text without the line break at its end.
pub(crate) fn secret(setting: &str, path: &Path) -> Result<Secret, BoxError> {
    let problem = |what: &str| BoxError::from(format!("{setting} {}: {what}", path.display()));
    let text = String::from_utf8(bytes(setting, path)?).map_err(|_| problem("it is no text (UTF-8)"))?;
    let text = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(problem("it is empty"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn one_line_break_at_the_end_is_none_of_the_secret() {
        for (content, read) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), (" a \n\n", " a \n"), ("a\nb\n", "a\nb")] {
            assert_eq!(secret("s", file(content.as_bytes()).path()).unwrap().expose(), read, "{content:?}");
        }
    }

    #[test]
    fn what_is_wrong_names_setting_and_file() {
        for (content, part) in [(&b""[..], "empty"), (b"\n", "empty"), (b"\xff", "no text")] {
            let file = file(content);
            let error = secret("bearer_file", file.path()).unwrap_err().to_string();
            assert_eq!(error.split(": ").next().unwrap(), format!("bearer_file {}", file.path().display()));
            assert!(error.contains(part), "{error}");
        }
        let error = bytes("x", Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
    }
}
