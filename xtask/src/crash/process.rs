//! A `hooks serve` that is killed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use super::common::STEP_TIMEOUT;

/// A daemon that runs.
pub(super) struct Daemon {
    child: Child,
    pub(super) address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Daemon {
    pub(super) fn start(program: &Path, config: &Path) -> Result<Self, String> {
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
        let address = listening.recv_timeout(STEP_TIMEOUT);
        let mut daemon = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), said };
        match address {
            Ok(address) => daemon.address = address,
            Err(_) => {
                let _ = daemon.kill();
                return Err(format!("it did not start:\n{}", daemon.said()));
            }
        }
        Ok(daemon)
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
