use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache as Bounded;
use tokio::time::Instant;

use super::{Refusal, Verdict, key::TokenKey};
use crate::{identity::Identity, telemetry::VerifierMetrics};

/// How far clocks of reviews that are under way together may lie apart; the longest review is shorter.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(10);

/// When something happens: by the clock on the wall, which may be set, and by one that never is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) steady: Instant,
}

/// What STS has said of tokens, for a short while.
///
/// Two bounded caches, so that refused tokens, of which anybody can make any number, displace no good one.
/// The library bounds and evicts; what is too old is decided here, by the time that the review brings along.
#[derive(Debug)]
pub(super) struct Cache {
    /// `None` where nothing is kept.
    kept: Option<Kept>,
    ttl: SignedDuration,
    metrics: VerifierMetrics,
}

#[derive(Debug)]
struct Kept {
    identities: Bounded<TokenKey, Entry<Arc<Identity>>>,
    denials: Bounded<TokenKey, Entry<Refusal>>,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    value: V,
    /// When STS was asked.
    from: Moment,
    /// When it is too old, the token's own end at the latest.
    until: Timestamp,
}

/// What the cache knows of a token.
#[derive(Debug)]
pub(super) enum Known {
    /// What STS said of it, not long ago.
    Now(Verdict),
    /// STS vouched for it, too long ago to be believed; but it is no forgery.
    Once,
    /// Nothing.
    Not,
}

impl<V> Entry<V> {
    fn is_fresh(&self, now: Moment, ttl: SignedDuration) -> bool {
        // Whatever the clock on the wall is set to, no entry lives longer than it may; and one that was set back by
        // more than a review takes ends it.
        let age = now.steady.saturating_duration_since(self.from.steady);
        SignedDuration::try_from(age).is_ok_and(|age| age < ttl)
            && now.wall < self.until
            && now.wall.saturating_add(UNDER_WAY).is_ok_and(|wall| wall >= self.from.wall)
    }
}

impl Cache {
    /// Keeps up to `size` identities, and an eighth as many denials, for `ttl`; nothing where `ttl` is zero.
    pub(super) fn new(size: usize, ttl: SignedDuration, metrics: VerifierMetrics) -> Self {
        let kept = (ttl > SignedDuration::ZERO)
            .then(|| Kept { identities: Bounded::new(size), denials: Bounded::new(size.div_ceil(8)) });
        Self { kept, ttl, metrics }
    }

    /// What is known of a token at `now`.
    pub(super) fn look_up(&self, token: TokenKey, now: Moment) -> Known {
        let Some(kept) = &self.kept else { return Known::Not };
        match kept.identities.get(&token) {
            Some(entry) if entry.is_fresh(now, self.ttl) => return Known::Now(Ok(entry.value)),
            Some(_) => return Known::Once,
            None => {}
        }
        match kept.denials.get(&token) {
            Some(entry) if entry.is_fresh(now, self.ttl) => Known::Now(Err(entry.value)),
            _ => Known::Not,
        }
    }

    /// Keeps what STS said of a token when it was asked at `asked`, where that is worth keeping: an identity,
    /// or a denial that is final. `token_end` is when the token itself is over.
    pub(super) fn keep(&self, token: TokenKey, verdict: &Verdict, asked: Moment, token_end: Timestamp) {
        let Some(kept) = &self.kept else { return };
        let until = asked.wall.saturating_add(self.ttl).map_or(token_end, |until| until.min(token_end));
        match verdict {
            Ok(identity) => {
                kept.denials.remove(&token);
                kept.identities.insert(token, Entry { value: Arc::clone(identity), from: asked, until });
            }
            Err(refusal) if refusal.is_final() => {
                // What was an identity once may be expired credentials now: what was said last counts.
                kept.identities.remove(&token);
                kept.denials.insert(token, Entry { value: refusal.clone(), from: asked, until });
            }
            Err(_) => return,
        }
        self.metrics.cached(kept.identities.len(), kept.denials.len());
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::LazyLock, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        identity::CallerError,
        outcome::{Denial, Unavailability},
        sts::{
            NoVerdict, Rejection,
            verifier::{
                key::Keys,
                tests::{identity, now, request},
            },
        },
        telemetry::Metrics,
    };

