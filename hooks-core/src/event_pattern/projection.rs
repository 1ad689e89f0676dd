//! The fields of an event that patterns name, found in one pass over its `data`.
//!
//! Nothing is built of the others: they are passed over, looking at brackets and quotes alone. That the text is JSON was
//! proved when the event was accepted. Of any other text the pass finds something or nothing.

use std::collections::HashMap;

use memchr::memchr2;
use wide::u8x16;

use super::paths::{PathId, Paths, ROOT};
use super::scalar::{Scalar, number, text};
use crate::envelope::MAX_DEPTH;

/// Up to this many members of an object, comparing each is faster than hashing.
const FEW: usize = 8;

/// The values in an event's `data` of fields that patterns name. Its memory serves one event after the other.
///
/// Of several members with the same name the last one counts, as for most who read JSON.
#[derive(Debug, Default)]
pub struct Projection<'e> {
    text: &'e str,
    /// Each container before what it holds.
    nodes: Vec<Node>,
    /// Members of large objects, by object and field.
    members: HashMap<(usize, PathId), usize>,
    has_elements: bool,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    path: PathId,
    kind: Kind,
    /// Of a value: its place in the text.
    from: u32,
    /// The end of that place. Of a container, and of what does not count: the number of the next node.
    to: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool(bool),
    Number,
    Text {
        is_escaped: bool,
    },
    Object,
    Array,
    /// Another member of the same name came later.
    Replaced,
}

/// The number of a value, object or array in a [`Projection`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

/// What stands at a place.
pub(super) enum Found<'e> {
    Scalar(Scalar<'e>),
    Object,
    Array,
}

impl<'e> Projection<'e> {
    /// Reads another event's `data`.
    pub fn read(&mut self, paths: &Paths, data: Option<&'e str>) {
        self.nodes.clear();
        self.members.clear();
        (self.text, self.has_elements) = (data.unwrap_or_default(), false);
        if data.is_some() {
            let mut scan = Scan { text: self.text, at: 0, paths, found: self };
            scan.space();
            scan.value(ROOT, 0);
        }
    }

