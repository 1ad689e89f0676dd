//! Settings that can't have an effect are errors.

use hooks_core::ByteSize;
use hooks_server::{IngestSettings, Settings, Tokens};

use crate::builder;

fn with(ingest: IngestSettings) -> Settings {
    Settings { ingest, ..Settings::default() }
}

#[test]
fn a_file_of_tokens_that_nobody_read_opens_nothing() {
    let ingest = IngestSettings { token_file: Some("/run/token".into()), ..IngestSettings::default() };
    let error = builder().settings(with(ingest.clone())).build().unwrap_err().to_string();
    assert_eq!(error, "ingest.token_file: the server does not read it: give it the tokens, too");
    let tokens = Some(Tokens::parse("good").unwrap());
    assert!(builder().settings(Settings { tokens, ..with(ingest) }).build().is_ok());
}

#[test]
fn all_faults_are_said_at_once_and_change_nothing() {
    let server = builder().build().unwrap();
    let ingest = IngestSettings { max_body: ByteSize::new(0), max_head: ByteSize::new(1), ..IngestSettings::default() };
    let error = server.set(with(ingest)).unwrap_err().to_string();
    for part in ["ingest.max_head: 1 is not between 8KiB and 1MiB; ", "ingest.max_body: 0 bytes hold no event"] {
        assert!(error.contains(part), "{error}");
    }
    let ingest = IngestSettings { max_connections: std::num::NonZeroUsize::MIN, ..IngestSettings::default() };
    let error = server.set(with(ingest)).unwrap_err().to_string();
    assert_eq!(error, "ingest.max_connections: a new value takes a restart");
}
