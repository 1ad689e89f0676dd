//! The shop and a customer, over HTTP.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{receiver, shop::Shop};
use hooks_core::Report;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const JSON: &str = "application/json";

struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Report>,
}

/// Status, head and body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

impl Running {
    async fn start(folder: &TempDir) -> Self {
        let (listener, address) = listen().await;
        let (stop, stopped) = oneshot::channel();
        let shop = Shop::open(folder.path()).unwrap();
        let serving = async move { shop.serve(listener, async { drop(stopped.await) }).await.unwrap() };
        Self { address, stop, ended: tokio::spawn(serving) }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let (address, length) = (&self.address, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        let body = format!("content-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
    }

    async fn register(&self, url: &str) -> u16 {
        let webhook = json!({ "url": url, "secret": SECRET }).to_string();
        self.ask("PUT", "/customers/acme/webhook", &webhook).await.status
    }

    async fn order(&self, number: u32) -> u16 {
        self.ask("POST", "/orders", &json!({ "number": number, "total": 12.5 }).to_string()).await.status
    }

    async fn enable(&self, enabled: bool) -> u16 {
        self.ask("PUT", "/customers/acme/webhook/enabled", &enabled.to_string()).await.status
    }

    /// A field of the only customer.
    async fn customer(&self, field: &str) -> Value {
        let mut customers: Value = serde_json::from_str(&self.ask("GET", "/customers", "").await.body).unwrap();
        customers[0][field].take()
    }

    async fn stop(self) -> Report {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap()
    }
}

/// A customer's address, and the numbers of the orders that it hears of.
async fn customer() -> (String, mpsc::Receiver<Value>) {
    let (listener, address) = listen().await;
    let (router, received) = receiver::router(SECRET).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/"), received)
}

async fn number(received: &mut mpsc::Receiver<Value>) -> u64 {
    received.recv().await.unwrap()["data"]["number"].as_u64().unwrap()
}

#[tokio::test]
async fn a_shop_publishes_manages_hooks_shows_how_they_do_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Running::start(&folder).await;
    let (url, mut received) = customer().await;
    for bad in ["no address", "http://10.0.0.1/"] {
        assert_eq!(shop.register(bad).await, 400, "{bad}");
    }
    assert_eq!((shop.register(&url).await, shop.register(&url).await), (201, 204));

    assert_eq!(shop.order(1).await, 202);
    assert_eq!(number(&mut received).await, 1);
    let event = r#"{"type":"order.placed","data":{"number":2}}"#;
    assert_eq!(shop.ask("POST", "/hooks/v1/events", event).await.status, 202);
    assert_eq!(number(&mut received).await, 2);

    assert_eq!(shop.enable(false).await, 204);
    assert_eq!(shop.order(3).await, 202);
    assert_eq!((shop.customer("state").await, &shop.customer("lag").await["events"]), (json!("disabled"), &json!(1)));
    assert_eq!(shop.enable(true).await, 204);
    assert_eq!(number(&mut received).await, 3);

    let report = shop.stop().await;
    assert!(report.is_complete());
    assert_eq!(report.hooks[0].counts.delivered, 3);
}

#[tokio::test]
async fn what_is_accepted_outlives_the_shop() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut received) = customer().await;
    let shop = Running::start(&folder).await;
    assert_eq!(shop.register(&url).await, 201);
    assert_eq!((shop.enable(false).await, shop.order(1).await), (204, 202));
    assert_eq!(shop.stop().await.hooks[0].left_behind().events, 1);

    let shop = Running::start(&folder).await;
    assert_eq!(shop.register(&url).await, 201);
    assert_eq!(shop.enable(true).await, 204);
    assert_eq!(number(&mut received).await, 1);
    assert_eq!(shop.ask("DELETE", "/customers/acme/webhook", "").await.status, 204);
    assert_eq!(shop.ask("DELETE", "/customers/acme/webhook", "").await.status, 404);
    shop.stop().await;
}

#[tokio::test]
async fn the_routes_of_the_server_answer_where_they_are_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Running::start(&folder).await;
    let (url, mut received) = customer().await;
    assert_eq!((shop.register(&url).await, shop.order(1).await), (201, 202));
    number(&mut received).await;
    let metrics = shop.ask("GET", "/hooks/metrics", "").await;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    for line in [
        "hooks_events_accepted_total 1\n",
        "hooks_delivery_duration_seconds_bucket{hook=\"acme\",le=\"+Inf\"} 1\n",
        "hooks_bus_healthy 1\n",
    ] {
        assert!(metrics.body.contains(line), "{line}: {}", metrics.body);
    }
    assert!(!metrics.body.contains("hooks_config_"), "there is no config file");
    for (method, path, body, status, says) in [
        ("GET", "/operators/v1/status", "", 200, "\"running\":true"),
        ("GET", "/operators/v1/status", "", 200, "\"id\":\"acme\",\"state\":\"healthy\""),
        ("POST", "/operators/v1/hooks/acme/disable", "", 200, "\"changed\":true"),
        ("GET", "/operators/v1/status", "", 200, "\"by\":\"operator\""),
        ("GET", "/hooks/healthz", "", 200, "ok\n"),
        ("GET", "/hooks/readyz", "", 200, "ready\n"),
        ("HEAD", "/hooks/metrics", "", 200, ""),
        ("POST", "/hooks/metrics", "", 405, "the method has to be GET, HEAD"),
        ("GET", "/hooks/v1/events", "", 405, "the method has to be POST"),
        ("POST", "/hooks/v1/events", "{}", 400, "`type` is missing"),
        ("GET", "/hooks/nothing", "", 404, ""),
    ] {
        let answer = shop.ask(method, path, body).await;
        assert!(
            answer.status == status && answer.body.contains(says),
            "{method} {path}: {} {}",
            answer.head,
            answer.body
        );
    }
    shop.stop().await;
}
