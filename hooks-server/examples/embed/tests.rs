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
        let shop = Shop::open(folder.path()).await.unwrap();
        let serving = async move { shop.serve(listener, async { drop(stopped.await) }).await.unwrap() };
        Self { address, stop, ended: tokio::spawn(serving) }
    }

    async fn ask(&self, key: &str, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let (address, length) = (&self.address, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        let head = format!("{head}authorization: Bearer {key}\r\n");
        let body = format!("content-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
    }

    /// As the customer whose hook it is.
    async fn acme(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask("key-of-acme", method, &format!("/webhooks/v1/hooks{path}"), body).await
    }

    async fn register(&self, url: &str) -> u16 {
        let sink = json!({ "kind": "http", "url": url, "secret": SECRET });
        self.acme("PUT", "/acme-orders", &json!({ "types": ["order.*"], "sink": sink }).to_string()).await.status
    }

    async fn order(&self, customer: &str, number: u32) -> u16 {
        let order = json!({ "customer": customer, "number": number, "total": 12.5 });
        self.ask("", "POST", "/orders", &order.to_string()).await.status
    }

    async fn enable(&self, enabled: bool) -> u16 {
        let change = if enabled { "enable" } else { "disable" };
        self.acme("POST", &format!("/acme-orders/{change}"), "").await.status
    }

    /// The status of the only hook.
    async fn status(&self) -> Value {
        let mut hook: Value = serde_json::from_str(&self.acme("GET", "/acme-orders", "").await.body).unwrap();
        hook["status"].take()
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
async fn a_shop_publishes_and_its_customers_manage_their_hooks() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Running::start(&folder).await;
    let (url, mut received) = customer().await;
    for bad in ["no address", "http://10.0.0.1/"] {
        assert_eq!(shop.register(bad).await, 422, "{bad}");
    }
    assert_eq!((shop.register(&url).await, shop.register(&url).await), (201, 200));

    assert_eq!((shop.order("umbrella", 9).await, shop.order("acme", 1).await), (202, 202));
    assert_eq!(number(&mut received).await, 1, "only the customer's own");

    assert_eq!(shop.enable(false).await, 200);
    assert_eq!(shop.order("acme", 2).await, 202);
    let status = shop.status().await;
    assert_eq!((&status["state"], &status["lag"]["events"]), (&json!("disabled"), &json!(1)));
    assert_eq!(shop.enable(true).await, 200);
    assert_eq!(number(&mut received).await, 2);

    let report = shop.stop().await;
    assert!(report.is_complete());
    assert_eq!(report.hooks[0].counts.delivered, 2);
}

#[tokio::test]
async fn the_shops_own_authentication_says_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Running::start(&folder).await;
    let (url, _received) = customer().await;
    assert_eq!(shop.register(&url).await, 201);
    let (hooks, one) = ("/webhooks/v1/hooks", "/webhooks/v1/hooks/acme-orders");
    for (key, method, path, status, says) in [
        ("", "GET", hooks, 401, ""),
        ("key-of-acme", "GET", hooks, 200, "\"id\":\"acme-orders\""),
        ("key-of-acme", "GET", one, 200, "\"tenant\":\"acme\""),
        ("key-of-umbrella", "GET", hooks, 200, "{\"hooks\":[]}"),
        ("key-of-umbrella", "GET", one, 404, "there is no hook `acme-orders`"),
        ("key-of-umbrella", "DELETE", one, 404, "there is no hook `acme-orders`"),
        ("key-of-umbrella", "POST", "/webhooks/v1/hooks/acme-orders/disable", 404, "there is no hook"),
        ("key-of-acme", "GET", "/webhooks/v1/status", 403, "about all tenants"),
        ("key-of-acme", "GET", "/operators/v1/status", 401, ""),
        ("key-of-the-operators", "GET", "/operators/v1/status", 200, "\"id\":\"acme-orders\""),
    ] {
        let answer = shop.ask(key, method, path, "").await;
        assert!(answer.status == status && answer.body.contains(says), "{key} {path}: {} {}", answer.head, answer.body);
        assert!(!answer.body.contains(SECRET));
    }
    shop.stop().await;
}

#[tokio::test]
async fn hooks_and_events_outlive_the_shop() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut received) = customer().await;
    let shop = Running::start(&folder).await;
    assert_eq!(shop.register(&url).await, 201);
    assert_eq!((shop.enable(false).await, shop.order("acme", 1).await), (200, 202));
    assert_eq!(shop.stop().await.hooks[0].left_behind().events, 1);

    let shop = Running::start(&folder).await;
    assert_eq!((shop.register(&url).await, shop.enable(true).await), (200, 200));
    assert_eq!(number(&mut received).await, 1);
    let deleted = [shop.acme("DELETE", "/acme-orders", "").await, shop.acme("DELETE", "/acme-orders", "").await];
    assert_eq!(deleted.map(|answer| answer.status), [200, 404]);
    shop.stop().await;
}

#[tokio::test]
async fn the_routes_of_the_server_answer_where_they_are_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Running::start(&folder).await;
    let (url, mut received) = customer().await;
    assert_eq!((shop.register(&url).await, shop.order("acme", 1).await), (201, 202));
    number(&mut received).await;
    let event = r#"{"type":"order.placed","tenant":"acme","data":{"number":2}}"#;
    let metrics = shop.ask("key-of-the-operators", "GET", "/operators/metrics", "").await;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    for line in [
        "hooks_events_accepted_total 1\n",
        "hooks_delivery_duration_seconds_bucket{hook=\"acme-orders\",le=\"+Inf\"} 1\n",
        "hooks_bus_healthy 1\n",
    ] {
        assert!(metrics.body.contains(line), "{line}: {}", metrics.body);
    }
    assert!(!metrics.body.contains("hooks_config_"), "there is no config file");
    for (method, path, body, status, says) in [
        ("GET", "/v1/status", "", 200, "\"running\":true"),
        ("POST", "/v1/hooks/acme-orders/disable", "", 200, "\"changed\":true"),
        ("GET", "/v1/status", "", 200, "\"by\":\"operator\""),
        ("GET", "/openapi.json", "", 200, "\"servers\":[{\"url\":\"/operators\"}]"),
        ("GET", "/openapi.json", "", 200, "\"/v1/hooks/{id}/test\":{"),
        ("GET", "/healthz", "", 200, "ok\n"),
        ("GET", "/readyz", "", 200, "ready\n"),
        ("HEAD", "/metrics", "", 200, ""),
        ("POST", "/metrics", "", 405, "none of those in the header `allow`"),
        ("GET", "/v1/events", "", 200, "\"type\":\"order.placed\""),
        ("PUT", "/v1/events", "", 405, "none of those in the header `allow`"),
        ("POST", "/v1/events", "{}", 400, "`type` is missing"),
        ("POST", "/v1/events", event, 202, ""),
        ("GET", "/nothing", "", 404, ""),
    ] {
        let answer = shop.ask("key-of-the-operators", method, &format!("/operators{path}"), body).await;
        assert!(
            answer.status == status && answer.body.contains(says),
            "{method} {path}: {} {}",
            answer.head,
            answer.body
        );
    }
    shop.stop().await;
}
