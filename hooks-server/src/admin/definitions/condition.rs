//! On what condition a hook is changed: `If-Match` and `If-None-Match` (RFC 9110, section 13).

use hooks_core::bus::Revision;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::Problem;
use crate::admin::routes::bad_request;

/// The condition of a change. The default always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Condition {
    matches: Option<Tags>,
    matches_none: Option<Tags>,
}

/// The revisions that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    /// Tags that are no revision of ours fit nothing.
    OneOf(Vec<u64>),
}

impl Condition {
    /// # Errors
    /// When a header is no list of entity tags.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        // A weak tag is never the same as one that is to be changed; it may be one that must not be there.
        Ok(Self { matches: tags(headers, IF_MATCH, false)?, matches_none: tags(headers, IF_NONE_MATCH, true)? })
    }

    /// # Errors
    /// When a hook with this revision, or one that is not there, is not to be changed.
    pub(super) fn check(&self, current: Option<Revision>) -> Result<(), Problem> {
        let fits = self.matches.as_ref().is_none_or(|tags| tags.have(current))
            && !self.matches_none.as_ref().is_some_and(|tags| tags.have(current));
        let is = current.map_or("there is no such hook".to_owned(), |current| format!("its revision is {current}"));
        let why = || format!("the hook is not as expected: {is}; nothing was changed");
        if fits { Ok(()) } else { Err(Problem::new(StatusCode::PRECONDITION_FAILED, why())) }
    }
}

impl Tags {
    fn have(&self, current: Option<Revision>) -> bool {
        match self {
            Self::Any => current.is_some(),
            Self::OneOf(tags) => current.is_some_and(|current| tags.contains(&current.get())),
        }
    }
}

fn tags(headers: &HeaderMap, name: HeaderName, with_weak: bool) -> Result<Option<Tags>, Problem> {
    let lines: Result<Vec<_>, _> = headers.get_all(&name).iter().map(HeaderValue::to_str).collect();
    let wrong = || bad_request(format!("{name}: expected `*`, or revisions as `ETag` has them: \"7\", \"8\""));
    match lines.map_err(|_| wrong())?.join(",") {
        none if none.is_empty() && !headers.contains_key(&name) => Ok(None),
        any if any.trim() == "*" => Ok(Some(Tags::Any)),
        list => list_of(&list, with_weak)
            .filter(|_| list.contains('"'))
            .map(|tags| Some(Tags::OneOf(tags)))
            .ok_or_else(wrong),
    }
}

/// The revisions in a list of entity tags. In such a tag a backslash is a character like any other.
fn list_of(list: &str, with_weak: bool) -> Option<Vec<u64>> {
    let mut revisions = Vec::new();
    let mut rest = list.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let strong = rest.strip_prefix("W/");
        let (tag, after) = strong.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        // As `ETag` has it: the tag "07" is another one than "7".
        let revision = tag.parse::<u64>().ok().filter(|revision| revision.to_string() == tag);
        revisions.extend(revision.filter(|_| with_weak || strong.is_none()));
        let after = after.trim_start_matches([' ', '\t']);
        rest = after.trim_start_matches([' ', '\t', ',']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
    }
    Some(revisions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(headers: &[(HeaderName, &str)]) -> Result<Condition, u16> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Condition::of(&headers.collect::<HeaderMap>()).map_err(|problem| problem.status)
    }

    /// Whether a change may go on where there is no hook, revision 7, and revision 8.
    fn holds(headers: &[(HeaderName, &str)]) -> [bool; 3] {
        let condition = condition(headers).unwrap();
        [None, Some(7), Some(8)].map(|current| condition.check(current.map(Revision::new)).is_ok())
    }

    #[test]
    fn a_condition_is_a_list_of_revisions_or_any() {
        assert_eq!(holds(&[]), [true; 3]);
        for (value, matching) in [
            ("*", [false, true, true]),
            ("\"7\"", [false, true, false]),
            ("\"6\", \"7\",\"8\"", [false, true, true]),
            ("\"a,b\", \"07\", \"\"", [false; 3]),
            ("\"\\\", \"8\"", [false, false, true]),
            (", \"7\" ,, \"9\",", [false, true, false]),
        ] {
            assert_eq!(holds(&[(IF_MATCH, value)]), matching, "{value}");
            assert_eq!(holds(&[(IF_NONE_MATCH, value)]), matching.map(|matches| !matches), "{value}");
        }
        assert_eq!(holds(&[(IF_MATCH, "\"7\""), (IF_MATCH, "\"8\"")]), [false, true, true], "two lines are one list");
        assert_eq!(holds(&[(IF_MATCH, "W/\"7\"")]), [false; 3]);
        assert_eq!(holds(&[(IF_NONE_MATCH, "W/\"7\"")]), [true, false, true]);
        assert_eq!(holds(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "\"7\"")]), [false, false, true]);
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for wrong in
            ["", "7", "\"7", "7\"", "*, \"7\"", "\"7\" \"8\"", "w/\"7\"", "'7'", "\"", ",", "\"a b\"", "\"7\"x"]
        {
            assert_eq!(condition(&[(IF_MATCH, wrong)]), Err(400), "{wrong}");
            assert_eq!(condition(&[(IF_NONE_MATCH, wrong)]), Err(400), "{wrong}");
        }
    }
}
