//! Files that settings name: what they hold counts, and one that gives no answer holds up nothing else.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Channel, sync_channel};

use hooks_test::http::Receiver;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Daemon, JSON, MEMORY, file_hook};
use crate::command::{Place, event};

/// Puts a pipe in place of a file.
fn fifo(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A hook that posts with what a file holds.
fn bearer_hook(id: &str, url: &str, token: &Path) -> String {
    let sink = format!("{{ kind = 'http', url = '{url}', bearer_file = '{}' }}", token.display());
    let retry = "retry = { initial = '1ms', max = '2ms' }";
    format!("[[hooks]]\nid = '{id}'\nbatch = {{ max_age = '0s' }}\nsink = {sink}\n{retry}\n")
}

#[test]
fn a_pipe_in_place_of_a_secret_holds_its_hook_alone() {
    let (receiver, folder) = (Receiver::on_thread(|_| 200), tempfile::tempdir().unwrap());
    let token = folder.path().join("token");
    fifo(&token);
    let config = bearer_hook("piped", &receiver.url("/piped"), &token)
        + &format!("[[hooks]]\nid = 'well'\nsink = {{ kind = 'http', url = '{}' }}\n", receiver.url("/well"));
    let mut daemon = Daemon::with(&config, &["--grace", "1s"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let line = daemon.running.wait_for("hook=piped");
    assert!(line.contains("bearer_file") && line.contains("must be a regular file"), "{line}");
    receiver.wait();
    let ended = daemon.stop();
    assert_eq!((ended.code, receiver.events("/well")), (Some(0), vec![event(1)]), "{}", ended.err);
}

/// Whoever opens a pipe to write waits until somebody reads it.
#[test]
fn a_reload_that_gets_no_answer_stops_neither_deliveries_nor_signals() {
    for piped in ["hooks.toml", "tokens"] {
        let place = Place::new(&format!(
            "ingest = {{ listen = '127.0.0.1:0', token_file = 'tokens' }}\n{MEMORY}{}",
            file_hook("a")
        ));
        fs::write(place.path("tokens"), "sesame").unwrap();
        let daemon = Daemon::again(place);
        fifo(&daemon.place.path(piped));
        daemon.running.signal("HUP");
        let silent = File::options().write(true).open(daemon.place.path(piped)).unwrap();
        let headers = format!("content-type: {JSON}\r\nauthorization: Bearer sesame\r\n");
        assert_eq!(daemon.post_with(&headers, event(1)).status, 202, "{piped}");
        let out = daemon.place.path("a");
        daemon.running.signal("TERM");
        let ended = daemon.running.wait();
        assert_eq!(ended.code, Some(0), "{piped}: {}", ended.err);
        assert_eq!(fs::read_to_string(out).unwrap(), event(1) + "\n");
        drop(silent);
    }
}

/// A file system that gives no answer, as one of a server that is gone: nobody reads what the kernel asks for.
struct Hung {
    at: tempfile::TempDir,
    _unread: File,
}

impl Hung {
    /// `None` where the tests may not mount, which is said.
    fn mount() -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let unread = File::options().read(true).write(true).open("/dev/fuse").ok();
        let mounted = unread.filter(|unread| {
            let mut mount = Command::new("mount");
            mount.args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "hung"]).arg(at.path());
            mount.stdin(unread.try_clone().unwrap()).output().is_ok_and(|output| output.status.success())
        });
        if mounted.is_none() {
            eprintln!("SKIPPED: mounting a file system is not permitted here");
        }
        Some(Self { _unread: mounted?, at })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.at.path()).status();
    }
}

/// They stood still until now: all threads for work that blocks hung in that disk.
#[test]
fn a_disk_that_hangs_stops_neither_files_elsewhere_nor_names() {
    const HUNG: usize = 600;
    let Some(hung) = Hung::mount() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let url = receiver.url("/named").replace("127.0.0.1", "localhost");
    let hooks = (0..HUNG).map(|number| {
        let sink = format!("sink = {{ kind = 'file', path = '{}/{number}' }}", hung.at.path().display());
        format!("[[hooks]]\nid = 'hung-{number}'\nretry = {{ initial = '1h', max = '1h', attempt_timeout = '1s' }}\n{sink}\n")
    });
    let webhook = format!("[[hooks]]\nid = 'named'\nbatch.max_age = '0s'\nsink = {{ kind = 'http', url = '{url}' }}\n");
    let config = hooks.collect::<String>() + &file_hook("well") + &webhook;
    let mut daemon = Daemon::with(&config, &["--grace", "1s"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    for _ in 0..HUNG {
        let line = daemon.running.wait_for("delivery fails");
        assert!(line.contains("hook=hung-") && line.contains("hangs"), "{line}");
    }
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    for _ in 0..2 {
        receiver.wait();
    }
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(receiver.events("/named"), [event(1), event(2)]);
    assert_eq!(place.read("well"), event(1) + "\n" + &event(2) + "\n");
}

#[test]
fn a_config_may_come_through_a_pipe() {
    let place = Place::new("");
    fifo(&place.path("hooks.toml"));
    let (path, config) = (place.path("hooks.toml"), file_hook("a"));
    let writer = std::thread::spawn(move || fs::write(path, config));
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    writer.join().unwrap().unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

/// Another content of the same length, at the same time.
fn replace(path: &Path, content: &str) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), content.len() as u64);
    fs::write(path, content).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
}

