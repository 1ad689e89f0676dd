//! Event patterns: conditions on an event's `data`, as those of Amazon EventBridge.
//!
//! ```text
//! JSON ─▶ Reader ─▶ fields and the branches of `$or` ─▶ EventPattern
//!                                                          │ its fields, in Paths
//! data ─▶ Projection: one pass, the values of those fields ─┴▶ Comparison: branch by branch
//! ```

mod alternative;
mod branch;
mod expand;
mod mismatch;
mod operator;
mod paths;
mod projection;
mod read;
mod scalar;
#[cfg(feature = "config")]
mod schema;
mod warnings;

use std::fmt;

pub use alternative::{Alternative, Network, Test, Wildcard, address};
pub use branch::Field;
pub use mismatch::PatternMismatch;
pub use paths::{PathId, Paths};
pub use projection::Projection;
pub use scalar::{Number, Scalar, lower};

use crate::pointer::{push_pointer, tokens};
use branch::{Branch, Comparison};
use read::Reader;
use serde_json::Value as Json;

/// Conditions on the fields of an event's `data`, with the semantics of the event patterns of Amazon EventBridge.
///
/// A pattern is an object with the names of fields. What it names has to match, and it looks at nothing else. The
/// alternatives of a field stand in an array, and one of them is enough: a value, or an operator in an object
/// (`prefix`, `suffix`, `equals-ignore-case`, `wildcard`, `anything-but`, `numeric`, `exists`, `cidr`). `$or` holds several
/// patterns, of which one is enough.
///
/// ```
/// use hooks_core::EventPattern;
/// use serde_json::json;
///
/// let pattern = EventPattern::new(&json!({
///     "currency": ["EUR", "USD"],
///     "total": [{ "numeric": [">=", 100] }],
///     "customer": { "id": [{ "prefix": "eu-" }] },
/// }))?;
/// assert!(pattern.matches(Some(r#"{"currency":"EUR","total":1e2,"customer":{"id":"eu-7"},"more":[]}"#)));
/// assert!(!pattern.matches(Some(r#"{"currency":"EUR","total":99,"customer":{"id":"eu-7"}}"#)));
///
/// let wrong = EventPattern::new(&json!({ "total": 100 })).unwrap_err();
/// assert_eq!(wrong.faults[0].to_string(), "total: expected a list of alternatives, `[…]`, or an object with the fields below it, found a number");
/// # Ok::<(), hooks_core::EventPatternError>(())
/// ```
///
/// # Where EventBridge leaves a case open
/// - **Arrays**: any value of an array may match, at any depth of arrays in arrays. Conditions on fields of objects in an array
///   have to hold in the same object. A field that has to be missing (`exists: false`) has to be missing in that object;
///   where nothing else is asked of the array's objects, in all of them. `anything-but` matches an array if one of its values
///   is another one.
/// - **Large arrays**: a comparison takes at most 50,000 looks at fields and elements, counted for each branch of `$or`.
///   An event that needs more matches, so that nothing is lost.
/// - **Missing**: a field whose value is an object or an empty array has no value, so it is missing. So is every field of an
///   event without `data`, with `data_base64`, or whose `data` is neither object nor array. `data` may be an array, of objects.
/// - **The same name twice** in an object of the event: the last one counts.
/// - **Numbers** are compared as binary64 and equal no string. One beyond its range is infinitely large.
/// - **Strings** are compared by their characters, however they are escaped. Half a surrogate pair is a character that no
///   pattern names. Letters that differ in case are those with the same lower case.
/// - **Names** are compared whole: a dot in one is part of it.
/// - **Addresses** of IPv4 and IPv6 never equal one another.
#[derive(Clone)]
pub struct EventPattern {
    /// As JSON, in an order of its own.
    json: Box<str>,
    paths: Paths,
    fields: Box<[Field]>,
    /// The branches of `$or`: one has to hold. Each with the indexes of its fields.
    branches: Box<[(Box<[u32]>, Branch)]>,
}

