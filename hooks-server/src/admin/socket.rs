//! The operators' socket in a folder. Who may write to the folder may operate: the socket's mode is 0600.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hooks_core::BoxError;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_service::Service as _;

use super::AdminService;
use super::routes;
use crate::http::Patient;

/// The socket's name in the folder.
pub const SOCKET: &str = "operator.sock";

/// Its name before anybody may connect.
const HIDDEN: &str = "operator.new";

/// Most operators at a time; others wait.
const CONNECTIONS: usize = 8;

/// The longest time that an operator may keep a connection without asking anything, or without reading the answer.
const IDLE: Duration = Duration::from_secs(60);

/// The pause of accepting when it fails.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time that the last answers may take, once the socket is to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The way to the socket of a folder: one that is short enough for the system, however long the folder's own is.
struct Reach {
    path: PathBuf,
    /// Names the folder for as long as the way is used.
    _folder: Option<File>,
}

impl Reach {
    fn to(folder: &Path, name: &str) -> io::Result<Self> {
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
pub fn obstacle(folder: &Path) -> Option<String> {
    let path = folder.join(SOCKET);
    let shown = path.display();
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Some(format!("`{shown}` is a folder, where the daemon's socket has to be: remove it"));
    }
    (!fits(&path) && !Path::new(DESCRIPTORS).exists())
        .then(|| format!("`{shown}` is longer than the path of a socket may be: use another `dir` for the bus"))
}

/// Connects to the socket of a folder.
pub(super) async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let way = Reach::to(folder, SOCKET)?;
    UnixStream::connect(&way.path).await
}

/// A Unix socket in a folder, where operators reach the process that has it:
/// `curl --unix-socket FOLDER/operator.sock http://localhost/v1/status`. Its file goes with it.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Listens. Whoever calls has the folder for itself, so a socket that is there is a dead one.
    ///
    /// # Errors
    /// When it can't.
    pub fn bind(folder: &Path) -> Result<Self, BoxError> {
        let path = folder.join(SOCKET);
        let failed = |what: &str, error: io::Error| format!("{}: {what}: {error}", path.display());
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

    /// Answers operators until `end`. Who has asked by then still hears what came of it: how far a replay was, say.
    pub async fn serve(self, service: &AdminService, end: impl Future<Output = ()>) {
        let router = service.router().fallback(routes::nothing);
        let (ends, ending) = watch::channel(());
        let mut operators = JoinSet::new();
        let mut end = pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => break,
                Some(_) = operators.join_next() => {}
                accepted = self.listener.accept(), if operators.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => drop(operators.spawn(converse(stream, router.clone(), ending.clone()))),
                    // The process has no file descriptors left, say.
                    Err(_) => sleep(PAUSE).await,
                },
            }
        }
        drop((self, ends));
        let _ = timeout(LAST_ANSWERS, async { while operators.join_next().await.is_some() {} }).await;
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A file that stays is removed by the next daemon.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Answers one operator.
async fn converse(stream: UnixStream, router: Router, mut ending: watch::Receiver<()>) {
    let has_asked = AtomicBool::new(false);
    let service = service_fn(|request: http::Request<_>| {
        has_asked.store(true, Ordering::Relaxed);
        router.clone().call(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    // Whoever reads nothing does not keep others from asking.
    let stream = TokioIo::new(Patient::new(stream, IDLE));
    let mut connection = pin!(builder.serve_connection(stream, service));
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        _ = ending.changed() => {}
    }
    if has_asked.load(Ordering::Relaxed) {
        connection.as_mut().graceful_shutdown();
        // What goes wrong on a connection is the operator's doing, who knows it.
        let _ = connection.await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hooks_core::{
        Bus, BusError, Dispatcher, HookId, Override, Slice, async_trait,
        bus::{BusTraits, HookStore, Published, Reader, Settler, Subscription},
    };
    use tempfile::TempDir;
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;
    use crate::admin::{AdminClient, Done, Request, Response};

    /// Knows one hook, and takes its time to change it.
    #[derive(Default)]
    struct Slow {
        asked: Notify,
        may_answer: Notify,
    }

    #[async_trait]
    impl Bus for Slow {
        fn log_id(&self) -> Uuid {
            Uuid::nil()
        }

        fn traits(&self) -> BusTraits {
            BusTraits::new()
        }

        async fn publish(&self, _: Slice) -> Result<Published, BusError> {
            Err(BusError::Closed)
        }

        async fn subscribe(&self, _: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
            Err(BusError::Closed)
        }

        async fn unsubscribe(&self, _: &HookId) -> Result<(), BusError> {
            Ok(())
        }

        async fn close(&self) {}

        fn hooks(&self) -> &dyn HookStore {
            self
        }
    }

    #[async_trait]
    impl HookStore for Slow {
        fn known_hooks(&self) -> Vec<HookId> {
            vec![HookId::new("a").unwrap()]
        }

        async fn set_override(&self, _: &HookId, _: Option<Override>) -> Result<(), BusError> {
            self.asked.notify_one();
            self.may_answer.notified().await;
            Ok(())
        }
    }

    /// A socket that is served until the sender is dropped.
    fn serve(bus: &Arc<Slow>) -> (TempDir, oneshot::Sender<()>, JoinHandle<()>) {
        let folder = tempfile::tempdir().unwrap();
        let socket = AdminSocket::bind(folder.path()).unwrap();
        let service = AdminService::new(bus.clone(), Arc::new(Dispatcher::new(bus.clone())));
        let (end, ended) = oneshot::channel();
        let serving = tokio::spawn(async move { socket.serve(&service, async { drop(ended.await) }).await });
        (folder, end, serving)
    }

    async fn connect(folder: &TempDir) -> AdminClient {
        AdminClient::connect(folder.path()).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn operators_who_ask_nothing_leave_for_others() {
        let (folder, _end, _serving) = serve(&Arc::default());
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(super::connect(folder.path()).await.unwrap());
        }
        let begun = Instant::now();
        while connect(&folder).await.ask(&Request::Log).await.is_err() {}
        assert_eq!(begun.elapsed().as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_asked_hears_what_came_of_it_and_whoever_has_not_is_not_waited_for() {
        let bus = Arc::new(Slow::default());
        let (folder, end, serving) = serve(&bus);
        let (mut client, _silent) = (connect(&folder).await, connect(&folder).await);
        let request = Request::Enable { hook: HookId::new("a").unwrap() };
        let ends = async {
            bus.asked.notified().await;
            drop(end);
            while folder.path().join(SOCKET).exists() {
                tokio::task::yield_now().await;
            }
            bus.may_answer.notify_one();
        };
        let (asked, ()) = tokio::join!(client.ask(&request), ends);
        assert!(matches!(asked.unwrap(), Response::Done(Done { changed: false })));
        let begun = Instant::now();
        serving.await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(AdminClient::connect(folder.path()).await.unwrap().is_none());
    }
}
