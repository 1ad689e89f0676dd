//! The rules of CloudEvents 1.0 (JSON format) for an event's top-level members.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;

use super::error::EnvelopeError;
use super::reserved::{is_reserved, shown_type};
use super::scan::{Kind, Member, scan_end, scan_object};
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

// Places in `STANDARD`.
const SPECVERSION: usize = 0;
pub(super) const ID: usize = 1;
pub(super) const SOURCE: usize = 2;
const TIME: usize = 3;
pub(super) const TYPE: usize = 4;
pub(super) const SUBJECT: usize = 5;
const DATACONTENTTYPE: usize = 6;
const DATASCHEMA: usize = 7;
pub(super) const DATA: usize = 8;
const DATA_BASE64: usize = 9;

/// Up to this many names are compared each with each; more are sorted, so that many don't take time squared.
const FEW: usize = 8;

/// The places of one event's members in its text.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// The values of the standard attributes that are [present](Self::is_present); the others are of events before.
    values: [Text; STANDARD.len()],
    /// A bit for each standard attribute that stands there and is not null.
    present: u16,
    /// A bit for each one that stands there.
    seen: u16,
    /// Those that are null and have to be filled in.
    nulls: Vec<(usize, Range<usize>)>,
    pub(super) partition_key: Option<Text>,
    pub(super) tenant: Option<Text>,
    /// Its memory serves one event after the other.
    pub(super) extensions: Vec<ExtensionSpans>,
    pub(super) line_breaks: bool,
}

#[derive(Debug)]
pub(super) struct ExtensionSpans {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The value of an attribute: of a string that holds no escapes, and of `data`, the span in the event.
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

/// Reads and checks the members of one event. Replaces those of the event before.
pub(super) fn read(text: &str, found: &mut Attributes) -> Result<(), EnvelopeError> {
    let end = match found.members(text) {
        Err(EnvelopeError::NotJson { .. }) if text.trim_start().starts_with('[') => return Err(EnvelopeError::Array),
        end => end?,
    };
    found.line_breaks |= scan_end(text, end)?;
    found.check(text)
}

/// Like [`read`], for the event that the text begins with. Returns its length in bytes.
pub(super) fn read_first(text: &str, found: &mut Attributes) -> Result<usize, EnvelopeError> {
    let length = found.members(text)?;
    found.check(text).map(|()| length)
}

impl Attributes {
    /// Reads the members of the event that the text begins with. Returns its length in bytes.
    #[inline(never)]
    fn members(&mut self, text: &str) -> Result<usize, EnvelopeError> {
        (self.present, self.seen) = (0, 0);
        (self.partition_key, self.tenant) = (None, None);
        self.nulls.clear();
        self.extensions.clear();
        let (length, line_breaks) = scan_object(text, |member| self.member(text, member))?;
        self.line_breaks = line_breaks;
        Ok(length)
    }

    /// Makes the checks that need all members.
    fn check(&self, text: &str) -> Result<(), EnvelopeError> {
        if self.is_present(DATA) && self.is_present(DATA_BASE64) {
            return Err(EnvelopeError::DataTwice);
        }
        if !self.is_present(TYPE) {
            return Err(EnvelopeError::Missing("type"));
        }
        self.refuse_duplicate_extensions(text)
    }

    fn is_present(&self, index: usize) -> bool {
        self.present & 1 << index != 0
    }

    /// The standard attribute at this place, which has to be there.
    pub(super) fn value(&self, index: usize) -> &Text {
        debug_assert!(self.is_present(index), "{}", STANDARD[index]);
        &self.values[index]
    }

    /// The standard attribute at this place, if it is there and not null.
    pub(super) fn get(&self, index: usize) -> Option<&Text> {
        self.is_present(index).then(|| &self.values[index])
    }

    /// Returns true if no attribute has to be filled in.
    pub(super) fn is_complete(&self) -> bool {
        (0..FILLABLE).all(|index| self.is_present(index))
    }

    /// Returns true if the id has not to be filled in.
    pub(super) fn has_id(&self) -> bool {
        self.is_present(ID)
    }

