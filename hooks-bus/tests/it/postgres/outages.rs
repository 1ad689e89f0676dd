//! The server goes and comes back, or can't be used.

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::{Bus, BusError, Filter};
use hooks_test::{End, events, id, pause, soon, until};

use super::{Server, bus, client, config};

#[tokio::test]
async fn publishing_is_refused_while_the_server_is_gone_and_goes_on_with_it() {
    let Some(server) = Server::start() else { return };
    let (bus, other) = (bus(&server).await, bus(&server).await);
    let is_well = |bus: &PostgresBus| bus.monitor().health().trouble().is_none();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(events(0..3)).await.unwrap();
    let read = hook.take(3).await;
    hook.settle(&read[..2]);
    server.stop_at_once();
    until("the connections are lost", || !is_well(&bus) && !is_well(&other)).await;
    let refused = soon("a refusal", bus.publish(events(9..10))).await;
    assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
    server.run();
    soon("publishing", async {
        while bus.publish(events(3..4)).await.is_err() {
            pause().await;
        }
    })
    .await;
    // The connection for all else may come back later.
    soon("it", async {
        while bus.hooks().forget(&id("nobody")).await.is_err() {
            pause().await;
        }
    })
    .await;
    // It is lost only if the server was away for longer than its lease lasts.
    drop(hook);
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    // An answer that was lost may have been one of success.
    let again = hook.read_to(3, 9).await;
    assert!(again.ends_with(&[2, 3]) || again.ends_with(&[2, 3, 3]), "{again:?}");
    // Also with the one that gives no positions.
    until("all is well", || is_well(&bus) && is_well(&other)).await;
}

async fn refusal(config: PostgresConfig) -> String {
    PostgresBus::connect(config).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_keeps_a_bus_from_its_database_is_said() {
    let Some(server) = Server::start() else { return };
    let good = config(&server, "postgres");
    let said = refusal(PostgresConfig { hosts: vec!["127.0.0.1:1".to_owned()], ..good.clone() }).await;
    assert!(said.contains("connect to 127.0.0.1:1") && said.contains("Connection refused"), "{said}");
    let said = refusal(PostgresConfig { database: "nowhere".to_owned(), ..good.clone() }).await;
    assert!(said.contains("database \"nowhere\" does not exist") && said.contains("make the database"), "{said}");
    let said = refusal(PostgresConfig { user: "nobody".to_owned(), ..good.clone() }).await;
    assert!(said.contains("role \"nobody\" does not exist") && said.contains("check the bus's `user`"), "{said}");
    let said = refusal(PostgresConfig { create: false, ..good.clone() }).await;
    assert!(said.contains("no schema `hooks`") && said.contains("hooks postgres schema"), "{said}");
    server.psql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
    let said = refusal(config(&server, "latin")).await;
    assert!(said.contains("encoding LATIN1") && said.contains("ENCODING 'UTF8'"), "{said}");
    drop(PostgresBus::connect(good.clone()).await.unwrap());
    server.psql("postgres", "UPDATE hooks.meta SET version = 3");
    let said = refusal(good).await;
    assert!(said.contains("has version 3, and this program knows 2"), "{said}");
}

#[tokio::test]
async fn the_right_password_opens_a_database_by_socket_or_tcp() {
    let Some(server) = Server::start() else { return };
    server.psql("postgres", "CREATE ROLE shop LOGIN PASSWORD 'open:sesame'");
    server.psql("postgres", "CREATE DATABASE shop OWNER shop");
    let hba = server.folder().join("data/pg_hba.conf");
    std::fs::write(&hba, "local all hooks trust\nhost all hooks all trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n").unwrap();
    server.psql("postgres", "SELECT pg_reload_conf()");
    let folder = tempfile::tempdir().unwrap();
    let passfile = folder.path().join("pgpass");
    let shop = PostgresConfig { user: "shop".to_owned(), ..config(&server, "shop") };
    let passfile_of = |text: &str| {
        std::fs::write(&passfile, text).unwrap();
        PostgresConfig { passfile: Some(passfile.clone()), ..shop.clone() }
    };
    let with_password =
        |password: &str| PostgresConfig { password: Some(hooks_core::Secret::new(password)), ..shop.clone() };
    let said = refusal(with_password("sesame")).await;
    assert!(said.contains("password authentication failed") && !said.contains("sesame"), "{said}");
    let said = refusal(passfile_of("other:*:*:*:x\n")).await;
    assert!(said.contains("no line fits `127.0.0.1:"), "{said}");
    drop(PostgresBus::connect(with_password("open:sesame")).await.unwrap());
    let by_file = passfile_of("*:*:shop:shop:open\\:sesame\n");
    drop(PostgresBus::connect(by_file.clone()).await.unwrap());
    let socket = format!("{}:{}", server.folder().display(), server.port);
    drop(PostgresBus::connect(PostgresConfig { hosts: vec![socket], ..by_file }).await.unwrap());
}

#[tokio::test]
async fn too_few_connections_are_an_error_that_says_so() {
    let Some(server) =
        Server::with_settings(&["max_connections=6", "superuser_reserved_connections=0", "max_wal_senders=0"])
    else {
        return;
    };
    let (_one, _other) = (client(&server).await, client(&server).await);
    let (_third, _fourth) = (client(&server).await, client(&server).await);
    let said = refusal(config(&server, "postgres")).await;
    assert!(said.contains("too many clients already") && said.contains("four connections"), "{said}");
}
