//! The listener, without the command around it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::builder;

/// Sends a request and reads what comes, until the head of an answer ends or the connection does.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && !answer.ends_with(b"ok\n") && stream.read_buf(&mut answer).await.unwrap() > 0 {}
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn it_serves_until_it_is_cut_and_publishes_until_it_drains() {
    let server = builder().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    let event = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n\
                 {\"type\":\"a\"}";
    assert!(ask(&mut stream, event).await.ends_with("{\"accepted\":1}"));
    assert!(ask(&mut stream, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.ends_with("ok\n"));
    assert!(ask(&mut stream, "GET /hooks HTTP/1.1\r\nhost: a\r\n\r\n").await.starts_with("HTTP/1.1 404 "));

    server.drain(Duration::from_secs(60)).await;
    let refused = ask(&mut stream, event).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("connection: close"), "{refused}");
    server.cut();
    serving.await.unwrap();
}
