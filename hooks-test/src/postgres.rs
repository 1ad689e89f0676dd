//! Real PostgreSQL servers, each with a cluster of its own in a temporary folder.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Says in which folder the programs of PostgreSQL are. Without it they are looked for in `PATH`; without them, tests that
/// need a server are skipped.
const VARIABLE: &str = "HOOKS_POSTGRES_BIN";

/// Whoever runs servers that root starts, which refuse to run as root.
const NOBODY: u32 = 65_534;

/// The folder of the programs, or `None`, said aloud.
fn programs() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&path).map(|folder| folder.join("initdb")).find(|file| file.is_file())?;
        Some(found.canonicalize().ok()?.parent()?.to_owned())
    };
    let folder = named.or_else(in_path);
    if folder.is_none() {
        eprintln!("skipped: needs PostgreSQL; `cargo xtask integration postgres` installs it, or set {VARIABLE}");
    }
    folder
}

/// A server, which ends with the value. Its superuser is `hooks`, who needs no password.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    /// It listens there, at 127.0.0.1.
    pub port: u16,
    folder: TempDir,
    user: Option<u32>,
    settings: Vec<String>,
    /// Variables of its environment.
    environment: Vec<(String, String)>,
}

/// The library of Debian's package faketime, which changes the clock of a program.
pub fn fake_clock() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let library = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|file| file.is_file());
    if library.is_none() {
        eprintln!("skipped: needs libfaketime; `cargo xtask integration postgres` installs it");
    }
    library
}

/// Variables with which a program's clock is as a file says: `+0`, `+1h`, `-10d`. It runs on evenly all the same for what
/// measures how long something takes.
pub fn clock_variables(library: &Path, file: &Path) -> [(String, String); 4] {
    [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

impl Server {
    /// A server, or `None` where there are no programs.
    pub fn start() -> Option<Self> {
        Self::with_settings(&[])
    }

    /// A server whose clock can be set, or `None` where there are no programs.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_clock() -> Option<Self> {
        let library = fake_clock()?;
        let mut server = Self::start()?;
        server.stop_at_once();
        server.set_clock("+0");
        server.environment = clock_variables(&library, &server.folder().join("clock")).to_vec();
        server.run();
        Some(server)
    }

    /// Sets the clock of a server that has one of its own: as far before or behind the machine's.
    ///
    /// # Panics
    /// When it can't.
    pub fn set_clock(&self, offset: &str) {
        let new = self.give("clock.new", offset);
        std::fs::rename(new, self.folder().join("clock")).unwrap();
    }

    /// A server with these settings, such as `max_connections=9`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_settings(settings: &[&str]) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let is_root = folder.path().metadata().unwrap().uid() == 0;
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server =
            Self { programs, port: 0, folder, user: is_root.then_some(NOBODY), settings, environment: Vec::new() };
        let made =
            server.cluster("initdb").args(["-U", "hooks", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]).output();
        succeeded(&made.unwrap());
        server.begin();
        Some(server)
    }

    /// Runs it at a port that is free.
    fn begin(&mut self) {
        while self.port == 0 {
            self.port = free_port();
            // Another process may be given the port in between.
            if !self.try_run() {
                assert!(self.said().contains("Address already in use"), "{}", self.said());
                self.port = 0;
            }
        }
    }

    /// Another server, with a copy of what this one has now. It runs; this one ends for a moment.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn copy(&self) -> Self {
        self.copy_with(|_| {})
    }

    /// A server that follows this one, which ends for a moment.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let settings = format!("primary_conninfo = 'host=127.0.0.1 port={} user=hooks'\n", self.port);
        self.copy_with(|data| {
            let file = data.join("postgresql.auto.conf");
            let before = std::fs::read_to_string(&file).unwrap();
            std::fs::write(file, before + &settings).unwrap();
            std::fs::write(data.join("standby.signal"), "").unwrap();
        })
    }

    fn copy_with(&self, change: impl FnOnce(&Path)) -> Self {
        succeeded(&self.cluster("pg_ctl").args(["stop", "-m", "fast", "-s", "-w"]).output().unwrap());
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), self.user, self.user).unwrap();
        let (from, to) = (self.folder.path().join("data"), folder.path().join("data"));
        succeeded(&Command::new("cp").arg("-a").args([&from, &to]).output().unwrap());
        change(&to);
        self.run();
        let (programs, settings) = (self.programs.clone(), self.settings.clone());
        let mut copy = Self { programs, port: 0, folder, user: self.user, settings, environment: Vec::new() };
        copy.begin();
        copy
    }

    /// Makes a standby a server of its own, with what it has.
    ///
    /// # Panics
    /// When it can't.
    pub fn promote(&self) {
        succeeded(&self.cluster("pg_ctl").args(["promote", "-s", "-w"]).output().unwrap());
    }

    /// A program of the server's, or one with a whole path, in its folder and as its user.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn cluster(&self, program: &str) -> Command {
        let mut command = self.command(program);
        command.arg("-D").arg(self.folder.path().join("data"));
        command
    }

    /// Starts it again, and waits until it takes connections.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&self) {
        assert!(self.try_run(), "{}", self.said());
    }

    fn try_run(&self) -> bool {
        let mut options =
            format!("-p {} -h 127.0.0.1 -k {} -c shared_buffers=32MB", self.port, self.folder().display());
        for setting in &self.settings {
            options += &format!(" -c {setting}");
        }
        let mut command = self.cluster("pg_ctl");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["start", "-w", "-s", "-t", "120", "-o", &options, "-l"]).arg(self.folder.path().join("log"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Ends it as a crash does.
    pub fn stop_at_once(&self) {
        let _ = self.cluster("pg_ctl").args(["stop", "-m", "immediate", "-s"]).stderr(Stdio::null()).status();
    }

    /// Its log.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A file that is its own.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn give(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, self.user, self.user).unwrap();
        path
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a database.
    ///
    /// # Panics
    /// When it can't.
    pub fn database(&self, name: &str) {
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
    }

    /// Runs SQL as psql does; returns what it prints, without decoration.
    ///
    /// # Panics
    /// When the SQL has an error.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let port = self.port.to_string();
        let mut command = self.command("psql");
        if !Path::new(command.get_program()).is_file() {
            // Not every package of a server has it.
            command = Command::new("psql");
        }
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "hooks",
            "-d",
            database,
            "-AtqX",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
        ]);
        let ended = command.output().unwrap();
        succeeded(&ended);
        String::from_utf8_lossy(&ended.stdout).trim_end().to_owned()
    }
}

fn succeeded(ended: &Output) {
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_at_once();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
