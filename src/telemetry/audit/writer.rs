use std::{io, sync::Arc};

use jiff::Timestamp;
use tokio::{
    signal::unix::Signal,
    sync::mpsc,
    time::{Duration, Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Destination,
    line::{self, Cause},
    queue::{Line, Shared},
    sink::{Sink, Written},
    trouble::Trouble,
};

/// How many lines are written at once at most.
const BATCH: usize = 256;
/// How often it is looked whether there is something to tell that no decision comes to tell of.
const TICK: Duration = Duration::from_secs(10);

/// Takes lines from the queue and writes them.
#[derive(Debug)]
pub(super) struct Writer {
    sink: Sink,
    shared: Arc<Shared>,
    trouble: Trouble,
    /// Decisions that could not be written, and of which no line tells yet.
    unwritten: u64,
}

/// Lines to be written at once.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    entries: Vec<Entry>,
}

/// A line of a batch.
#[derive(Debug)]
struct Entry {
    /// Where it ends in the batch's text.
    end: usize,
    stands_for: u64,
    is_decision: bool,
}

impl Batch {
    fn push(&mut self, line: &[u8], stands_for: u64, is_decision: bool) {
        self.text.extend_from_slice(line);
        self.entries.push(Entry { end: self.text.len(), stands_for, is_decision });
    }

    fn push_gap(&mut self, cause: Cause, count: u64, time: Timestamp) {
        if count > 0 {
            self.push(&line::gap(cause, count, time), count, false);
        }
    }
}

/// Writes what comes into `queue`, until `stop` and what is left then.
pub(super) async fn run(
    mut queue: mpsc::Receiver<Line>,
    mut writer: Writer,
    stop: CancellationToken,
    mut hangup: Signal,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ending = false;
    loop {
        let mut lines = Vec::new();
        let (mut is_last, mut reopen) = (false, false);
        tokio::select! {
            () = stop.cancelled(), if !is_ending => {
                is_ending = true;
                queue.close();
                continue;
            }
            count = queue.recv_many(&mut lines, BATCH) => is_last = count == 0,
            Some(()) = hangup.recv() => reopen = true,
            _ = ticks.tick() => {}
        }
        if lines.is_empty() && !is_last && !reopen && !writer.has_untold() {
            continue;
        }
        // The disk may take its time: that is no time of those who answer reviews.
        let written = tokio::task::spawn_blocking(move || {
            if reopen {
                writer.reopen(Instant::now());
            }
            let quiet = if is_last { Duration::ZERO } else { TICK };
            writer.write(&lines, quiet, Timestamp::now(), Instant::now());
            writer
        });
        match written.await {
            Ok(back) => writer = back,
            Err(error) => {
                tracing::error!(%error, "the audit log's writer has failed: no more decisions are written");
                return;
            }
        }
        if is_last {
            return;
        }
    }
}

