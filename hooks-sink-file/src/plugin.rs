//! The settings of a file sink as those of a sink: what is wrong with them, and the sink that is built from them.

use hooks_core::{
    BatchLimits, BoxError, ConfigProblem,
    sink::{SinkConfig, SinkContext},
};

use crate::config::FileConfig;
use crate::path;
use crate::sink::FileSink;

impl SinkConfig for FileConfig {
    const KIND: &'static str = "file";

    type Sink = FileSink;

    fn build(&self, context: &SinkContext) -> Result<FileSink, BoxError> {
        // Settings made by code come here without having been validated.
        match self.validate().into_iter().next() {
            Some(problem) => Err(problem.into()),
            None => Ok(FileSink::new(self.clone(), context.clone())),
        }
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if let Some(problem) = path::file_problem(self.as_written()) {
            problems.push(ConfigProblem::new("path", problem));
        }
        root_problems(self, &mut problems);
        problems
    }

    fn batch_limits(&self) -> BatchLimits {
        BatchLimits::immediate()
    }

    fn takes_tests(&self) -> bool {
        true
    }
}

/// What is wrong with the folders that the file must lie inside.
fn root_problems(config: &FileConfig, problems: &mut Vec<ConfigProblem>) {
    let Some(roots) = config.roots() else { return };
    if roots.is_empty() {
        problems.push(ConfigProblem::new(
            "allowed_roots",
            "an empty list allows no file: name a folder, or leave the setting out",
        ));
        return;
    }
    let found = problems.len();
    for (at, root) in roots.iter().enumerate() {
        if let Some(problem) = path::folder_problem(root) {
            problems.push(ConfigProblem::new(format!("allowed_roots[{at}]"), problem));
        }
    }
    if problems.len() == found
        && path::file_problem(config.as_written()).is_none()
        && !path::inside(&config.path(), roots)
    {
        problems.push(ConfigProblem::new("path", path::outside(config.as_written(), roots)));
    }
}
