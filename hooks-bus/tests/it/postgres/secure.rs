//! Encryption, certificates, and poolers between the bus and its server.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Child;

use hooks_bus::{PostgresBus, PostgresConfig, SslMode};
use hooks_core::{Bus, Filter};
use hooks_test::{End, events, pause, soon};

use super::{Server, config};

/// A certificate authority.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    /// A certificate and its key.
    fn made(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Connects, and says whether the sessions are encrypted.
async fn is_encrypted(server: &Server, config: &PostgresConfig) -> Result<bool, String> {
    let bus = soon("connecting", PostgresBus::connect(config.clone())).await.map_err(|error| error.to_string())?;
    let encrypted =
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'hooks work'";
    let encrypted = server.psql("postgres", encrypted);
    bus.finish().await;
    drop(bus);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hooks %'";
    soon("the sessions end", async {
        while server.psql("postgres", sessions) != "0" {
            pause().await;
        }
    })
    .await;
    Ok(encrypted == "t")
}

#[tokio::test]
async fn sslmode_encrypts_and_checks_as_libpq_does() {
    let Some(server) = Server::start() else { return };
    let (ours, other) = (Authority::new(), Authority::new());
    let with = |sslmode, host: &str, sslrootcert: Option<&PathBuf>| PostgresConfig {
        sslmode,
        hosts: vec![format!("{host}:{}", server.port)],
        sslrootcert: sslrootcert.cloned(),
        ..config(&server, "postgres")
    };
    let (ip, name) = ("127.0.0.1", "localhost");
    assert_eq!(is_encrypted(&server, &with(SslMode::Prefer, ip, None)).await, Ok(false));
    let said = is_encrypted(&server, &with(SslMode::Require, ip, None)).await.unwrap_err();
    assert!(said.contains("TLS"), "{said}");
    let (certificate, key) = ours.made(name);
    let [certificate, key] = [server.give("server.pem", &certificate), server.give("server.key", &key)];
    let [ours, other] = [server.give("ours.pem", &ours.certificate), server.give("other.pem", &other.certificate)];
    for (setting, path) in [("ssl_cert_file", &certificate), ("ssl_key_file", &key)] {
        server.psql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", path.display()));
    }
    server.psql("postgres", "ALTER SYSTEM SET ssl = on");
    server.psql("postgres", "SELECT pg_reload_conf()");
    assert_eq!(is_encrypted(&server, &with(SslMode::Disable, ip, None)).await, Ok(false));
    for (mode, host, root) in [
        (SslMode::Prefer, ip, None),
        (SslMode::Require, ip, None),
        (SslMode::Require, ip, Some(&ours)),
        (SslMode::VerifyCa, ip, Some(&ours)),
        (SslMode::VerifyFull, name, Some(&ours)),
    ] {
        assert_eq!(is_encrypted(&server, &with(mode, host, root)).await, Ok(true), "{mode:?} {host} {root:?}");
    }
    for (mode, host, root, why) in [
        (SslMode::Require, ip, Some(&other), "invalid peer certificate"),
        (SslMode::VerifyCa, ip, Some(&other), "invalid peer certificate"),
        (SslMode::VerifyCa, ip, None, "invalid peer certificate"),
        (SslMode::VerifyFull, ip, Some(&ours), "not valid for name"),
        (SslMode::VerifyFull, name, Some(&other), "invalid peer certificate"),
    ] {
        let said = is_encrypted(&server, &with(mode, host, root)).await.unwrap_err();
        assert!(said.contains(why), "{mode:?} {host} {root:?}: {said}");
    }
}

#[tokio::test]
async fn a_client_certificate_opens_a_database() {
    let Some(server) = Server::start() else { return };
    let (ours, other) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.made("localhost");
    let certificate = server.give("server.pem", &certificate);
    let key = server.give("server.key", &key);
    let authority = server.give("ours.pem", &ours.certificate);
    for (setting, path) in [("ssl_cert_file", &certificate), ("ssl_key_file", &key), ("ssl_ca_file", &authority)] {
        server.psql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", path.display()));
    }
    server.psql("postgres", "ALTER SYSTEM SET ssl = on");
    server.psql("postgres", "CREATE ROLE shop LOGIN");
    server.psql("postgres", "CREATE DATABASE shop OWNER shop");
    let rules = "host all hooks all trust\nhostssl all all all cert\n";
    std::fs::write(server.folder().join("data/pg_hba.conf"), rules).unwrap();
    server.psql("postgres", "SELECT pg_reload_conf()");
    let shop = PostgresConfig { user: "shop".to_owned(), ..config(&server, "shop") };
    let with = |of: &Authority, name: &str| {
        let (certificate, key) = of.made(name);
        PostgresConfig {
            sslmode: SslMode::VerifyFull,
            hosts: vec![format!("localhost:{}", server.port)],
            sslrootcert: Some(authority.clone()),
            sslcert: Some(server.give("client.pem", &certificate)),
            sslkey: Some(server.give("client.key", &key)),
            ..shop.clone()
        }
    };
    let without = PostgresConfig { sslmode: SslMode::Require, ..shop.clone() };
    let said = is_encrypted(&server, &without).await.unwrap_err();
    assert!(said.contains("certificate") && said.contains("check the bus's `user`"), "{said}");
    let said = is_encrypted(&server, &with(&ours, "market")).await.unwrap_err();
    assert!(said.contains("certificate authentication failed for user \"shop\""), "{said}");
    assert!(is_encrypted(&server, &with(&other, "shop")).await.is_err(), "an authority that the server does not know");
    assert_eq!(is_encrypted(&server, &with(&ours, "shop")).await, Ok(true));
}

/// A pgbouncer, which ends with the value.
struct Pooler {
    process: Child,
    port: u16,
}

impl Pooler {
    fn start(server: &Server, mode: &str) -> Option<Self> {
        let programs = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        let Some(program) = programs.into_iter().find(|program| std::path::Path::new(program).is_file()) else {
            eprintln!("skipped: needs pgbouncer; `cargo xtask integration postgres` installs it");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=hooks\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = {mode}\nunix_socket_dir =\n",
            server.port
        );
        let file = server.give(&format!("{mode}.ini"), &settings);
        Some(Self { process: server.command(program).arg("-q").arg(file).spawn().unwrap(), port })
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn through(server: &Server, pooler: &Pooler) -> Result<PostgresBus, String> {
    let hosts = vec![format!("127.0.0.1:{}", pooler.port)];
    let config = PostgresConfig { hosts, ..config(server, "postgres") };
    soon("an answer", async {
        loop {
            match PostgresBus::connect(config.clone()).await {
                Err(error) if error.to_string().contains("Connection refused") => pause().await,
                answer => return answer.map_err(|error| error.to_string()),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_pooler_has_to_give_each_connection_a_session_of_its_own() {
    let Some(server) = Server::start() else { return };
    let Some(pooler) = Pooler::start(&server, "session") else { return };
    let bus = through(&server, &pooler).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(events(0..3)).await.unwrap();
    assert_eq!(hook.read_to(2, 9).await, [0, 1, 2]);
    drop((hook, bus));
    let pooler = Pooler::start(&server, "transaction").unwrap();
    let said = through(&server, &pooler).await.unwrap_err();
    assert!(
        said.contains("a pooler gives each transaction another session") && said.contains("pool by session"),
        "{said}"
    );
}
