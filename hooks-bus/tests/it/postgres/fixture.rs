//! A database as each version of the schema left it, in `tests/fixtures/postgres-v….sql`, is opened by every later version.

use super::{Server, bus, client, publish};
use crate::fixture;

/// The newest is the one that is written.
const FILES: [&str; 2] = ["postgres-v1.sql", "postgres-v2.sql"];

#[tokio::test]
async fn every_version_is_opened() {
    for file in FILES {
        let Some(server) = Server::start() else { return };
        let text = std::fs::read_to_string(fixture::path(file)).unwrap();
        client(&server).await.batch_execute(&text).await.unwrap();
        fixture::check(&bus(&server).await).await;
    }
}

#[tokio::test]
async fn every_version_is_opened_while_an_application_publishes() {
    for file in FILES {
        let Some(server) = Server::start() else { return };
        let client = client(&server).await;
        client.batch_execute(&std::fs::read_to_string(fixture::path(file)).unwrap()).await.unwrap();
        fixture::check_under_load(bus(&server), async |number| publish(&client, number).await).await;
    }
}

#[tokio::test]
async fn what_is_written_now_is_read_the_same_way() {
    let Some(server) = Server::start() else { return };
    fixture::write(&bus(&server).await).await;
    fixture::check(&bus(&server).await).await;
}

/// Makes the fixture of a new version: run it by name with `--ignored`, and keep the old ones.
#[tokio::test]
#[ignore = "writes the fixture"]
async fn writes_the_fixture() {
    let Some(server) = Server::start() else { return };
    fixture::write(&bus(&server).await).await;
    let file = fixture::path(FILES[FILES.len() - 1]);
    assert!(!file.exists(), "`{}` is there already: a fixture is written once", file.display());
    let port = server.port.to_string();
    let dumped = server
        .command("pg_dump")
        .args(["-h", "127.0.0.1", "-p", &port, "-U", "hooks", "-n", "hooks", "--inserts", "--no-owner", "postgres"])
        .output()
        .unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    // What begins so is for psql.
    let text = String::from_utf8(dumped.stdout).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with('\\')).map(|line| format!("{line}\n")).collect();
    std::fs::write(file, text).unwrap();
}
