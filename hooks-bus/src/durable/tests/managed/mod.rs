//! Hooks that a dispatcher makes, changes, disables and removes while events are published and delivered, the process
//! restarts and the power is cut, against a plain model: every event reaches exactly the hooks that there were when it
//! was accepted.

mod model;
mod moves;

use proptest::prelude::*;

use model::Model;

const HOOKS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Makes a hook, or has it deliver elsewhere.
    Define(usize),
    Undefine(usize),
    Disable(usize),
    Enable(usize),
    /// Moves a hook back to where it began.
    Back(usize),
    /// Moves a hook to the end.
    Ahead(usize),
    Publish(usize),
    /// Waits until every hook that is enabled has had everything.
    Deliver,
    /// Writes positions.
    Sync,
    Restart,
    /// Cuts the power so many operations of the disk later.
    Cut(usize),
}

use Step::{Ahead, Back, Cut, Define, Deliver, Disable, Enable, Publish, Restart, Sync, Undefine};

/// A script with everything in it, to be cut anywhere.
const SCRIPT: &[Step] = &[
    Define(0),
    Publish(3),
    Define(1),
    Publish(4),
    Deliver,
    Disable(0),
    Publish(2),
    Define(0),
    Back(1),
    Sync,
    Ahead(0),
    Restart,
    Undefine(1),
    Publish(3),
    Enable(0),
    Define(1),
    Publish(2),
    Disable(1),
    Undefine(1),
    Define(1),
    Publish(5),
    Restart,
    Define(2),
    Publish(2),
    Ahead(2),
    Back(2),
    Undefine(0),
    Sync,
    Back(1),
    Publish(1),
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || 0..HOOKS.len();
    let step = prop_oneof![
        4 => at().prop_map(Define),
        2 => at().prop_map(Undefine),
        1 => at().prop_map(Disable),
        2 => at().prop_map(Enable),
        2 => at().prop_map(Back),
        1 => at().prop_map(Ahead),
        6 => (1usize..20).prop_map(Publish),
        2 => Just(Deliver),
        1 => Just(Sync),
        1 => Just(Restart),
        2 => (0usize..60).prop_map(Cut),
    ];
    prop::collection::vec(step, 1..40)
}

#[test]
fn a_power_cut_anywhere_leaves_each_event_to_the_hooks_that_there_were() {
    let mut model = Model::default();
    assert_eq!(model.run(SCRIPT, || true), Ok(()));
    assert_eq!((model.hooks.len(), model.next, model.crashes), (5, 23, 0), "the script is done");
    for cut in (0..200).step_by(3) {
        let steps: Vec<Step> = std::iter::once(Cut(cut)).chain(SCRIPT.iter().copied()).collect();
        let mut bits = cut.wrapping_mul(0x9E37_79B9) as u32 | 1;
        let survives = || {
            bits = bits.rotate_left(7) ^ bits >> 3;
            bits & 1 == 1
        };
        assert_eq!(Model::default().run(&steps, survives), Ok(()), "cut {cut} operations after the start");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn each_event_reaches_exactly_the_hooks_that_there_were(steps in steps(), survives in prop::collection::vec(any::<bool>(), 1..50)) {
        let mut survives = survives.into_iter().cycle();
        prop_assert_eq!(Model::default().run(&steps, || survives.next().unwrap_or_default()), Ok(()));
    }
}
