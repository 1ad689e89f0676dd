//! The programs of docs/postgres.md, which publish within their transactions. `cargo xtask integration postgres` prepares
//! what they need in a folder.

use std::path::Path;
use std::process::Command;

use hooks_bus::PostgresBus;
use hooks_core::{Bus, Filter};
use hooks_test::{End, events};

use super::{Server, config};

/// Names the folder.
const VARIABLE: &str = "HOOKS_POSTGRES_LANGUAGES";

/// The block of this language in the document.
fn documented(language: &str) -> &str {
    let document = include_str!("../../../../docs/postgres.md");
    let block = document.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap()
}

#[tokio::test]
async fn each_documented_program_publishes_with_its_transaction() {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        eprintln!("skipped: `cargo xtask integration postgres` prepares it");
        return;
    };
    let folder = Path::new(&folder);
    let server = Server::start().unwrap();
    server.database("hooks");
    server.psql("hooks", "CREATE TABLE orders (total int CHECK (total = 7))");
    let bus = PostgresBus::connect(config(&server, "hooks")).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    std::fs::write(folder.join("publish.py"), documented("python")).unwrap();
    std::fs::write(folder.join("publish.mjs"), documented("js")).unwrap();
    let mut python = Command::new("python3");
    python.arg("publish.py").env("PYTHONPATH", folder.join("python"));
    let mut node = Command::new("node");
    node.arg("publish.mjs");
    let rust = ["tokio_postgres", "sqlx"].map(|name| Command::new(folder.join("target/debug").join(name)));
    for (number, mut program) in (1..).zip([python, node].into_iter().chain(rust)) {
        let port = server.port.to_string();
        program.current_dir(folder).envs([("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGUSER", "hooks")]);
        program.env("DATABASE_URL", format!("postgres://hooks@127.0.0.1:{port}/hooks"));
        let ended = program.output().unwrap();
        assert!(ended.status.success(), "{program:?}: {}", String::from_utf8_lossy(&ended.stderr));
        let read = hook.take(1).await;
        let event = read[0].envelope();
        assert_eq!(event.event_type(), "order.created", "{program:?}");
        assert_eq!(event.data().unwrap().replace(' ', ""), r#"{"total":7}"#);
        assert_eq!(server.psql("hooks", "SELECT count(*) FROM orders"), number.to_string());
    }
    // None has left one behind.
    bus.publish(events(0..1)).await.unwrap();
    assert_eq!(hook.read_to(0, 9).await, [0]);
}
