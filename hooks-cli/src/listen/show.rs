//! Prints a request: text for people, or a line of JSON.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::value::RawValue;

use super::events::Event;
use super::fault::Fault;
use super::stats::Mark;

/// The amount and format of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Show {
    pub(crate) is_json: bool,
    /// True if events are printed with their data.
    pub(crate) has_data: bool,
    /// True if the terminal shows colours.
    pub(crate) has_color: bool,
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The check of a request's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signature {
    /// Signed with one of the secrets.
    Good,
    /// Signed wrongly, with the reason.
    Bad(String),
    /// Not signed.
    None,
    /// Signed, and there is no secret to check with.
    Unchecked,
}

/// A request with its outcome.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    /// RFC 3339.
    pub(crate) time: String,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The status of the answer.
    pub(crate) status: Option<u16>,
    /// The fault that was injected.
    pub(crate) injected: Option<Fault>,
    pub(crate) batch: Option<&'a str>,
    /// The size of the body as it was sent.
    pub(crate) bytes: usize,
    pub(crate) signature: Signature,
    pub(crate) events: &'a [Event],
    pub(crate) marks: &'a [Option<Mark>],
    /// The body, if it is a text without events.
    pub(crate) body: Option<&'a str>,
    /// The reason why it has no events, or was no request.
    pub(crate) fault: Option<String>,
    /// The answer to a sender who asked whether it may deliver.
    pub(crate) grant: Option<String>,
}

impl<'a> Arrival<'a> {
    /// A request that arrives now, of which nothing else is known.
    pub(crate) fn now(method: &'a str, path: &'a str) -> Self {
        Self {
            time: format!("{:.3}", jiff::Timestamp::now()),
            method,
            path,
            status: None,
            injected: None,
            batch: None,
            bytes: 0,
            signature: Signature::None,
            events: &[],
            marks: &[],
            body: None,
            fault: None,
            grant: None,
        }
    }
}

impl Signature {
    fn text(&self) -> String {
        match self {
            Self::Good => "signature ok".to_owned(),
            Self::Bad(why) => format!("signature bad: {why}"),
            Self::None => "not signed".to_owned(),
            Self::Unchecked => "signature not checked".to_owned(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Bad(_) => "bad",
            Self::None => "none",
            Self::Unchecked => "unchecked",
        }
    }
}

impl Show {
    /// The lines of a request, each with its end.
    pub(crate) fn lines(self, arrival: &Arrival<'_>) -> String {
        if self.is_json { format!("{}\n", self.json(arrival)) } else { self.text(arrival) }
    }

    fn text(self, arrival: &Arrival<'_>) -> String {
        let outcome = match (arrival.injected, arrival.status) {
            (Some(injected), _) => injected.name(),
            (None, Some(status)) => status.to_string(),
            (None, None) => "---".to_owned(),
        };
        let is_good = arrival.injected.is_none() && arrival.status.is_some_and(|status| (200..300).contains(&status));
        let outcome = self.paint(if is_good { GOOD } else { BAD }, &outcome);
        let clock = arrival.time.get(11..23).unwrap_or(&arrival.time);
        let mut text = format!("{clock}  {outcome}  {} {}", arrival.method, printable(arrival.path));
        if let Some(batch) = arrival.batch {
            let _ = write!(text, "  batch {}", printable(batch));
        }
        if let Some(grant) = &arrival.grant {
            let _ = writeln!(text, "  {}", printable(grant));
            return text;
        }
        let (count, bytes) = (arrival.events.len(), arrival.bytes);
        let _ = write!(text, "  {count} event{}  {bytes} B", if count == 1 { "" } else { "s" });
        let signature = printable(&arrival.signature.text());
        let is_bad = matches!(arrival.signature, Signature::Bad(_));
        let _ = write!(text, "  {}", if is_bad { self.paint(BAD, &signature) } else { signature });
        if let Some(fault) = &arrival.fault {
            let _ = write!(text, "  ({})", printable(fault));
        }
        text.push('\n');
        for (event, mark) in arrival.events.iter().zip(arrival.marks) {
            self.event(event, *mark, &mut text);
        }
        for line in arrival.body.filter(|_| self.has_data).into_iter().flat_map(str::lines) {
            let _ = writeln!(text, "    {}", printable(line));
        }
        text
    }

