//! The assignment of hooks to instances. No clock, no I/O: instances with the same knowledge compute the same one.

use std::collections::BTreeSet;
use std::sync::Arc;

use hooks_core::stable_hash;

/// The hooks that an instance has, as sorted hashes.
pub(crate) type Hooks = Arc<[u32]>;

/// A hook's name as a number that all instances agree on.
pub(crate) fn hook_hash(hook: &str) -> u32 {
    let hash = stable_hash(hook.bytes());
    (hash ^ (hash >> 32)) as u32
}

/// The hooks that `me` should own.
///
/// Each hook goes to the instance that has it and scores best for it (rendezvous hashing), unless that
/// one has its fair share already: then to the next best. So loads differ by one hook at most where all
/// have the same hooks, and few hooks move when an instance comes or goes.
pub(crate) fn assign(me: &str, living: &[(String, Hooks)]) -> BTreeSet<u32> {
    let all: BTreeSet<u32> = living.iter().flat_map(|(_, hooks)| hooks.iter().copied()).collect();
    let having = living.iter().filter(|(_, hooks)| !hooks.is_empty()).count();
    let fair = all.len().div_ceil(having.max(1));
    let seeds: Vec<u64> = living.iter().map(|(instance, _)| stable_hash(instance.bytes())).collect();
    let mut loads = vec![0_usize; living.len()];
    let mut mine = BTreeSet::new();
    for hook in all {
        let having = (0..living.len()).filter(|at| living[*at].1.binary_search(&hook).is_ok());
        // Those below their fair share first, then by score; where there is none, the one with the fewest.
        let rank = |at: &usize| {
            let over = loads[*at].saturating_sub(fair.saturating_sub(1));
            (over, std::cmp::Reverse(score(seeds[*at], hook)), *at)
        };
        let Some(best) = having.min_by_key(rank) else { continue };
        loads[best] += 1;
        if living[best].0 == me {
            mine.insert(hook);
        }
    }
    mine
}

/// Mixes well (the finalizer of SplitMix64).
fn score(seed: u64, hook: u32) -> u64 {
    let mut x = seed ^ u64::from(hook).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn instances(count: usize, hooks: &[u32]) -> Vec<(String, Hooks)> {
        (0..count).map(|at| (format!("instance-{at}"), hooks.into())).collect()
    }

    proptest! {
        /// Every hook is owned by exactly one of the instances that have it, evenly where all have all.
        #[test]
        fn each_hook_has_one_owner(sets in prop::collection::vec(prop::collection::btree_set(0..40_u32, 0..30), 1..6), same: bool) {
            let sets = if same { vec![sets[0].clone(); sets.len()] } else { sets };
            let living: Vec<(String, Hooks)> =
                sets.iter().enumerate().map(|(at, set)| (format!("i{at}"), set.iter().copied().collect())).collect();
            let assignments: Vec<_> = living.iter().map(|(me, _)| assign(me, &living)).collect();
            let all: BTreeSet<u32> = sets.iter().flatten().copied().collect();
            prop_assert_eq!(assignments.iter().map(BTreeSet::len).sum::<usize>(), all.len());
            prop_assert_eq!(assignments.iter().flatten().copied().collect::<BTreeSet<_>>(), all);
            for (assigned, set) in assignments.iter().zip(&sets) {
                prop_assert!(assigned.is_subset(set));
            }
            if same {
                prop_assert!(assignments.iter().all(|assigned| assigned.len() <= sets[0].len().div_ceil(sets.len())));
            }
        }
    }

    #[test]
    fn few_hooks_move() {
        let hooks: Vec<u32> = (0..999).collect();
        let owners = |living: &[(String, Hooks)]| -> HashMap<u32, String> {
            let assignments = living.iter().map(|(me, _)| (me.clone(), assign(me, living)));
            assignments.flat_map(|(me, hooks)| hooks.into_iter().map(move |hook| (hook, me.clone()))).collect()
        };
        let (three, two) = (owners(&instances(3, &hooks)), owners(&instances(2, &hooks)));
        let moved = hooks.iter().filter(|hook| three[hook] != two[hook]).count();
        assert!((333..450).contains(&moved), "{moved}");
    }
}
