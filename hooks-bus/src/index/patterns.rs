//! Subscribers by the literal beginnings of their patterns.

use std::collections::{BTreeMap, HashMap};

use hooks_core::Pattern;

use super::Slot;

/// Patterns by their literal beginning.
#[derive(Debug, Default)]
pub(super) struct PatternMap {
    /// Literal patterns, by their whole text.
    literal: HashMap<Box<str>, Vec<Slot>>,
    globs: HashMap<Box<str>, Vec<(Pattern, Slot)>>,
    /// Number of glob beginnings of each length.
    lengths: BTreeMap<usize, usize>,
}

impl PatternMap {
    pub(super) fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.globs.is_empty()
    }

    /// The most subscribers that share the bucket of one of these patterns.
    pub(super) fn load(&self, patterns: &[Pattern]) -> usize {
        let load = |pattern: &Pattern| match pattern.is_literal() {
            true => self.literal.get(pattern.as_str()).map_or(0, Vec::len),
            false => self.globs.get(pattern.literal_prefix()).map_or(0, Vec::len),
        };
        patterns.iter().map(load).max().unwrap_or(0)
    }

    /// The most subscribers that share a bucket.
    #[cfg(test)]
    pub(super) fn most(&self) -> usize {
        self.literal.values().map(Vec::len).chain(self.globs.values().map(Vec::len)).max().unwrap_or(0)
    }

    pub(super) fn insert(&mut self, patterns: &[Pattern], slot: Slot) {
        for pattern in patterns {
            if pattern.is_literal() {
                push(self.literal.entry(pattern.as_str().into()).or_default(), slot);
                continue;
            }
            let prefix = pattern.literal_prefix();
            let bucket = self.globs.entry(prefix.into()).or_insert_with(|| {
                *self.lengths.entry(prefix.len()).or_default() += 1;
                Vec::new()
            });
            push(bucket, (pattern.clone(), slot));
        }
    }

    pub(super) fn remove(&mut self, patterns: &[Pattern], slot: Slot) {
        for pattern in patterns {
            if pattern.is_literal() {
                prune(&mut self.literal, pattern.as_str(), |known| *known != slot);
            } else if prune(&mut self.globs, pattern.literal_prefix(), |(_, known)| *known != slot) {
                let length = pattern.literal_prefix().len();
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
        }
    }

    /// The slots with a matching pattern, each once, in order.
    pub(super) fn find(&self, text: &str) -> Vec<Slot> {
        let mut found = self.literal.get(text).cloned().unwrap_or_default();
        for length in self.lengths.keys().take_while(|length| **length <= text.len()) {
            let bucket = text.get(..*length).and_then(|prefix| self.globs.get(prefix));
            let matching = bucket.into_iter().flatten().filter(|(pattern, _)| pattern.matches(text));
            found.extend(matching.map(|(_, slot)| *slot));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Most buckets hold one value: the first allocates no room for others.
fn push<V>(bucket: &mut Vec<V>, value: V) {
    if bucket.is_empty() {
        bucket.reserve_exact(1);
    }
    bucket.push(value);
}

/// Removes values from a bucket. True if that removed the bucket.
fn prune<V>(buckets: &mut HashMap<Box<str>, Vec<V>>, key: &str, keep: impl FnMut(&V) -> bool) -> bool {
    let Some(bucket) = buckets.get_mut(key) else { return false };
    bucket.retain(keep);
    bucket.is_empty() && buckets.remove(key).is_some()
}
