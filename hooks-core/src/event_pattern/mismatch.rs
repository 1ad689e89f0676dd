//! What of a pattern keeps an event away, for people to read.

use super::branch::{Branch, Comparison};
use super::{EventPattern, Projection};

/// What of a pattern keeps an event away, from [`EventPattern::mismatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternMismatch {
    /// The first field that does not match beside those before it: a JSON pointer into `data`. With `$or`, of the branch
    /// that comes furthest.
    pub pointer: String,
    /// Where that field matches by itself: it and others, as few as can be, that no single element of an array matches
    /// together. JSON pointers into `data`, in the pattern's order. Else it is empty.
    pub together: Vec<String>,
    /// The number of branches that `$or` makes, none of which matches; 1 without `$or`.
    pub branches: usize,
}

impl EventPattern {
    /// What keeps an event with this `data`, a JSON text, away. `None`: it matches.
    ///
    /// ```
    /// use hooks_core::EventPattern;
    /// use serde_json::json;
    ///
    /// let pattern = EventPattern::new(&json!({ "items": { "count": [2], "sku": ["K-1"] }, "total": [100] }))?;
    /// let mismatch = pattern.mismatch(Some(r#"{"total":99,"items":[{"sku":"K-1","count":2}]}"#)).unwrap();
    /// assert_eq!((&*mismatch.pointer, mismatch.branches), ("/total", 1));
    ///
    /// let apart = r#"{"total":100,"items":[{"sku":"K-1","count":1},{"sku":"K-2","count":2}]}"#;
    /// assert_eq!(pattern.mismatch(Some(apart)).unwrap().together, ["/items/count", "/items/sku"]);
    /// # Ok::<(), hooks_core::EventPatternError>(())
    /// ```
    pub fn mismatch(&self, data: Option<&str>) -> Option<PatternMismatch> {
        let mut event = Projection::default();
        event.read(&self.paths, data);
        if self.compare(None, &event) {
            return None;
        }
        let comparison = Comparison::new(&self.fields, None, &event);
        let holds = |chosen: &[u32]| comparison.holds(&Branch::new(&self.paths, &self.fields, chosen));
        // What is found may tell where another field has to be missing: more may hold than less.
        let first_wrong = |chosen: &[u32]| {
            (0..=chosen.len()).rev().find(|count| holds(&chosen[..*count])).filter(|count| *count < chosen.len())
        };
        let mut furthest: Option<(usize, &[u32])> = None;
        for (chosen, _) in &self.branches {
            // Where it takes too long to tell, it is said to be the first.
            let at = first_wrong(chosen).unwrap_or(0);
            if furthest.is_none_or(|(known, _)| at > known) {
                furthest = Some((at, chosen));
            }
        }
        furthest.map(|(at, chosen)| PatternMismatch {
            pointer: self.pointer(chosen[at]),
            together: apart(&chosen[..=at], holds).into_iter().map(|field| self.pointer(field)).collect(),
            branches: self.branches.len(),
        })
    }
}

/// Of fields that do not hold together, as few as can be that don't, the last one among them; none if that does not hold by
/// itself.
fn apart(chosen: &[u32], holds: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    // Beside each other, values outside of arrays hold if each does. So it is an array that keeps these apart.
    let mut left = chosen.to_vec();
    if holds(&left) || !left.last().is_some_and(|last| holds(&[*last])) {
        return Vec::new();
    }
    let mut at = 0;
    while at + 1 < left.len() {
        let field = left.remove(at);
        if holds(&left) {
            left.insert(at, field);
            at += 1;
        }
    }
    left
}