    fn paint(self, style: Style, text: &str) -> String {
        if self.has_color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn event(self, event: &Event, mark: Option<Mark>, text: &mut String) {
        let _ = write!(text, "    {}", printable(&event.event_type));
        if let Some(subject) = &event.subject {
            let _ = write!(text, "  {}", printable(subject));
        }
        let _ = write!(text, "  {}", printable(&event.id));
        match mark {
            Some(Mark::Repeated) => text.extend(["  ", &self.paint(BAD, "REPEATED")]),
            Some(Mark::OutOfOrder) => text.extend(["  ", &self.paint(BAD, "OUT OF ORDER")]),
            None => {}
        }
        for (name, label) in [("data", ""), ("data_base64", "data_base64 ")] {
            if let (true, Some(data)) = (self.has_data, event.raw(name)) {
                let _ = write!(text, "\n        {label}{}", printable(data.get()));
            }
        }
        text.push('\n');
    }

    fn json(self, arrival: &Arrival<'_>) -> String {
        let line = Line {
            time: &arrival.time,
            method: arrival.method,
            path: arrival.path,
            status: arrival.status,
            injected: arrival.injected.map(Fault::name),
            batch: arrival.batch,
            bytes: arrival.bytes,
            signature: arrival.signature.name(),
            fault: arrival.fault.as_deref(),
            grant: arrival.grant.as_deref(),
            body: arrival.body.filter(|_| self.has_data),
            events: arrival.events.iter().zip(arrival.marks).map(|(event, mark)| self.entry(event, *mark)).collect(),
        };
        // Raw line breaks stand between tokens only.
        serde_json::to_string(&line).unwrap_or_default().replace(['\n', '\r'], " ")
    }

    fn entry(self, event: &Event, mark: Option<Mark>) -> Entry<'_> {
        let [id, source, event_type, subject] = Entry::SHOWN.map(|name| event.raw(name));
        Entry {
            id,
            source,
            event_type,
            subject,
            repeated: mark == Some(Mark::Repeated),
            out_of_order: mark == Some(Mark::OutOfOrder),
            data: self.has_data.then(|| event.raw("data")),
            data_base64: event.raw("data_base64").filter(|_| self.has_data),
            attributes: self.has_data.then(|| event.without(&Entry::DATA_AND_SHOWN)).flatten(),
        }
    }
}

/// A request as JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    method: &'a str,
    path: &'a str,
    status: Option<u16>,
    #[serde(rename = "mischief")]
    injected: Option<String>,
    batch: Option<&'a str>,
    bytes: usize,
    signature: &'static str,
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    events: Vec<Entry<'a>>,
}

/// An event of it: values as they came.
#[derive(Serialize)]
struct Entry<'a> {
    id: Option<&'a RawValue>,
    source: Option<&'a RawValue>,
    #[serde(rename = "type")]
    event_type: Option<&'a RawValue>,
    subject: Option<&'a RawValue>,
    repeated: bool,
    out_of_order: bool,
    /// Null where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Option<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<&'a RawValue>,
    /// All others.
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Box<RawValue>>,
}

impl Entry<'_> {
    const SHOWN: [&'static str; 4] = ["id", "source", "type", "subject"];
    const DATA_AND_SHOWN: [&'static str; 6] = ["id", "source", "type", "subject", "data", "data_base64"];
}

/// True if stdout is a terminal that shows colours, and nobody asked for none (`NO_COLOR`).
pub(crate) fn has_color() -> bool {
    let stdout = std::io::stdout();
    stdout.is_terminal() && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never
}

/// Text from outside can't move the cursor or change colours.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() { printable.extend(char.escape_default()) } else { printable.push(char) }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::events;

    fn shown(show: Show, injected: Option<Fault>) -> String {
        let (events, _) = events(
            br#"[{"id":"1","source":"s","type":"a.b","subject":"x\u001b[31m","data":{"n":1.50}},{"id":"2","source":"s","type":"c"}]"#,
        );
        show.lines(&Arrival {
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            method: "POST",
            path: "/in",
            status: Some(200),
            injected,
            batch: Some("b1"),
            bytes: 120,
            signature: Signature::Good,
            events: &events,
            marks: &[None, Some(Mark::Repeated)],
            body: None,
            fault: None,
            grant: None,
        })
    }

    const TEXT: Show = Show { is_json: false, has_data: false, has_color: false };

    #[test]
    fn colours_add_nothing_but_colours() {
        let colored = shown(Show { has_color: true, ..TEXT }, None);
        assert!(colored.contains("\u{1b}[32m200\u{1b}[0m"), "{colored:?}");
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), shown(TEXT, None));
    }

    #[test]
    fn a_request_is_a_line_and_so_is_each_event() {
        assert_eq!(
            shown(TEXT, None),
            "03:04:05.678  200  POST /in  batch b1  2 events  120 B  signature ok\n    a.b  x\\u{1b}[31m  1\n    c  2  REPEATED\n"
        );
        let with_data = shown(Show { has_data: true, ..TEXT }, Some(Fault::HangUp));
        assert!(with_data.starts_with("03:04:05.678  hang-up  POST"), "{with_data}");
        assert!(with_data.contains("  1\n        {\"n\":1.50}\n    c"), "{with_data}");
    }

    #[test]
    fn json_has_it_all_on_one_line() {
        use serde_json::{Value as Json, json};
        let text = shown(Show { is_json: true, has_data: true, has_color: true }, None);
        assert_eq!(text.matches('\n').count(), 1);
        let json: Json = serde_json::from_str(&text).unwrap();
        assert_eq!((&json["status"], &json["batch"], &json["signature"]), (&json!(200), &json!("b1"), &json!("ok")));
        assert_eq!(json["events"][0]["data"], json!({ "n": 1.5 }));
        assert_eq!((&json["events"][1]["repeated"], &json["events"][1]["data"]), (&json!(true), &Json::Null));
    }
}
