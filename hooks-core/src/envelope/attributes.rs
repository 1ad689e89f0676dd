//! The rules of CloudEvents 1.0 (JSON format) for an event's top-level members.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;

use super::error::EnvelopeError;
use super::reserved::{is_reserved, shown_type};
use super::scan::{Kind, Member, scan_first, scan_object};
use super::time::is_rfc3339;
use super::writing::{Edits, json_string};
use crate::id::{TenantId, uuid_v7};

/// The attributes that CloudEvents 1.0 itself defines, and the two forms of data.
pub(super) const STANDARD: [&str; 10] =
    ["specversion", "id", "source", "time", "type", "subject", "datacontenttype", "dataschema", "data", "data_base64"];

/// The extension attribute that says whose event it is.
const TENANT: &str = "tenant";

/// Number of attributes of [`STANDARD`], from the front, that are filled in where they are missing.
const FILLABLE: usize = 4;

/// The place of `id` in [`STANDARD`].
const ID: usize = 1;

/// Up to this many names are compared each with each; more are sorted, so that many don't take time squared.
const FEW: usize = 8;

/// The places of one event's members in its text.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) id: Text,
    pub(super) source: Text,
    pub(super) event_type: Text,
    pub(super) subject: Option<Text>,
    pub(super) partition_key: Option<Text>,
    pub(super) tenant: Option<Text>,
    pub(super) data: Option<Range<usize>>,
    /// Its memory serves one event after the other.
    pub(super) extensions: Vec<ExtensionSpans>,
    pub(super) line_breaks: bool,
    fillable: [Presence; FILLABLE],
    has_base64: bool,
    seen: [bool; STANDARD.len()],
}

#[derive(Debug)]
pub(super) struct ExtensionSpans {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// A string attribute: a span of the event where it holds no escapes.
#[derive(Debug)]
pub(super) enum Text {
    Plain(Range<usize>),
    Decoded(String),
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(0..0)
    }
}

#[derive(Debug, Default, Clone, PartialEq)]
enum Presence {
    #[default]
    Missing,
    Null(Range<usize>),
    There,
}

/// Reads and checks the members of one event. Replaces those of the event before.
pub(super) fn read(text: &str, found: &mut Attributes) -> Result<(), EnvelopeError> {
    found.clear();
    found.line_breaks = match scan_object(text, |member| found.member(text, member)) {
        Err(EnvelopeError::NotJson { .. }) if text.trim_start().starts_with('[') => return Err(EnvelopeError::Array),
        scanned => scanned?,
    };
    found.check(text)
}

/// Like [`read`], for the event that the text begins with. Returns its length in bytes.
pub(super) fn read_first(text: &str, found: &mut Attributes) -> Result<usize, EnvelopeError> {
    found.clear();
    let (length, line_breaks) = scan_first(text, |member| found.member(text, member))?;
    found.line_breaks = line_breaks;
    found.check(text).map(|()| length)
}

impl Attributes {
    fn clear(&mut self) {
        let mut extensions = std::mem::take(&mut self.extensions);
        extensions.clear();
        *self = Self { extensions, ..Self::default() };
    }

    /// Makes the checks that need all members.
    fn check(&self, text: &str) -> Result<(), EnvelopeError> {
        if self.data.is_some() && self.has_base64 {
            return Err(EnvelopeError::DataTwice);
        }
        if matches!(&self.event_type, Text::Plain(span) if span.is_empty()) {
            return Err(EnvelopeError::Missing("type"));
        }
        self.refuse_duplicate_extensions(text)
    }

    /// Returns true if no attribute has to be filled in.
    pub(super) fn is_complete(&self) -> bool {
        self.fillable.iter().all(|presence| *presence == Presence::There)
    }

    /// Returns true if the id has not to be filled in.
    pub(super) fn has_id(&self) -> bool {
        self.fillable[ID] == Presence::There
    }

    /// # Errors
    /// When the type is the dispatcher's own.
    pub(super) fn refuse_reserved(&self, text: &str) -> Result<(), EnvelopeError> {
        let event_type = self.event_type.resolve(text);
        if is_reserved(event_type) { Err(EnvelopeError::Reserved(shown_type(event_type))) } else { Ok(()) }
    }

