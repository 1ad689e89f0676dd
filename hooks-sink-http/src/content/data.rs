//! The data of events, without the events.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::sink::Batch;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};

use super::{Content, Unfit};

/// What a receiver takes bytes for whose type nobody named.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Data and its type, as an event has them: raw JSON values.
#[derive(Default)]
pub(super) struct Data<'a> {
    pub(super) json: Option<&'a str>,
    pub(super) base64: Option<&'a str>,
    pub(super) content_type: Option<&'a str>,
}

impl<'a> Data<'a> {
    /// Takes one of an event's members if it is one of these.
    pub(super) fn takes(&mut self, name: &str, value: &'a str) -> bool {
        let place = match name {
            "data" => &mut self.json,
            "data_base64" => &mut self.base64,
            "datacontenttype" => &mut self.content_type,
            _ => return false,
        };
        *place = (name == "data" || value != "null").then_some(value);
        true
    }

    /// The data itself and its type (CloudEvents 1.0, JSON format, §3.1), beside these headers: of what is no JSON a text
    /// without its quotes.
    pub(super) fn content(self, mut headers: Vec<(HeaderName, HeaderValue)>) -> Result<Content, Unfit> {
        let named = self.content_type.map(|raw| string("datacontenttype", raw)).transpose()?;
        let (body, usual) = match (self.json, self.base64) {
            (Some(json), _) if json.starts_with('"') && named.as_deref().is_some_and(|named| !is_json(named)) => {
                (string("data", json)?.into_owned().into_bytes(), Some(JSON))
            }
            (Some(json), _) => (json.as_bytes().to_vec(), Some(JSON)),
            (None, Some(base64)) => {
                let text = string("data_base64", base64)?;
                let bytes = STANDARD.decode(&*text).map_err(|error| Unfit(format!("`data_base64`: {error}")))?;
                (bytes, Some(BYTES))
            }
            (None, None) => (Vec::new(), None),
        };
        let named = named.map(|named| {
            let value = HeaderValue::from_str(&named).ok().filter(|_| named.is_ascii());
            value.ok_or_else(|| Unfit("`datacontenttype` can't be sent as Content-Type: it is not ASCII".to_owned()))
        });
        let content_type = named.transpose()?.or(usual);
        headers.extend(content_type.map(|content_type| (CONTENT_TYPE, content_type)));
        Ok(Content { body: body.into(), headers })
    }
}

/// The data of the one event.
pub(super) fn single(batch: &Batch) -> Result<Content, Unfit> {
    let mut data = Data::default();
    for event in batch.events().take(1) {
        batch.members(event).for_each(|(name, value)| {
            data.takes(name, value);
        });
    }
    data.content(Vec::new())
}

/// A JSON array of all data: of bytes their base64, and null where there is none.
pub(super) fn array(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.max_bytes() + 1);
    for event in batch.events() {
        body.push(if body.is_empty() { b'[' } else { b',' });
        let base64 = || event.members().find(|(name, _)| *name == "data_base64").map(|(_, value)| value);
        body.extend_from_slice(event.data().or_else(base64).unwrap_or("null").as_bytes());
    }
    body.push(b']');
    body
}

/// True of `application/json`, `application/problem+json` and the like.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// The text of a string.
pub(super) fn string<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, Unfit> {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let decoded = serde_json::from_str(raw).map_err(|_| Unfit(format!("`{name}` holds half a surrogate pair")))?;
    Ok(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooks_core::Envelope;

    fn sent(more: &str) -> Result<(String, String), String> {
        let json = format!(r#"{{"type":"t","id":"1"{more}}}"#);
        let batch = Batch::for_test([Envelope::from_json(json.as_bytes()).unwrap()]);
        let Content { body, headers } = single(&batch).map_err(|unfit| unfit.0)?;
        let named = headers.first().map_or("", |(_, value)| value.to_str().unwrap());
        Ok((String::from_utf8_lossy(&body).into_owned(), named.to_owned()))
    }

    #[test]
    fn data_as_it_is_with_its_type() {
        for (more, body, content_type) in [
            (r#","data":{"n": 1.50}"#, r#"{"n": 1.50}"#, "application/json"),
            (r#","data":"a\u00e9""#, r#""a\u00e9""#, "application/json"),
            (r#","data":null"#, "null", "application/json"),
            (r#","datacontenttype":"text/plain","data":"a\u00e9\"""#, "aé\"", "text/plain"),
            (r#","datacontenttype":"a/b+json; x=1","data":"a""#, r#""a""#, "a/b+json; x=1"),
            (r#","datacontenttype":"text/csv","data":{"a":1}"#, r#"{"a":1}"#, "text/csv"),
            (r#","data_base64":"aGk\/""#, "hi?", "application/octet-stream"),
            (r#","datacontenttype":"image/png","data_base64":"aGk=""#, "hi", "image/png"),
            (r#","datacontenttype":"text/plain""#, "", "text/plain"),
            (r#","datacontenttype":null,"data_base64":null"#, "", ""),
            ("", "", ""),
        ] {
            assert_eq!(sent(more), Ok((body.to_owned(), content_type.to_owned())), "{more}");
        }
        for (more, why) in [
            (r#","data_base64":"a-b""#, "`data_base64`: "),
            (r#","datacontenttype":"text/plain","data":"\ud800""#, "half a surrogate"),
            (r#","datacontenttype":"text/é","data":1"#, "not ASCII"),
        ] {
            assert!(sent(more).unwrap_err().contains(why), "{more}");
        }
    }

    #[test]
    fn an_array_has_an_element_for_each_event() {
        let events = [r#""data":{"n": 1.50}"#, r#""data_base64":"aGk=""#, r#""subject":"none""#, r#""data":null"#];
        let events = events.map(|more| Envelope::from_json(format!(r#"{{"type":"t",{more}}}"#).as_bytes()).unwrap());
        assert_eq!(array(&Batch::for_test(events)), br#"[{"n": 1.50},"aGk=",null,null]"#);
    }
}
