//! Nothing of TLS is decided for the rest of a process: other code in it finds what it would find without us.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::outside::{cargo, feed, output, root, target, write};

fn manifest(name: &str, dependencies: &str) -> String {
    let head = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    format!("{head}\n[dependencies]\n{dependencies}\n[workspace]\n")
}

fn program(name: &str) -> std::path::PathBuf {
    target().join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// A sink with an HTTP client of its own, which was built and tested without TLS.
const SINK: &str = r#"
use hooks_core::{async_trait, inventory, schemars, serde};
use hooks_core::{Batch, BoxError, Delivered, DeliveryError, Sink, SinkConfig, SinkContext, SinkPlugin};

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "hooks_core::serde", deny_unknown_fields)]
#[schemars(crate = "hooks_core::schemars")]
struct PutConfig { url: String, #[serde(default)] panics: bool }

inventory::submit! { SinkPlugin::of::<PutConfig>() }

impl SinkConfig for PutConfig {
    const KIND: &'static str = "put";
    type Sink = Put;

    fn build(&self, _: &SinkContext) -> Result<Put, BoxError> {
        assert!(!self.panics, "nothing is\n  plugged in");
        Ok(Put(reqwest::Client::new(), self.url.clone()))
    }
}

struct Put(reqwest::Client, String);

#[async_trait]
impl Sink for Put {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let body: String = batch.lines().map(|line| format!("{line}\n")).collect();
        let sent = self.0.put(&self.1).body(body).send().await;
        sent.map_err(|error| DeliveryError::retry("put").because(error))?;
        Ok(Delivered::all())
    }
}

fn main() -> std::process::ExitCode { hooks_cli::main() }
"#;

/// Takes one request, and says what its first line is.
fn take(listener: &TcpListener) -> String {
    let (stream, _): (TcpStream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().unwrap().unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    first
}

#[test]
fn a_sink_with_a_client_of_its_own_delivers_beside_ours() {
    let place = tempfile::tempdir().unwrap();
    let dependencies = format!(
        "hooks-cli = {{ path = '{0}/hooks-cli', default-features = false, features = ['http'] }}\n\
         hooks-core = {{ path = '{0}/hooks-core' }}\nreqwest = {{ version = '0.13', default-features = false }}\n",
        root().display()
    );
    write(&place.path().join("Cargo.toml"), &manifest("hooks-with-put", &dependencies));
    write(&place.path().join("src/main.rs"), SINK);
    output(cargo(place.path()).arg("build"));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let config =
        |settings: &str| format!("[[hooks]]\nid = 'put'\nsink = {{ kind = 'put', url = '{url}'{settings} }}\n");
    write(&place.path().join("hooks.toml"), &config(""));
    let taken = std::thread::spawn(move || take(&listener));
    let program = program("hooks-with-put");
    feed(&program, &["pipe", "-c", "hooks.toml"], place.path(), b"{\"type\":\"a\"}\n".to_vec());
    assert_eq!(taken.join().unwrap(), "PUT /in HTTP/1.1");

    // What a panic said is told to whoever asks why nothing arrives.
    write(&place.path().join("hooks.toml"), &config(", panics = true"));
    let test = Command::new(program).args(["test", "-c", "hooks.toml", "put"]).current_dir(place.path()).output();
    let said = String::from_utf8(test.unwrap().stdout).unwrap();
    assert!(said.contains("build the put sink: it panicked: nothing is plugged in"), "{said}");
}

/// An application that has chosen its own cryptography.
const APPLICATION: &str = r#"
use hooks_core::{HookId, Shared, SinkConfig, SinkContext};
use std::sync::Arc;

fn main() {
    let context = SinkContext::new(HookId::new("h").unwrap(), Arc::new(Shared::default()));
    let build = || hooks_sink_http::HttpConfig::new("https://example.com/").build(&context).map(drop);
    println!("{}", build().unwrap_err());
    rustls::crypto::ring::default_provider().install_default().unwrap();
    println!("{:?}", build());
}
"#;

#[test]
fn an_application_chooses_the_cryptography() {
    let place = tempfile::tempdir().unwrap();
    let ours = format!(
        "hooks-core = {{ path = '{0}/hooks-core' }}\n\
         hooks-sink-http = {{ path = '{0}/hooks-sink-http', default-features = false }}\n",
        root().display()
    );
    let with = |rustls: &str| manifest("hooks-embedded", &format!("{ours}rustls = {{ version = '0.23', {rustls} }}\n"));
    write(&place.path().join("src/main.rs"), APPLICATION);
    // Nothing of ours switches one on, beside which the application's own would be one of two.
    write(&place.path().join("Cargo.toml"), &with("default-features = false"));
    assert_eq!(providers(place.path()), [""; 0]);
    write(&place.path().join("Cargo.toml"), &with("default-features = false, features = ['ring']"));
    assert_eq!(providers(place.path()), ["ring"]);
    output(cargo(place.path()).arg("build"));
    let said = output(&mut Command::new(program("hooks-embedded")));
    assert!(said.starts_with("no cryptography for TLS is built in: switch on the feature `ring`"), "{said}");
    assert!(said.ends_with("\nOk(())\n"), "{said}");
}

/// The cryptography that is switched on in rustls.
fn providers(folder: &Path) -> Vec<String> {
    let tree = output(cargo(folder).args(["tree", "--invert", "rustls", "--depth", "0", "--format", "{f}"]));
    let is_one = |feature: &&str| ["ring", "aws-lc-rs", "aws_lc_rs"].contains(feature);
    tree.trim().split(',').filter(is_one).map(str::to_owned).collect()
}