    /// Whether the attribute `tenant` has to be filled in.
    ///
    /// # Errors
    /// When it is another one.
    pub(super) fn lacks_tenant(&self, text: &str, tenant: &TenantId) -> Result<bool, EnvelopeError> {
        match &self.tenant {
            None => Ok(true),
            Some(found) if found.resolve(text) == tenant.as_str() => Ok(false),
            Some(_) => {
                let found = self.raw_tenant(text).map_or(String::new(), |span| shown(&text[span]));
                Err(EnvelopeError::OtherTenant { found, tenant: tenant.clone() })
            }
        }
    }

    fn raw_tenant(&self, text: &str) -> Option<Range<usize>> {
        let mut extensions = self.extensions.iter();
        extensions.find(|extension| &text[extension.name.clone()] == TENANT).map(|extension| extension.value.clone())
    }

    /// The event with its missing attributes filled in: in place of a null, else at the front.
    pub(super) fn fill(&self, text: &str, source: &str, tenant: Option<&TenantId>) -> String {
        let value = |index| match index {
            0 => json_string("1.0"),
            1 => json_string(&uuid_v7().to_string()),
            2 => json_string(source),
            _ => json_string(&Timestamp::now().to_string()),
        };
        let mut edits = Edits::default();
        for (index, presence) in self.fillable.iter().enumerate() {
            match presence {
                Presence::There => {}
                Presence::Null(span) => edits.replace(span.clone(), value(index)),
                Presence::Missing => edits.add(STANDARD[index], &value(index)),
            }
        }
        if let Some(tenant) = tenant {
            match self.raw_tenant(text) {
                Some(null) => edits.replace(null, json_string(tenant.as_str())),
                None => edits.add(TENANT, &json_string(tenant.as_str())),
            }
        }
        edits.apply(text)
    }

    fn member(&mut self, text: &str, member: Member) -> Result<(), EnvelopeError> {
        let name = &text[member.name.clone()];
        match standard(name) {
            Some(index) => self.standard(text, index, member),
            None => self.extension(text, member),
        }
    }

    fn standard(&mut self, text: &str, index: usize, member: Member) -> Result<(), EnvelopeError> {
        let name = STANDARD[index];
        if std::mem::replace(&mut self.seen[index], true) {
            return Err(EnvelopeError::Duplicate(name.to_owned()));
        }
        if name == "data" {
            self.data = Some(member.value);
            return Ok(());
        }
        if member.kind == Kind::Null {
            // CloudEvents JSON format 1.0, §2.2: null is the same as absent.
            if index < FILLABLE {
                self.fillable[index] = Presence::Null(member.value);
            }
            return Ok(());
        }
        let value = string(text, name, &member)?;
        let content = value.resolve(text);
        let illegal = |expected| Err(EnvelopeError::Illegal { name: name.to_owned(), expected });
        match name {
            "specversion" if content != "1.0" => return illegal("\"1.0\""),
            "time" if !is_rfc3339(content) => {
                return illegal("an RFC 3339 timestamp, for example 2026-11-23T10:00:00Z");
            }
            "data_base64" => {}
            _ if content.is_empty() => return illegal("a string that is not empty"),
            _ => {}
        }
        if index < FILLABLE {
            self.fillable[index] = Presence::There;
        }
        match name {
            "id" => self.id = value,
            "source" => self.source = value,
            "type" => self.event_type = value,
            "subject" => self.subject = Some(value),
            "data_base64" => self.has_base64 = true,
            _ => {}
        }
        Ok(())
    }

    fn extension(&mut self, text: &str, member: Member) -> Result<(), EnvelopeError> {
        let name = &text[member.name.clone()];
        if !is_extension_name(name) {
            return Err(EnvelopeError::IllegalName(shown(name)));
        }
        let value = match member.kind {
            Kind::Array | Kind::Object => {
                return Err(EnvelopeError::Illegal { name: shown(name), expected: "a string, a number or a boolean" });
            }
            Kind::String { .. } => Some(string(text, name, &member)?),
            Kind::Number | Kind::Bool | Kind::Null => None,
        };
        let known = match name {
            "partitionkey" => Some(&mut self.partition_key),
            TENANT => Some(&mut self.tenant),
            _ => None,
        };
        if let Some(known) = known {
            *known = value.or_else(|| as_text(&text[member.value.clone()], member.kind));
        }
        self.extensions.push(ExtensionSpans { name: member.name, value: member.value });
        Ok(())
    }

