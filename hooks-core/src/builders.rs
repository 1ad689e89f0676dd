//! Work that reads files runs on threads that may block: a file on a disk that gives no answer holds its own hook, and
//! nothing else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::human::HumanDuration;

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
pub(crate) type Build = (usize, usize);

impl Default for Builders {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_BUILDS)), folders: Mutex::default(), late: Mutex::default() }
    }
}

impl Builders {
    /// Builds something that reads these files, within this time.
    ///
    /// # Errors
    /// With the reason: it takes longer, also since an earlier call, or it can't be begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        this: Build,
        files: &[PathBuf],
        limit: HumanDuration,
        build: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        if self.is_late(this) {
            return Err(format!("it still waits for {}", one_of(files)));
        }
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        let (folder, places) = (self.folder(files), self.places.clone());
        let work = async move {
            // No semaphore is ever closed.
            let place = [folder.acquire_owned().await.ok(), places.acquire_owned().await.ok()];
            let work = move || {
                let built = build();
                drop((place, alive));
                built
            };
            tokio::task::spawn_blocking(work).await
        };
        match timeout(limit.get(), work).await {
            Ok(built) => built.map_err(|error| error.to_string()),
            Err(_) if watched.strong_count() == 0 => {
                Err(format!("not begun within {limit}: as many other sinks as may wait for their files already"))
            }
            Err(_) => {
                self.mark_late(this, watched);
                Err(format!("not done within {limit}: no answer from {}", one_of(files)))
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

fn one_of(files: &[PathBuf]) -> String {
    let list: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{}{}", if list.len() > 1 { "one of its files: " } else { "its file " }, list.join(", "))
}