impl Writer {
    pub(super) fn new(destination: &Destination, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self {
            sink: Sink::new(destination)?,
            shared,
            trouble: Trouble::new(destination.clone()),
            unwritten: 0,
        })
    }

    /// Whether there are decisions of which no line tells yet.
    fn has_untold(&self) -> bool {
        self.unwritten > 0 || self.shared.has_untold()
    }

    /// Opens the file anew.
    fn reopen(&mut self, now: Instant) {
        if let Err(error) = self.sink.reopen() {
            self.shared.metrics.failure();
            self.trouble.failed(&error, 0, now);
        }
    }

    /// Writes `lines`, and what there is to tell beside them: what could not be written before them, what did not fit
    /// into the queue behind them, and which denials were counted for `quiet` without a later one that tells so.
    fn write(&mut self, lines: &[Line], quiet: Duration, time: Timestamp, now: Instant) {
        let mut batch = Batch::default();
        batch.push_gap(Cause::WriteFailed, std::mem::take(&mut self.unwritten), time);
        for line in lines {
            batch.push(&line.json, line.stands_for, true);
        }
        let overflow = self.shared.take_overflow();
        batch.push_gap(Cause::QueueFull, overflow, time);
        for (reason, count) in self.shared.sampler.untold(quiet, now) {
            batch.push_gap(Cause::Sampled(reason), count, time);
        }
        if overflow > 0 {
            self.trouble.overflowed(overflow, now);
        }
        if !batch.entries.is_empty() {
            self.write_batch(&batch, now);
        }
        self.shared.give_back(lines.iter().map(|line| line.json.len()).sum());
    }

    fn write_batch(&mut self, batch: &Batch, now: Instant) {
        let Written { bytes, error } = self.sink.write(&batch.text);
        let mut not_written = 0;
        for entry in &batch.entries {
            match (entry.end <= bytes, entry.is_decision) {
                (true, true) => self.shared.metrics.written(),
                (true, false) => {}
                (false, is_decision) => {
                    self.unwritten += entry.stands_for;
                    if is_decision {
                        not_written += 1;
                        self.shared.metrics.write_failed();
                    }
                }
            }
        }
        match error {
            Some(error) => {
                self.shared.metrics.failure();
                self.trouble.failed(&error, not_written, now);
            }
            None => {
                self.trouble.went_well();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroU32, path::Path};

    use serde_json::{Value, json};

    use super::{
        super::{AuditSettings, queue::Shared},
        *,
    };
    use crate::telemetry::Metrics;

    const TIME: &str = "2026-01-15T12:00:00Z";

    fn writer(path: &Path) -> Writer {
        let destination = Destination::File(path.to_owned());
        let settings =
            AuditSettings { destination: destination.clone(), denials_per_second: NonZeroU32::new(1) };
        let shared = Shared::new(&settings, Metrics::new().audit().clone());
        Writer::new(&destination, Arc::new(shared)).unwrap()
    }

    impl Writer {
        /// Writes a line for each of `stand_for`.
        fn put(&mut self, stand_for: &[u64]) {
            let line = |stands_for: &u64| Line { json: (*b"{}\n").into(), stands_for: *stands_for };
            let lines: Vec<Line> = stand_for.iter().map(line).collect();
            self.write(&lines, Duration::ZERO, TIME.parse().unwrap(), Instant::now());
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn gap(cause: &str, reason: Option<&str>, count: u64) -> Value {
        json!({
            "schema": "arngate.audit.v1", "kind": "gap", "time": "2026-01-15T12:00:00.000000Z", "cause": cause,
            "reason": reason, "count": count,
        })
    }

    #[test]
    fn what_could_not_be_written_is_told_before_what_can_be_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("there/audit.log");
        let mut writer = writer(&path);
        writer.put(&[1, 10]);
        writer.put(&[1]);
        assert!(writer.has_untold());
        fs::create_dir(path.parent().unwrap()).unwrap();
        writer.put(&[1]);
        assert_eq!(lines(&path), [gap("write_failed", None, 12), json!({})]);
        assert!(!writer.has_untold());
        writer.put(&[]);
        assert_eq!(lines(&path).len(), 2, "it is told once");
    }

    #[test]
    fn denials_that_nothing_later_tells_of_get_a_line_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut writer = writer(&path);
        for _ in 0..8 {
            writer.shared.sampler.admit("token_not_ours", Instant::now());
        }
        writer.put(&[]);
        assert_eq!(lines(&path), [gap("sampled", Some("token_not_ours"), 7)]);
    }

    #[test]
    fn a_full_disk_is_told_of_once_and_its_gap_outlives_it() {
        let mut writer = writer(Path::new("/dev/full"));
        let now = Instant::now();
        writer.put(&[1, 1]);
        writer.put(&[1]);
        assert_eq!(writer.unwritten, 3);
        let error = io::Error::from(io::ErrorKind::StorageFull);
        assert!(!writer.trouble.failed(&error, 0, now), "it has been told already");
    }
}
