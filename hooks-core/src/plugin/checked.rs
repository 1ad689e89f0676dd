//! Settings of a sink that met every check when they were read, and that nobody can change since.

use std::fmt;
use std::path::PathBuf;

use super::sink::SinkConfig;
use crate::BoxError;
use crate::batcher::{BatchLimits, Batcher};
use crate::config_problem::ConfigProblem;
use crate::policy::RetryPolicy;
use crate::secret::Secret;
use crate::sink::{Sink, SinkContext, SinkFactory};

/// The same as its settings, but for [`validate`](SinkFactory::validate): of 100,000 hooks that are loaded each would
/// be checked twice.
pub(super) struct Checked<C>(pub(super) C);

impl<C: fmt::Debug> fmt::Debug for Checked<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C: SinkConfig> SinkFactory for Checked<C> {
    fn kind(&self) -> &str {
        C::KIND
    }

    fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        SinkFactory::build(&self.0, context)
    }

    fn batch_limits(&self) -> BatchLimits {
        SinkConfig::batch_limits(&self.0)
    }

    fn batcher(&self, limits: BatchLimits, overhead: usize) -> Box<dyn Batcher> {
        SinkConfig::batcher(&self.0, limits, overhead)
    }

    fn takes_tests(&self) -> bool {
        SinkConfig::takes_tests(&self.0)
    }

    fn problems(&self, batch: &BatchLimits, retry: &RetryPolicy) -> Vec<ConfigProblem> {
        SinkConfig::problems(&self.0, batch, retry)
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    fn secrets(&self) -> Vec<Secret> {
        SinkConfig::secrets(&self.0)
    }

    fn warnings(&self) -> Vec<ConfigProblem> {
        SinkConfig::warnings(&self.0)
    }

    fn files(&self) -> Vec<PathBuf> {
        SinkConfig::files(&self.0)
    }

    fn file_problems(&self) -> Vec<ConfigProblem> {
        SinkConfig::file_problems(&self.0)
    }

    fn system_files(&self) -> Vec<PathBuf> {
        SinkConfig::system_files(&self.0)
    }
}
