//! Telling systemd how far the process is (`sd_notify(3)`, `systemd.service(5)`).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use hooks_core::bus::BusHealth;
use rustix::time::{ClockId, clock_gettime};

/// Sends datagrams to the service manager, or nothing when it did not ask for them.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    target: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let for_us = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC").filter(|_| for_us);
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        Self::new(&socket, watchdog.as_deref()).unwrap_or_else(|error| {
            tracing::warn!(socket = %socket.display(), %error, "NOTIFY_SOCKET can't be used: the service manager hears nothing");
            Self::default()
        })
    }

    /// To this socket: a path, or a name in the abstract namespace behind `@`.
    fn new(socket: &OsStr, watchdog_usec: Option<&str>) -> io::Result<Self> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(socket)?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
        };
        let own = UnixDatagram::unbound()?;
        own.set_nonblocking(true)?;
        let usec = watchdog_usec.and_then(|usec| usec.parse().ok()).filter(|usec| *usec > 0);
        Ok(Self { target: Some((own, address)), watchdog: usec.map(Duration::from_micros) })
    }

    /// Everything that was asked for is up, or was reloaded.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    pub(crate) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// The config is being read again; [`ready`](Self::ready) follows.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec as i128 * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    pub(crate) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Stopping takes at least this much longer.
    pub(crate) fn extend(&self, by: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()));
    }

    /// Tells the watchdog again and again that this process lives, as long as its runtime does and a new start would
    /// not help its bus; the fault of the bus is its status. Ends at once when there is no watchdog.
    pub(crate) async fn keep_alive(&self, health: impl Fn() -> BusHealth) {
        let Some(watchdog) = self.watchdog else { return };
        let mut ticks = tokio::time::interval(watchdog / 2);
        let mut said = BusHealth::Well;
        loop {
            ticks.tick().await;
            let health = health();
            if !health.is_broken() {
                self.send("WATCHDOG=1");
            }
            if health != said {
                self.status(&health.trouble().unwrap_or("serving").replace('\n', " "));
                said = health;
            }
        }
    }

    fn send(&self, message: &str) {
        if let Some((own, address)) = &self.target
            && let Err(error) = own.send_to_addr(message.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager was not told the state of this process");
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no abstract names"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every message that these calls send, each as its lines.
    fn said(socket: &OsStr, receiver: &UnixDatagram, calls: impl FnOnce(&Notifier)) -> Vec<String> {
        calls(&Notifier::new(socket, Some("30000000")).unwrap());
        receiver.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        let next = || receiver.recv(&mut buffer).ok().map(|length| String::from_utf8(buffer[..length].into()).unwrap());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_message_is_one_datagram() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut said = said(path.as_os_str(), &receiver, |notifier| {
            notifier.ready("serving");
            notifier.reloading();
            notifier.stopping("draining");
            notifier.extend(Duration::from_secs(5));
            notifier.status("2 left");
        });
        let reloading = said.remove(1);
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
        assert_eq!(
            said,
            ["READY=1\nSTATUS=serving", "STOPPING=1\nSTATUS=draining", "EXTEND_TIMEOUT_USEC=5000000", "STATUS=2 left"]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_names_are_reached() {
        let name = format!("hooks-test-{}", std::process::id());
        let address = abstract_name(name.as_bytes()).unwrap();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        let socket = format!("@{name}");
        assert_eq!(said(OsStr::new(&socket), &receiver, |notifier| notifier.status("x")), ["STATUS=x"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_twice_in_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.as_os_str(), Some("30000000")).unwrap();
        let _ = tokio::time::timeout(Duration::from_secs(61), notifier.keep_alive(|| BusHealth::Well)).await;
        let mut buffer = [0; 64];
        receiver.set_nonblocking(true).unwrap();
        let beats = std::iter::from_fn(|| receiver.recv(&mut buffer).ok()).count();
        assert_eq!((beats, &buffer[..10]), (5, b"WATCHDOG=1".as_slice()));
    }

    /// Passing trouble is reported. Lasting trouble ends the beats: the service manager starts the process anew.
    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_no_more_of_a_bus_that_only_a_new_start_helps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let notifier = Notifier::new(path.as_os_str(), Some("30000000")).unwrap();
        let why = || "no\ndisk".to_owned();
        let healths =
            [BusHealth::Well, BusHealth::Unavailable(why()), BusHealth::Well, BusHealth::Broken(why())].into_iter();
        let healths = std::cell::RefCell::new(healths);
        let next = || healths.borrow_mut().next().unwrap_or(BusHealth::Broken(why()));
        let _ = tokio::time::timeout(Duration::from_secs(91), notifier.keep_alive(next)).await;
        let mut buffer = [0; 64];
        let said: Vec<String> = std::iter::from_fn(|| {
            receiver.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
        .collect();
        assert_eq!(
            said,
            ["WATCHDOG=1", "WATCHDOG=1", "STATUS=no disk", "WATCHDOG=1", "STATUS=serving", "STATUS=no disk"]
        );
    }

    #[tokio::test]
    async fn nobody_is_told_where_nobody_asked() {
        let notifier = Notifier::default();
        notifier.ready("x");
        notifier.keep_alive(|| BusHealth::Well).await;
        assert!(Notifier::new(OsStr::new("vsock:2:1"), None).is_err());
    }
}