    /// Each value of the fields.
    pub fn values(&self) -> impl Iterator<Item = (PathId, Scalar<'e>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let node = self.nodes.get(at)?;
                at = if node.kind == Kind::Replaced { node.to as usize } else { at + 1 };
                if let Some(value) = self.scalar(node) {
                    return Some((node.path, value));
                }
            }
        })
    }

    /// Returns true if an array holds objects or arrays: conditions that belong together then have to hold in one of them.
    pub fn has_elements(&self) -> bool {
        self.has_elements
    }

    /// The place of `data`, if it holds any of the fields.
    pub(super) fn root(&self) -> Option<Place> {
        self.nodes.first().filter(|node| node.path == ROOT).map(|_| Place(0))
    }

    pub(super) fn at(&self, place: Place) -> Found<'e> {
        let node = &self.nodes[place.0];
        match self.scalar(node) {
            Some(value) => Found::Scalar(value),
            None if node.kind == Kind::Array => Found::Array,
            None => Found::Object,
        }
    }

    /// What a container holds.
    pub(super) fn inside(&self, place: Place) -> impl Iterator<Item = Place> {
        let (mut next, end) = (place.0 + 1, self.after(place.0));
        std::iter::from_fn(move || {
            loop {
                if next >= end {
                    return None;
                }
                let at = next;
                next = self.after(at);
                if self.nodes[at].kind != Kind::Replaced {
                    return Some(Place(at));
                }
            }
        })
    }

    /// A field of an object.
    pub(super) fn field(&self, object: Place, path: PathId) -> Option<Place> {
        let end = self.after(object.0);
        let (known, is_large) = self.among_few(object.0, end, path);
        let known = known.or_else(|| self.members.get(&(object.0, path)).copied().filter(|_| is_large));
        known.filter(|at| *at < end && self.is_field(*at, path)).map(Place)
    }

    /// A field among the first that an object holds up to this end, and whether it may hold more.
    fn among_few(&self, object: usize, end: usize, path: PathId) -> (Option<usize>, bool) {
        let (mut next, mut passed, mut known) = (object + 1, 0, None);
        while passed < FEW && next < end {
            known = known.or_else(|| self.is_field(next, path).then_some(next));
            next = self.after(next);
            passed += 1;
        }
        (known, passed == FEW)
    }

    fn is_field(&self, at: usize, path: PathId) -> bool {
        self.nodes[at].path == path && self.nodes[at].kind != Kind::Replaced
    }

    fn scalar(&self, node: &Node) -> Option<Scalar<'e>> {
        let text_of = |node: &Node| self.text.get(node.from as usize..node.to as usize).unwrap_or_default();
        Some(match node.kind {
            Kind::Null => Scalar::Null,
            Kind::Bool(value) => Scalar::Bool(value),
            Kind::Number => Scalar::Number(number(text_of(node))),
            Kind::Text { is_escaped } => Scalar::Text(text(text_of(node), is_escaped)),
            Kind::Object | Kind::Array | Kind::Replaced => return None,
        })
    }

    /// The number of the node behind this one and all that it holds.
    fn after(&self, at: usize) -> usize {
        match self.nodes[at].kind {
            Kind::Object | Kind::Array | Kind::Replaced => self.nodes[at].to as usize,
            _ => at + 1,
        }
    }

    /// Makes room for a member of an object: one of the same name does not count any more.
    fn replace(&mut self, object: usize, path: PathId) {
        let (mut known, is_large) = self.among_few(object, self.nodes.len(), path);
        if is_large {
            let before = self.members.insert((object, path), self.nodes.len());
            known = known.or(before);
        }
        // A member that held nothing of the fields has no node.
        let is_there = |known: &usize| self.nodes.get(*known).is_some_and(|node| node.path == path);
        let Some(known) = known.filter(is_there) else { return };
        let end = self.after(known);
        if end == self.nodes.len() && !is_large {
            self.nodes.truncate(known);
        } else {
            let node = &mut self.nodes[known];
            (node.kind, node.to) = (Kind::Replaced, end as u32);
        }
    }
}

struct Scan<'p, 'e> {
    text: &'e str,
    at: usize,
    paths: &'p Paths,
    found: &'p mut Projection<'e>,
}

