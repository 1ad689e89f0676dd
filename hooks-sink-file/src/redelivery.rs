//! Finds lines that come again after a crash in the file, before the line that the crash tore.
//!
//! After a kill a hook begins where its last kept position is, and that may be many batches back. The file
//! then ends with all their lines and the beginning of one more, which can be continued only as long as
//! nothing is written behind it. So what comes again is compared with what stands there, and written only
//! where it differs. After several kills the same lines may stand there several times: those that lead to
//! the torn line are the last.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// The part of a file before its end that is searched, in bytes. Positions are kept several times a second: this is
/// more than a disk takes in between.
const SEARCHED: u64 = 256 << 20;

/// The place in the file where the next lines are expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Redelivery {
    /// Nothing was appended since the file was opened first: lines may come again from anywhere.
    #[default]
    Anywhere,
    /// All that came so far stands in the file, up to this offset.
    At(u64),
    /// The next lines are new.
    Over,
}

impl Redelivery {
    /// Looks for `text`, lines each with its `\n`, in the first `size` bytes of a file. Goes on behind it.
    pub(crate) fn find(&mut self, file: &File, size: u64, text: &[u8]) -> io::Result<Option<u64>> {
        let found = match *self {
            Self::Anywhere => search(file, size, text)?,
            Self::At(offset) => holds(file, size, offset, text)?.then_some(offset),
            Self::Over => None,
        };
        *self = found.map_or(Self::Over, |offset| Self::At(offset + text.len() as u64));
        Ok(found)
    }
}

/// The last place where the lines stand.
fn search(file: &File, size: u64, text: &[u8]) -> io::Result<Option<u64>> {
    let mut offset = size.saturating_sub(SEARCHED);
    let mut reader = BufReader::with_capacity(1 << 16, file);
    reader.seek(SeekFrom::Start(offset))?;
    if offset > 0 {
        offset += reader.skip_until(b'\n')? as u64;
    }
    let Some(first) = text.split_inclusive(|byte| *byte == b'\n').next() else { return Ok(None) };
    let (mut line, mut last) = (Vec::new(), None);
    while offset + text.len() as u64 <= size {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            break;
        }
        if line == first && holds(file, size, offset, text)? {
            last = Some(offset);
        }
        offset += length;
    }
    Ok(last)
}

fn holds(file: &File, size: u64, offset: u64, text: &[u8]) -> io::Result<bool> {
    if offset + text.len() as u64 > size {
        return Ok(false);
    }
    let mut found = vec![0; text.len()];
    file.read_exact_at(&mut found, offset)?;
    Ok(found == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &str) -> (File, u64) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        (file, content.len() as u64)
    }

    #[test]
    fn batches_that_come_again_are_found_one_after_the_other() {
        let (file, size) = file("xa\na\nb\nc\nd\ne");
        let mut redelivery = Redelivery::default();
        assert_eq!(redelivery.find(&file, size, b"a\nb\n").unwrap(), Some(3));
        assert_eq!(redelivery.find(&file, size, b"c\n").unwrap(), Some(7));
        assert_eq!(redelivery.find(&file, size, b"d\n").unwrap(), Some(9));
        assert_eq!(redelivery, Redelivery::At(11));
    }

    #[test]
    fn of_equal_lines_those_that_lead_to_the_torn_one_are_taken() {
        let (file, size) = file("a\nb\na\nb\nc\nd");
        let mut redelivery = Redelivery::default();
        assert_eq!(redelivery.find(&file, size, b"a\nb\n").unwrap(), Some(4));
        assert_eq!(redelivery.find(&file, size, b"c\n").unwrap(), Some(8));
    }

    #[test]
    fn a_line_alike_in_front_does_not_hide_the_place() {
        let (file, size) = file("a\nx\na\nb\nc");
        assert_eq!(Redelivery::default().find(&file, size, b"a\nb\n").unwrap(), Some(4));
    }

    #[test]
    fn what_differs_is_new_and_so_is_all_that_follows() {
        let (file, size) = file("a\nb\nc\nd");
        let mut redelivery = Redelivery::default();
        redelivery.find(&file, size, b"a\n").unwrap();
        assert_eq!(redelivery.find(&file, size, b"c\n").unwrap(), None, "not where it is expected");
        assert_eq!(redelivery.find(&file, size, b"b\n").unwrap(), None);
    }

    #[test]
    fn only_whole_lines_within_the_file_count() {
        let (file, size) = file("ab\nc");
        for text in ["b\n", "a\n", "c\n", "ab\nc\n", "ab\nc\nd\n"] {
            assert_eq!(Redelivery::default().find(&file, size, text.as_bytes()).unwrap(), None, "{text:?}");
        }
    }
}