    /// # Errors
    /// When the type is the dispatcher's own.
    pub(super) fn refuse_reserved(&self, text: &str) -> Result<(), EnvelopeError> {
        let event_type = self.value(TYPE).resolve(text);
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
            SPECVERSION => json_string("1.0"),
            ID => json_string(&uuid_v7().to_string()),
            SOURCE => json_string(source),
            _ => json_string(&Timestamp::now().to_string()),
        };
        let mut edits = Edits::default();
        for index in (0..FILLABLE).filter(|index| !self.is_present(*index)) {
            match self.nulls.iter().find(|(null, _)| *null == index) {
                Some((_, span)) => edits.replace(span.clone(), value(index)),
                None => edits.add(STANDARD[index], &value(index)),
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

    #[inline(always)]
    fn member(&mut self, text: &str, Member { name, value, kind }: Member) -> Result<(), EnvelopeError> {
        match standard(&text.as_bytes()[name.clone()]) {
            Some(index) => self.standard(text, index, value, kind),
            None => self.extension(text, name, value, kind),
        }
    }

    #[inline(always)]
    fn standard(&mut self, text: &str, index: usize, value: Range<usize>, kind: Kind) -> Result<(), EnvelopeError> {
        let name = STANDARD[index];
        let bit = 1 << index;
        if self.seen & bit != 0 {
            return Err(EnvelopeError::Duplicate(name.to_owned()));
        }
        self.seen |= bit;
        if kind == Kind::Null && index != DATA {
            // CloudEvents JSON format 1.0, §2.2: null is the same as absent.
            if index < FILLABLE {
                self.nulls.push((index, value));
            }
            return Ok(());
        }
        let value = if index == DATA { Text::Plain(value) } else { string(text, name, value, kind)? };
        let content = value.bytes(text);
        let expected = match index {
            SPECVERSION if content != b"1.0" => Some("\"1.0\""),
            TIME if !is_rfc3339(content) => Some("an RFC 3339 timestamp, for example 2026-11-23T10:00:00Z"),
            DATA_BASE64 => None,
            _ if content.is_empty() => Some("a string that is not empty"),
            _ => None,
        };
        if let Some(expected) = expected {
            return Err(EnvelopeError::Illegal { name: name.to_owned(), expected });
        }
        self.present |= bit;
        self.values[index] = value;
        Ok(())
    }

    #[inline(never)]
    fn extension(
        &mut self,
        text: &str,
        span: Range<usize>,
        value: Range<usize>,
        kind: Kind,
    ) -> Result<(), EnvelopeError> {
        let name = &text[span.clone()];
        if !is_extension_name(name) {
            return Err(EnvelopeError::IllegalName(shown(name)));
        }
        let string = match kind {
            Kind::Array | Kind::Object => {
                return Err(EnvelopeError::Illegal { name: shown(name), expected: "a string, a number or a boolean" });
            }
            Kind::String { .. } => Some(string(text, name, value.clone(), kind)?),
            Kind::Number | Kind::Bool | Kind::Null => None,
        };
        let known = match name {
            "partitionkey" => Some(&mut self.partition_key),
            TENANT => Some(&mut self.tenant),
            _ => None,
        };
        if let Some(known) = known {
            *known = string.or_else(|| as_text(&text[value.clone()], kind));
        }
        self.extensions.push(ExtensionSpans { name: span, value });
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

/// The index of a name in [`STANDARD`]. Texts of known length are compared at once, which a `match` does not.
#[inline(always)]
fn standard(name: &[u8]) -> Option<usize> {
    let one_of = |indices: &[usize]| indices.iter().copied().find(|index| STANDARD[*index].as_bytes() == name);
    match name.len() {
        2 => one_of(&[ID]),
        4 => one_of(&[TYPE, TIME, DATA]),
        6 => one_of(&[SOURCE]),
        7 => one_of(&[SUBJECT]),
        10 => one_of(&[DATASCHEMA]),
        11 => one_of(&[SPECVERSION, DATA_BASE64]),
        15 => one_of(&[DATACONTENTTYPE]),
        _ => None,
    }
}

impl Text {
    fn resolve<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::Plain(span) => &text[span.clone()],
            Self::Decoded(text) => text,
        }
    }

    /// The same: to cut a text costs two checks more.
    fn bytes<'a>(&'a self, text: &'a str) -> &'a [u8] {
        match self {
            Self::Plain(span) => &text.as_bytes()[span.clone()],
            Self::Decoded(text) => text.as_bytes(),
        }
    }
}

#[inline(always)]
fn string(text: &str, name: &str, value: Range<usize>, kind: Kind) -> Result<Text, EnvelopeError> {
    match kind {
        Kind::String { plain: true } => Ok(Text::Plain(value.start + 1..value.end - 1)),
        _ => odd_string(text, name, value, kind),
    }
}

/// A string that has to be looked at, or none.
#[inline(never)]
fn odd_string(text: &str, name: &str, span: Range<usize>, kind: Kind) -> Result<Text, EnvelopeError> {
    let illegal = |expected| EnvelopeError::Illegal { name: shown(name), expected };
    if !matches!(kind, Kind::String { .. }) {
        return Err(illegal("a string"));
    }
    let raw = &text[span.clone()];
    let value = if raw.contains('\\') {
        Text::Decoded(serde_json::from_str(raw).map_err(|_| illegal("a string without half surrogate pairs"))?)
    } else {
        Text::Plain(span.start + 1..span.end - 1)
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
        && standard(name.as_bytes()).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_names_are_found_where_they_stand() {
        for (index, name) in STANDARD.iter().enumerate() {
            assert_eq!(standard(name.as_bytes()), Some(index));
        }
        assert_eq!(standard(b"partitionkey"), None);
    }
}
