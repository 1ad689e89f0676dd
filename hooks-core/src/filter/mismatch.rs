//! Why a hook does not receive an event.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event_pattern::PatternMismatch;

/// The first part of a hook's filter that keeps an event away, from [`Filter::mismatch`](super::Filter::mismatch).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Mismatch {
    /// The hook's setting.
    pub setting: FilterSetting,
    /// Of `attributes` and `attributes_except`: the name of the attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Of `data`: the place in the event's data that does not fit, or is missing, as a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Of `data`: the places, as JSON pointers, that no single element of an array matches together, though the event has a
    /// match for the last of them elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<String>,
    /// Of `data`: how many branches `$or` makes, none of which matches. The places are those of the branch that comes furthest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<usize>,
}

/// A setting of a hook that takes part in its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FilterSetting {
    /// The event is no event of the hook's tenant.
    Tenant,
    /// Its type matches none of the patterns; or is the dispatcher's own and not named, or about the hook itself.
    Types,
    /// Its type is excepted.
    TypesExcept,
    /// It has no subject, or one that matches none of the patterns.
    Subjects,
    /// Its subject is excepted.
    SubjectsExcept,
    /// Its source matches none of the patterns.
    Sources,
    /// Its source is excepted.
    SourcesExcept,
    /// It lacks an extension attribute, or has one that matches none of the patterns.
    Attributes,
    /// One of its extension attributes is excepted.
    AttributesExcept,
    /// What is in its `data` does not match.
    Data,
}

impl FilterSetting {
    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Types => "types",
            Self::TypesExcept => "types_except",
            Self::Subjects => "subjects",
            Self::SubjectsExcept => "subjects_except",
            Self::Sources => "sources",
            Self::SourcesExcept => "sources_except",
            Self::Attributes => "attributes",
            Self::AttributesExcept => "attributes_except",
            Self::Data => "data",
        }
    }
}

impl Mismatch {
    pub(super) fn of_attribute(setting: FilterSetting, name: &str) -> Self {
        Self { attribute: Some(name.to_owned()), ..setting.into() }
    }

    pub(super) fn of_data(found: PatternMismatch) -> Self {
        let PatternMismatch { pointer, together, branches } = found;
        let branches = Some(branches).filter(|branches| *branches > 1);
        Self { pointer: Some(pointer), together, branches, ..FilterSetting::Data.into() }
    }

    /// Where in `data`, in words.
    fn place(&self, pointer: &str) -> String {
        let Some((last, others)) = self.together.split_last() else { return format!("at `{pointer}`") };
        let others: Vec<_> = others.iter().map(|pointer| format!("`{pointer}`")).collect();
        format!("no single element of an array matches at {} and `{last}`", others.join(", "))
    }
}

impl From<FilterSetting> for Mismatch {
    fn from(setting: FilterSetting) -> Self {
        Self { setting, attribute: None, pointer: None, together: Vec::new(), branches: None }
    }
}

/// The setting, as one writes it, and the place.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.setting.name();
        if let Some(name) = &self.attribute {
            return write!(f, "`{setting}.{name}`");
        }
        let Some(pointer) = &self.pointer else { return write!(f, "`{setting}`") };
        let place = self.place(pointer);
        match self.branches {
            None => write!(f, "`{setting}` ({place})"),
            Some(branches) => {
                let nearest = if self.together.is_empty() { "the nearest one fails" } else { "in the nearest one" };
                write!(f, "`{setting}` (none of the {branches} branches of `$or` matches; {nearest} {place})")
            }
        }
    }
}
