//! How long a reload of 100,000 mappings holds up the reviews that are under way.
//!
//! The runtime has one worker here, on which a task does nothing but look at how much CPU time the worker has spent
//! since its last turn: that is how long a review would have waited, but for other programs, which do not count. What is
//! done on other threads does not show, and must not: that is the point.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arngate::{
    mapping::{Backend, BackendMode, MatchBy},
    source::DynamicFileSource,
    telemetry::Metrics,
};
use arngate_lab::load::{Counts, Population};
use rustix::time::{ClockId, clock_gettime};

const MAPPINGS: [usize; 2] = [1_000, 100_000];
/// How often the file is replaced.
const RELOADS: u64 = 4;

fn main() {
    for mappings in MAPPINGS {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (longest, quiet) = runtime.unwrap().block_on(async move { reloads(mappings).await });
        println!(
            "{mappings:>7} mappings: held up for {:.2} ms of CPU at most in {RELOADS} reloads; {:.2} ms without",
            longest.as_secs_f64() * 1000.0,
            quiet.as_secs_f64() * 1000.0
        );
    }
}

/// The longest that the worker was busy with something else, during reloads and without.
async fn reloads(mappings: usize) -> (Duration, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mappings.json");
    let population = Population::generated(Counts { roles: 10, ..Counts::default() });
    // One more each time, which tells when it is in force.
    let contents: Vec<String> = (0..=RELOADS)
        .map(|version| {
            let more = usize::try_from(version).unwrap();
            population.dynamic_file(mappings + more, version).unwrap()
        })
        .collect();
    replace(&path, &contents[0]);
    let (backend, publisher) = BackendMode::DynamicFile.backend();
    let source = DynamicFileSource::new(path.clone(), MatchBy::ArnAlone, publisher, Metrics::new());
    let _source = tokio::spawn(source.run());
    in_force(&backend, mappings).await;

    let quiet = watched(async { tokio::time::sleep(Duration::from_secs(1)).await }).await;
    let reloading = async {
        for (content, more) in contents.iter().skip(1).zip(1..) {
            replace(&path, content);
            in_force(&backend, mappings + more).await;
        }
        // What was in force before is taken apart after that.
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    (watched(reloading).await, quiet)
}

/// The longest turn of others on the worker while `work` goes on elsewhere.
async fn watched(work: impl Future<Output = ()>) -> Duration {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let watcher = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        while !stopped.load(Ordering::Relaxed) {
            let before = cpu();
            tokio::task::yield_now().await;
            longest = longest.max(cpu().saturating_sub(before));
        }
        longest
    });
    work.await;
    stop.store(true, Ordering::Relaxed);
    watcher.await.unwrap()
}

/// The CPU time of this thread so far.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

fn replace(path: &Path, content: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(beside, path).unwrap();
}

async fn in_force(backend: &Backend, mappings: usize) {
    while backend.state().mappings != mappings {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
