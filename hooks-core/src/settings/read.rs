//! From a table to a typed struct, with everything that is wrong said at once.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::Segment;

use super::draft::Draft;
use super::fault::{About, Fault, pointer};
use super::redactor::Redactor;
use super::wording::{Wording, word};

/// Reads a table as this type, and says everything that is wrong with it.
///
/// ```
/// use hooks_core::RetryPolicy;
/// use hooks_core::settings::{Draft, read};
///
/// let table = serde_json::json!({ "initial": 5, "maxx": "1m" });
/// let faults = read::<RetryPolicy>(Draft::new(table)).unwrap_err();
/// let said: Vec<_> = faults.iter().map(|fault| (&*fault.pointer, &*fault.message)).collect();
/// assert_eq!(said[1], ("/maxx", "unknown field `maxx`, did you mean `max`?"));
/// assert!(said[0].1.starts_with("initial: expected a duration with its unit"));
/// ```
///
/// # Errors
/// Everything that is wrong; nothing where all of it was [said before](Draft::add_broken).
pub fn read<T: DeserializeOwned>(mut draft: Draft) -> Result<T, Vec<Fault>> {
    if draft.is_broken() {
        return Err(Vec::new());
    }
    if let Some(message) = draft.no_table(None) {
        return Err(vec![Fault::new("", About::Value, message)]);
    }
    let mut reading = Reading::new(&mut draft);
    let read = reading.read(|json| json);
    let faults = reading.faults;
    read.filter(|_| !draft.is_damaged()).ok_or(faults)
}

/// A table while it is read.
pub(super) struct Reading<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) redactor: Redactor,
    /// Names that belong into the table but are read elsewhere; suggested for misspelt ones.
    pub(super) elsewhere: &'a [&'a str],
    pub(super) faults: Vec<Fault>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(draft: &'a mut Draft) -> Self {
        Self { redactor: draft.redactor(), draft, elsewhere: &[], faults: Vec::new() }
    }

    /// Reads the table. `prepare` may change its JSON. `None` when something is wrong.
    ///
    /// An error is noted, what it is about is taken out of the table, and the rest is read again.
    pub(super) fn read<T: DeserializeOwned>(&mut self, prepare: impl Fn(Json) -> Json) -> Option<T> {
        let mut sound = true;
        loop {
            let error = match serde_path_to_error::deserialize(prepare(self.draft.value().clone())) {
                Ok(value) => return sound.then_some(value),
                Err(error) => error,
            };
            sound = false;
            let place: String = error.path().iter().filter_map(step).collect();
            let text: serde_json::Error = error.into_inner();
            if !self.note(&place, &text.to_string()) {
                return None;
            }
        }
    }

    /// Notes an error in the words of serde, and takes what it is about out of the table. False when there is nothing
    /// to take.
    pub(super) fn note(&mut self, place: &str, text: &str) -> bool {
        let near = place.matches('/').count() < 2;
        let (place, message, about) = match word(text, if near { self.elsewhere } else { &[] }, self.draft.notation()) {
            Wording::UnknownField { field, message } => {
                let field = pointer(&field);
                let table = place.strip_suffix(&field).unwrap_or(place);
                self.fault(table, &format!("{table}{field}"), About::Name, &message);
                return self.draft.take_out(&format!("{table}{field}"));
            }
            Wording::MissingField { field } => {
                let missing = format!("{place}{}", pointer(&field));
                if !self.draft.is_set(&missing) {
                    self.plain_fault(place, &missing, About::Missing, &format!("`{field}` is missing"));
                }
                // Without it the table around it says nothing more.
                return self.draft.take_out(place);
            }
            Wording::Value(message) => (place, message, About::Value),
        };
        self.fault(place, place, about, &message);
        self.draft.take_out(place)
    }

    /// Notes a list where a table belongs, and takes it out: serde would take its values for those of the first names.
    pub(super) fn refuse_list(&mut self, place: &str) {
        if self.draft.value().pointer(place).is_some_and(Json::is_array) {
            let notation = self.draft.notation();
            let message = format!("expected {}, found {}", notation.table(), notation.list());
            self.plain_fault(place, place, About::Value, &message);
            self.draft.take_out(place);
        }
    }

    /// Notes a fault whose message begins with the place `shown`, without what is hidden.
    pub(super) fn fault(&mut self, shown: &str, place: &str, about: About, message: &str) {
        self.plain_fault(shown, place, about, &self.redactor.redact(message));
    }

    /// Notes a fault whose message begins with the place `shown`, and holds nothing but names.
    pub(super) fn plain_fault(&mut self, shown: &str, place: &str, about: About, message: &str) {
        let mut fault = self.draft.fault(shown, about, message);
        fault.pointer = self.draft.place(place).0;
        self.faults.push(fault);
    }
}

fn step(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(pointer(key)),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}
