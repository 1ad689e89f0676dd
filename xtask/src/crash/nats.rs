//! A NATS server for daemons that are killed.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::common::STEP_TIMEOUT;

/// Says where a `nats-server` is.
pub(super) const VARIABLE: &str = "HOOKS_NATS_SERVER";

/// A server that runs until it is dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    pub(super) fn start(program: &OsStr) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a NATS server: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["-js", "-a", "127.0.0.1", "-p"]).arg(free.port().to_string()).arg("-sd").arg(folder.path());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)?;
        let server = Self { child, port: free.port(), _folder: folder };
        let begin = Instant::now();
        while TcpStream::connect(free).is_err() {
            if begin.elapsed() > STEP_TIMEOUT {
                return Err("the NATS server does not listen".to_owned());
            }
            std::thread::yield_now();
        }
        Ok(server)
    }

    /// The bus of a daemon. No lease ends during a run.
    pub(super) fn bus(&self) -> String {
        format!("kind = 'nats', servers = ['nats://127.0.0.1:{}'], max_bytes = '1GiB', lease = '90s'", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
