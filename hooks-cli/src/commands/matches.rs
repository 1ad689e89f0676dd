//! `hooks check --event`: which hooks an event reaches, and what keeps it from the others.

use std::io::Read as _;
use std::path::Path;

use hooks_core::envelope::ArrayElements;
use hooks_core::{BoxError, Envelope, EnvelopeError, Hook, SliceBuilder, foreign};

use super::operate::with_daemon;
use super::print;
use crate::args::DaemonArgs;
use crate::args::operate::{PlaceArgs, WhomArgs};
use crate::config::Config;
use crate::console::complain;
use crate::exit::Exit;
use crate::outcome;

/// The head of the table.
const HEAD: [&str; 4] = ["event", "hook", "receives it", "kept away by"];

/// Says which hooks of a config file receive the events of a file.
pub(super) fn of_config(config: &Config, file: &Path) -> Exit {
    show(file, |events| {
        let mut rows = Vec::new();
        for (number, json) in events {
            let event = accepted(config, json).map_err(|error| format!("event {number}: {error}"))?;
            rows.extend(config.hooks.iter().map(|hook| row_of(*number, &hook.hook, &event)));
        }
        Ok(rows)
    })
}

/// Says which hooks of a daemon receive the events of a file.
pub(super) fn of_daemon(args: &DaemonArgs, file: &Path) -> Exit {
    let place = PlaceArgs {
        config: None,
        dir: args.dir.clone(),
        #[cfg(feature = "http")]
        url: args.url.clone(),
    };
    let whom = WhomArgs {
        place,
        #[cfg(feature = "http")]
        token_file: args.token_file.clone(),
    };
    let text = match read(file) {
        Ok(text) => text,
        Err(exit) => return exit,
    };
    with_daemon(&whom, async |daemon| {
        let mut rows = vec![HEAD.map(str::to_owned)];
        for (number, json) in split(&text)? {
            let matches = daemon.matches(json).await.map_err(|error| format!("event {number}: {error}"))?;
            rows.extend(matches.into_iter().map(|found| {
                let away = found.mismatch.map(|mismatch| mismatch.to_string());
                row(number, found.hook.as_str(), "", away)
            }));
        }
        print(&outcome::columns(&rows));
        Ok(Exit::Done)
    })
}

/// Prints a table of what becomes of a file's events.
fn show(file: &Path, table: impl FnOnce(&[(usize, &[u8])]) -> Result<Vec<[String; 4]>, String>) -> Exit {
    let text = match read(file) {
        Ok(text) => text,
        Err(exit) => return exit,
    };
    match split(&text).and_then(|events| table(&events)) {
        Ok(rows) => {
            let head = HEAD.map(str::to_owned);
            print(&outcome::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
            Exit::Done
        }
        Err(error) => {
            complain(format_args!("{}: {error}", file.display()));
            Exit::Failed
        }
    }
}

/// What a file holds, or stdin. That it can't be read is said.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Exit> {
    let mut text = Vec::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().lock().read_to_end(&mut text).map(drop),
        _ => std::fs::read(file).map(|bytes| text = bytes),
    };
    read.map(|()| text).map_err(|error| {
        complain(format_args!("{}: can't be read: {error}", file.display()));
        Exit::Failed
    })
}

/// The events of a text, numbered: an array of them, one alone, or one a line.
pub(super) fn split(text: &[u8]) -> Result<Vec<(usize, &[u8])>, String> {
    if let Some(what) = foreign::seems(text) {
        return Err(format!("seems to be {what}"));
    }
    let whole = text.trim_ascii();
    let events = match whole.first() {
        None => return Err("has no event".to_owned()),
        Some(b'[') => elements(whole)?,
        Some(_) if is_one(whole) => vec![whole],
        Some(_) => whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect(),
    };
    Ok((1..).zip(events).collect())
}

/// True if the text is an event by itself, right or wrong; false if it is one a line.
fn is_one(text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.len() == text.len() || matches!(Envelope::from_json(first.trim_ascii()), Err(EnvelopeError::NotJson { .. }))
}

fn elements(text: &[u8]) -> Result<Vec<&[u8]>, String> {
    let (mut elements, mut scratch, mut found) = (ArrayElements::new(text), SliceBuilder::new("hooks"), Vec::new());
    while let Some(next) = elements.push_next(&mut scratch) {
        // One that is no event says so when it is matched.
        found.push(next.map_err(|error| error.to_string())?.element.json);
    }
    Ok(found)
}

/// The event as a daemon with this config accepts it; also one of the dispatcher's own.
pub(super) fn accepted(config: &Config, json: &[u8]) -> Result<Envelope, BoxError> {
    let max = usize::try_from(config.events.max_bytes.bytes()).unwrap_or(usize::MAX);
    let mut slice = SliceBuilder::new(config.events.source.as_str()).max_event_bytes(max);
    slice.push_json(json)?;
    slice.finish().first().cloned().ok_or_else(|| "no event".into())
}

fn row_of(number: usize, hook: &Hook, event: &Envelope) -> [String; 4] {
    let off = if hook.enabled { "" } else { " (disabled)" };
    row(number, hook.id.as_str(), off, hook.filter.mismatch(event).map(|mismatch| mismatch.to_string()))
}

fn row(number: usize, hook: &str, off: &str, away: Option<String>) -> [String; 4] {
    let receives = if away.is_none() { format!("yes{off}") } else { "no".to_owned() };
    [number.to_string(), hook.to_owned(), receives, away.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_event_an_array_or_lines() {
        let events = |text: &str| {
            let split = split(text.as_bytes());
            split.map(|events| {
                events.iter().map(|(_, json)| String::from_utf8_lossy(json).into_owned()).collect::<Vec<_>>()
            })
        };
        let (a, b) = (r#"{"type":"a"}"#, r#"{"type":"b"}"#);
        assert_eq!(events(a).unwrap(), [a]);
        assert_eq!(events("\n {\n \"type\":\n \"a\"}\n").unwrap(), ["{\n \"type\":\n \"a\"}"]);
        assert_eq!(events(&format!("{a}\n\n{b}\r\n")).unwrap(), [a, b]);
        assert_eq!(events(&format!(" [{a},\n {b}]\n")).unwrap(), [a, b]);
        assert_eq!(events(&format!("{{}}\n{b}")).unwrap(), ["{}", b]);
        assert!(events(" \n").unwrap_err().contains("no event"));
        assert!(events(&format!("[{a}")).is_err());
        assert!(split(b"\x1f\x8b\0\0").unwrap_err().contains("gzip"));
    }
}
