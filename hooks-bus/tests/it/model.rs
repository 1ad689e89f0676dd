//! The memory bus against a plain model: any steps, and after each the books balance.

use std::collections::VecDeque;

use hooks_bus::MemoryBus;
use hooks_core::{Bus, Delivery, Filter, Overflow};
use proptest::prelude::*;

use crate::{End, numbers, queue, slice};

#[derive(Debug, Clone)]
enum Step {
    Publish(usize),
    Read(usize),
    /// Settle some of what is in hand, in any order.
    Settle(Vec<prop::sample::Index>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1usize..8).prop_map(Step::Publish),
        (1usize..6).prop_map(Step::Read),
        prop::collection::vec(any::<prop::sample::Index>(), 1..4).prop_map(Step::Settle),
    ]
}

proptest! {
    #[test]
    fn the_queue_is_its_model(steps in prop::collection::vec(step(), 1..60), limit in 1usize..12) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bus = MemoryBus::default();
            let mut end = End::new(&bus, "a", Filter::types(["test.0", "test.1"]), queue(limit, 1 << 20, Overflow::DropOldest)).await;
            let (mut queued, mut in_hand): (VecDeque<usize>, Vec<Delivery>) = Default::default();
            let (mut published, mut dropped, mut delivered) = (0, 0, 0);
            for step in steps {
                match step {
                    Step::Publish(count) => {
                        let range = published..published + count;
                        bus.publish(&slice(range.clone(), 1)).await.unwrap();
                        published += count;
                        queued.extend(range.filter(|number| number % 3 != 2));
                        while queued.len() + in_hand.len() > limit && queued.pop_front().is_some() {
                            dropped += 1;
                        }
                    }
                    Step::Read(max) => {
                        let read = end.read(max).await;
                        let expected: Vec<usize> = queued.drain(..max.min(queued.len())).collect();
                        assert_eq!(numbers(&read), expected);
                        in_hand.extend(read);
                    }
                    Step::Settle(picks) => {
                        for pick in picks {
                            if !in_hand.is_empty() {
                                let one = in_hand.remove(pick.index(in_hand.len()));
                                end.settle(&[one]);
                                delivered += 1;
                            }
                        }
                    }
                }
                let counts = end.ledger.counts();
                assert!(counts.balances(), "{counts}");
                assert_eq!((counts.dropped(), counts.delivered), (dropped, delivered));
                assert_eq!(counts.in_hand, (queued.len() + in_hand.len()) as u64);
            }
        });
    }
}
