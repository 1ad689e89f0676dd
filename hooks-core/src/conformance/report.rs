use std::fmt;

/// The verdict of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The subject passed.
    Passed,
    /// There was nothing to check, for this reason.
    Skipped(String),
    /// The subject failed: the step, and its result.
    Failed(String),
}

/// The verdicts of all checks. Printed, it is one line for each check.
#[derive(Debug, Clone)]
#[must_use = "call `assert_passed`, or look at what failed"]
pub struct Report {
    /// The subject under test.
    what: &'static str,
    verdicts: Vec<(&'static str, Verdict)>,
}

impl Report {
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, verdicts: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &'static str, verdict: Verdict) {
        self.verdicts.push((name, verdict));
    }

    /// Each check by name, with its verdict.
    pub fn verdicts(&self) -> impl Iterator<Item = (&'static str, &Verdict)> {
        self.verdicts.iter().map(|(name, verdict)| (*name, verdict))
    }

    /// The verdict of one check.
    pub fn verdict(&self, name: &str) -> Option<&Verdict> {
        self.verdicts().find(|(known, _)| *known == name).map(|(_, verdict)| verdict)
    }

    /// The names of the checks that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.named(|verdict| matches!(verdict, Verdict::Failed(_)))
    }

    /// The names of the checks that had nothing to check.
    pub fn skipped(&self) -> Vec<&'static str> {
        self.named(|verdict| matches!(verdict, Verdict::Skipped(_)))
    }

    /// For tests: returns if no check failed.
    ///
    /// # Panics
    /// When a check failed, with the whole report.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.failed().is_empty(), "the {} does not conform:\n{self}", self.what);
    }

    fn named(&self, wanted: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.verdicts().filter(|(_, verdict)| wanted(verdict)).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, verdict) in self.verdicts() {
            match verdict {
                Verdict::Passed => writeln!(f, "passed   {name}")?,
                Verdict::Skipped(why) => writeln!(f, "skipped  {name}: {why}")?,
                Verdict::Failed(why) => writeln!(f, "FAILED   {name}: {why}")?,
            }
        }
        Ok(())
    }
}
