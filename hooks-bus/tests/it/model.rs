//! The memory bus against a plain model: the ledger balances after every step.

use std::collections::VecDeque;

use hooks_bus::MemoryBus;
use hooks_core::{Bus, DropReason, Filter, Overflow, bus::Delivery};
use hooks_test::{End, numbers, queue, subscription};
use proptest::prelude::*;

use crate::slice;

#[derive(Debug, Clone)]
enum Step {
    /// Events of so many blocks of memory, published together.
    Publish(usize, usize),
    Read(usize),
    /// Settle some events in flight, in any order.
    Settle(Vec<prop::sample::Index>),
    /// A new reader takes over, and reads the events in flight again, except those the old one settled.
    TakeOver,
    /// Change the hook's types.
    Filter(usize),
}

const FILTERS: [&[usize]; 3] = [&[0, 1], &[0], &[0, 1, 2]];

fn filter(which: usize) -> Filter {
    Filter::types(FILTERS[which].iter().map(|rest| format!("test.{rest}")))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1usize..8, 1usize..4).prop_map(|(events, parts)| Step::Publish(events, parts)),
        (1usize..6).prop_map(Step::Read),
        prop::collection::vec(any::<prop::sample::Index>(), 1..4).prop_map(Step::Settle),
        Just(Step::TakeOver),
        (0..FILTERS.len()).prop_map(Step::Filter),
    ]
}

proptest! {
    #[test]
    fn the_queue_is_its_model(steps in prop::collection::vec(step(), 1..60), limit in 1usize..12) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bus = MemoryBus::default();
            let mut end = End::queued(&bus, "a", filter(0), queue(limit, Overflow::DropOldest)).await;
            let (mut queued, mut in_flight): (VecDeque<usize>, Vec<Delivery>) = Default::default();
            let (mut published, mut dropped, mut delivered, mut filtered) = (0, 0, 0, 0);
            let mut wanted = FILTERS[0];
            for step in steps {
                match step {
                    Step::Publish(count, parts) => {
                        let range = published..published + count * parts;
                        let mut rest = slice(range.clone(), 1);
                        while !rest.is_empty() {
                            bus.publish(rest.split_to(count)).await.unwrap();
                        }
                        published = range.end;
                        queued.extend(range.filter(|number| wanted.contains(&(number % 3))));
                        while queued.len() + in_flight.len() > limit && queued.pop_front().is_some() {
                            dropped += 1;
                        }
                    }
                    Step::Read(max) => {
                        let read = end.read(max).await;
                        let expected: Vec<usize> = queued.drain(..max.min(queued.len())).collect();
                        assert_eq!(numbers(&read), expected);
                        in_flight.extend(read);
                    }
                    Step::Settle(picks) => {
                        for pick in picks {
                            if !in_flight.is_empty() {
                                let one = in_flight.remove(pick.index(in_flight.len()));
                                end.settle(&[one]);
                                delivered += 1;
                            }
                        }
                    }
                    Step::TakeOver => {
                        let ledger = end.ledger.clone();
                        let which = FILTERS.iter().position(|known| *known == wanted).unwrap();
                        let subscription = subscription("a", filter(which), queue(limit, Overflow::DropOldest), &ledger);
                        // The worker decides on events in flight, not the bus.
                        let before = queued.len();
                        queued.retain(|number| wanted.contains(&(number % 3)));
                        filtered += (before - queued.len()) as u64;
                        in_flight.drain(..).map(|delivery| numbers(&[delivery])[0]).rev().for_each(|number| queued.push_front(number));
                        (end.reader, end.settler) = bus.subscribe(subscription).await.unwrap();
                    }
                    Step::Filter(which) => {
                        wanted = FILTERS[which];
                        end.reader.reconfigure(subscription("a", filter(which), queue(limit, Overflow::DropOldest), &end.ledger));
                        let before = queued.len();
                        queued.retain(|number| wanted.contains(&(number % 3)));
                        filtered += (before - queued.len()) as u64;
                    }
                }
                let counts = end.ledger.counts();
                assert!(counts.balances(), "{counts}");
                assert_eq!(counts.dropped_for(DropReason::Filtered), filtered);
                assert_eq!((counts.dropped_for(DropReason::Overflow), counts.delivered), (dropped, delivered));
                assert_eq!(counts.in_flight, (queued.len() + in_flight.len()) as u64);
            }
        });
    }
}
