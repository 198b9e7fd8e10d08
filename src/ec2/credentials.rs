use std::time::SystemTime;

use aws_credential_types::{Credentials, provider::ProvideCredentials};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, timeout},
};

use super::Failure;

/// How long before their end credentials are asked for anew.
const BEFORE_END: Duration = Duration::from_mins(2);
/// How long credentials that say no end are kept: those of a file may be changed there.
const WITHOUT_END: Duration = Duration::from_mins(15);
/// How long a provider may take.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Between two asks, so that a provider that fails is not asked by every call.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether `code`, by which AWS refuses a call, is about the credentials themselves, not about what they may do.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
pub(super) fn is_of_credentials(code: &str) -> bool {
    matches!(
        code,
        "AuthFailure"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
    )
}

/// Credentials of a provider, kept while they are good. Whoever asks while the provider is asked waits for that.
#[derive(Debug)]
pub(super) struct Cached<P> {
    provider: P,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    credentials: Option<Credentials>,
    asked: Option<Instant>,
}

impl<P: ProvideCredentials> Cached<P> {
    pub(super) fn new(provider: P) -> Self {
        Self { provider, held: Mutex::default() }
    }

    /// Credentials that are good at `now`.
    ///
    /// # Errors
    /// Where the provider has none, or does not answer.
    pub(super) async fn get(&self, now: SystemTime) -> Result<Credentials, Failure> {
        let mut held = self.held.lock().await;
        let since = held.asked.map(|asked| asked.elapsed());
        let fresh = held.credentials.as_ref().is_some_and(|credentials| match credentials.expiry() {
            Some(end) => now + BEFORE_END < end,
            None => since.is_some_and(|since| since < WITHOUT_END),
        });
        if !fresh && since.is_none_or(|since| since >= PAUSE) {
            held.asked = Some(Instant::now());
            match timeout(ASK_WITHIN, self.provider.provide_credentials()).await {
                Ok(Ok(credentials)) => held.credentials = Some(credentials),
                Ok(Err(error)) => tracing::warn!(%error, "no AWS credentials for EC2"),
                Err(_) => tracing::warn!("no AWS credentials for EC2 in time"),
            }
        }
        // Those that are near their end serve on while there are no others.
        let good = |credentials: &&Credentials| credentials.expiry().is_none_or(|end| now < end);
        held.credentials.as_ref().filter(good).cloned().ok_or(Failure::Credentials)
    }

    /// Has the provider asked anew, since AWS refuses what it gave.
    pub(super) async fn forget(&self) {
        self.held.lock().await.credentials = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use aws_credential_types::provider::{error::CredentialsError, future};

    use super::*;

    /// Numbers its credentials, which end an hour after `begin`, then two hours, and so on; or fails.
    #[derive(Debug, Clone)]
    struct Provider {
        asked: Arc<AtomicUsize>,
        begin: SystemTime,
        ends: bool,
        fails_from: usize,
    }

    const HOUR: Duration = Duration::from_hours(1);

    impl ProvideCredentials for Provider {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                let number = self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                if number >= self.fails_from {
                    return Err(CredentialsError::not_loaded("none"));
                }
                let hours = u32::try_from(number).unwrap() + 1;
                let end = self.ends.then(|| self.begin + HOUR * hours);
                Ok(Credentials::new(format!("AKIA{number}"), "secret", None, end, "test"))
            })
        }
    }

    fn cached(ends: bool, fails_from: usize) -> (Cached<Provider>, SystemTime, Arc<AtomicUsize>) {
        let (asked, begin) = (Arc::default(), SystemTime::UNIX_EPOCH + 500_000 * HOUR);
        let provider = Provider { asked: Arc::clone(&asked), begin, ends, fails_from };
        (Cached::new(provider), begin, asked)
    }

    async fn key(cached: &Cached<Provider>, now: SystemTime) -> Result<String, Failure> {
        cached.get(now).await.map(|credentials| credentials.access_key_id().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_asked_for_anew_before_they_end() {
        let (cached, begin, asked) = cached(true, usize::MAX);
        let all = futures::future::join_all((0..20).map(|_| key(&cached, begin))).await;
        assert!(all.iter().all(|key| key.as_deref() == Ok("AKIA0")));
        assert_eq!(asked.load(Ordering::Relaxed), 1, "twenty askers share one ask");
        tokio::time::advance(HOUR).await;
        assert_eq!(key(&cached, begin + HOUR - BEFORE_END - PAUSE).await.unwrap(), "AKIA0");
        assert_eq!(key(&cached, begin + HOUR - BEFORE_END).await.unwrap(), "AKIA1");
    }

    #[tokio::test(start_paused = true)]
    async fn those_without_an_end_are_looked_at_again() {
        let (cached, now, _) = cached(false, usize::MAX);
        assert_eq!(key(&cached, now).await.unwrap(), "AKIA0");
        tokio::time::advance(Duration::from_mins(14)).await;
        assert_eq!(key(&cached, now).await.unwrap(), "AKIA0");
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(key(&cached, now).await.unwrap(), "AKIA1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_fails_is_left_alone_for_a_moment_and_the_last_ones_serve_to_their_end() {
        let (cached, begin, asked) = cached(true, 1);
        let late = begin + HOUR - PAUSE;
        assert_eq!(key(&cached, begin).await.unwrap(), "AKIA0");
        for _ in 0..3 {
            tokio::time::advance(PAUSE).await;
            assert_eq!(key(&cached, late).await.unwrap(), "AKIA0");
            assert_eq!(key(&cached, late).await.unwrap(), "AKIA0");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        assert_eq!(key(&cached, begin + HOUR).await, Err(Failure::Credentials));
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_aws_refuses_are_asked_for_anew() {
        let (cached, now, _) = cached(true, usize::MAX);
        assert_eq!(key(&cached, now).await.unwrap(), "AKIA0");
        cached.forget().await;
        assert_eq!(key(&cached, now).await, Err(Failure::Credentials), "not within the pause");
        tokio::time::advance(PAUSE).await;
        assert_eq!(key(&cached, now).await.unwrap(), "AKIA1");
    }
}
