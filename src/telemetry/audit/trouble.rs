use std::io;

use tokio::time::{Duration, Instant};

use super::Destination;

/// How often the process's log is told of the same trouble at most.
const APART: Duration = Duration::from_mins(1);

/// Tells the process's log that decisions are not in the audit log: at once, and then once a minute at most.
#[derive(Debug)]
pub(super) struct Trouble {
    destination: Destination,
    failing: Report,
    overflowing: Report,
    /// A failure has been told, and no end of it.
    is_told: bool,
}

/// What there is to say, and when something was said last.
#[derive(Debug, Default)]
struct Report {
    told_at: Option<Instant>,
    not_written: u64,
}

impl Report {
    /// Counts; how many there are to be told of, where it is time to.
    fn due(&mut self, not_written: u64, now: Instant) -> Option<u64> {
        self.not_written += not_written;
        if self.told_at.is_some_and(|told_at| now.saturating_duration_since(told_at) < APART) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.not_written))
    }
}

impl Trouble {
    pub(super) fn new(destination: Destination) -> Self {
        Self { destination, failing: Report::default(), overflowing: Report::default(), is_told: false }
    }

    /// A write failed, of which `not_written` decisions are not in the file. Says whether it told so.
    pub(super) fn failed(&mut self, error: &io::Error, not_written: u64, now: Instant) -> bool {
        let Some(not_written) = self.failing.due(not_written, now) else { return false };
        self.is_told = true;
        tracing::error!(
            path = %self.destination,
            %error,
            not_written,
            "the audit log cannot be written; authentication goes on, and what is not written is counted: see that its \
             folder is there, that arngate may write it, and that the disk is not full"
        );
        true
    }

    /// A write went well. Says whether it told so.
    pub(super) fn went_well(&mut self) -> bool {
        let was_told = std::mem::take(&mut self.is_told);
        if was_told {
            let not_written = std::mem::take(&mut self.failing.not_written);
            tracing::info!(path = %self.destination, not_written, "the audit log is written again");
        }
        was_told
    }

    /// `not_written` decisions did not fit into the queue. Says whether it told so.
    pub(super) fn overflowed(&mut self, not_written: u64, now: Instant) -> bool {
        let Some(not_written) = self.overflowing.due(not_written, now) else { return false };
        tracing::warn!(
            path = %self.destination,
            not_written,
            "decisions come faster than the audit log can be written; what does not fit is counted"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_at_once_and_then_once_a_minute() {
        let mut trouble = Trouble::new(Destination::Stdout);
        let (start, error) = (Instant::now(), io::Error::from(io::ErrorKind::StorageFull));
        let told: Vec<u64> = (0..180)
            .filter(|second| trouble.failed(&error, 1, start + Duration::from_secs(*second)))
            .collect();
        assert_eq!(told, [0, 60, 120]);
        let told: Vec<u64> =
            (0..180).filter(|second| trouble.overflowed(1, start + Duration::from_secs(*second))).collect();
        assert_eq!(told, [0, 60, 120], "each kind for itself");
        assert!(trouble.went_well());
        assert!(!trouble.went_well(), "its end is told once");
        assert!(!trouble.failed(&error, 1, start + Duration::from_secs(179)));
        assert!(!trouble.went_well(), "as seldom as its beginning");
    }
}
