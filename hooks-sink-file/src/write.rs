//! Writing to the end of the file, and how far it got.

use std::fs::File;
use std::io::{self, IoSlice, Write};

use crate::lines::Lines;
use crate::tail::Plan;

/// The repair of a torn line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repair {
    /// The rest of it was written.
    Completed,
    /// It was ended with a newline and stands as a separate line.
    Ended,
}

/// The result of a write.
pub(crate) struct Written {
    /// The number of bytes that were written.
    pub(crate) bytes: usize,
    /// The number of these that are of the lines, not counting what the file had before.
    pub(crate) of_text: usize,
    pub(crate) repair: Option<Repair>,
    pub(crate) result: io::Result<()>,
}

/// Carries out a plan for what is behind the first `start` bytes.
pub(crate) fn write(file: &File, plan: Plan, lines: &Lines<'_>, start: usize) -> Written {
    let head: &[u8] = if plan == Plan::EndFragment { b"\n" } else { b"" };
    let from = start + plan.present();
    let mut slices = lines.slices(from);
    slices.insert(0, IoSlice::new(head));
    let (bytes, result) = write_all(file, &mut slices);
    let repair = match plan {
        Plan::EndFragment if bytes > 0 => Some(Repair::Ended),
        Plan::Continue(_) if lines.bytes()[from..from + bytes].contains(&b'\n') => Some(Repair::Completed),
        _ => None,
    };
    Written { bytes, of_text: bytes.saturating_sub(head.len()), repair, result }
}

/// One write where the disk has room. Says how far it got.
fn write_all(mut file: &File, mut left: &mut [IoSlice<'_>]) -> (usize, io::Result<()>) {
    let mut written = 0;
    // Leaves out what is empty.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => {
                written += bytes;
                IoSlice::advance_slices(&mut left, bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
