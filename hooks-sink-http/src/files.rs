//! Files that settings name: read when a sink is built, with errors that name setting and file.

use std::fmt;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::Path;

use hooks_core::{BoxError, Secret};

/// More than any certificate bundle or secret has.
const LARGEST: u64 = 4 << 20;

/// The certificates or the key that a file holds (PEM).
#[cfg(feature = "tls")]
pub(crate) fn pem(setting: &str, path: &Path) -> Result<Vec<u8>, BoxError> {
    let bytes = bytes(setting, path)?;
    hooks_core::secret::without_mark(&bytes).map_err(|why| problem(setting, path, &why))?;
    Ok(bytes)
}

/// The secret that a file holds: its text without the line break at its end.
pub(crate) fn secret(setting: &str, path: &Path) -> Result<Secret, BoxError> {
    let bytes = bytes(setting, path)?;
    let text = hooks_core::secret::plain_text(&bytes).map_err(|why| problem(setting, path, &why))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() { Err(problem(setting, path, &"it is empty")) } else { Ok(Secret::new(text)) }
}

/// The text that a file holds, without the line break at its end.
pub(crate) fn text(setting: &str, path: &Path) -> Result<String, BoxError> {
    secret(setting, path).map(|text| text.expose().to_owned())
}

fn problem(setting: &str, path: &Path, what: &dyn fmt::Display) -> BoxError {
    format!("{setting} {}: {what}", path.display()).into()
}

fn bytes(setting: &str, path: &Path) -> Result<Vec<u8>, BoxError> {
    read(path).map_err(|error| problem(setting, path, &error))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: a FIFO would wait for somebody who writes.
    regular(&std::fs::metadata(path)?)?;
    let file = std::fs::File::open(path)?;
    regular(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes: is it the right one?")));
    }
    Ok(bytes)
}

/// It is read for every sink, which is more than a FIFO or a device gives.
fn regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() { Ok(()) } else { Err(io::Error::other("it must be a regular file")) }
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
        for (content, part) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"\xff", "no text"),
            (b"\xef\xbb\xbft0ken\n", "byte order mark"),
            (b"\xff\xfet\x000\x00", "UTF-16"),
        ] {
            let file = file(content);
            let error = secret("bearer_file", file.path()).unwrap_err().to_string();
            assert_eq!(error.split(": ").next().unwrap(), format!("bearer_file {}", file.path().display()));
            assert!(error.contains(part), "{error}");
        }
        for other in ["/dev/zero", "/tmp"] {
            let error = secret("bearer_file", Path::new(other)).unwrap_err().to_string();
            assert_eq!(error, format!("bearer_file {other}: it must be a regular file"));
        }
        let large = file(&[b'x'; LARGEST as usize + 1]);
        assert!(secret("x", large.path()).unwrap_err().to_string().contains("larger than"));
    }
}
