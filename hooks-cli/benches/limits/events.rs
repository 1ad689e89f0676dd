//! The events that are delivered: lines of CloudEvents, always the same.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use hooks_core::BoxError;

/// Events that are written to disk once and used by every run.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    pub(crate) file: PathBuf,
    pub(crate) count: usize,
    /// Of the file, line ends included.
    pub(crate) bytes: u64,
}

impl Events {
    /// A file of `count` events of about `size` bytes each.
    pub(crate) fn prepare(folder: &Path, count: usize, size: usize) -> Result<Self, BoxError> {
        let file = folder.join(format!("{count}-events-of-{size}-bytes.ndjson"));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&file)?);
        for number in 0..count {
            out.write_all(if size < SIZE { small(number, size) } else { order(number, size) }.as_bytes())?;
        }
        out.flush()?;
        Ok(Self { bytes: fs::metadata(&file)?.len(), file, count })
    }

    /// The bytes that a receiver of arrays has got when it has everything: the lines, a comma where each line end
    /// was, and one bracket more in each array.
    pub(crate) fn body_bytes(&self, bodies: u64) -> u64 {
        self.bytes + bodies
    }

    pub(crate) fn millions(&self) -> f64 {
        self.count as f64 / 1e6
    }
}

/// The size of events where nothing else is asked for.
pub(crate) const SIZE: usize = 350;

/// An order, as a shop may tell of it.
fn order(number: usize, size: usize) -> String {
    let begin = format!(
        r#"{{"specversion":"1.0","id":"{number:08x}-bench","source":"/shop/orders","type":"order.{}","subject":"order-{}","time":"2026-11-23T10:{:02}:{:02}.{:03}Z","data":{{"number":{number},"total":{}.5,"paid":true,"items":[{{"sku":"K-{}","count":2}},{{"sku":"M-7","count":1}}],"note":""#,
        ["created", "paid", "sent"][number % 3],
        number / 3,
        number / 60_000 % 60,
        number / 1_000 % 60,
        number % 1_000,
        number % 977,
        number % 101,
    );
    filled(begin, "\"}}\n", size)
}

/// As little as a complete event can hold.
fn small(number: usize, size: usize) -> String {
    let begin = format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"/s","type":"t","time":"2026-11-23T10:00:00Z","data":""#
    );
    filled(begin, "\"}\n", size)
}

fn filled(mut text: String, end: &str, size: usize) -> String {
    const WORDS: &str = "please leave it at the door ";
    while text.len() + end.len() < size {
        let room = size - text.len() - end.len();
        text.push_str(&WORDS[..room.min(WORDS.len())]);
    }
    text + end
}
