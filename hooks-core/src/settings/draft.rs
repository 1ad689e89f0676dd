//! A table of settings on its way to a struct.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::fault::{About, Fault, pointer, tokens};
use super::redactor::Redactor;
use super::wording::Notation;

/// A table of settings that is to be read.
///
/// What is wrong in it is taken out, so that the rest can be read. Whoever makes the table may have done so already:
/// see [`add_broken`](Self::add_broken). No `Debug`: it may hold secrets.
pub struct Draft {
    /// Without what is broken.
    value: Json,
    /// What was taken out, by its place in the table as it was.
    broken: BTreeSet<String>,
    hidden: Vec<Hidden>,
    notation: Notation,
}

/// A text at this place that no message may show, and what it shows instead.
struct Hidden {
    pointer: String,
    text: String,
    shown: String,
}

impl Draft {
    /// The table, written as JSON.
    pub fn new(table: Json) -> Self {
        Self { value: table, broken: BTreeSet::new(), hidden: Vec::new(), notation: Notation::Json }
    }

    /// Messages call its parts as this notation does.
    #[must_use]
    pub fn written_in(mut self, notation: Notation) -> Self {
        self.notation = notation;
        self
    }

    /// A value is not in the table since something is wrong with it, which has been said: it is not missed. Its place
    /// counts what is not there.
    pub fn add_broken(&mut self, pointer: &str) {
        self.broken.insert(pointer.to_owned());
    }

    /// Hides a text that stands at this place: messages about its table show the other one.
    pub fn hide(&mut self, pointer: &str, text: &str, shown: &str) {
        self.hidden.push(Hidden { pointer: pointer.to_owned(), text: text.to_owned(), shown: shown.to_owned() });
    }

    /// A message without what is hidden.
    pub fn redact(&self, message: &str) -> String {
        self.redactor().redact(message)
    }

    pub(super) fn value(&self) -> &Json {
        &self.value
    }

    pub(super) fn notation(&self) -> Notation {
        self.notation
    }

    /// Anything in it was taken out.
    pub(super) fn is_damaged(&self) -> bool {
        !self.broken.is_empty()
    }

