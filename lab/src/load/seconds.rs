use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How far back tokens are signed, so that more of them are distinct; they are taken for 15 minutes, and
/// those that are repeated are used for some time.
pub(super) const OLDEST: SignedDuration = SignedDuration::from_mins(9);

/// The seconds that tokens have been signed in, so that each is used once, whichever load it is for: two tokens of a
/// principal and a second are the same token.
#[derive(Debug, Default)]
pub(super) struct Seconds(Mutex<Option<Used>>);

#[derive(Debug, Clone, Copy)]
struct Used {
    newest: Timestamp,
    oldest: Timestamp,
}

impl Seconds {
    /// A second that was not used before: `now`, or one before all that were. Where that is too far back, they are
    /// used anew, and tokens repeat.
    pub(super) fn take(&self, now: Timestamp) -> Timestamp {
        // A panic elsewhere leaves it whole.
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Used { newest, oldest }) = *used else {
            *used = Some(Used { newest: now, oldest: now });
            return now;
        };
        let back = oldest.checked_sub(SignedDuration::from_secs(1)).unwrap_or(now);
        let (taken, new) = if now.as_second() > newest.as_second() {
            (now, Used { newest: now, oldest })
        } else if now.duration_since(back) < OLDEST {
            (back, Used { newest, oldest: back })
        } else {
            (now, Used { newest, oldest: now })
        };
        *used = Some(new);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_second_is_taken_once_and_none_is_too_old() {
        let seconds = Seconds::default();
        let now = Timestamp::from_second(1_768_478_400).unwrap();
        let count = usize::try_from(OLDEST.as_secs()).unwrap();
        let taken: Vec<Timestamp> = (0..count).map(|_| seconds.take(now)).collect();
        assert_eq!(taken.iter().map(|time| time.as_second()).collect::<HashSet<_>>().len(), count);
        assert!(taken.iter().all(|time| now.duration_since(*time) < OLDEST));
        // A second later there is a new one; before that they begin anew.
        assert_eq!(seconds.take(now), now);
        let later = now + SignedDuration::from_secs(1);
        assert_eq!(seconds.take(later), later);
    }
}
