//! A `hooks serve` that is killed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::common::STEP_TIMEOUT;

/// A daemon that runs.
pub(super) struct Daemon {
    child: Child,
    pub(super) address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Daemon {
    /// One that takes events.
    pub(super) fn start(program: &Path, config: &Path) -> Result<Self, String> {
        let (mut daemon, listening) = Self::spawn(program, config)?;
        match listening.recv_timeout(STEP_TIMEOUT) {
            Ok(address) => daemon.address = address,
            Err(_) => {
                let _ = daemon.kill();
                return Err(format!("it did not start:\n{}", daemon.said()));
            }
        }
        Ok(daemon)
    }

    /// Starts one, and kills it after this time, or once it takes events.
    pub(super) fn kill_at_start(program: &Path, config: &Path, limit: Duration) -> Result<(), String> {
        let (mut daemon, listening) = Self::spawn(program, config)?;
        if listening.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected) {
            return Err(format!("it ended by itself:\n{}", daemon.said()));
        }
        daemon.kill()
    }

    /// A daemon, and the address at which it takes events, once it does.
    fn spawn(program: &Path, config: &Path) -> Result<(Self, Receiver<SocketAddr>), String> {
        let mut command = Command::new(program);
        command.args(["serve", "-c"]).arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("can't start hooks: {error}"))?;
        let stderr = child.stderr.take().ok_or("it has no stderr")?;
        let (ready, listening) = sync_channel(1);
        let said: Arc<Mutex<String>> = Arc::default();
        let heard = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let address = line
                    .contains("serving address=")
                    .then(|| line.split(['=', ' ']).find_map(|word| word.parse().ok()));
                if let Some(address) = address.flatten() {
                    let _ = ready.try_send(address);
                }
                heard.lock().iter_mut().for_each(|said| **said += &(line.clone() + "\n"));
            }
        });
        Ok((Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), said }, listening))
    }

    pub(super) fn said(&self) -> String {
        self.said.lock().map(|said| said.clone()).unwrap_or_default()
    }

    pub(super) fn kill(&mut self) -> Result<(), String> {
        self.child.kill().map_err(|error| format!("can't kill it: {error}"))?;
        self.child.wait().map(drop).map_err(|error| format!("can't wait for it: {error}"))
    }

    /// Stops it in order.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        let mut kill = Command::new("kill");
        kill.arg("-TERM").arg(self.child.id().to_string());
        crate::workspace::output(&mut kill)?;
        let status = self.child.wait().map_err(|error| format!("can't wait for it: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}:\n{}", self.said())) }
    }
}

/// A run that fails leaves nothing running.
impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
