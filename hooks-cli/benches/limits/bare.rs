//! The limits: what the machine needs for the same bytes without anything around it. Each runs in a
//! process of its own and prints the CPU seconds of the work itself; reading the file is not part of it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use bytes::Bytes;
use hooks_core::{BoxError, SliceBuilder};

use crate::process::Clock;

/// Events in a body.
pub(crate) const BATCH: usize = 100;

/// Events that are made safe together.
const COMMIT: usize = 1000;

/// A bare reqwest client posts prebuilt bodies, one at a time, and reads each answer.
pub(crate) fn post(url: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let bodies = bodies(&fs::read(file)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Without TLS there is nothing to be had from a provider, but no client without one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    runtime.block_on(async {
        let clock = Clock::start();
        for body in bodies {
            let request = client.post(url).header("content-type", "application/cloudevents-batch+json").body(body);
            request.send().await?.error_for_status()?.bytes().await?;
        }
        Ok(clock.stop())
    })
}

/// A bare socket posts the same bodies: the least that any client can cost.
pub(crate) fn socket(address: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let bodies = bodies(&fs::read(file)?);
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 256];
    let clock = Clock::start();
    for body in bodies {
        let head = format!("POST / HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body)?;
        if std::io::Read::read(&mut stream, &mut answer)? == 0 {
            return Err("the receiver hung up".into());
        }
    }
    Ok(clock.stop())
}

/// A plain loop writes the same lines in pieces of 64 KiB.
pub(crate) fn write(to: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let text = fs::read(file)?;
    let _ = fs::remove_file(to);
    let clock = Clock::start();
    let mut out = OpenOptions::new().append(true).create(true).open(to)?;
    for piece in text.chunks(64 << 10) {
        out.write_all(piece)?;
    }
    Ok(clock.stop())
}

/// A plain loop keeps the same lines safe: each with its length, position and CRC-32C, a sync every 1,000 lines, and
/// the file is removed at the end, when all of it was delivered.
pub(crate) fn log(to: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let text = fs::read(file)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let clock = Clock::start();
    let mut out = OpenOptions::new().append(true).create_new(true).open(to)?;
    let (mut records, mut position) = (Vec::new(), 0_u64);
    for commit in lines.chunks(COMMIT) {
        records.clear();
        for line in commit {
            let crc = crc32c::crc32c_append(crc32c::crc32c(&position.to_le_bytes()), line);
            records.extend_from_slice(&crc.to_le_bytes());
            records.extend_from_slice(&(line.len() as u64).to_le_bytes());
            records.extend_from_slice(&position.to_le_bytes());
            records.extend_from_slice(line);
            position += 1;
        }
        out.write_all(&records)?;
        out.sync_data()?;
    }
    drop(out);
    fs::remove_file(to)?;
    Ok(clock.stop())
}

/// A validating scan of the same bytes: every line is checked and its attributes found, nothing is kept.
pub(crate) fn scan(file: &str) -> Result<Vec<f64>, BoxError> {
    let text = fs::read(file)?;
    let clock = Clock::start();
    let mut slice = SliceBuilder::new("/bench");
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', &text) {
        slice.push_json(&text[start..end])?;
        start = end + 1;
        if slice.len() == BATCH {
            drop(slice.finish());
        }
    }
    Ok(clock.stop())
}

/// The same by serde_json, into borrowed attributes and raw data.
pub(crate) fn serde(file: &str) -> Result<Vec<f64>, BoxError> {
    #[derive(serde::Deserialize)]
    struct Parsed<'a> {
        id: &'a str,
        source: &'a str,
        r#type: &'a str,
        #[serde(borrow)]
        subject: Option<&'a str>,
        #[serde(borrow)]
        time: Option<&'a str>,
        #[serde(borrow)]
        data: Option<&'a serde_json::value::RawValue>,
    }
    let text = fs::read(file)?;
    let clock = Clock::start();
    let mut seen = 0;
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', &text) {
        let event: Parsed<'_> = serde_json::from_slice(&text[start..end])?;
        start = end + 1;
        let texts = [event.id, event.source, event.r#type, event.subject.unwrap_or(""), event.time.unwrap_or("")];
        seen += texts.iter().map(|text| text.len()).sum::<usize>() + event.data.map_or(0, |data| data.get().len());
    }
    std::hint::black_box(seen);
    Ok(clock.stop())
}

/// The lines as arrays of [`BATCH`] events.
pub(crate) fn bodies(text: &[u8]) -> Vec<Bytes> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.chunks(BATCH).map(|lines| [b"[", &lines.join(&b","[..])[..], b"]"].concat().into()).collect()
}

/// True if two files hold the same bytes.
pub(crate) fn same(a: &Path, b: &Path) -> Result<bool, BoxError> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    std::io::Read::read_to_end(&mut a, &mut left)?;
    std::io::Read::read_to_end(&mut b, &mut right)?;
    Ok(left == right)
}
