//! The conditions that have to hold together, compared with an event's fields.
//!
//! A condition holds where a value is found that matches, or where the field is missing and may be. What is within an
//! array holds together if all that is found there is in the same element. What may be missing has to be missing in that
//! element; if nothing is found in the array, in all of it.

use std::cell::Cell;
use std::collections::HashMap;

use super::alternative::{Alternative, Test};
use super::paths::{PathId, Paths, ROOT};
use super::projection::{Found, Place, Projection};
use super::scalar::Scalar;

/// The alternatives of one field.
#[derive(Debug, Clone)]
pub struct Field {
    /// The field, among the pattern's own.
    pub(super) path: PathId,
    pub(super) alternatives: Box<[Alternative]>,
}

impl Field {
    /// The alternatives.
    pub fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }

    /// The field's number among those of the pattern, which [`Paths::add`] numbers.
    pub fn path(&self) -> usize {
        self.path as usize
    }

    /// Returns true if the field may be missing.
    fn may_be_missing(&self) -> bool {
        self.alternatives.contains(&Alternative::IsMissing)
    }

    /// Number of its comparisons.
    pub(super) fn tests(&self) -> usize {
        self.alternatives.iter().map(|alternative| alternative.tests().len().max(1)).sum()
    }

    /// The length of its longest text, in bytes.
    pub(super) fn longest(&self) -> Option<usize> {
        self.alternatives.iter().flat_map(Alternative::tests).map(Test::length).max()
    }

    fn matches(&self, value: &Scalar<'_>) -> bool {
        self.alternatives.iter().any(|alternative| alternative.matches(value))
    }
}

/// Conditions on a part of `data`, and on parts below it.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    path: PathId,
    /// The index of the field whose value is compared.
    field: Option<u32>,
    below: Vec<Branch>,
}

impl Branch {
    /// The conditions of these fields, given by index.
    pub(super) fn new(paths: &Paths, fields: &[Field], chosen: &[u32]) -> Self {
        let (mut root, mut places) = (Self::at(ROOT), HashMap::new());
        for index in chosen {
            let path = fields[*index as usize].path;
            root.below(paths, path, &mut places).field = Some(*index);
        }
        root
    }

    fn at(path: PathId) -> Self {
        Self { path, field: None, below: Vec::new() }
    }

    /// The conditions on a part that lies below this one. `places` has the index of each among its siblings.
    fn below(&mut self, paths: &Paths, path: PathId, places: &mut HashMap<PathId, usize>) -> &mut Self {
        if path == self.path {
            return self;
        }
        let parent = self.below(paths, paths.parent(path), places);
        let at = *places.entry(path).or_insert(parent.below.len());
        if at == parent.below.len() {
            parent.below.push(Self::at(path));
        }
        &mut parent.below[at]
    }
}

/// How conditions may hold.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    /// With a value that is found.
    found: bool,
    /// With everything missing.
    missing: bool,
}

impl Outcome {
    /// There are no conditions.
    const NONE: Self = Self { found: false, missing: true };

    fn and(self, other: Self) -> Self {
        let both = (self.found || self.missing) && (other.found || other.missing);
        Self { found: both && (self.found || other.found), missing: self.missing && other.missing }
    }
}

/// What is known of a field's own value from outside of the element that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Nothing,
    /// A value beside the element matches.
    Found,
    /// There are values beside it, none of which matches: the field is not missing.
    There,
}

/// Most fields, and elements of arrays, of an event that one comparison looks at, each as often as it is looked at. A pattern
/// with many branches and an event with many elements would otherwise keep everybody's events waiting.
const MAX_LOOKS: u32 = 50_000;

