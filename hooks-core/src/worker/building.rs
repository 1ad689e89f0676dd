//! Building sinks. Those that read files are built on threads that may block: a file on a disk that gives no
//! answer holds its own hook, and nothing else.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::panic;
use crate::delivery::DeliveryError;
use crate::hook::Hook;
use crate::sink::{Sink, SinkContext, SinkFactory};

/// Maximum number of threads that build sinks: all blocking work shares the threads.
const MAX_BUILDS: usize = 64;

/// Maximum number of these for the files of one folder: a disk that hangs leaves threads to sinks with files elsewhere.
const MAX_BUILDS_OF_FOLDER: usize = 16;

/// Builds the sinks of one dispatcher.
pub(crate) struct Builders {
    places: Arc<Semaphore>,
    /// Permits of the folders whose files are being read.
    folders: Mutex<HashMap<PathBuf, Weak<Semaphore>>>,
    /// Builds that still run although their hook gave up waiting.
    late: Mutex<HashMap<Build, Weak<()>>>,
}

/// The address of the factory, which lives as long as its build, and the lane.
type Build = (usize, usize);

type Built = Result<Box<dyn Sink>, DeliveryError>;

impl Default for Builders {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_BUILDS)), folders: Mutex::default(), late: Mutex::default() }
    }
}

impl Builders {
    /// Builds a sink, within the time of an attempt if it reads files.
    pub(crate) async fn build(&self, hook: &Hook, context: SinkContext) -> Built {
        let mut files = hook.sink.files();
        files.extend(hook.sink.system_files());
        if files.is_empty() {
            return build(&*hook.sink, &context);
        }
        let this = (Arc::as_ptr(&hook.sink).addr(), context.lane);
        let failed = |why: String| Err(DeliveryError::endpoint(task(&*hook.sink)).because(why));
        if self.is_late(this) {
            return failed(format!("it still waits for {}", one_of(&files)));
        }
        let limit = hook.retry.attempt_timeout;
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        let (sink, folder, places) = (hook.sink.clone(), self.folder(&files), self.places.clone());
        let work = async move {
            // No semaphore is ever closed.
            let place = [folder.acquire_owned().await.ok(), places.acquire_owned().await.ok()];
            let work = move || {
                let built = build(&*sink, &context);
                drop((place, alive));
                built
            };
            tokio::task::spawn_blocking(work).await
        };
        match timeout(limit.0, work).await {
            Ok(Ok(built)) => built,
            Ok(Err(error)) => failed(error.to_string()),
            Err(_) if watched.strong_count() == 0 => {
                failed(format!("not begun within {limit}: as many other sinks as may wait for their files already"))
            }
            Err(_) => {
                self.mark_late(this, watched);
                failed(format!("not done within {limit}: no answer from {}", one_of(&files)))
            }
        }
    }

    /// The permits to read files of the folder of the first of these.
    fn folder(&self, files: &[PathBuf]) -> Arc<Semaphore> {
        let folder = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("")).to_owned();
        let mut folders = self.folders.lock();
        if let Some(places) = folders.get(&folder).and_then(Weak::upgrade) {
            return places;
        }
        folders.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(MAX_BUILDS_OF_FOLDER));
        folders.insert(folder, Arc::downgrade(&places));
        places
    }

    fn is_late(&self, build: Build) -> bool {
        self.late.lock().get(&build).is_some_and(|alive| alive.strong_count() > 0)
    }

    fn mark_late(&self, build: Build, alive: Weak<()>) {
        let mut late = self.late.lock();
        late.retain(|_, alive| alive.strong_count() > 0);
        late.insert(build, alive);
    }
}

fn task(sink: &dyn SinkFactory) -> String {
    format!("build the {} sink", sink.kind())
}

fn build(sink: &dyn SinkFactory, context: &SinkContext) -> Built {
    let failed = || DeliveryError::endpoint(task(sink));
    match catch_unwind(AssertUnwindSafe(|| sink.build(context))) {
        Ok(built) => built.map_err(|error| failed().because(error)),
        Err(panic) => Err(failed().because(format!("it panicked: {}", panic::text(&*panic)))),
    }
}

fn one_of(files: &[PathBuf]) -> String {
    let list: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{}{}", if list.len() > 1 { "one of its files: " } else { "its file " }, list.join(", "))
}
