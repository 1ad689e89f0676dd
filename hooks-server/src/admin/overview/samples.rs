//! How it went in the last hour, sample by sample: of all hooks, and of each tenant's. No I/O, no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use hooks_core::{EndpointState, Figures, TenantId, timestamp};

use super::Sample;

/// The time from one sample to the next.
pub(super) const INTERVAL: Duration = Duration::from_secs(15);

/// Samples of an hour.
const MOST: usize = 240;

/// Most tenants of whom samples are kept: of further ones there are none while these have something to deliver.
const MOST_TENANTS: usize = 1_000;

/// The samples of the last hour.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// When each was taken, the oldest first.
    taken: VecDeque<SystemTime>,
    accepted: u64,
    all: Series,
    tenants: HashMap<TenantId, Series>,
}

/// The samples of some hooks, up to the newest one.
#[derive(Debug, Default)]
struct Series {
    /// The counts at the newest sample.
    delivered: u64,
    failed: u64,
    points: VecDeque<Point>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Point {
    accepted: u32,
    delivered: u32,
    failed: u32,
    failing: u32,
    pending: u64,
}

impl Samples {
    /// Adds a sample: so many events were accepted since the process started, and this is what hooks do by now.
    pub(super) fn add(&mut self, at: SystemTime, accepted: u64, by_tenant: &BTreeMap<Option<TenantId>, Figures>) {
        push(&mut self.taken, at);
        let mut sum = Figures::default();
        by_tenant.values().for_each(|figures| sum += *figures);
        let point = Point { accepted: narrow(accepted.saturating_sub(self.accepted)), ..self.all.count(&sum) };
        self.accepted = accepted;
        push(&mut self.all.points, point);
        // One without hooks has nothing to show.
        self.tenants.retain(|tenant, _| by_tenant.contains_key(&Some(tenant.clone())));
        let mut busy = self.tenants.values().filter(|series| !series.points.is_empty()).count();
        for (tenant, figures) in by_tenant.iter().filter_map(|(tenant, figures)| Some((tenant.as_ref()?, figures))) {
            let series = self.tenants.entry(tenant.clone()).or_default();
            let point = series.count(figures);
            let (is_busy, begins) = (!series.points.is_empty(), point != Point::default() && busy < MOST_TENANTS);
            if is_busy || begins {
                busy += usize::from(!is_busy);
                push(&mut series.points, point);
            }
            if series.points.iter().all(|point| *point == Point::default()) {
                series.points = VecDeque::new();
            }
        }
    }

    /// The samples of all hooks or of a tenant's, the oldest first.
    pub(super) fn of(&self, tenant: Option<&TenantId>) -> Vec<Sample> {
        let points = match tenant {
            None => Some(&self.all.points),
            Some(tenant) => self.tenants.get(tenant).map(|series| &series.points),
        };
        let count = points.map_or(0, VecDeque::len);
        // Before its first point a tenant had nothing to deliver.
        let before = std::iter::repeat_n(&const { Point::EMPTY }, self.taken.len() - count);
        let points = before.chain(points.into_iter().flatten());
        self.taken.iter().zip(points).map(|(at, point)| point.sample(*at, tenant.is_none())).collect()
    }
}

impl Series {
    /// What happened since the last time that this was asked.
    fn count(&mut self, figures: &Figures) -> Point {
        let failing = [EndpointState::BackingOff, EndpointState::Throttled, EndpointState::Held];
        let point = Point {
            accepted: 0,
            // The counts of a hook go when it is removed.
            delivered: narrow(figures.delivered.saturating_sub(self.delivered)),
            failed: narrow(figures.failed.saturating_sub(self.failed)),
            failing: narrow(failing.iter().map(|state| figures.in_state(*state)).sum()),
            pending: figures.pending,
        };
        (self.delivered, self.failed) = (figures.delivered, figures.failed);
        point
    }
}

impl Point {
    const EMPTY: Self = Self { accepted: 0, delivered: 0, failed: 0, failing: 0, pending: 0 };

    fn sample(&self, at: SystemTime, is_of_all: bool) -> Sample {
        Sample {
            at: timestamp(at),
            accepted: is_of_all.then_some(self.accepted.into()),
            delivered: self.delivered.into(),
            failed: self.failed.into(),
            failing: self.failing.into(),
            pending: self.pending,
        }
    }
}

/// No process does more than this between two samples.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn push<T>(ring: &mut VecDeque<T>, value: T) {
    if ring.len() == MOST {
        ring.pop_front();
    }
    ring.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(delivered: u64, failed: u64, pending: u64) -> Figures {
        let mut figures = Figures::default();
        (figures.delivered, figures.failed, figures.pending) = (delivered, failed, pending);
        figures
    }

    fn tenant(name: &str) -> Option<TenantId> {
        Some(TenantId::new(name).unwrap())
    }

    fn at(sample: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + INTERVAL * u32::try_from(sample).unwrap()
    }

    #[test]
    fn samples_have_what_happened_between_them() {
        let mut samples = Samples::default();
        let by_tenant = |a, nobody| BTreeMap::from([(tenant("a"), a), (None, nobody)]);
        samples.add(at(1), 10, &by_tenant(Figures::default(), figures(5, 1, 5)));
        samples.add(at(2), 12, &by_tenant(figures(2, 0, 3), figures(9, 1, 0)));
        let counts = |of: Option<&TenantId>| -> Vec<_> {
            let samples = samples.of(of).into_iter();
            samples.map(|one| (one.accepted, one.delivered, one.failed, one.pending)).collect()
        };
        assert_eq!(counts(None), [(Some(10), 5, 1, 5), (Some(2), 6, 0, 3)]);
        assert_eq!(counts(tenant("a").as_ref()), [(None, 0, 0, 0), (None, 2, 0, 3)]);
        assert_eq!(counts(tenant("b").as_ref()), [(None, 0, 0, 0); 2], "another's are not there");
        assert_eq!(samples.of(None)[1].at, "1970-01-01T00:00:30Z");
    }

    #[test]
    fn an_hour_is_kept_and_of_idle_tenants_nothing() {
        let mut samples = Samples::default();
        for number in 1..=300 {
            samples.add(at(number), number, &BTreeMap::from([(tenant("a"), figures(number.min(2), 0, 0))]));
        }
        assert_eq!((samples.of(None).len(), samples.taken.front()), (MOST, Some(&at(61))));
        assert_eq!(samples.tenants.values().map(|series| series.points.capacity()).sum::<usize>(), 0);
        samples.add(at(301), 301, &BTreeMap::new());
        assert!(samples.tenants.is_empty());
    }

    #[test]
    fn so_many_tenants_have_samples() {
        let mut samples = Samples::default();
        let busy = (0..MOST_TENANTS + 10).map(|number| (tenant(&format!("t{number}")), figures(1, 0, 1)));
        samples.add(at(1), 0, &busy.collect());
        let kept = samples.tenants.values().filter(|series| !series.points.is_empty()).count();
        assert_eq!(kept, MOST_TENANTS);
    }
}