impl Scan<'_, '_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Takes a value of this field.
    fn value(&mut self, path: PathId, depth: u32) {
        match self.peek() {
            b'{' if self.paths.has_children(path) && depth < MAX_DEPTH => self.object(path, depth),
            b'[' if depth < MAX_DEPTH => self.array(path, depth),
            _ if !self.paths.is_compared(path) => self.pass(),
            b'"' => {
                let from = self.at + 1;
                let is_escaped = self.string();
                self.push(path, Kind::Text { is_escaped }, from, self.at.max(from + 1) - 1);
            }
            first => {
                let from = self.at;
                self.pass();
                match first {
                    b'n' => self.push(path, Kind::Null, from, self.at),
                    b't' | b'f' => self.push(path, Kind::Bool(first == b't'), from, self.at),
                    b'-' | b'0'..=b'9' => self.push(path, Kind::Number, from, self.at),
                    _ => {}
                }
            }
        }
    }

    fn push(&mut self, path: PathId, kind: Kind, from: usize, to: usize) {
        self.found.nodes.push(Node { path, kind, from: from as u32, to: to as u32 });
    }

    fn object(&mut self, path: PathId, depth: u32) {
        let object = self.found.nodes.len();
        self.push(path, Kind::Object, 0, 0);
        self.at += 1;
        loop {
            self.space();
            if self.peek() != b'"' {
                break;
            }
            let child = self.name(path);
            self.space();
            self.at += usize::from(self.peek() == b':');
            self.space();
            match child {
                Some(child) => {
                    self.found.replace(object, child);
                    self.value(child, depth + 1);
                }
                None => self.pass(),
            }
            if !self.comma() {
                break;
            }
        }
        self.end(object, b'}');
    }

    /// The field that a member's name stands for.
    fn name(&mut self, parent: PathId) -> Option<PathId> {
        let from = self.at + 1;
        let is_escaped = self.string();
        let raw = self.text.get(from..self.at.max(from + 1) - 1).unwrap_or_default();
        if !is_escaped {
            return self.paths.find(parent, raw);
        }
        let name = text(raw, true);
        self.paths.find(parent, std::str::from_utf8(&name).ok()?)
    }

    fn array(&mut self, path: PathId, depth: u32) {
        let array = self.found.nodes.len();
        self.push(path, Kind::Array, 0, 0);
        self.at += 1;
        loop {
            self.space();
            if matches!(self.peek(), b']' | 0) {
                break;
            }
            self.found.has_elements |= matches!(self.peek(), b'{' | b'[');
            let before = self.at;
            self.value(path, depth + 1);
            if !self.comma() || self.at == before {
                break;
            }
        }
        self.end(array, b']');
    }

    /// Passes a comma. False where there is none.
    fn comma(&mut self) -> bool {
        self.space();
        let is_comma = self.peek() == b',';
        self.at += usize::from(is_comma);
        is_comma
    }

    /// Ends an object or array. One that holds nothing of the fields is as good as missing.
    fn end(&mut self, container: usize, bracket: u8) {
        self.at += usize::from(self.peek() == bracket);
        let nodes = &mut self.found.nodes;
        if nodes.len() == container + 1 {
            nodes.truncate(container);
        } else {
            nodes[container].to = nodes.len() as u32;
        }
    }

    /// Passes over a value.
    fn pass(&mut self) {
        match self.peek() {
            b'"' => {
                self.string();
            }
            b'{' | b'[' => self.nested(),
            _ => {
                let rest = &self.text.as_bytes()[self.at.min(self.text.len())..];
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += rest.iter().position(is_end).unwrap_or(rest.len());
            }
        }
    }

    /// Passes over a string. Returns true if it has escapes.
    fn string(&mut self) -> bool {
        self.at += 1;
        let mut is_escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            match memchr2(b'"', b'\\', rest) {
                Some(next) if rest[next] == b'"' => {
                    self.at += next + 1;
                    return is_escaped;
                }
                // A backslash takes the next byte with it.
                Some(next) => self.at = (self.at + next + 2).min(self.text.len()),
                None => {
                    self.at = self.text.len();
                    return is_escaped;
                }
            }
            is_escaped = true;
        }
    }

    /// Passes over an object or array.
    fn nested(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.text.len() {
            let mut marks = self.marks();
            let block = self.at;
            self.at += BLOCK;
            while marks != 0 {
                let at = block + marks.trailing_zeros() as usize;
                marks &= marks - 1;
                match self.text.as_bytes()[at] {
                    b'"' => {
                        self.at = at;
                        self.string();
                        break;
                    }
                    b'{' | b'[' => depth += 1,
                    _ => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            self.at = at + 1;
                            return;
                        }
                    }
                }
            }
        }
        self.at = self.text.len();
    }

    /// A bit for each of the next bytes that is a bracket or a quote.
    fn marks(&self) -> u32 {
        let rest = &self.text.as_bytes()[self.at..];
        let block = match rest.first_chunk::<BLOCK>() {
            Some(block) => u8x16::new(*block),
            None => {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                u8x16::new(block)
            }
        };
        // A bit makes curly brackets of square ones.
        let curly = block | u8x16::splat(0x20);
        let brackets = curly.simd_eq(u8x16::splat(b'{')) | curly.simd_eq(u8x16::splat(b'}'));
        (brackets | block.simd_eq(u8x16::splat(b'"'))).to_bitmask()
    }
}

/// Number of bytes that are looked at together.
const BLOCK: usize = 16;