#[test]
fn a_secret_of_the_same_size_and_time_takes_effect() {
    let (receiver, folder) = (Receiver::on_thread(|_| 200), tempfile::tempdir().unwrap());
    let token = folder.path().join("token");
    fs::write(&token, "first!").unwrap();
    let config = bearer_hook("a", &receiver.url("/"), &token);
    let mut daemon = Daemon::start(&config);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    replace(&token, "second");
    daemon.reload(&config);
    daemon.running.wait_for("replaced hook=a");
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    receiver.wait();
    assert_eq!(daemon.stop().code, Some(0));
    assert_eq!(receiver.seen().last().unwrap().header("authorization"), Some("Bearer second"));
}

/// By a reload, or while no daemon ran; in the config file, or in a file that it names.
#[test]
fn a_hook_that_its_receiver_disabled_is_tried_again_with_other_secrets() {
    let receiver =
        Receiver::on_thread(|seen| if seen.header("authorization") == Some("Bearer second") { 200 } else { 410 });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let inline = |token: &str| {
        let sink = format!("{{ kind = 'http', url = '{}', bearer = '{token}' }}", receiver.url("/inline"));
        format!("[[hooks]]\nid = 'inline'\nbatch = {{ max_age = '0s' }}\nsink = {sink}\n")
    };
    let config = |token_inline: &str| inline(token_inline) + &bearer_hook("file", &receiver.url("/file"), &token);
    for stopped in [false, true] {
        fs::write(&token, "first!").unwrap();
        let mut daemon = Daemon::start(&config("first!"));
        assert_eq!(daemon.post(JSON, event(1)).status, 202);
        daemon.running.wait_for("the hook is disabled: its receiver wants nothing any more");
        daemon.running.wait_for("the hook is disabled: its receiver wants nothing any more");
        // The same again changes nothing.
        daemon.reload(&(config("first!") + &file_hook("other")));
        daemon.running.wait_for("applied hooks=3");
        assert_eq!(receiver.seen().len(), 2);
        receiver.forget();
        replace(&token, "second");
        let config = config("second");
        if stopped {
            let Daemon { place, running, .. } = daemon;
            running.signal("TERM");
            running.wait();
            fs::write(place.path("hooks.toml"), super::listening(&config)).unwrap();
            daemon = Daemon::again(place);
        } else {
            daemon.reload(&config);
            daemon.running.wait_for("applied hooks=2");
        }
        for _ in 0..2 {
            receiver.wait();
        }
        let ended = daemon.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        for path in ["/inline", "/file"] {
            assert_eq!(receiver.events(path), [event(1)], "{path}");
        }
        receiver.forget();
    }
}

/// A TLS receiver whose authority stands at this path; tells when a request came through.
fn secure_receiver(authority: &Path) -> (String, Channel<()>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(authority, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let (came, arrivals) = sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust this side goes away.
            if stream.read(&mut [0; 65536]).is_ok_and(|length| length > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = came.send(());
            }
        }
    });
    (url, arrivals)
}

#[test]
fn an_authority_that_the_system_comes_to_trust_is_trusted_after_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let (store, authority) = (folder.path().join("store.pem"), folder.path().join("authority.pem"));
    let (url, arrivals) = secure_receiver(&authority);
    // Of somebody else's.
    secure_receiver(&store);
    let sink = format!("sink = {{ kind = 'http', url = '{url}' }}\nretry = {{ initial = '1ms', max = '2ms' }}\n");
    let config = format!("[[hooks]]\nid = 'a'\nbatch = {{ max_age = '0s' }}\n{sink}");
    let mut daemon = Daemon::in_environment(&config, &[("SSL_CERT_FILE", store.to_str().unwrap())]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    daemon.running.wait_for("delivery fails");
    let both = fs::read_to_string(&store).unwrap() + &fs::read_to_string(&authority).unwrap();
    fs::write(&store, both).unwrap();
    daemon.reload(&config);
    daemon.running.wait_for("replaced hook=a");
    arrivals.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(daemon.stop().code, Some(0));
}
