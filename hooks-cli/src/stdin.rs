//! Reading stdin on a thread of its own.

use std::io::{self, Read};

use tokio::sync::mpsc;

/// Most bytes of one read. A pipe holds 64 KiB, a file gives all of it. Blocks of memory of this size come
/// back from the allocator warm; from 128 KiB on each would be mapped, faulted in and unmapped.
const CHUNK: usize = 120 << 10;

/// Chunks that wait to be used. Beyond them, reading waits.
const AHEAD: usize = 1;

/// Reads until the end and gives what each read returned, so that what is there is used at once.
///
/// The thread is in the middle of a read for as long as nothing comes, and only the end of the process
/// gets it out of that; this is why it is no task of the runtime.
///
/// # Errors
/// When there can be no more threads.
pub(crate) fn chunks(input: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read(input, &sender))?;
    Ok(receiver)
}

fn read(mut input: impl Read, sender: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let last = chunk.is_err();
        if sender.blocking_send(chunk).is_err() || last {
            return;
        }
    }
}