    static START: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_hours(1));

    /// When the clock on the wall says `wall`, and has not been set.
    fn at(wall: Timestamp) -> Moment {
        let since = wall.duration_since(now());
        let steady =
            if since.is_negative() { *START - since.unsigned_abs() } else { *START + since.unsigned_abs() };
        Moment { wall, steady }
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    fn cache(size: usize, ttl: i64) -> Cache {
        Cache::new(size, seconds(ttl), Metrics::new().verifier().clone())
    }

    fn tokens(count: usize) -> Vec<TokenKey> {
        let keys = Keys::generate().unwrap();
        let name = |number| format!("AKIA{number:016}");
        (0..count).map(|number| keys.token(&request(&name(number), None, 'a', now()))).collect()
    }

    fn denied(denial: Denial) -> Verdict {
        Err(Refusal::Denied(denial))
    }

    #[test]
    fn an_identity_lasts_as_long_as_configured_and_never_past_the_tokens_end() {
        let (cache, token) = (cache(10, 60), tokens(1)[0]);
        for (token_end, last) in [(seconds(900), 60), (seconds(20), 20)] {
            cache.keep(token, &Ok(identity()), at(now()), now() + token_end);
            for age in [0, last - 1] {
                assert!(matches!(cache.look_up(token, at(now() + seconds(age))), Known::Now(Ok(_))), "{age}");
            }
            for age in [last, last + 1, 3600] {
                assert!(matches!(cache.look_up(token, at(now() + seconds(age))), Known::Once), "{age}");
            }
        }
    }

    #[test]
    fn a_clock_set_back_prolongs_nothing() {
        let (cache, token) = (cache(10, 60), tokens(1)[0]);
        cache.keep(token, &Ok(identity()), at(now()), now() + seconds(900));
        assert!(
            matches!(cache.look_up(token, at(now() - seconds(3))), Known::Now(_)),
            "a review of the same moment"
        );
        assert!(matches!(cache.look_up(token, at(now() - seconds(11))), Known::Once));
    }

    #[test]
    fn whatever_the_clock_is_set_to_nothing_lives_longer() {
        let (cache, token) = (cache(10, 60), tokens(1)[0]);
        cache.keep(token, &Ok(identity()), at(now()), now() + seconds(900));
        for set_back in [0, 5, 30, 600] {
            let set = |age| Moment { wall: now() + seconds(age - set_back), ..at(now() + seconds(age)) };
            assert!(matches!(cache.look_up(token, set(60)), Known::Once), "set back by {set_back} s");
        }
        let ahead = Moment { wall: now() + seconds(60), ..at(now()) };
        assert!(matches!(cache.look_up(token, ahead), Known::Once));
    }

    #[test]
    fn only_final_denials_are_kept_and_never_the_lack_of_a_verdict() {
        let other_partition = CallerError::Partition(crate::identity::Partition::AwsCn);
        for (verdict, kept) in [
            (denied(Denial::Rejected(Rejection::SignatureDoesNotMatch)), true),
            (denied(Denial::Rejected(Rejection::ExpiredToken)), true),
            (denied(Denial::Caller(other_partition)), true),
            (denied(Denial::Rejected(Rejection::InvalidClientTokenId)), false),
            (denied(Denial::Rejected(Rejection::NotYetCurrent)), false),
            (denied(Denial::Caller(CallerError::Account)), false),
            (Err(Refusal::Unavailable(Unavailability::Sts(NoVerdict::Timeout))), false),
            (Err(Refusal::Unavailable(Unavailability::Sts(NoVerdict::Throttled))), false),
        ] {
            let (cache, token) = (cache(10, 60), tokens(1)[0]);
            cache.keep(token, &verdict, at(now()), now() + seconds(900));
            match cache.look_up(token, at(now() + seconds(59))) {
                Known::Now(known) => assert!(kept && known == verdict, "{verdict:?}"),
                Known::Not => assert!(!kept, "{verdict:?}"),
                Known::Once => panic!("{verdict:?}"),
            }
            assert!(matches!(cache.look_up(token, at(now() + seconds(60))), Known::Not), "and not for ever");
        }
    }

    #[test]
    fn credentials_that_expire_end_what_was_known_of_their_token() {
        let (cache, token) = (cache(10, 60), tokens(1)[0]);
        cache.keep(token, &Ok(identity()), at(now()), now() + seconds(900));
        let expired = denied(Denial::Rejected(Rejection::ExpiredToken));
        cache.keep(token, &expired, at(now() + seconds(61)), now() + seconds(900));
        assert!(matches!(cache.look_up(token, at(now() + seconds(62))), Known::Now(Err(_))));
    }

    #[test]
    fn an_evicted_identity_uncovers_no_older_denial() {
        let (cache, tokens) = (cache(80, 60), tokens(2000));
        let expired = denied(Denial::Rejected(Rejection::ExpiredToken));
        for token in &tokens[..80] {
            cache.keep(*token, &expired, at(now()), now() + seconds(900));
        }
        for token in &tokens {
            cache.keep(*token, &Ok(identity()), at(now()), now() + seconds(900));
        }
        let known: Vec<Known> = tokens[..80].iter().map(|token| cache.look_up(*token, at(now()))).collect();
        assert!(known.iter().any(|known| matches!(known, Known::Not)), "none was evicted");
        assert!(!known.iter().any(|known| matches!(known, Known::Now(Err(_)))));
    }

    #[test]
    fn switched_off_it_keeps_nothing() {
        let (cache, token) = (cache(10, 0), tokens(1)[0]);
        cache.keep(token, &Ok(identity()), at(now()), now() + seconds(900));
        assert!(matches!(cache.look_up(token, at(now())), Known::Not));
    }

    #[test]
    fn it_has_a_bound_and_forged_tokens_displace_no_good_one() {
        let cache = cache(100, 60);
        let tokens = tokens(10_000);
        let (good, forged) = tokens.split_at(50);
        for token in good {
            cache.keep(*token, &Ok(identity()), at(now()), now() + seconds(900));
        }
        for token in forged {
            let verdict = denied(Denial::Rejected(Rejection::SignatureDoesNotMatch));
            cache.keep(*token, &verdict, at(now()), now() + seconds(900));
        }
        let kept = cache.kept.as_ref().unwrap();
        assert!(kept.denials.len() <= 13, "{}", kept.denials.len());
        for token in good {
            assert!(matches!(cache.look_up(*token, at(now())), Known::Now(Ok(_))));
        }
        for token in forged {
            cache.keep(*token, &Ok(identity()), at(now()), now() + seconds(900));
        }
        assert!(kept.identities.len() <= 100, "{}", kept.identities.len());
    }

    proptest! {
        /// Against a map that remembers everything: what the cache says is what STS said last, and not older
        /// than allowed. Evictions may make it say less, never more.
        #[test]
        fn it_never_says_what_the_model_does_not(
            steps in prop::collection::vec((0_usize..8, 0_i64..40, 0_u8..4, 0_i64..120), 1..100),
        ) {
            let (cache, tokens) = (cache(4, 60), tokens(8));
            let mut model: HashMap<usize, (Verdict, Timestamp, Timestamp)> = HashMap::new();
            let mut time = now();
            for (token, pass, action, end) in steps {
                time += seconds(pass);
                let verdict = match action {
                    0 => Some(Ok(identity())),
                    1 => Some(denied(Denial::Rejected(Rejection::SignatureDoesNotMatch))),
                    2 => Some(Err(Refusal::Unavailable(Unavailability::Sts(NoVerdict::Connect)))),
                    _ => None,
                };
                if let Some(verdict) = verdict {
                    cache.keep(tokens[token], &verdict, at(time), time + seconds(end));
                    if action != 2 {
                        model.insert(token, (verdict, time, time + seconds(end)));
                    }
                }
                if let Known::Now(said) = cache.look_up(tokens[token], at(time)) {
                    let (verdict, asked, end) = &model[&token];
                    prop_assert_eq!(&said, verdict);
                    prop_assert!(time < *end && time < *asked + seconds(60));
                }
            }
        }
    }
}
