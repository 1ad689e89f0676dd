//! The operator's socket in the data folder. Who may write to the folder may operate: the socket's mode
//! is 0600.

use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, HumanDuration};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::desk::Desk;
use super::protocol::{Request, Response};

/// The socket's name in the data folder.
pub(crate) const SOCKET: &str = "operator.sock";

/// Its name before anybody may connect.
const HIDDEN: &str = "operator.new";

/// Most operators at a time; others wait.
const CONNECTIONS: usize = 8;

/// The longest request. One that names many dead letters is the longest there is.
const MAX_REQUEST: u64 = 1 << 20;

/// The longest time that an operator may keep a connection without asking anything, or without reading the answer.
const IDLE: Duration = Duration::from_secs(60);

/// The longest time that a daemon may take for what asks no receiver.
const PATIENCE: Duration = Duration::from_secs(15);

/// The pause of accepting when it fails.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to the socket of a folder: one that is short enough for the system, however long the folder's own is.
struct Reach {
    path: PathBuf,
    /// Names the folder for as long as the way is used.
    _folder: Option<File>,
}

impl Reach {
    fn to(folder: &Path, name: &str) -> std::io::Result<Self> {
        let path = folder.join(name);
        if fits(&path) {
            return Ok(Self { path, _folder: None });
        }
        let handle = File::open(folder)?;
        let path = PathBuf::from(format!("{DESCRIPTORS}/{}/{name}", handle.as_raw_fd()));
        Ok(Self { path, _folder: Some(handle) })
    }
}

/// The folder in which Linux shows the open files of the process that looks.
const DESCRIPTORS: &str = "/proc/self/fd";

/// True if a socket can have this path.
fn fits(path: &Path) -> bool {
    SocketAddr::from_pathname(path).is_ok()
}

/// The reason why operators would not reach a daemon with this folder, as far as that can be seen before.
pub(super) fn obstacle(folder: &Path) -> Option<String> {
    let path = folder.join(SOCKET);
    let shown = path.display();
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Some(format!("`{shown}` is a folder, where the daemon's socket has to be: remove it"));
    }
    (!fits(&path) && !Path::new(DESCRIPTORS).exists())
        .then(|| format!("`{shown}` is longer than the path of a socket may be: use another `bus.dir`"))
}

/// A socket that operators can talk to. Its file goes with it.
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens. Whoever calls has the folder for itself, so a socket that is there is a dead one.
    ///
    /// # Errors
    /// When it can't.
    pub(crate) fn bind(folder: &Path) -> Result<Self, BoxError> {
        let path = folder.join(SOCKET);
        let failed = |what: &str, error: std::io::Error| format!("{}: {what}: {error}", path.display());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("can't be removed", error).into());
            }
            _ => {}
        }
        // Private from its first moment on: nobody can connect before it has its name and its mode.
        let hidden = folder.join(HIDDEN);
        let _ = std::fs::remove_file(&hidden);
        let listener = Reach::to(folder, HIDDEN).and_then(|way| UnixListener::bind(&way.path));
        let listener = listener.map_err(|error| failed("can't listen", error))?;
        let ready = std::fs::set_permissions(&hidden, Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&hidden, &path));
        ready.map_err(|error| failed("can't be made private", error))?;
        Ok(Self { listener, path })
    }

    /// Answers operators until the future is dropped.
    pub(crate) async fn serve(self, desk: Arc<Desk>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        while let Ok(permit) = room.clone().acquire_owned().await {
            let Ok((stream, _)) = self.listener.accept().await else {
                // The process has no file descriptors left, say.
                sleep(PAUSE).await;
                continue;
            };
            let desk = desk.clone();
            tokio::spawn(async move {
                converse(stream, &desk).await;
                drop(permit);
            });
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A file that stays is removed by the next daemon.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, desk: &Desk) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        let mut limited = (&mut read).take(MAX_REQUEST);
        match timeout(IDLE, limited.read_line(&mut line)).await {
            Ok(Ok(1..)) => {}
            _ => return,
        }
        let _asked = desk.asked().await;
        let response = match serde_json::from_str(&line) {
            Ok(request) => desk.answer(request).await,
            Err(error) => Response::Failed { error: format!("not understood: {error}") },
        };
        let Ok(mut text) = serde_json::to_string(&response) else { return };
        text.push('\n');
        // Whoever reads nothing does not keep others from asking.
        match timeout(IDLE, write.write_all(text.as_bytes())).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

/// A connection to a daemon.
pub(crate) struct Connection(BufReader<UnixStream>);

impl Connection {
    /// `None`: no daemon listens there.
    ///
    /// # Errors
    /// When one may listen and can't be reached.
    pub(super) async fn open(folder: &Path) -> Result<Option<Self>, BoxError> {
        let path = folder.join(SOCKET);
        let connected = match Reach::to(folder, SOCKET) {
            Ok(way) => UnixStream::connect(&way.path).await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(stream) => Ok(Some(Self(BufReader::new(stream)))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) => Err(format!("{}: can't talk to the daemon: {error}", path.display()).into()),
        }
    }

    pub(super) async fn ask(&mut self, request: &Request) -> Result<Response, BoxError> {
        let mut text = serde_json::to_string(request)?;
        text.push('\n');
        let exchange = self.exchange(&text);
        let answer = match request {
            Request::Replay { .. } => exchange.await,
            _ => timeout(PATIENCE, exchange).await.map_err(|_| {
                let waited = HumanDuration(PATIENCE);
                format!("the daemon has the folder and does not answer for {waited}: it hangs, or somebody stopped it; what was asked may still be done")
            })?,
        };
        match answer {
            Ok(line) if line.ends_with('\n') => Ok(serde_json::from_str(&line)?),
            // However its end shows here: nothing came, half an answer, or an error.
            _ => Err("the daemon went away before it answered: `hooks status` and `hooks dead-letters list` show what was done".into()),
        }
    }

    async fn exchange(&mut self, text: &str) -> std::io::Result<String> {
        self.0.get_mut().write_all(text.as_bytes()).await?;
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line)
    }
}