/// Everything that is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPatternError {
    /// Each by itself.
    pub faults: Vec<EventPatternFault>,
}

/// Something that is wrong with a pattern, or that is not what it seems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPatternFault {
    /// The place in the pattern: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl EventPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(json: &Json) -> Result<Self, EventPatternError> {
        let mut reader = Reader::default();
        let clauses = reader.pattern(json);
        let Reader { paths, fields, mut faults, pointers } = reader;
        let branches =
            if faults.is_empty() { expand::branches(&clauses, &fields, &pointers, &mut faults) } else { Vec::new() };
        if !faults.is_empty() {
            return Err(EventPatternError { faults });
        }
        let branches = branches.into_iter().map(|chosen| {
            let branch = Branch::new(&paths, &fields, &chosen);
            (chosen, branch)
        });
        let branches = branches.collect();
        Ok(Self { json: json.to_string().into(), paths, fields: fields.into(), branches })
    }

    /// Returns true if an event with this `data`, a JSON text, matches. `None`: it has none.
    pub fn matches(&self, data: Option<&str>) -> bool {
        let mut event = Projection::default();
        event.read(&self.paths, data);
        self.compare(None, &event)
    }

    /// The same for an event whose fields were found with [`Paths`] in which the pattern's paths have these numbers.
    pub fn matches_in(&self, ids: &[PathId], event: &Projection<'_>) -> bool {
        self.compare(Some(ids), event)
    }

    /// The fields with their alternatives.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The indexes of the fields that have to match together, for each branch of `$or`.
    pub fn branches(&self) -> impl Iterator<Item = &[u32]> {
        self.branches.iter().map(|(chosen, _)| &**chosen)
    }

    /// The pattern as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What matches nothing, or is not what it seems, each with its place in the pattern.
    pub fn warnings(&self) -> Vec<EventPatternFault> {
        // It was read before.
        serde_json::from_str(&self.json).map(|json| warnings::of(&json)).unwrap_or_default()
    }

    /// The number of comparisons that an event may take, and the longest name or text in bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let field = |index: &u32| self.fields.get(*index as usize);
        let compared = |chosen: &[u32]| chosen.iter().filter_map(field).map(Field::tests).sum::<usize>();
        let tests = self.branches().map(compared).sum();
        let texts = self.fields.iter().flat_map(Field::longest).chain(self.paths.longest_name()).max();
        (tests, texts.unwrap_or(0))
    }

    fn compare(&self, ids: Option<&[PathId]>, event: &Projection<'_>) -> bool {
        let comparison = Comparison::new(&self.fields, ids, event);
        self.branches.iter().any(|(_, branch)| comparison.holds(branch))
    }

    fn pointer(&self, field: u32) -> String {
        let names = self.fields.get(field as usize).map(|field| self.paths.names(field.path)).unwrap_or_default();
        names.into_iter().fold(String::new(), |mut pointer, name| {
            push_pointer(&mut pointer, name);
            pointer
        })
    }

    fn paths(&self) -> &Paths {
        &self.paths
    }
}

/// Patterns are equal if they read the same.
impl PartialEq for EventPattern {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for EventPattern {}

impl fmt::Debug for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventPattern").field(&self.json).finish()
    }
}

impl EventPatternFault {
    /// Its place in a pattern that is the value of this setting: `data.total[0].numeric`.
    pub fn path(&self, setting: &str) -> String {
        let mut place = setting.to_owned();
        for token in tokens(&self.pointer) {
            if token.parse::<usize>().is_ok() {
                place.push_str(&format!("[{token}]"));
            } else {
                place.push_str(if place.is_empty() { "" } else { "." });
                place.push_str(&token);
            }
        }
        place
    }
}

impl fmt::Display for EventPatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.path("");
        write!(f, "{place}{}{}", if place.is_empty() { "" } else { ": " }, self.message)
    }
}

impl fmt::Display for EventPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.faults.iter().map(ToString::to_string).collect();
        f.write_str(&faults.join("; "))
    }
}

impl std::error::Error for EventPatternError {}
