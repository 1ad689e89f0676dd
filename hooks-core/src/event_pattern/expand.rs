//! The branches of a pattern with `$or`: the groups of fields of which one has to match.

use std::collections::BTreeSet;

use super::EventPatternFault;
use super::branch::Field;
use super::read::{Clause, Clauses, OR};

/// Most branches of a pattern, as EventBridge has it.
const MAX_BRANCHES: usize = 1_000;

/// Most fields of all branches together: what `$or` leaves out of account stands in each of them.
const MAX_FIELDS: usize = 10_000;

/// Each branch, as the indexes of its fields.
pub(super) fn branches(
    clauses: &Clauses,
    fields: &[Field],
    pointers: &[String],
    faults: &mut Vec<EventPatternFault>,
) -> Vec<Box<[u32]>> {
    let Size { branches, fields: all } = Size::of(clauses);
    let message = if branches > MAX_BRANCHES {
        format!("`{OR}` makes {branches} combinations of fields, more than {MAX_BRANCHES}: write several hooks")
    } else {
        format!(
            "names {all} fields, each counted in every combination that `{OR}` makes, more than {MAX_FIELDS}: write several hooks"
        )
    };
    if branches > MAX_BRANCHES || all > MAX_FIELDS {
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

/// How much [`expand`] makes.
#[derive(Clone, Copy)]
struct Size {
    branches: usize,
    /// Of all branches together.
    fields: usize,
}

impl Size {
    fn of(clauses: &Clauses) -> Self {
        clauses.iter().map(Self::of_clause).fold(Self { branches: 1, fields: 0 }, |all, more| Self {
            branches: all.branches.saturating_mul(more.branches),
            fields: (all.fields.saturating_mul(more.branches)).saturating_add(more.fields.saturating_mul(all.branches)),
        })
    }

    fn of_clause(clause: &Clause) -> Self {
        match clause {
            Clause::Field(_) => Self { branches: 1, fields: 1 },
            Clause::Or(groups) => groups.iter().map(Self::of).fold(Self { branches: 0, fields: 0 }, |all, more| Self {
                branches: all.branches.saturating_add(more.branches),
                fields: all.fields.saturating_add(more.fields),
            }),
        }
    }
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
