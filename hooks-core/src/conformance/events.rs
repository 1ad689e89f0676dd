//! The events that the checks send.

use crate::envelope::{DEFAULT_MAX_EVENT_BYTES, Envelope, EnvelopeError, Slice, SliceBuilder};

/// `count` small events with the ids `<name>-0`, `<name>-1` …
pub(super) fn events(name: &str, count: usize) -> Result<Slice, EnvelopeError> {
    built((0..count).map(|index| event(&format!("{name}-{index}"), &format!("{{\"n\":{index}}}"))))
}

/// One event of this type, with this subject.
pub(super) fn typed(id: &str, event_type: &str, subject: &str) -> Result<Envelope, EnvelopeError> {
    let json = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/conformance","type":"{event_type}","subject":"{subject}","time":"2026-11-23T10:00:00Z"}}"#
    );
    Envelope::from_json(json.as_bytes())
}

/// One event from this source, with the extension attribute `place`.
pub(super) fn placed(id: &str, source: &str, place: &str) -> Result<Envelope, EnvelopeError> {
    let json = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"conformance.a","subject":"s","place":"{place}","time":"2026-11-23T10:00:00Z"}}"#
    );
    Envelope::from_json(json.as_bytes())
}

/// The same, of this tenant.
pub(super) fn of_tenant(id: &str, event_type: &str, tenant: &str) -> Result<Envelope, EnvelopeError> {
    let json = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/conformance","type":"{event_type}","subject":"s","tenant":"{tenant}","time":"2026-11-23T10:00:00Z"}}"#
    );
    Envelope::from_json(json.as_bytes())
}

/// Joins events that were made one by one into a slice.
pub(super) fn together(events: &[Envelope]) -> Result<Slice, EnvelopeError> {
    let mut slice = SliceBuilder::new("/conformance");
    events.iter().try_for_each(|event| slice.push_envelope(event))?;
    Ok(slice.finish())
}

/// 64 events of 16 KiB: more than a socket's buffer holds.
pub(super) fn bulky(name: &str) -> Result<Slice, EnvelopeError> {
    let data = format!("\"{}\"", "b".repeat(16 << 10));
    built((0..64).map(|index| event(&format!("{name}-{index}"), &data)))
}

/// One event whose JSON is exactly this long.
pub(super) fn sized(id: &str, bytes: usize) -> Result<Slice, EnvelopeError> {
    let rest = event(id, "\"\"").len();
    built([event(id, &format!("\"{}\"", "x".repeat(bytes.saturating_sub(rest))))])
}

/// The longest event that is taken by default.
pub(super) fn largest(id: &str) -> Result<Slice, EnvelopeError> {
    sized(id, DEFAULT_MAX_EVENT_BYTES)
}

/// Events that do not come out the same when they are parsed and printed again, or when text is taken
/// for something else.
pub(super) fn peculiar() -> Result<Slice, EnvelopeError> {
    let data = [
        r#"{"z":1,"a":2,"z":3}"#,
        r#"{ "spaced" : [ 1 , 2 ] }"#,
        "[1e400,-0,1.0,100000000000000000000000,0.1000]",
        r#""\u0000\n\r\"\\\/ \ud83d\ude00 \u00e9""#,
        "\"é 😀 \u{2028}\u{85}\u{7f} </script> %0a ${HOME}\"",
        "null",
        "\"\"",
    ];
    let with_data = data.iter().zip(0..).map(|(data, index)| event(&format!("peculiar-{index}"), data));
    let others = [
        r#"{"specversion":"1.0","id":"no-data","source":"/conformance","type":"conformance.event","time":"2026-11-23T10:00:00Z"}"#,
        r#"{"specversion":"1.0","id":"base64","source":"/conformance","type":"conformance.event","time":"2026-11-23T10:00:00Z","data_base64":"AP8="}"#,
        r#"{"type":"conformance.event" ,"data":1, "source":"/conformance","id":"é\"\/\u00e9","specversion":"1.0","time":"2026-11-23T10:00:00.5+02:00","other":null }"#,
    ];
    built(with_data.chain(others.map(str::to_owned)))
}

fn event(id: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/conformance","type":"conformance.event","time":"2026-11-23T10:00:00Z","data":{data}}}"#
    )
}

fn built(texts: impl IntoIterator<Item = String>) -> Result<Slice, EnvelopeError> {
    let mut slice = SliceBuilder::new("/conformance");
    texts.into_iter().try_for_each(|text| slice.push_json(text.as_bytes()))?;
    Ok(slice.finish())
}
