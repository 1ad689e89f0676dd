//! A receiver of webhooks that costs as little as possible: a thread per connection that looks for
//! `content-length`, reads as many bytes and answers 200.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;

/// The bytes that arrived so far.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// Called with the moment at which the first byte of a request was there, and its body.
pub(crate) type OnBody = Arc<dyn Fn(Instant, &[u8]) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    arrived: Arc<Arrived>,
}

impl Receiver {
    pub(crate) fn start() -> io::Result<Self> {
        Self::with(Duration::ZERO, Arc::new(|_, _| {}))
    }

    /// Waits before each answer, and shows each body.
    pub(crate) fn with(delay: Duration, on_body: OnBody) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let arrived = Arc::<Arrived>::default();
        let counts = arrived.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counts, on_body) = (counts.clone(), on_body.clone());
                std::thread::spawn(move || serve(stream, &counts, delay, &*on_body));
            }
        });
        Ok(Self { address, arrived })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests and bytes of their bodies.
    pub(crate) fn arrived(&self) -> (u64, u64) {
        (self.arrived.requests.load(Ordering::Acquire), self.arrived.bytes.load(Ordering::Acquire))
    }
}

fn serve(
    mut stream: TcpStream,
    arrived: &Arrived,
    delay: Duration,
    on_body: &dyn Fn(Instant, &[u8]),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        let mut first_byte = None;
        let (head, length) = loop {
            if let Some(end) = memmem::find(&buffer[..filled], b"\r\n\r\n") {
                break (end + 4, content_length(&buffer[..end]));
            }
            filled += read(&mut stream, &mut buffer[filled..])?;
            first_byte.get_or_insert_with(Instant::now);
        };
        if buffer.len() < head + length {
            buffer.resize(head + length, 0);
        }
        while filled < head + length {
            filled += read(&mut stream, &mut buffer[filled..])?;
        }
        on_body(first_byte.unwrap_or_else(Instant::now), &buffer[head..head + length]);
        if !delay.is_zero() {
            std::thread::park_timeout(delay);
        }
        arrived.bytes.fetch_add(length as u64, Ordering::AcqRel);
        arrived.requests.fetch_add(1, Ordering::AcqRel);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        buffer.copy_within(head + length..filled, 0);
        filled -= head + length;
    }
}

fn read(stream: &mut TcpStream, room: &mut [u8]) -> io::Result<usize> {
    match stream.read(room)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn content_length(head: &[u8]) -> usize {
    let lines = head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let length = fields.rfind(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
