use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Duration, Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    AuditSettings, line,
    record::Record,
    sampler::Sampler,
    writer::{self, Writer},
};
use crate::telemetry::{Metrics, metrics::AuditMetrics};

/// How many lines wait to be written at most.
const MAX_LINES: usize = 4096;
/// How many bytes they and those being written have at most.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long the end of the process waits for what is left to be written.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The audit log, as the process has it: a queue, and a task that writes what is in it.
#[derive(Debug)]
pub struct AuditLog {
    recorder: Recorder,
    stop: CancellationToken,
    writer: AbortOnDropHandle<()>,
}

/// The end of the queue at which records go in. Clones put theirs into the same queue.
#[derive(Debug, Clone)]
pub struct Recorder {
    lines: mpsc::Sender<Line>,
    shared: Arc<Shared>,
}

/// A line to be written.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) json: Box<[u8]>,
    /// How many decisions are nowhere else: its own, and those that it counts.
    pub(super) stands_for: u64,
}

/// What both ends of the queue look at.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sampler: Sampler,
    pub(super) metrics: AuditMetrics,
    /// Bytes in the queue, and being written.
    bytes: AtomicUsize,
    /// Decisions that did not fit, and of which no line tells yet.
    overflow: AtomicU64,
}

impl AuditLog {
    /// Starts the writer. Whether the file can be opened is told in the log, and does not matter to the start. From
    /// here on HUP has the file opened anew. Needs a tokio runtime's context.
    ///
    /// # Errors
    /// Where HUP cannot be listened to, or there is no standard output to write to.
    pub fn start(settings: &AuditSettings, metrics: &Metrics) -> io::Result<Self> {
        let (lines, queue) = mpsc::channel(MAX_LINES);
        let shared = Arc::new(Shared::new(settings, metrics.audit().clone()));
        let writer = Writer::new(&settings.destination, Arc::clone(&shared))?;
        let stop = CancellationToken::new();
        let task = writer::run(queue, writer, stop.clone(), signal(SignalKind::hangup())?);
        let writer = AbortOnDropHandle::new(tokio::spawn(task));
        tracing::info!(path = %settings.destination, "each decision is written to the audit log");
        Ok(Self { recorder: Recorder { lines, shared }, stop, writer })
    }

    /// What records go in by.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Writes what is left, or gives up after two seconds.
    pub async fn close(self) {
        self.stop.cancel();
        if timeout(CLOSE_WITHIN, self.writer).await.is_err() {
            let left = self.recorder.lines.max_capacity() - self.recorder.lines.capacity();
            tracing::error!(left, "the audit log could not be written to its end");
        }
    }
}

impl Recorder {
    /// Has `record` written. Never waits: what is too much is counted.
    pub(super) fn record(&self, record: &Record<'_>) {
        let suppressed = if record.is_granted() {
            0
        } else {
            match self.shared.sampler.admit(record.outcome.reason(), Instant::now()) {
                Some(suppressed) => suppressed,
                None => return self.shared.metrics.suppressed(),
            }
        };
        let stands_for = suppressed.saturating_add(1);
        // Before the line is made, so that a queue that stays full costs nothing.
        let Ok(place) = self.lines.try_reserve() else { return self.shared.overflowed(stands_for) };
        let json = line::decision(record, suppressed).into_boxed_slice();
        if !self.shared.take(json.len()) {
            return self.shared.overflowed(stands_for);
        }
        place.send(Line { json, stands_for });
    }
}

impl Shared {
    pub(super) fn new(settings: &AuditSettings, metrics: AuditMetrics) -> Self {
        Self {
            sampler: Sampler::new(settings.denials_per_second),
            metrics,
            bytes: AtomicUsize::new(0),
            overflow: AtomicU64::new(0),
        }
    }

    /// Takes room for `bytes`, where there is as much.
    fn take(&self, bytes: usize) -> bool {
        let more = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= MAX_BYTES);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives back the room that `bytes` had.
    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn overflowed(&self, decisions: u64) {
        self.overflow.fetch_add(decisions, Ordering::Relaxed);
        self.metrics.queue_full();
    }

    /// How many decisions did not fit, of which no line tells yet.
    pub(super) fn take_overflow(&self) -> u64 {
        self.overflow.swap(0, Ordering::Relaxed)
    }

    /// Whether there are decisions of which no line tells yet.
    pub(super) fn has_untold(&self) -> bool {
        self.overflow.load(Ordering::Relaxed) > 0 || self.sampler.has_untold()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{
        super::{
            Destination,
            line::tests::{decision, review},
        },
        *,
    };
    use crate::outcome::{Denial, Outcome};

    /// A recorder whose queue nobody empties.
    fn recorder(denials_per_second: u32) -> (Recorder, mpsc::Receiver<Line>) {
        let settings = AuditSettings {
            destination: Destination::Stdout,
            denials_per_second: NonZeroU32::new(denials_per_second),
        };
        let (lines, queue) = mpsc::channel(MAX_LINES);
        let shared = Arc::new(Shared::new(&settings, Metrics::new().audit().clone()));
        (Recorder { lines, shared }, queue)
    }

    fn drain(queue: &mut mpsc::Receiver<Line>) -> Vec<Line> {
        std::iter::from_fn(|| queue.try_recv().ok()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn denials_are_sampled_and_those_who_are_let_in_are_not() {
        let (recorder, mut queue) = recorder(5);
        let mut denied = decision();
        denied.outcome = Outcome::Denied(Denial::NotMapped);
        for _ in 0..100 {
            recorder.record(&Record::of(review(), &denied));
            recorder.record(&Record::of(review(), &decision()));
        }
        assert_eq!(drain(&mut queue).len(), 5 + 100);
        tokio::time::advance(Duration::from_secs(1)).await;
        recorder.record(&Record::of(review(), &denied));
        let told = drain(&mut queue);
        assert_eq!((told.len(), told[0].stands_for), (1, 96));
        let line: serde_json::Value = serde_json::from_slice(&told[0].json).unwrap();
        assert_eq!(line["suppressed"], 95);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_holds_nobody_up() {
        let (recorder, mut queue) = recorder(0);
        for _ in 0..MAX_LINES + 10 {
            recorder.record(&Record::of(review(), &decision()));
        }
        assert_eq!((recorder.shared.take_overflow(), drain(&mut queue).len()), (10, MAX_LINES));
    }

    #[tokio::test]
    async fn the_queue_has_a_bound_in_bytes_as_well() {
        let (recorder, mut queue) = recorder(0);
        let mut long = decision();
        let Outcome::Authenticated(user) = &mut long.outcome else { panic!("somebody is let in") };
        user.groups = vec!["g".repeat(1000); 1000];
        for _ in 0..10 {
            recorder.record(&Record::of(review(), &long));
        }
        let lines = drain(&mut queue);
        assert_eq!((lines.len(), recorder.shared.take_overflow()), (4, 6));
        for line in lines {
            recorder.shared.give_back(line.json.len());
        }
        recorder.record(&Record::of(review(), &long));
        assert_eq!(drain(&mut queue).len(), 1);
    }
}
