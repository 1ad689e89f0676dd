//! 100,000 events published at once to one webhook hook with default settings, but for
//! `overflow = "block"`: how many are lost, and how long it takes beside a bare client that posts the
//! same bodies, prebuilt, one at a time.
//!
//! `cargo run --profile dist -p hooks-cli --example burst`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hooks_bus::MemoryBus;
use hooks_core::{BoxError, Bus, Dispatcher, Envelope, Hook, Overflow, QueueLimits, Slice, SliceBuilder};
use hooks_sink_http::HttpConfig;
use hyper::body::{Body as _, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const EVENTS: usize = 100_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), BoxError> {
    let received = Arc::new(AtomicUsize::new(0));
    let address = start_receiver(received.clone())?;
    let events = events()?;
    let bodies: Vec<Bytes> = events.chunks(100).map(body).collect();
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (delivered, ours) = runtime()?.block_on(dispatched(address, events.clone()))?;
        let bare = runtime()?.block_on(posted(address, &bodies))?;
        ratios.push(ours.as_secs_f64() / bare.as_secs_f64());
        println!(
            "round {round}: delivered {delivered}, lost {}, {ours:.0?}; bare client {bare:.0?}",
            EVENTS - delivered
        );
    }
    ratios.sort_by(f64::total_cmp);
    let requests = ROUNDS * 2 * EVENTS / 100;
    println!("time as a multiple of the bare client's: {:.2} (median of {ROUNDS})", ratios[ROUNDS / 2]);
    println!("requests received: {} of {requests}", received.load(Ordering::Relaxed));
    Ok(())
}

/// One publish call with all events; returns when all are delivered.
async fn dispatched(address: SocketAddr, events: Slice) -> Result<(usize, Duration), BoxError> {
    let bus = Arc::new(MemoryBus::default());
    let dispatcher = Dispatcher::new(bus.clone());
    let queue = QueueLimits::default().overflow(Overflow::Block);
    dispatcher.add(Hook::new("burst", HttpConfig::new(format!("http://{address}/")))?.queue(queue)).await?;
    let began = Instant::now();
    bus.publish(events).await?;
    let report = dispatcher.shutdown(None).await;
    Ok((report.hooks[0].counts.delivered as usize, began.elapsed()))
}

/// A bare hyper client: one connection, one request at a time.
async fn posted(address: SocketAddr, bodies: &[Bytes]) -> Result<Duration, BoxError> {
    let began = Instant::now();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    for body in bodies {
        let request = Request::post("/").header("host", "receiver").body(Whole(Some(body.clone())))?;
        let mut answer = sender.send_request(request).await?.into_body();
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut answer).poll_frame(context)).await {
            frame?;
        }
    }
    drop(sender);
    driver.await??;
    Ok(began.elapsed())
}

fn events() -> Result<Slice, BoxError> {
    let mut slice = SliceBuilder::new("/burst");
    for number in 0..EVENTS {
        let data = "x".repeat(180);
        let json = format!(
            r#"{{"specversion":"1.0","id":"{number:08}","source":"/burst","type":"burst.event","subject":"s","time":"2026-11-23T10:00:00Z","data":"{data}"}}"#
        );
        slice.push_json(json.as_bytes())?;
    }
    Ok(slice.finish())
}

fn body(events: &[Envelope]) -> Bytes {
    let lines: Vec<&str> = events.iter().map(Envelope::json).collect();
    format!("[{}]", lines.join(",")).into()
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// A receiver on a thread of its own that reads everything and answers 200.
fn start_receiver(received: Arc<AtomicUsize>) -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = runtime()?;
    std::thread::spawn(move || runtime.block_on(serve(listener, received)));
    Ok(address)
}

async fn serve(listener: std::net::TcpListener, received: Arc<AtomicUsize>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let received = received.clone();
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let received = received.clone();
            async move {
                let body = request.body_mut();
                while let Some(Ok(_)) = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
                }
                received.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Response::new(Whole(None)))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(connection);
    }
}

/// A body that is there as a whole, or empty.
struct Whole(Option<Bytes>);

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
