//! Reads events from stdin on a separate thread.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

use crate::ndjson::{BLOCK, Intake, Taken};

/// Most bytes of one read. A pipe holds 64 KiB, a file gives all of it. Small enough to stay in the processor's
/// cache until it is checked, large enough that handing it over costs little; and, with a line that had begun, two
/// blocks of memory.
const CHUNK: usize = 2 * BLOCK - (8 << 10);

/// The results of so many reads may wait to be used. Beyond them, reading waits. A caller that takes all of it at once
/// wakes the thread once.
pub(crate) const AHEAD: usize = 2;

/// Stdin as a file. What std has for it takes an error for the end: a file that was opened to be written, say.
///
/// # Errors
/// When there can be no more descriptors.
pub(crate) fn open() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// Reads lines until the end, and gives what came of each read, so that what is there is used at once.
///
/// The thread is in the middle of a read for as long as nothing comes, and only the end of the process
/// gets it out of that; this is why it is no task of the runtime. It checks what it has read, while that is
/// at hand.
///
/// Input that begins like no text ends with an error that says what it seems to be.
///
/// # Errors
/// When there can be no more threads.
pub(crate) fn events(
    input: impl Read + AsFd + Send + 'static,
    intake: Intake,
) -> io::Result<mpsc::Receiver<io::Result<Taken>>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read(input, intake, &sender))?;
    Ok(receiver)
}

fn read(mut input: impl Read + AsFd, mut intake: Intake, sender: &mpsc::Sender<io::Result<Taken>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Whoever shares it may have made it one where reading waits for nothing.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match readable(&input) {
                Ok(()) => continue,
                Err(error) => Err(error),
            },
            read => read,
        };
        match read {
            Ok(0) => intake.finish(),
            Ok(length) => intake.push(&buffer[..length]),
            Err(_) => {}
        }
        let read = match intake.foreign() {
            Some(what) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("it seems to be {what}"))),
            None => read,
        };
        let last = read.as_ref().map_or(true, |length| *length == 0);
        if sender.blocking_send(read.map(|_| intake.take())).is_err() || last {
            return;
        }
    }
}

/// Waits until there is something to read.
fn readable(input: &impl AsFd) -> io::Result<()> {
    match poll(&mut [PollFd::new(input, PollFlags::IN)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
