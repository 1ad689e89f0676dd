//! The server: connections, one task each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::fault::{Fault, Then, read_slowly};
use super::head::{Broken, Head, Limits};
use super::request::Request;

/// Decides what happens to requests.
pub(crate) trait Receiver: Send + Sync + 'static {
    /// The size limits of requests.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// True if a request, of which only the head has arrived, is read slowly and not answered.
    fn reads_slowly(&self, _: &Head) -> bool {
        false
    }

    /// Takes a request and says what to answer.
    fn receive(&self, request: Request) -> Answer;

    /// A request that was none was answered with this status, if the client was still there.
    fn broken(&self, _: &Broken) {}

    /// The connection was closed when a request came, which was not read.
    fn closed_idle(&self) {}
}

/// Most connections at a time. More wait to be accepted.
const MAX_CONNECTIONS: usize = 512;

/// The longest time that a request may take to arrive once it has begun.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest time that a connection may do nothing: longer than clients keep one that they don't use.
const IDLE: Duration = Duration::from_secs(120);

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    /// The fault of connections, and the seed of what is random.
    connection_fault: Option<Fault>,
    seed: u64,
}

impl Server {
    /// Binds, with a fault that affects connections, if any.
    ///
    /// # Errors
    /// When the address can't be had.
    pub(crate) fn bind(address: SocketAddr, connection_fault: Option<Fault>, seed: u64) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // The kernel takes connections for a listener that never does until this many wait.
        let backlog = if connection_fault == Some(Fault::NeverAccept) { 1 } else { 1024 };
        Ok(Self { listener: socket.listen(backlog)?, connection_fault, seed })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped. Connections end with it.
    pub(crate) async fn run(self, receiver: Arc<impl Receiver>) {
        if self.connection_fault == Some(Fault::NeverAccept) {
            return std::future::pending().await;
        }
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut seed = self.seed;
        loop {
            let permit = permits.clone().acquire_owned().await;
            tokio::select! {
                accepted = self.listener.accept() => {
                    // Out of descriptors, or a client that has gone already: the next may be luckier.
                    let Ok((stream, _)) = accepted else {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    };
                    // Small answers must not wait for each other's acknowledgements.
                    let _ = stream.set_nodelay(true);
                    seed = seed.wrapping_add(1);
                    let connection = Connection {
                        stream: BufReader::new(stream),
                        receiver: receiver.clone(),
                        closes_idle: self.connection_fault == Some(Fault::CloseIdle),
                        rng: Rng::with_seed(seed),
                    };
                    connections.spawn(async move {
                        let _permit = permit;
                        connection.serve().await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

struct Connection<R> {
    stream: BufReader<TcpStream>,
    receiver: Arc<R>,
    closes_idle: bool,
    rng: Rng,
}

impl<R: Receiver> Connection<R> {
    /// One request after the other. A client that goes away is no concern of a receiver.
    async fn serve(mut self) {
        let mut served = 0;
        loop {
            match tokio::time::timeout(IDLE, self.stream.fill_buf()).await {
                Ok(Ok(bytes)) if !bytes.is_empty() => {}
                _ => return,
            }
            if self.closes_idle && served > 0 {
                self.receiver.closed_idle();
                let _ = self.stream.get_ref().set_zero_linger();
                return;
            }
            match self.exchange().await {
                Ok(Then::Next) => served += 1,
                Ok(Then::Close) => break,
                Ok(Then::Drop) => return,
                Err(broken) => {
                    self.refuse(&broken).await;
                    break;
                }
            }
        }
        self.close().await;
    }

    /// Reads one request and answers it.
    async fn exchange(&mut self) -> Result<Then, Broken> {
        let limits = self.receiver.limits();
        let late = |_| Broken::TooSlow(REQUEST_TIMEOUT);
        let head =
            tokio::time::timeout(REQUEST_TIMEOUT, Head::read(&mut self.stream, limits)).await.map_err(late)??;
        if self.receiver.reads_slowly(&head) {
            read_slowly(&mut self.stream).await;
            return Ok(Then::Drop);
        }
        let keeps_alive = head.keeps_alive();
        let body = head.read_body(&mut self.stream, limits);
        let request = tokio::time::timeout(REQUEST_TIMEOUT, body).await.map_err(late)??;
        let answer = self.receiver.receive(request);
        if !answer.after.is_zero() {
            tokio::time::sleep(answer.after).await;
        }
        let written = match answer.fault {
            None => self.stream.write_all(&answer.bytes(keeps_alive)).await,
            Some(fault) => fault.answer(&mut self.stream, &answer, &mut self.rng).await,
        };
        match answer.fault.map_or(Then::Next, Fault::then) {
            _ if written.is_err() => Ok(Then::Drop),
            Then::Next if !keeps_alive => Ok(Then::Close),
            then => Ok(then),
        }
    }

    async fn refuse(&mut self, broken: &Broken) {
        self.receiver.broken(broken);
        if let Some(status) = broken.status() {
            let _ = self.stream.write_all(&Answer::text(status, &broken.to_string()).bytes(false)).await;
        }
    }

    /// Ends the connection so that no reset overtakes the answer: says that nothing more is sent, and
    /// takes for a while what still comes.
    async fn close(&mut self) {
        let _ = self.stream.shutdown().await;
        let rest = async {
            while let Ok(bytes) = self.stream.fill_buf().await {
                let length = bytes.len();
                if length == 0 {
                    return;
                }
                self.stream.consume(length);
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), rest).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use tokio::io::AsyncReadExt as _;

    /// Answers with the body it got, and keeps what went wrong.
    #[derive(Default)]
    struct Echo {
        broken: Mutex<Vec<String>>,
    }

    impl Receiver for Echo {
        fn limits(&self) -> Limits {
            Limits { body: 1_000, ..Limits::default() }
        }

        fn receive(&self, request: Request) -> Answer {
            Answer { body: request.body, ..Answer::status(200) }
        }

        fn broken(&self, broken: &Broken) {
            self.broken.lock().push(broken.to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_nothing_is_closed() {
        let server = Server::bind(([127, 0, 0, 1], 0).into(), None, 0).unwrap();
        let mut stream = TcpStream::connect(server.address().unwrap()).await.unwrap();
        let mut servers = JoinSet::new();
        servers.spawn(server.run(Arc::new(Echo::default())));
        let start = tokio::time::Instant::now();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(start.elapsed().as_secs(), 120);
    }

    /// Sends this on one connection, says that nothing more comes, and returns what is answered.
    async fn exchange(text: &str) -> (String, Arc<Echo>) {
        let echo = Arc::new(Echo::default());
        let server = Server::bind(([127, 0, 0, 1], 0).into(), None, 0).unwrap();
        let mut stream = TcpStream::connect(server.address().unwrap()).await.unwrap();
        let mut servers = JoinSet::new();
        servers.spawn(server.run(echo.clone()));
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer, echo)
    }

    fn post(body: &str) -> String {
        format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn requests_on_one_connection_are_answered_in_turn() {
        let (answer, echo) = exchange(&(post("one") + &post("two"))).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(answer, format!("{head}one{head}two"));
        assert_eq!(*echo.broken.lock(), [""; 0], "closing between requests is no fault");
    }

    #[tokio::test]
    async fn a_connection_ends_when_the_client_asks_for_it() {
        let request = post("one").replacen("\r\n", "\r\nconnection: close\r\n", 1);
        let (answer, _) = exchange(&(request + &post("two"))).await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\none");
    }

    #[tokio::test]
    async fn what_is_no_request_is_answered_and_ends_the_connection() {
        for (text, status) in [
            ("nonsense\r\n\r\n".to_owned(), "400 Bad Request"),
            (post(&"x".repeat(100_000)), "413 Payload Too Large"),
            (post("x").replace("\r\n\r\n", "\r\ncontent-encoding: br\r\n\r\n"), "415 Unsupported Media Type"),
        ] {
            let (answer, echo) = exchange(&(text + &post("two"))).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
            assert!(answer.contains("connection: close") && !answer.contains("two"), "{answer}");
            assert_eq!(echo.broken.lock().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_request_that_breaks_off_is_told_to_nobody_but_the_receiver() {
        let text = post("whole");
        let (answer, echo) = exchange(&text[..text.len() - 1]).await;
        assert_eq!(answer, "");
        assert_eq!(*echo.broken.lock(), ["the connection broke off in the middle of a request"]);
    }

    #[tokio::test]
    async fn a_client_that_waits_to_be_asked_is_asked() {
        let request = post("one").replacen("\r\n", "\r\nexpect: 100-continue\r\n", 1);
        let (answer, _) = exchange(&request).await;
        assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
    }
}