    fn refuse_duplicate_extensions(&self, text: &str) -> Result<(), EnvelopeError> {
        let name = |extension: &ExtensionSpans| &text[extension.name.clone()];
        let twice = if self.extensions.len() <= FEW {
            let mut later = (1..).zip(&self.extensions);
            later
                .find(|(next, one)| self.extensions[*next..].iter().any(|other| name(other) == name(one)))
                .map(|(_, one)| name(one))
        } else {
            let mut names: Vec<&str> = self.extensions.iter().map(name).collect();
            names.sort_unstable();
            names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
        };
        twice.map_or(Ok(()), |name| Err(EnvelopeError::Duplicate(shown(name))))
    }
}

/// The index of a name in [`STANDARD`]. A `match` looks at length and text once; a search would at each.
fn standard(name: &str) -> Option<usize> {
    Some(match name {
        "specversion" => 0,
        "id" => 1,
        "source" => 2,
        "time" => 3,
        "type" => 4,
        "subject" => 5,
        "datacontenttype" => 6,
        "dataschema" => 7,
        "data" => 8,
        "data_base64" => 9,
        _ => return None,
    })
}

impl Text {
    fn resolve<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::Plain(span) => &text[span.clone()],
            Self::Decoded(text) => text,
        }
    }
}

fn string(text: &str, name: &str, member: &Member) -> Result<Text, EnvelopeError> {
    let illegal = |expected| EnvelopeError::Illegal { name: shown(name), expected };
    match member.kind {
        Kind::String { plain: true } => return Ok(Text::Plain(member.value.start + 1..member.value.end - 1)),
        Kind::String { plain: false } => {}
        _ => return Err(illegal("a string")),
    }
    let raw = &text[member.value.clone()];
    let value = if raw.contains('\\') {
        Text::Decoded(serde_json::from_str(raw).map_err(|_| illegal("a string without half surrogate pairs"))?)
    } else {
        Text::Plain(member.value.start + 1..member.value.end - 1)
    };
    if has_control(value.resolve(text)) {
        return Err(illegal("a string without control characters"));
    }
    Ok(value)
}

/// The text of a number or boolean, the same for all that are equal: `7`, `7.0` and `"7"` name one key or tenant. Of an
/// integer that is its digits (CloudEvents 1.0, type system); of another number, which no CloudEvents type has, the
/// shortest decimal.
fn as_text(raw: &str, kind: Kind) -> Option<Text> {
    let text = match (kind, raw.parse::<i128>(), raw.parse::<f64>()) {
        (Kind::Bool, ..) => raw.to_owned(),
        (Kind::Number, Ok(integer), _) => integer.to_string(),
        (Kind::Number, Err(_), Ok(number)) if raw.contains(['.', 'e', 'E']) => (number + 0.0).to_string(),
        (Kind::Number, ..) => raw.to_owned(),
        _ => return None,
    };
    Some(Text::Decoded(text))
}

/// The text of an extension attribute, from its raw value. `None`: it is null, which is the same as absent.
pub(super) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let kind = match raw.as_bytes().first()? {
        b'"' if raw.contains('\\') => return serde_json::from_str(raw).ok().map(Cow::Owned),
        b'"' => return raw.get(1..raw.len() - 1).map(Cow::Borrowed),
        b't' | b'f' => return Some(Cow::Borrowed(raw)),
        b'n' => return None,
        _ => Kind::Number,
    };
    match as_text(raw, kind)? {
        Text::Decoded(text) => Some(Cow::Owned(text)),
        Text::Plain(_) => None,
    }
}

/// The beginning of a name, as much as an error has room for.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

/// CloudEvents 1.0, type system: U+0000 to U+001F and U+007F to U+009F are no part of a string.
pub(super) fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// CloudEvents 1.0: lower-case ASCII letters and digits, and none of the standard names.
pub(crate) fn is_extension_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && standard(name).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_names_are_found_where_they_stand() {
        for (index, name) in STANDARD.iter().enumerate() {
            assert_eq!(standard(name), Some(index));
        }
        assert_eq!(standard("partitionkey"), None);
    }
}
