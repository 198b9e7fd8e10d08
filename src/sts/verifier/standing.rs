use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache as Bounded;
use tokio::time::Instant;

use super::{
    bucket::{Bucket, Rate},
    key::CredentialsKey,
    lanes::Lane,
    limits::Limits,
};

/// How long credentials are known: the longest session of a role.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_manage-assume.html>
const KNOWN_FOR: Duration = Duration::from_hours(12);
/// Of how many strangers the calls are counted. Who makes up more credentials than that escapes being counted by
/// them, and meets what strangers have together.
const STRANGERS: usize = 1024;

/// Who is known, and how many calls each has made.
pub(super) struct Standing {
    known: Bounded<CredentialsKey, Arc<Mutex<Known>>>,
    strangers: Bounded<CredentialsKey, Arc<Mutex<Bucket>>>,
    rate: Rate,
}

/// Whoever has some credentials.
pub(super) enum Caller {
    /// Somebody was let in with them not long ago.
    Known(Arc<Mutex<Known>>),
    /// Nobody was.
    Stranger(Arc<Mutex<Bucket>>),
}

/// Somebody who was let in.
pub(super) struct Known {
    bucket: Bucket,
    let_in: Instant,
}

impl Standing {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            known: Bounded::new(limits.cache_size.get()),
            strangers: Bounded::new(STRANGERS),
            rate: Rate {
                per_second: limits.access_key_rate.map(|rate| f64::from(rate.get())),
                burst: f64::from(limits.access_key_burst.get()),
            },
        }
    }

    /// Who has `credentials`.
    pub(super) fn look_up(&self, credentials: CredentialsKey, now: Instant) -> Caller {
        if let Some(known) = self.known.get(&credentials) {
            let let_in = known.lock().unwrap_or_else(PoisonError::into_inner).let_in;
            if now.saturating_duration_since(let_in) < KNOWN_FOR {
                return Caller::Known(known);
            }
        }
        let fresh = || Ok::<_, Infallible>(Arc::new(Mutex::new(Bucket::new(self.rate, now))));
        let Ok(bucket) = self.strangers.get_or_insert_with(&credentials, fresh);
        Caller::Stranger(bucket)
    }

    /// Somebody was let in with `credentials`.
    pub(super) fn let_in(&self, credentials: CredentialsKey, now: Instant) {
        if let Some(known) = self.known.get(&credentials) {
            known.lock().unwrap_or_else(PoisonError::into_inner).let_in = now;
            return;
        }
        let counted = self.strangers.remove(&credentials).map(|(_, bucket)| bucket);
        let bucket = counted.map_or_else(
            || Bucket::new(self.rate, now),
            |bucket| *bucket.lock().unwrap_or_else(PoisonError::into_inner),
        );
        self.known.insert(credentials, Arc::new(Mutex::new(Known { bucket, let_in: now })));
    }
}

impl Caller {
    pub(super) const fn lane(&self) -> Lane {
        match self {
            Self::Known(_) => Lane::Known,
            Self::Stranger(_) => Lane::Stranger,
        }
    }

    /// Counts a call. A known caller's `proven` token, one that STS vouched for before, is not counted: whoever
    /// forges tokens in somebody's name uses up what they have, but not for this.
    ///
    /// # Errors
    /// How long it takes until they may call again, where they have made too many.
    pub(super) fn count(&self, proven: bool, now: Instant) -> Result<(), Duration> {
        match self {
            Self::Known(_) if proven => Ok(()),
            Self::Known(known) => take(&mut known.lock().unwrap_or_else(PoisonError::into_inner).bucket, now),
            Self::Stranger(bucket) => take(&mut bucket.lock().unwrap_or_else(PoisonError::into_inner), now),
        }
    }
}

fn take(bucket: &mut Bucket, now: Instant) -> Result<(), Duration> {
    let wait = bucket.wait(now);
    if !wait.is_zero() {
        return Err(wait);
    }
    bucket.take();
    Ok(())
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sts::verifier::{
        key::Keys,
        tests::{now as today, request},
    };

    fn standing(rate: u32, burst: u32) -> Standing {
        Standing::new(&Limits {
            access_key_rate: rate.try_into().ok(),
            access_key_burst: burst.try_into().unwrap(),
            cache_size: 2000.try_into().unwrap(),
            ..Limits::default()
        })
    }

    impl Standing {
        fn admit(&self, credentials: CredentialsKey, proven: bool, now: Instant) -> Result<Lane, Duration> {
            let caller = self.look_up(credentials, now);
            caller.count(proven, now).map(|()| caller.lane())
        }
    }

    fn credentials(count: usize) -> Vec<CredentialsKey> {
        let keys = Keys::generate().unwrap();
        let name = |number| format!("AKIA{number:016}");
        (0..count).map(|number| keys.credentials(&request(&name(number), None, 'a', today()))).collect()
    }

    #[test]
    fn whoever_was_let_in_is_known_for_a_while() {
        let (standing, key, now) = (standing(1, 100), credentials(1)[0], Instant::now());
        assert_eq!(standing.admit(key, false, now), Ok(Lane::Stranger));
        standing.let_in(key, now);
        assert_eq!(standing.admit(key, false, now), Ok(Lane::Known));
        assert_eq!(standing.admit(key, false, now + KNOWN_FOR - Duration::from_secs(1)), Ok(Lane::Known));
        assert_eq!(standing.admit(key, false, now + KNOWN_FOR), Ok(Lane::Stranger));
        standing.let_in(key, now + KNOWN_FOR);
        assert_eq!(standing.admit(key, false, now + KNOWN_FOR), Ok(Lane::Known));
    }

    #[test]
    fn one_floods_and_others_do_not_feel_it() {
        let (standing, keys, now) = (standing(10, 5), credentials(2), Instant::now());
        for _ in 0..5 {
            standing.admit(keys[0], false, now).unwrap();
        }
        let wait = standing.admit(keys[0], false, now).unwrap_err();
        assert!((100..=102).contains(&wait.as_millis()), "{wait:?}");
        standing.admit(keys[1], false, now).unwrap();
        standing.let_in(keys[0], now);
        standing.admit(keys[0], false, now).expect_err("to be let in gives no second burst");
    }

    #[test]
    fn a_proven_token_passes_while_forgeries_use_up_its_keys_calls() {
        let (standing, key, now) = (standing(10, 5), credentials(1)[0], Instant::now());
        standing.let_in(key, now);
        while standing.admit(key, false, now).is_ok() {}
        assert_eq!(standing.admit(key, true, now), Ok(Lane::Known));
    }

    #[test]
    fn made_up_credentials_push_out_nobody_who_is_known() {
        let (standing, keys, now) = (standing(10, 5), credentials(20_000), Instant::now());
        let (known, made_up) = keys.split_at(1000);
        for key in known {
            standing.let_in(*key, now);
        }
        for key in made_up {
            assert_eq!(standing.admit(*key, false, now), Ok(Lane::Stranger));
        }
        let still = known.iter().filter(|key| standing.admit(**key, false, now) == Ok(Lane::Known)).count();
        assert_eq!((still, standing.strangers.len() <= STRANGERS), (1000, true));
    }
}
