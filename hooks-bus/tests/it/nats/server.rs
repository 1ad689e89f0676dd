//! Real servers, started and stopped by the tests.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use async_nats::jetstream;
use tempfile::TempDir;

/// Says where a `nats-server` is. Without it, tests that need one are skipped.
const VARIABLE: &str = "HOOKS_NATS_SERVER";

/// Begins a config of a server without JetStream. Others say more of it with `jetstream { STORE, … }`.
pub(crate) const NO_JETSTREAM: &str = "# none";

/// The program, or `None`, said aloud.
pub(crate) fn program() -> Option<PathBuf> {
    let program = std::env::var_os(VARIABLE).map(PathBuf::from);
    if program.is_none() {
        eprintln!("skipped: needs a nats-server; `cargo xtask integration nats` brings one, or set {VARIABLE}");
    }
    program
}

/// A server, which ends with the value.
pub(crate) struct Server {
    child: Option<Child>,
    command: Vec<String>,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Server {
    /// A single server with JetStream.
    pub(crate) async fn start() -> Option<Self> {
        Self::with_config("").await
    }

    /// A server with more lines in its config file; `DIR` in them is its folder.
    pub(crate) async fn with_config(lines: &str) -> Option<Self> {
        let program = program()?;
        loop {
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            let lines = lines.replace("DIR", &folder.path().display().to_string());
            let mut server = Self::new(&program, folder, port, "alone", &lines);
            if server.is_up().await {
                return Some(server);
            }
            // Another process was given the port in between.
            assert!(server.said().contains("address already in use"), "{}", server.said());
        }
    }

    /// Three servers that are one.
    pub(crate) async fn cluster() -> Option<Vec<Self>> {
        let program = program()?;
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let known = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect::<Vec<_>>().join(", ");
        let start = |at: usize| {
            let lines = format!("cluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{known}] }}", routes[at]);
            Self::new(&program, tempfile::tempdir().unwrap(), free_port(), &format!("s{at}"), &lines)
        };
        let mut servers: Vec<_> = (0..3).map(start).collect();
        for server in &mut servers {
            server.ready().await;
        }
        Some(servers)
    }

    fn new(program: &Path, folder: TempDir, port: u16, name: &str, lines: &str) -> Self {
        let config = folder.path().join("nats.conf");
        let store = folder.path().join("store");
        let store = format!("store_dir: \"{}\"", store.display());
        let (jetstream, lines) = match lines.strip_prefix(NO_JETSTREAM) {
            Some(lines) => (String::new(), lines.to_owned()),
            None if lines.contains("STORE") => (String::new(), lines.replace("STORE", &store)),
            None => (format!("jetstream {{ {store} }}"), lines.to_owned()),
        };
        let text = format!("listen: \"127.0.0.1:{port}\"\nserver_name: {name}\n{jetstream}\n{lines}\n");
        std::fs::write(&config, text).unwrap();
        let command = vec![
            program.display().to_string(),
            "-c".into(),
            config.display().to_string(),
            "-l".into(),
            folder.path().join("log").display().to_string(),
        ];
        let mut server = Self { child: None, command, port, folder };
        server.run();
        server
    }

    /// Starts it, or starts it again.
    pub(crate) fn run(&mut self) {
        let mut command = Command::new(&self.command[0]);
        // Errors of a config go nowhere else.
        let errors = std::fs::File::create(self.folder.path().join("errors")).unwrap();
        command.args(&self.command[1..]).stdout(Stdio::null()).stderr(errors);
        self.child = Some(command.spawn().unwrap());
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Keeps a copy of its store; it is killed for that, and started again.
    pub(crate) async fn keep_store(&mut self) -> TempDir {
        let kept = tempfile::tempdir().unwrap();
        self.keep_store_in(kept.path()).await;
        kept
    }

    /// Keeps a copy of its store in this folder.
    pub(crate) async fn keep_store_in(&mut self, folder: &Path) {
        self.kill();
        copy(&self.folder.path().join("store"), &folder.join("store"));
        self.run();
        self.ready().await;
    }

    /// Comes back, after a crash, with this copy of its store, or of a part of it.
    pub(crate) async fn restore(&mut self, kept: &TempDir, part: &str) {
        self.restore_from(kept.path(), part).await;
    }

    /// Comes back with the copy in this folder.
    pub(crate) async fn restore_from(&mut self, folder: &Path, part: &str) {
        self.kill();
        let (from, to) = (folder.join("store").join(part), self.folder.path().join("store").join(part));
        std::fs::remove_dir_all(&to).unwrap();
        copy(&from, &to);
        self.run();
        self.ready().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Waits until it takes connections.
    pub(crate) async fn ready(&mut self) {
        assert!(self.is_up().await, "{}", self.said());
    }

    /// Waits until it takes connections, however busy the machine is, or has ended: then false.
    async fn is_up(&mut self) -> bool {
        let child = self.child.as_mut().unwrap();
        let connected = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                hooks_test::pause().await;
            }
            true
        };
        // One that hangs must not make its test hang.
        let up = tokio::time::timeout(std::time::Duration::from_secs(180), connected).await;
        up.unwrap_or_else(|_| panic!("it does not listen:\n{}", self.said()))
    }

    /// The server's log.
    pub(crate) fn said(&self) -> String {
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("errors") + &read("log")
    }

    /// A plain client.
    pub(crate) async fn client(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.url()).await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
