//! Running the binary.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use tempfile::TempDir;

/// A folder with a config file in it.
pub(crate) struct Place {
    folder: TempDir,
}

/// The end of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hooks.toml"), config).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The binary in this folder, with an environment that holds nothing else.
    pub(crate) fn hooks(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("hooks"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, b"")
    }

    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ended {
        run(self.hooks(args), input)
    }

    /// `hooks pipe` with this input.
    pub(crate) fn pipe(&self, input: impl AsRef<[u8]>) -> Ended {
        self.run_with(&["pipe", "-c", "hooks.toml"], input.as_ref())
    }

    /// `hooks pipe` that goes on reading.
    pub(crate) fn start(&self) -> Running {
        self.start_with(&["pipe", "-c", "hooks.toml"])
    }

    /// A command that goes on until it is told to end.
    pub(crate) fn start_with(&self, args: &[&str]) -> Running {
        Running::of(self.hooks(args))
    }
}

impl Running {
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, errors) = sync_channel(UNREAD);
        std::thread::spawn(move || {
            stderr
                .split(b'\n')
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(String::from_utf8_lossy(&line).into_owned() + "\n"))
        });
        Self { child, input, errors: Mutex::new(errors), seen: String::new() }
    }
}

pub(crate) fn run(mut command: Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // Whoever refuses its config reads nothing.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    /// Its stderr, line by line, read as it comes.
    errors: Mutex<Receiver<String>>,
    seen: String,
}

/// Lines that may wait for a test to look at them.
const UNREAD: usize = 1 << 20;

impl Running {
    pub(crate) fn write(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Reads stderr until a line that has this in it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line =
                self.errors.get_mut().unwrap().recv().unwrap_or_else(|_| panic!("`{text}` never came:\n{}", self.seen));
            self.seen.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the input and waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        self.input = None;
        self.wait()
    }

    /// Waits for the end without ending the input.
    pub(crate) fn wait(mut self) -> Ended {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.seen.extend(self.errors.get_mut().unwrap().iter());
        let code = self.child.wait().unwrap().code();
        Ended { code, out, err: std::mem::take(&mut self.seen) }
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One event.
pub(crate) fn event(number: usize) -> String {
    hooks_test::json(number, "test.counted", format_args!(r#"{{"n":{number}}}"#))
}

/// Events, a line each.
pub(crate) fn events(count: usize) -> String {
    (1..=count).map(|number| event(number) + "\n").collect()
}

/// The examples' folder.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples")
}
