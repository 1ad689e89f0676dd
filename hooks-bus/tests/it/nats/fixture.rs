//! The folder of a nats-server 2.9 as version 1 left it, in `tests/fixtures/nats-v1`, serves every later version.

use super::{Server, bus};
use crate::fixture;

const FOLDER: &str = "nats-v1";

#[tokio::test]
async fn version_1_is_opened() {
    let Some(mut server) = Server::start().await else { return };
    server.restore_from(&fixture::path(FOLDER), "").await;
    fixture::check(&bus(&server).await).await;
}

#[tokio::test]
async fn version_1_is_opened_while_an_application_publishes() {
    let Some(mut server) = Server::start().await else { return };
    server.restore_from(&fixture::path(FOLDER), "").await;
    let client = server.client().await;
    let publish = async |number: usize| {
        let event = hooks_test::json(number, "a", "{}");
        client.publish("hooks.events.a", event.into()).await.unwrap().await.unwrap();
    };
    fixture::check_under_load(bus(&server), publish).await;
}

#[tokio::test]
async fn what_is_written_now_is_read_the_same_way() {
    let Some(server) = Server::start().await else { return };
    fixture::write(&bus(&server).await).await;
    fixture::check(&bus(&server).await).await;
}

/// Makes the fixture of a new version: run it by name with `--ignored`, and keep the old ones.
#[tokio::test]
#[ignore = "writes the fixture"]
async fn writes_the_fixture() {
    let Some(mut server) = Server::start().await else { return };
    fixture::write(&bus(&server).await).await;
    let folder = fixture::path(FOLDER);
    assert!(!folder.exists(), "`{}` is there already: a fixture is written once", folder.display());
    server.keep_store_in(&folder).await;
}
