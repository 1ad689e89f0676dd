use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::batch::BatchId;
use crate::bus::Position;
use crate::delivery::{Odd, Unread};
use crate::endpoint_state::EndpointState;
use crate::envelope::{Envelope, Slice};
use crate::id::HookId;

/// First position of events that are sent again.
const AGAIN: u64 = 1_000;

fn batch(positions: impl IntoIterator<Item = u64>) -> Batch {
    let slice: Slice = Envelope::from_json(br#"{"type":"a","id":"1","source":"s"}"#).unwrap().into();
    let delivery = |position| Delivery::new(Position::new(position), &slice, 0);
    let deliveries: Vec<Delivery> = positions.into_iter().map(delivery).collect();
    Batch::new(BatchId::new(Uuid::nil(), &HookId::new("a").unwrap(), &deliveries), deliveries, Arc::default())
}

fn positions(batch: &Batch) -> Vec<u64> {
    batch.positions().into_iter().map(|position| position.get()).collect()
}

fn rejected() -> Result<Delivered, DeliveryError> {
    Err(DeliveryError::rejected("no"))
}

fn failed(class: FailureClass) -> Result<Delivered, DeliveryError> {
    Err(DeliveryError::new(class, "failed"))
}

fn odd() -> Result<Delivered, DeliveryError> {
    Ok(Delivered { odd: Some(Odd { what: "odd".into(), unread: Unread::Refusals }), ..Delivered::all() })
}

/// A queue with its endpoint, at one moment.
struct World {
    queue: RetryQueue,
    endpoint: EndpointHealth,
    now: Instant,
}

impl World {
    /// With batches that begin here and have so many events.
    fn new(live: &[(u64, u64)], again: &[(u64, u64)]) -> Self {
        let mut queue = RetryQueue::new(RetryLimits::default());
        live.iter().for_each(|(first, events)| queue.push(batch(*first..first + events), Source::Live));
        again.iter().for_each(|(first, events)| queue.push(batch(*first..first + events), Source::Resent));
        Self { queue, endpoint: EndpointHealth::new(Arc::default(), true), now: Instant::now() }
    }

    fn next(&mut self) -> Next {
        self.queue.next(self.now, None, &mut self.endpoint, 1.0)
    }

    /// The positions that are tried now, which get this answer, and what is settled by it.
    fn attempt(&mut self, answer: Result<Delivered, DeliveryError>) -> (Vec<u64>, Vec<Settlement>) {
        assert_eq!(self.next(), Next::Attempt);
        let tried = positions(self.queue.begin(self.now).unwrap());
        (tried, self.queue.resolve(self.now, self.now, answer, &mut self.endpoint, 1.0))
    }
}

#[test]
fn a_batch_is_given_up_after_its_attempts_but_for_those_that_met_an_endpoint_fault() {
    let mut world = World::new(&[(0, 2)], &[]);
    world.queue = RetryQueue::new(RetryLimits { max_attempts: NonZeroU32::new(2), max_elapsed: None });
    world.queue.push(batch([0, 1]), Source::Live);
    for class in [FailureClass::Endpoint, FailureClass::Retry, FailureClass::Endpoint, FailureClass::Endpoint] {
        let (_, settled) = world.attempt(failed(class));
        assert!(settled.is_empty(), "{class:?}");
        world.now += Duration::from_secs(3_600);
    }
    let (tried, settled) = world.attempt(failed(FailureClass::Throttle));
    assert_eq!(tried, [0, 1]);
    let [Settlement { ending: Ending::GivenUp(given_up), .. }] = &settled[..] else { panic!("{settled:?}") };
    assert_eq!((given_up.why, given_up.attempts), (DeadLetterReason::Expired, 5));
    assert!(world.queue.is_empty());
}

#[test]
fn live_pieces_and_those_sent_again_take_turns() {
    let mut world = World::new(&[(0, 2), (2, 2)], &[(AGAIN, 2)]);
    let tried: Vec<Vec<u64>> =
        [rejected(), Ok(Delivered::all()), rejected(), Ok(Delivered::all()), Ok(Delivered::all())]
            .map(|answer| world.attempt(answer).0)
            .into();
    assert_eq!(tried, [vec![AGAIN, AGAIN + 1], vec![0, 1], vec![AGAIN], vec![2, 3], vec![AGAIN + 1]]);
}

#[test]
fn before_more_is_sent_again_live_events_are_looked_for_once() {
    let mut world = World::new(&[], &[(AGAIN, 1), (AGAIN + 1, 1)]);
    assert_eq!(world.attempt(Ok(Delivered::all())).0, [AGAIN]);
    assert_eq!(world.next(), Next::Take(Some(world.now)));
    assert_eq!(world.attempt(Ok(Delivered::all())).0, [AGAIN + 1]);
    assert_eq!(world.next(), Next::Take(None));
}

#[test]
fn what_is_refused_when_it_is_sent_again_is_no_suspect() {
    let mut world = World::new(&[], &[(AGAIN, 1)]);
    let (_, settled) = world.attempt(rejected());
    assert!(matches!(&settled[..], [Settlement { source: Source::Resent, ending: Ending::GivenUp(_), .. }]));
    assert_eq!((world.endpoint.suspects, world.endpoint.state()), (0, EndpointState::Healthy));
    assert!(world.queue.is_empty());
}

/// Otherwise each of them costs two attempts.
#[test]
fn where_one_was_refused_the_next_are_sent_again_alone() {
    let mut world = World::new(&[], &[(AGAIN, 4)]);
    let tried: Vec<usize> = (0..6)
        .map(|_| {
            let tried = world.attempt(rejected()).0.len();
            world.next();
            tried
        })
        .collect();
    assert_eq!(tried, [4, 2, 1, 1, 1, 1]);
    assert!(world.queue.is_empty());
}

#[test]
fn a_failure_ends_what_is_sent_again_and_nothing_else() {
    let mut world = World::new(&[(0, 1)], &[(AGAIN, 1), (AGAIN + 1, 1)]);
    let (tried, settled) = world.attempt(failed(FailureClass::Retry));
    assert_eq!(tried, [AGAIN]);
    assert!(matches!(&settled[..], [Settlement { ending: Ending::Stopped(why), .. }] if why == "failed"));
    assert!(!world.queue.has_resent());
    assert!(matches!(world.next(), Next::Wait(until) if until > world.now));
}

#[test]
fn what_is_sent_again_waits_where_the_receiver_asked_for_it_and_not_where_we_back_off() {
    let mut world = World::new(&[(0, 1)], &[]);
    world.attempt(failed(FailureClass::Retry));
    world.queue.push(batch([AGAIN]), Source::Resent);
    assert_eq!(world.attempt(Ok(Delivered::all())).0, [AGAIN]);
    world.attempt(failed(FailureClass::Throttle));
    world.queue.push(batch([AGAIN]), Source::Resent);
    assert_eq!(world.next(), Next::Wait(world.endpoint.not_before().unwrap()));
}

#[test]
fn an_answer_that_may_hide_refused_events_is_asked_for_again_after_a_while() {
    let mut world = World::new(&[], &[(AGAIN, 2)]);
    for _ in 0..3 {
        assert!(world.attempt(odd()).1.is_empty());
        let Next::Take(Some(until)) = world.next() else { panic!("it goes on at once") };
        assert!(until > world.now);
        world.now = until;
        assert_eq!(world.next(), Next::Take(Some(until)), "live events first");
    }
    let (_, settled) = world.attempt(odd());
    assert!(matches!(&settled[..], [Settlement { source: Source::Resent, ending: Ending::Delivered, .. }]));
}

#[test]
fn one_that_wants_nothing_any_more_hears_nothing_more() {
    let mut world = World::new(&[(0, 1)], &[(AGAIN, 1)]);
    world.attempt(Ok(Delivered::all()));
    world.queue.push(batch([AGAIN]), Source::Resent);
    let (tried, settled) = world.attempt(failed(FailureClass::Gone));
    assert_eq!((tried, world.endpoint.state()), (vec![0], EndpointState::Disabled));
    assert!(matches!(&settled[..], [Settlement { ending: Ending::Stopped(_), .. }]));
    assert_eq!(world.queue.into_deliveries(&mut world.endpoint).len(), 1, "live events stay");
}

/// A receiver, and everything that happened.
#[derive(Default)]
struct Model {
    poison: BTreeSet<u64>,
    /// Takes no more events at a time.
    most: usize,
    /// True if it names refused events.
    names: bool,
    /// Answers before it says what it thinks.
    script: Vec<u8>,
    accepted: Vec<u64>,
    ended: Vec<(u64, bool)>,
    stopped: bool,
}

impl Model {
    fn answer(&mut self, batch: &[u64]) -> Result<Delivered, DeliveryError> {
        match self.script.pop() {
            Some(0) => return failed(FailureClass::Retry),
            Some(1) => {
                return failed(FailureClass::Throttle).map_err(|error| error.retry_after(Some(Duration::from_secs(9))));
            }
            Some(2) => return failed(FailureClass::Endpoint),
            Some(3) => return failed(FailureClass::Unprocessed),
            Some(4) if batch.iter().all(|at| !self.poison.contains(at)) => return odd(),
            _ => {}
        }
        if batch.len() > self.most {
            return failed(FailureClass::TooLarge);
        }
        let refused: Vec<usize> = (0..batch.len()).filter(|at| self.poison.contains(&batch[*at])).collect();
        if !refused.is_empty() && !self.names {
            return rejected();
        }
        Ok(Delivered { refused: refused.into_iter().map(|at| (at, "named".into())).collect(), ..Delivered::all() })
    }

    fn enter(&mut self, settled: Vec<Settlement>) {
        for Settlement { batch, source, ending } in settled {
            let positions = positions(&batch);
            assert!(positions.iter().all(|at| (*at >= AGAIN) == (source == Source::Resent)));
            match ending {
                Ending::Delivered => {
                    self.accepted.extend(&positions);
                    self.ended.extend(positions.iter().map(|at| (*at, true)));
                }
                Ending::GivenUp(_) => self.ended.extend(positions.iter().map(|at| (*at, false))),
                Ending::Stopped(_) => {
                    assert_eq!(source, Source::Resent);
                    self.stopped = true;
                }
            }
        }
    }
}

/// The source of these attempts, and true if the other source's turn was skipped.
fn check_turn(world: &mut World, before: Source, live_left: bool) {
    let World { queue, endpoint, now, .. } = world;
    let backs_off = endpoint.not_before().is_some_and(|until| until > *now);
    match (before, queue.head) {
        (Source::Resent, Source::Resent) => {
            let live = !queue.live.is_empty() || live_left && queue.suspects.is_empty();
            assert!(!live || backs_off || !queue.suspects.is_empty(), "a live batch was passed over");
        }
        (Source::Live, Source::Live) => {
            let waits = queue.resent.front().is_none_or(|piece| match piece.doubts {
                0 => endpoint.asked_to_wait(*now).is_some(),
                _ => backs_off,
            });
            assert!(waits, "what is sent again was passed over");
        }
        _ => {}
    }
    assert!(queue.head == Source::Resent || !backs_off, "the receiver is left alone");
    let head = queue.head().unwrap();
    assert!(head.len() == 1 || head.max_bytes() <= endpoint.max_bytes(), "it was known to be too large");
}

fn run(live: u64, again: u64, size: u64, model: &mut Model) {
    let cut = |first: u64, count: u64| {
        (first..first + count).step_by(size as usize).map(move |at| (at, size.min(first + count - at)))
    };
    let mut coming: VecDeque<_> = cut(0, live).collect();
    let mut world = World::new(&[], &cut(AGAIN, again).collect::<Vec<_>>());
    for _ in 0..20_000 {
        let settled = world.queue.review(world.now, &mut world.endpoint);
        model.enter(settled);
        if world.queue.wants_batch()
            && let Some((first, events)) = coming.pop_front()
        {
            world.queue.push(batch(first..first + events), Source::Live);
        }
        let before = world.queue.last_source;
        match world.next() {
            Next::Attempt => {
                check_turn(&mut world, before, !coming.is_empty());
                let tried = positions(world.queue.begin(world.now).unwrap());
                let answer = model.answer(&tried);
                let settled = world.queue.resolve(world.now, world.now, answer, &mut world.endpoint, 0.5);
                model.enter(settled);
            }
            Next::Wait(until) => world.now = until,
            Next::Take(_) if !coming.is_empty() => {}
            Next::Take(Some(until)) => world.now = until,
            Next::Take(None) => {
                assert!(world.queue.is_empty());
                return;
            }
        }
    }
    panic!("it does not end");
}

proptest! {
    /// Whatever a receiver answers: each live event ends once, in order but for those refused, what is sent again
    /// ends once or is said to be stopped, and neither starves the other.
    #[test]
    fn every_event_ends_and_nobody_starves(
        (live, again, size) in (0u64..30, 0u64..30, 1u64..9),
        poison in prop::collection::btree_set(prop_oneof![0u64..30, AGAIN..AGAIN + 30], 0..20),
        (most, names) in (1usize..9, any::<bool>()),
        script in prop::collection::vec(0u8..20, 0..60),
    ) {
        let mut model = Model { poison, most, names, script, ..Model::default() };
        run(live, again, size, &mut model);
        let mut ended: Vec<u64> = model.ended.iter().map(|(at, _)| *at).collect();
        ended.sort_unstable();
        let all = (0..live).chain(AGAIN..AGAIN + again);
        if model.stopped {
            prop_assert!(ended.windows(2).all(|pair| pair[0] < pair[1]), "nothing ends twice");
            prop_assert!((0..live).all(|at| ended.contains(&at)));
        } else {
            prop_assert_eq!(ended, all.collect::<Vec<_>>());
        }
        for (at, delivered) in &model.ended {
            prop_assert_eq!(*delivered, !model.poison.contains(at));
        }
        let live: Vec<u64> = model.accepted.iter().copied().filter(|at| *at < AGAIN).collect();
        prop_assert!(live.is_sorted(), "{:?}", live);
    }
}
