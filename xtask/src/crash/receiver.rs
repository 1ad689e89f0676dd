//! A webhook receiver that takes everything.

use std::collections::BTreeSet;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::common::{STEP_TIMEOUT, clock};
use super::http::{numbers, read_message};

/// An event that arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// Since 1970.
    pub(super) at: Duration,
    pub(super) path: Arc<str>,
    pub(super) number: u64,
}

/// Remembers what came, where and when.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    arrived: Arc<Arrived>,
    open: Arc<Open>,
}

#[derive(Default)]
struct Arrived {
    list: Mutex<Vec<Arrival>>,
    more: Condvar,
}

/// The number of open connections.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    closed: Condvar,
}

impl Receiver {
    pub(super) fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("a receiver: {error}"))?;
        let address = listener.local_addr().map_err(|error| format!("a receiver: {error}"))?;
        let (arrived, open) = (Arc::<Arrived>::default(), Arc::<Open>::default());
        let list = arrived.clone();
        let opened = open.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (list, opened) = (list.clone(), opened.clone());
                opened.count.lock().iter_mut().for_each(|count| **count += 1);
                std::thread::spawn(move || {
                    receive(stream, &list);
                    opened.count.lock().iter_mut().for_each(|count| **count -= 1);
                    opened.closed.notify_all();
                });
            }
        });
        Ok(Self { address, arrived, open })
    }

    /// Waits until everything is written down that a daemon sent before it was killed.
    pub(super) fn finish(&self) -> Result<(), String> {
        let failed = |error| format!("the receiver: {error}");
        // Connections are taken in their order: when this one is answered, all from before are counted.
        let mut last = TcpStream::connect(self.address).map_err(failed)?;
        last.write_all(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n").map_err(failed)?;
        read_message(&mut BufReader::new(last)).ok_or("the receiver does not answer")?;
        let count = self.open.count.lock().map_err(|_| "the receiver has panicked")?;
        let waited = self.open.closed.wait_timeout_while(count, STEP_TIMEOUT, |count| *count > 0);
        match waited {
            Ok((_, waited)) if !waited.timed_out() => Ok(()),
            _ => Err("connections stay open after a kill".to_owned()),
        }
    }

    /// What came so far, in its order.
    pub(super) fn arrived(&self) -> Vec<Arrival> {
        self.arrived.list.lock().map(|list| list.clone()).unwrap_or_default()
    }

    /// Waits until these have come, each to its path.
    pub(super) fn wait_for(&self, mut missing: BTreeSet<(Arc<str>, u64)>) -> Result<(), String> {
        let until = Instant::now() + STEP_TIMEOUT;
        let mut list = self.arrived.list.lock().map_err(|_| "the receiver has panicked")?;
        let mut seen = 0;
        loop {
            for Arrival { path, number, .. } in &list[seen..] {
                missing.remove(&(path.clone(), *number));
            }
            seen = list.len();
            let Some((path, number)) = missing.first() else { return Ok(()) };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("{} events have not come, {number} to {path}, say", missing.len()));
            }
            list = self.arrived.more.wait_timeout(list, left).map_err(|_| "the receiver has panicked")?.0;
        }
    }
}

fn receive(stream: TcpStream, arrived: &Arrived) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some((line, body)) = read_message(&mut reader) {
        let at = clock();
        let path: Arc<str> = line.split(' ').nth(1).unwrap_or_default().into();
        if let Ok(mut list) = arrived.list.lock() {
            list.extend(numbers(&body).map(|number| Arrival { at, path: path.clone(), number }));
        }
        arrived.more.notify_all();
        if writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
