//! A socket that answers as a test wants it to.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Takes one connection and does with it what it is told.
pub(crate) async fn once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    act: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        act(stream).await
    });
    (address, task)
}

/// Reads a request to the end of its body.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut request = read_head(stream).await;
    let head = String::from_utf8_lossy(&request).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    request.extend(body);
    request
}

/// Reads a request's head and nothing of its body.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    head
}

/// Writes the same until the other side has had enough; returns how many bytes went out.
pub(crate) async fn write_endlessly(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> usize {
    let mut written = 0;
    while stream.write_all(piece).await.is_ok() {
        written += piece.len();
    }
    written
}