    /// It was taken out as a whole.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.contains("")
    }

    /// Anything below this place was taken out.
    pub(super) fn is_broken_within(&self, pointer: &str) -> bool {
        self.broken.iter().any(|place| place.strip_prefix(pointer).is_some_and(|rest| rest.starts_with('/')))
    }

    /// True if there is something at this place, or was before it was taken out.
    pub(super) fn is_set(&self, pointer: &str) -> bool {
        self.value.pointer(pointer).is_some() || self.broken.contains(pointer)
    }

    /// The same for a name in the table itself.
    pub(super) fn is_set_here(&self, name: &str) -> bool {
        self.value.get(name).is_some() || (self.is_damaged() && self.broken.contains(&pointer(name)))
    }

    /// Hides what is to be hidden here.
    pub(super) fn redactor(&self) -> Redactor {
        self.hide_in(Redactor::default())
    }

    pub(super) fn hide_in(&self, mut redactor: Redactor) -> Redactor {
        self.hidden.iter().for_each(|hidden| redactor.hide(&hidden.text, &hidden.shown));
        redactor
    }

    /// The words in front of a message, where this is no table. `None`: it is one.
    pub(super) fn no_table(&self, example: Option<&str>) -> Option<String> {
        let example = example.map(|example| format!(", for example `{example}`,")).unwrap_or_default();
        let comma = if example.is_empty() { "," } else { "" };
        let found = self.notation.describe(&self.value);
        (!self.value.is_object()).then(|| format!("expected {}{example}{comma} found {found}", self.notation.table()))
    }

    /// Takes a setting out, with what is known about it. `None`: it is not set.
    pub(super) fn take(&mut self, name: &str) -> Option<Self> {
        let prefix = pointer(name);
        let is_under =
            |place: &str| place.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let value = self.value.as_object_mut().and_then(|table| table.remove(name));
        let (under, broken): (BTreeSet<_>, _) =
            std::mem::take(&mut self.broken).into_iter().partition(|place| is_under(place));
        let (mut own, hidden): (Vec<_>, _) =
            std::mem::take(&mut self.hidden).into_iter().partition(|hidden| is_under(&hidden.pointer));
        own.iter_mut().for_each(|hidden| hidden.pointer.replace_range(..prefix.len(), ""));
        (self.broken, self.hidden) = (broken, hidden);
        let broken: BTreeSet<_> = under.into_iter().map(|place| place[prefix.len()..].to_owned()).collect();
        let is_there = value.is_some() || broken.contains("");
        is_there.then(|| Self { value: value.unwrap_or_default(), broken, hidden: own, notation: self.notation })
    }

    /// The place of a value in the table as it was: as a pointer, and as messages show it.
    pub(super) fn place(&self, pointer: &str) -> (String, String) {
        let (mut original, mut shown) = (String::new(), String::new());
        let mut value = Some(&self.value);
        for token in tokens(pointer) {
            let index = value.filter(|value| value.is_array()).and_then(|_| token.parse::<usize>().ok());
            let own = super::fault::pointer(&token);
            if let Some(index) = index {
                let mut there = (0..).filter(|index: &usize| !self.broken.contains(&format!("{original}/{index}")));
                let index = there.nth(index).unwrap_or(index);
                original = format!("{original}/{index}");
                shown = format!("{shown}[{index}]");
            } else {
                original.push_str(&own);
                shown.push_str(if shown.is_empty() { "" } else { "." });
                shown.push_str(&token);
            }
            value = value.and_then(|value| value.pointer(&own));
        }
        (original, shown)
    }

    /// A fault at this place, which the message begins with.
    pub(super) fn fault(&self, pointer: &str, about: About, message: &str) -> Fault {
        let (original, shown) = self.place(pointer);
        let colon = if shown.is_empty() { "" } else { ": " };
        Fault::new(original, about, format!("{shown}{colon}{message}"))
    }

    /// Takes out what is at this place. False when there is nothing, or it is the whole table.
    pub(super) fn take_out(&mut self, pointer: &str) -> bool {
        let Some((parent, _)) = pointer.rsplit_once('/') else { return false };
        let (original, _) = self.place(pointer);
        let name = tokens(pointer).last().unwrap_or_default();
        let removed = match self.value.pointer_mut(parent) {
            Some(Json::Object(table)) => table.remove(&name).is_some(),
            Some(Json::Array(list)) => {
                let index = name.parse().ok().filter(|index| *index < list.len());
                index.map(|index: usize| list.remove(index)).is_some()
            }
            _ => false,
        };
        if removed {
            self.broken.insert(original);
        }
        removed
    }
}

/// Reads a path as sinks write it, `tls.ca_file` or `headers[2]`, as a pointer. A key may hold dots: the longest one
/// that is in the table is meant.
pub(super) fn parse_path(table: &Json, path: &str) -> String {
    let (mut found, mut rest, mut value) = (String::new(), path, Some(table));
    while !rest.is_empty() {
        let index = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let index = index.and_then(|(index, after)| Some((index.parse::<usize>().ok()?, after)));
        let step = if let Some((index, after)) = index {
            rest = after;
            format!("/{index}")
        } else {
            let key = key(value, rest);
            rest = &rest[key.len()..];
            pointer(key)
        };
        rest = rest.strip_prefix('.').unwrap_or(rest);
        value = value.and_then(|value| value.pointer(&step));
        found.push_str(&step);
    }
    found
}

fn key<'a>(value: Option<&Json>, path: &'a str) -> &'a str {
    let ends = |key: &&String| {
        let rest = path.strip_prefix(key.as_str());
        !key.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let keys = value.and_then(Json::as_object).into_iter().flat_map(|table| table.keys());
    let longest = keys.filter(ends).map(String::len).max();
    // At least one character, so that every path ends.
    let first = path.chars().next().map_or(0, char::len_utf8);
    let plain = path[first..].find(['.', '[']).map_or(path.len(), |at| first + at);
    &path[..longest.unwrap_or(plain)]
}
