//! Several ways to the same end, measured in turn, and the tables that come of it.

use std::collections::BTreeMap;

use hooks_core::BoxError;

use crate::process::Cost;

/// One way. It says what one run cost.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnMut() -> Result<Cost, BoxError> + 'a>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> Result<Cost, BoxError> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// The costs of every run of every contestant.
pub(crate) struct Results {
    costs: BTreeMap<&'static str, Vec<Cost>>,
    names: Vec<&'static str>,
    millions: f64,
}

impl Results {
    /// Everybody once without counting, then in turn, for so many rounds.
    pub(crate) fn of(mut contestants: Vec<Contestant<'_>>, rounds: usize, millions: f64) -> Result<Self, BoxError> {
        let mut costs = BTreeMap::<_, Vec<Cost>>::new();
        for round in 0..=rounds {
            for contestant in &mut contestants {
                let name = contestant.name;
                let cost = (contestant.run)().map_err(|error| format!("{name}: {error}"))?;
                if round > 0 {
                    eprintln!("  round {round}, {name}: {:.3} CPU s, {:.3} s", cost.cpu, cost.wall);
                    costs.entry(name).or_default().push(cost);
                }
            }
        }
        let names = contestants.iter().map(|contestant| contestant.name).collect();
        Ok(Self { costs, names, millions })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.costs.contains_key(name)
    }

    /// The median over all rounds of one's CPU time by what others took together in the same round.
    pub(crate) fn ratio(&self, one: &str, others: &[&str]) -> f64 {
        let costs = |name: &str| self.costs.get(name).map(Vec::as_slice).unwrap_or_default();
        let of_round = |(round, cost): (usize, &Cost)| {
            let others: f64 = others.iter().map(|name| costs(name).get(round).map_or(f64::NAN, |cost| cost.cpu)).sum();
            cost.cpu / others
        };
        median(costs(one).iter().enumerate().map(of_round).collect())
    }

    /// The median over all rounds of the ratio of two's figures in the same round.
    pub(crate) fn ratio_of(&self, one: &str, other: &str, figure: fn(&Cost) -> f64) -> f64 {
        let costs = |name: &str| self.costs.get(name).map(Vec::as_slice).unwrap_or_default();
        median(costs(one).iter().zip(costs(other)).map(|(one, other)| figure(one) / figure(other)).collect())
    }

    /// The median of one's CPU time per million, in seconds.
    pub(crate) fn median_cpu(&self, name: &str) -> f64 {
        let costs = self.costs.get(name).map(Vec::as_slice).unwrap_or_default();
        median(costs.iter().map(|cost| cost.cpu / self.millions).collect())
    }

    /// A table of all, per million events.
    pub(crate) fn table(&self) -> String {
        let mut text = "| | CPU s per million (min – max) | events/s | peak MiB |\n|---|---|---|---|\n".to_owned();
        for name in &self.names {
            let figures = |figure: fn(&Cost) -> f64| self.costs[name].iter().map(figure).collect::<Vec<_>>();
            let mut cpu: Vec<f64> = figures(|cost| cost.cpu).iter().map(|cpu| cpu / self.millions).collect();
            cpu.sort_by(f64::total_cmp);
            let (wall, peak) = (median(figures(|cost| cost.wall)), median(figures(|cost| cost.peak)));
            let peak = if peak > 0.0 { format!("{peak:.0}") } else { String::new() };
            text.push_str(&format!(
                "| {name} | {:.2} ({:.2} – {:.2}) | {:.0} k | {peak} |\n",
                median(cpu.clone()),
                cpu[0],
                cpu[cpu.len() - 1],
                self.millions * 1e3 / wall,
            ));
        }
        text
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A figure beside what it should be.
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) unit: &'static str,
    pub(crate) goal: Goal,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Verdict {
    pub(crate) fn at_most(what: impl Into<String>, figure: f64, unit: &'static str, goal: f64) -> Self {
        Self { what: what.into(), figure, unit, goal: Goal::AtMost(goal) }
    }

    pub(crate) fn at_least(what: impl Into<String>, figure: f64, unit: &'static str, goal: f64) -> Self {
        Self { what: what.into(), figure, unit, goal: Goal::AtLeast(goal) }
    }

    fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtMost(goal) => self.figure <= goal,
            Goal::AtLeast(goal) => self.figure >= goal,
        }
    }
}

pub(crate) fn verdicts(list: &[Verdict]) -> String {
    let mut text = "| what | measured | goal | met |\n|---|---|---|---|\n".to_owned();
    for verdict in list {
        let unit = verdict.unit;
        let goal = match verdict.goal {
            Goal::AtMost(goal) => format!("at most {goal}{unit}"),
            Goal::AtLeast(goal) => format!("at least {goal}{unit}"),
        };
        let met = if verdict.is_met() { "yes" } else { "**no**" };
        text.push_str(&format!("| {} | {:.2}{unit} | {goal} | {met} |\n", verdict.what, verdict.figure));
    }
    text
}
