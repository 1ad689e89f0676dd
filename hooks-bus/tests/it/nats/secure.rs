//! Credentials and TLS.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use hooks_bus::{NatsBus, NatsConfig, NatsTls};
use hooks_core::{Bus, Filter, HookId, Secret, bus::Instances as _};
use hooks_test::{End, pause, soon, until};
use serde_json::json;

use super::{Server, config, events};

fn id(hook: &str) -> HookId {
    HookId::new(hook).unwrap()
}

async fn works(config: NatsConfig) -> Result<(), String> {
    let bus = NatsBus::connect(config).await.map_err(|error| error.to_string())?;
    bus.publish(events(0..1, "a")).await.map(drop).map_err(|error| error.to_string())
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
    assert!(error.contains("check the bus's `user` with `password`"), "{error}");
    assert!(works(config(&[&server])).await.is_err());
    // What else keeps it from connecting.
    let plain = NatsConfig { tls: Some(NatsTls::default()), ..with("open sesame") };
    let error = works(plain).await.unwrap_err();
    assert!(error.contains("does not speak TLS there: leave out the bus's `tls`"), "{error}");
    let error = works(NatsConfig { nkey: Some(Secret::new("SUsesame")), ..config(&[&server]) }).await.unwrap_err();
    assert!(error.contains("the bus's `nkey` is no seed") && !error.contains("sesame"), "{error}");
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

#[tokio::test]
async fn a_user_may_do_no_more_than_it_takes() {
    let publish = r#"["hooks.>", "$JS.API.>", "$JS.FC.>", "$KV.hooks-hooks.>", "_INBOX.>"]"#;
    let permissions = format!(r#"{{ publish: {publish}, subscribe: ["_INBOX.>", "hooks.ask.*"] }}"#);
    let lines =
        format!("authorization {{ users: [ {{ user: me, password: \"open sesame\", permissions: {permissions} }} ] }}");
    let Some(server) = Server::with_config(&lines).await else { return };
    let with =
        || NatsConfig { user: Some("me".into()), password: Some(Secret::new("open sesame")), ..config(&[&server]) };
    let [bus, operator] = [NatsBus::connect(with()).await.unwrap(), NatsBus::connect(with()).await.unwrap()];
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(events(0..10, "a")).await.unwrap();
    let read = hook.take(10).await;
    hook.settle(&read);
    until("an owner", || operator.place(&id("a")).and_then(|place| place.owner).is_some()).await;
    let instance = bus.instance().to_owned();
    let echo = |question: Vec<u8>| async move { question.repeat(100_000) }.boxed();
    let echo = bus.answer(&echo);
    let question = || b"how are you?".to_vec();
    let asked = async {
        loop {
            match operator.ask(&instance, question()).await {
                Ok(answer) => return answer.len(),
                Err(_) => pause().await,
            }
        }
    };
    tokio::select! {
        _ = echo => panic!("it does not listen"),
        answer = soon("an answer", asked) => assert_eq!(answer, 1_200_000),
    }
    let error = soon("no answer", operator.ask("nobody", question())).await.unwrap_err();
    assert!(error.to_string().contains("the instance nobody is gone"), "{error}");
    bus.hooks().set_override(&id("a"), Some(super::disabled("410"))).await.unwrap();
    until("an override", || operator.hooks().overrides(&id("a")).is_some()).await;
    bus.finish().await;
    assert!(!server.said().contains("Violation"), "{}", server.said());
}

/// A JSON web token about `subject`, as nsc makes them: signed by an nkey, with the claims of NATS.
fn jwt(issuer: &nkeys::KeyPair, subject: &nkeys::KeyPair, name: &str, nats: &serde_json::Value) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = serde_json::json!({
        "jti": name, "iat": now, "iss": issuer.public_key(), "sub": subject.public_key(), "name": name, "nats": nats,
    });
    let header = encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
    format!("{signed}.{}", encode(&issuer.sign(signed.as_bytes()).unwrap()))
}

/// A credentials file for a user.
fn credentials(folder: &Path, name: &str, token: &str, user: &nkeys::KeyPair) -> PathBuf {
    let path = folder.join(name);
    let seed = user.seed().unwrap();
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn credentials_file() {
    let operator = nkeys::KeyPair::new_operator();
    let [account, system] = [nkeys::KeyPair::new_account(), nkeys::KeyPair::new_account()];
    let [user, stranger] = [nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user()];
    let of_operator = jwt(
        &operator,
        &operator,
        "operator",
        &json!({ "type": "operator", "version": 2, "system_account": system.public_key() }),
    );
    let mut limits = json!({
        "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1, "wildcards": true,
    });
    let account_claims = |limits: &serde_json::Value| json!({ "type": "account", "version": 2, "limits": limits });
    let of_system = jwt(&operator, &system, "system", &account_claims(&limits));
    for jetstream in ["mem_storage", "disk_storage", "streams", "consumer"] {
        limits[jetstream] = (-1).into();
    }
    let of_account = jwt(&operator, &account, "account", &account_claims(&limits));
    let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let of_user = jwt(&account, &user, "user", &claims);
    let accounts =
        format!("\"{}\": \"{of_account}\", \"{}\": \"{of_system}\"", account.public_key(), system.public_key());
    let lines = format!("operator: \"{of_operator}\"\nresolver: MEMORY\nresolver_preload: {{ {accounts} }}");
    let Some(server) = Server::with_config(&lines).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let with = |path: PathBuf| NatsConfig { credentials_file: Some(path), ..config(&[&server]) };
    works(with(credentials(folder.path(), "good", &of_user, &user))).await.unwrap();

    // The token is one user's, the key another's.
    let error = works(with(credentials(folder.path(), "wrong", &of_user, &stranger))).await.unwrap_err();
    assert!(error.contains("authorization"), "{error}");
    // An account that this server does not know.
    let other = nkeys::KeyPair::new_account();
    let forged = jwt(&other, &user, "user", &claims);
    let error = works(with(credentials(folder.path(), "forged", &forged, &user))).await.unwrap_err();
    assert!(error.contains("authorization"), "{error}");
    assert!(!error.contains(&user.seed().unwrap()) && !error.contains(&forged), "{error}");
    // The content of a file without credentials is not quoted.
    std::fs::write(folder.path().join("junk"), "open sesame").unwrap();
    let error = works(with(folder.path().join("junk"))).await.unwrap_err();
    assert!(error.contains("junk: no NATS credentials") && !error.contains("sesame"), "{error}");
    let error = works(with(folder.path().join("nowhere"))).await.unwrap_err();
    assert!(error.contains("nowhere: No such file"), "{error}");
    assert!(works(config(&[&server])).await.is_err(), "without any");
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
