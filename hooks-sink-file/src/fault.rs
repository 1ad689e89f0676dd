//! The meaning of a failed system call for the batch.

use std::io;

use hooks_core::sink::{DeliveryError, FailureClass};
use rustix::io::Errno;

/// The failure of what was being done.
pub(crate) fn failure(doing: impl Into<String>, error: impl Into<io::Error>) -> DeliveryError {
    let error = error.into();
    DeliveryError::new(class(&error), doing).because(error)
}

/// True if there would have been no error with more room on the disk.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A fault of the endpoint lasts until somebody changes the file, its folder or the settings. All else
/// may pass by itself: room comes back, a device recovers, descriptors are closed.
fn class(error: &io::Error) -> FailureClass {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw_os_error) else {
        return FailureClass::Retry;
    };
    match errno {
        Errno::ACCESS
        | Errno::PERM
        | Errno::NOENT
        | Errno::NOTDIR
        | Errno::ISDIR
        | Errno::LOOP
        | Errno::ROFS
        | Errno::NAMETOOLONG
        | Errno::FBIG
        | Errno::NXIO
        | Errno::INVAL
        | Errno::NOSYS
        | Errno::OPNOTSUPP => FailureClass::Endpoint,
        _ => FailureClass::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_may_have_room_later_and_a_wrong_path_stays_wrong() {
        let class = |errno: Errno| failure("append", errno).class;
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::MFILE, Errno::STALE, Errno::NOLCK] {
            assert_eq!(class(errno), FailureClass::Retry, "{errno}");
        }
        for errno in [Errno::ACCESS, Errno::NOENT, Errno::LOOP, Errno::ISDIR, Errno::ROFS, Errno::FBIG] {
            assert_eq!(class(errno), FailureClass::Endpoint, "{errno}");
        }
    }
}