/// Compares the conditions of one pattern with one event.
pub(super) struct Comparison<'a> {
    fields: &'a [Field],
    /// The numbers that the pattern's paths have in the projection. `None`: their own.
    ids: Option<&'a [PathId]>,
    event: &'a Projection<'a>,
    /// How many more looks it may take.
    looks: Cell<u32>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(fields: &'a [Field], ids: Option<&'a [PathId]>, event: &'a Projection<'a>) -> Self {
        Self { fields, ids, event, looks: Cell::new(MAX_LOOKS) }
    }

    /// Returns true if the conditions hold, or if that takes too many looks to tell.
    pub(super) fn holds(&self, branch: &Branch) -> bool {
        let Outcome { found, missing } = self.field(branch, self.event.root(), Own::Nothing);
        found || missing || self.looks.get() == 0
    }

    /// What a container holds, as long as there are looks left.
    fn inside(&self, place: Place) -> impl Iterator<Item = Place> {
        self.event.inside(place).take_while(|_| self.look())
    }

    /// Takes a look. Returns false if there are no more.
    fn look(&self) -> bool {
        self.looks.set(self.looks.get().saturating_sub(1));
        self.looks.get() > 0
    }

    fn field(&self, branch: &Branch, place: Option<Place>, own: Own) -> Outcome {
        let Some(place) = place else { return self.nothing(branch, own) };
        match self.event.at(place) {
            Found::Scalar(value) => self.value(branch, &value, own),
            Found::Object => self.object(branch, place, own),
            Found::Array => self.array(branch, place, own),
        }
    }

    fn compared(&self, branch: &Branch) -> Option<&Field> {
        branch.field.and_then(|index| self.fields.get(index as usize))
    }

    /// The field's own value, where there is none.
    fn no_value(&self, branch: &Branch, own: Own) -> Outcome {
        let missing = match own {
            Own::Found => true,
            Own::There => branch.field.is_none(),
            Own::Nothing => self.compared(branch).is_none_or(Field::may_be_missing),
        };
        Outcome { found: false, missing }
    }

    fn nothing(&self, branch: &Branch, own: Own) -> Outcome {
        self.no_value(branch, own).and(self.nothing_below(branch))
    }

    fn nothing_below(&self, branch: &Branch) -> Outcome {
        branch.below.iter().fold(Outcome::NONE, |all, below| all.and(self.nothing(below, Own::Nothing)))
    }

    fn value(&self, branch: &Branch, value: &Scalar<'_>, own: Own) -> Outcome {
        let outcome = match self.compared(branch) {
            Some(field) if own != Own::Found => Outcome { found: field.matches(value), missing: false },
            _ => Outcome::NONE,
        };
        outcome.and(self.nothing_below(branch))
    }

    /// An object is no value.
    fn object(&self, branch: &Branch, place: Place, own: Own) -> Outcome {
        let mut all = self.no_value(branch, own);
        for below in &branch.below {
            if !(all.found || all.missing) || !self.look() {
                break;
            }
            let id = self.ids.map_or(Some(&below.path), |ids| ids.get(below.path as usize));
            let place = id.and_then(|id| self.event.field(place, *id));
            all = all.and(self.field(below, place, Own::Nothing));
        }
        all
    }

    /// An array is what it holds. Values that stand in it directly are in no element.
    fn array(&self, branch: &Branch, place: Place, own: Own) -> Outcome {
        let here = if own == Own::Found { Own::Nothing } else { self.values_in(branch, place) };
        match here {
            Own::Nothing => self.elements(branch, place, own),
            Own::There => self.elements(branch, place, here),
            Own::Found => {
                let beside = self.elements(branch, place, here);
                // A value in an element leaves other elements out of account.
                let found = beside.found || beside.missing || self.elements(branch, place, Own::There).found;
                Outcome { found, missing: false }
            }
        }
    }

    fn elements(&self, branch: &Branch, array: Place, own: Own) -> Outcome {
        let mut all = self.nothing(branch, own);
        for element in self.inside(array) {
            if !matches!(self.event.at(element), Found::Scalar(_)) {
                let Outcome { found, missing } = self.field(branch, Some(element), own);
                all = Outcome { found: all.found || found, missing: all.missing && missing };
            }
        }
        all
    }

    fn values_in(&self, branch: &Branch, array: Place) -> Own {
        let Some(field) = self.compared(branch) else { return Own::Nothing };
        let mut own = Own::Nothing;
        for element in self.inside(array) {
            if let Found::Scalar(value) = self.event.at(element) {
                if field.matches(&value) {
                    return Own::Found;
                }
                own = Own::There;
            }
        }
        own
    }
}
