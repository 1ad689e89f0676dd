//! The branches of a pattern with `$or`: the groups of fields of which one has to match.

use std::collections::BTreeSet;

use super::EventPatternFault;
use super::branch::Field;
use super::read::{Clause, Clauses, OR};

/// Most branches of a pattern, as EventBridge has it.
const MAX_BRANCHES: usize = 1_000;

/// Each branch, as the indexes of its fields.
pub(super) fn branches(
    clauses: &Clauses,
    fields: &[Field],
    pointers: &[String],
    faults: &mut Vec<EventPatternFault>,
) -> Vec<Box<[u32]>> {
    let count = count(clauses);
    if count > MAX_BRANCHES {
        let message =
            format!("`{OR}` makes {count} combinations of fields, more than {MAX_BRANCHES}: write several hooks");
        faults.push(EventPatternFault { pointer: String::new(), message });
        return Vec::new();
    }
    let branches = expand(clauses);
    let mut wrong = BTreeSet::new();
    for branch in &branches {
        let mut seen = BTreeSet::new();
        let again = branch.iter().filter(|index| !seen.insert(fields[**index as usize].path));
        wrong.extend(again.copied());
    }
    faults.extend(wrong.into_iter().map(|index| EventPatternFault {
        pointer: pointers[index as usize].clone(),
        message: format!(
            "this field is named twice for the same events: name it once, or in other alternatives of `{OR}`"
        ),
    }));
    branches.into_iter().map(Into::into).collect()
}

fn count(clauses: &Clauses) -> usize {
    let of_clause = |clause: &Clause| match clause {
        Clause::Field(_) => 1,
        Clause::Or(groups) => groups.iter().map(count).fold(0, usize::saturating_add),
    };
    clauses.iter().map(of_clause).fold(1, usize::saturating_mul)
}

fn expand(clauses: &Clauses) -> Vec<Vec<u32>> {
    let mut branches = vec![Vec::new()];
    for clause in clauses {
        match clause {
            Clause::Field(index) => branches.iter_mut().for_each(|branch| branch.push(*index)),
            Clause::Or(groups) => {
                let groups: Vec<Vec<u32>> = groups.iter().flat_map(expand).collect();
                let with =
                    |branch: &Vec<u32>| groups.iter().map(|group| [&**branch, group].concat()).collect::<Vec<_>>();
                branches = branches.iter().flat_map(with).collect();
            }
        }
    }
    branches
}
