//! The conformance kit against a real file.

use std::fs;
use std::sync::Arc;

use hooks_core::conformance::{self, Destination};
use hooks_core::{
    async_trait,
    sink::{FailureClass, SinkFactory},
};
use hooks_sink_file::FileConfig;

use crate::support::Folder;

/// A file, and a link that can stand in its place.
struct Lines(Folder);

impl Lines {
    fn paths(&self) -> [std::path::PathBuf; 2] {
        [self.0.join("events.jsonl"), self.0.join("aside")]
    }
}

#[async_trait]
impl Destination for Lines {
    fn factory(&self) -> Arc<dyn SinkFactory> {
        Arc::new(FileConfig::new(self.0.join("events.jsonl")))
    }

    async fn received(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("events.jsonl")).unwrap_or_default();
        text.split_terminator('\n').map(str::to_owned).collect()
    }

    async fn fail(&self, class: FailureClass) -> bool {
        if class != FailureClass::Endpoint {
            return false;
        }
        // A folder in the file's place.
        let [file, aside] = self.paths();
        if file.exists() {
            fs::rename(&file, aside).unwrap();
        }
        fs::create_dir(file).unwrap();
        true
    }

    async fn heal(&self) {
        let [file, aside] = self.paths();
        fs::remove_dir(&file).unwrap();
        if aside.exists() {
            fs::rename(aside, file).unwrap();
        }
    }
}

#[tokio::test]
async fn conforms() {
    let report = conformance::check(async || Lines(Folder::new())).await;
    report.assert_passed();
    // A file takes every line, and its settings hold no secret.
    assert_eq!(report.skipped(), ["refused_events", "secrets"], "{report}");
}
