//! Credentials and TLS.

use std::path::PathBuf;

use hooks_bus::{NatsBus, NatsConfig, NatsTls};
use hooks_core::{Bus, Secret};

use super::{Server, config, events};

async fn works(config: NatsConfig) -> Result<(), String> {
    let bus = NatsBus::connect(config).await.map_err(|error| error.to_string())?;
    bus.publish(&events(0..1, "a")).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn user_and_password() {
    let Some(server) = Server::with_config("authorization { user: me, password: \"open sesame\" }").await else {
        return;
    };
    let with = |password: &str| NatsConfig {
        user: Some("me".into()),
        password: Some(Secret::new(password)),
        ..config(&[&server])
    };
    works(with("open sesame")).await.unwrap();
    let error = works(with("closed sesame")).await.unwrap_err();
    assert!(error.contains("authorization") && !error.contains("sesame"), "{error}");
    assert!(works(config(&[&server])).await.is_err());
}

#[tokio::test]
async fn token() {
    let Some(server) = Server::with_config("authorization { token: \"open sesame\" }").await else { return };
    works(NatsConfig { token: Some(Secret::new("open sesame")), ..config(&[&server]) }).await.unwrap();
    assert!(works(config(&[&server])).await.is_err());
}

#[tokio::test]
async fn nkey() {
    let pair = nkeys::KeyPair::new_user();
    let lines = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", pair.public_key());
    let Some(server) = Server::with_config(&lines).await else { return };
    works(NatsConfig { nkey: Some(Secret::new(pair.seed().unwrap())), ..config(&[&server]) }).await.unwrap();
    assert!(works(config(&[&server])).await.is_err());
}

/// A certificate authority, and a certificate for the server and one for the client.
fn certificates() -> [(String, String); 3] {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, &authority_key);
    let made = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    [(certificate, String::new()), made("127.0.0.1"), made("client")]
}

#[tokio::test]
async fn tls_with_certificates_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let [(ca, _), (cert, key), (client_cert, client_key)] = certificates();
    let [ca, cert, key] = [file("ca.pem", &ca), file("server.pem", &cert), file("server.key", &key)];
    let [client_cert, client_key] = [file("client.pem", &client_cert), file("client.key", &client_key)];
    let lines = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true, timeout: 10 }}",
        cert.display(),
        key.display(),
        ca.display()
    );
    let Some(server) = Server::with_config(&lines).await else { return };
    let with = |tls: NatsTls| NatsConfig { tls: Some(tls), ..config(&[&server]) };
    let full = NatsTls { ca: Some(ca.clone()), cert: Some(client_cert), key: Some(client_key) };
    works(with(full.clone())).await.unwrap();
    assert!(works(with(NatsTls { ca: None, ..full })).await.is_err(), "nobody vouches for the server");
    assert!(works(with(NatsTls { ca: Some(ca), ..NatsTls::default() })).await.is_err(), "the client shows nothing");
    let missing = works(with(NatsTls { ca: Some("/nowhere.pem".into()), ..NatsTls::default() })).await.unwrap_err();
    assert!(missing.contains("/nowhere.pem"), "{missing}");
}
