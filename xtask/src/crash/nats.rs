//! A NATS server for daemons that are killed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value as Json;
use tempfile::TempDir;

use super::common::STEP_TIMEOUT;

/// Says where a `nats-server` is.
pub(super) const VARIABLE: &str = "HOOKS_NATS_SERVER";

/// A server that runs until it is dropped.
pub(super) struct Server {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Server {
    pub(super) fn start(program: &OsStr) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a NATS server: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let mut command = Command::new(program);
        // It takes a port that is free, and says in a file which.
        command.args(["-js", "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"]).arg(folder.path());
        command.arg("-sd").arg(folder.path());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)?;
        let name = Path::new(program).file_name().unwrap_or_default().display();
        let ports = folder.path().join(format!("{name}_{}.ports", child.id()));
        let mut server = Self { child, url: String::new(), _folder: folder };
        let begin = Instant::now();
        while server.url.is_empty() {
            if begin.elapsed() > STEP_TIMEOUT {
                return Err("the NATS server does not listen".to_owned());
            }
            std::thread::yield_now();
            // Until it is all there, it is no JSON.
            let said = std::fs::read(&ports).unwrap_or_default();
            let said: Json = serde_json::from_slice(&said).unwrap_or_default();
            server.url = said["nats"][0].as_str().unwrap_or_default().to_owned();
        }
        Ok(server)
    }

    /// The bus of a daemon. No lease ends during a run.
    pub(super) fn bus(&self) -> String {
        format!("kind = 'nats', servers = ['{}'], max_bytes = '1GiB', lease = '90s'", self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
