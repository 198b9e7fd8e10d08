use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use arngate::{
    sts::Endpoint,
    token::{ClusterId, PREFIX, PresignError, presign},
};
use aws_credential_types::Credentials as AwsCredentials;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    Mix, ReviewVersion, TokenClass, Via,
    mix::Draws,
    seconds::{OLDEST, Seconds},
};
use crate::sts::Credentials;

/// How old a repeated token gets before another takes its place; clients keep one for 14 minutes.
const RENEWED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// How old a forged token's date gets.
const FORGED_ANEW_AFTER: SignedDuration = SignedDuration::from_mins(1);
/// How many garbage tokens there are.
const GARBAGE: usize = 256;

/// Why no token can be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is nobody to sign for.
    #[error(
        "there is no principal: say how many nodes, roles and users there are, or name a file of principals"
    )]
    Nobody,
    /// The cluster ID is none.
    #[error("the cluster ID cannot be signed for: {0}")]
    ClusterId(String),
    /// The region is none.
    #[error("{0}")]
    Region(String),
    /// The signer refuses.
    #[error(transparent)]
    Presign(#[from] PresignError),
}

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What kind of token it carries.
    pub class: TokenClass,
    /// What the client sends: a TokenReview, or an `Authorization` header's value.
    pub payload: Bytes,
}

/// Makes tokens, and of them what the target is sent.
#[derive(Debug, Clone)]
pub struct Source {
    cluster_id: ClusterId,
    endpoint: Endpoint,
    via: Via,
    seconds: Arc<Seconds>,
}

impl Source {
    /// Tokens for a cluster, that name a region's STS, in the form that `via` takes.
    ///
    /// # Errors
    /// Where cluster ID or region are none.
    pub fn new(cluster_id: &str, region: &str, via: Via) -> Result<Self, TokenError> {
        let cluster_id = cluster_id.parse().map_err(|error| TokenError::ClusterId(format!("{error}")))?;
        let endpoint = Endpoint::regional(region).map_err(|error| TokenError::Region(error.to_string()))?;
        Ok(Self { cluster_id, endpoint, via, seconds: Arc::default() })
    }

    /// What is sent for one principal's token.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub fn one(&self, credentials: &Credentials) -> Result<Bytes, TokenError> {
        Ok(self.signed(&aws(credentials), self.seconds.take(Timestamp::now()))?)
    }

    fn signed(&self, credentials: &AwsCredentials, time: Timestamp) -> Result<Bytes, PresignError> {
        let token = presign(credentials, &self.cluster_id, &self.endpoint, time)?;
        Ok(self.payload(token.expose()))
    }

    /// Tokens are of characters that mean nothing in JSON.
    fn payload(&self, token: &str) -> Bytes {
        let version = match self.via {
            Via::Webhook(ReviewVersion::V1) => "v1",
            Via::Webhook(ReviewVersion::V1beta1) => "v1beta1",
            Via::ApiServer => return Bytes::from(format!("Bearer {token}")),
        };
        Bytes::from(format!(
            "{{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/{version}\",\
             \"metadata\":{{\"creationTimestamp\":null}},\"spec\":{{\"token\":\"{token}\"}},\
             \"status\":{{\"user\":{{}}}}}}"
        ))
    }
}

fn aws(credentials: &Credentials) -> AwsCredentials {
    let Credentials { access_key_id, secret_access_key, session_token } = credentials;
    AwsCredentials::new(access_key_id, secret_access_key, session_token.clone(), None, "lab")
}

/// A token whose access key is replaced by one that nobody has. STS refuses it for that, and looks at no signature:
/// signing each anew would only cost the generator's CPU, which a flood has better uses for.
struct Forge {
    /// The URL before and after the access key.
    around: Option<(Timestamp, String, String)>,
}

impl Forge {
    fn token(
        &mut self,
        source: &Source,
        key: &str,
        secret: &str,
        now: Timestamp,
    ) -> Result<Bytes, TokenError> {
        if self.around.as_ref().is_none_or(|(signed, ..)| now.duration_since(*signed) > FORGED_ANEW_AFTER) {
            let credentials = AwsCredentials::new(key, secret, None, None, "lab");
            let token = presign(&credentials, &source.cluster_id, &source.endpoint, now)?;
            let url = token.expose().strip_prefix(PREFIX).and_then(|url| URL_SAFE_NO_PAD.decode(url).ok());
            let url = url.and_then(|url| String::from_utf8(url).ok()).unwrap_or_default();
            let (before, after) = url.split_once(key).unwrap_or_default();
            self.around = Some((now, before.to_owned(), after.to_owned()));
        }
        let (_, before, after) = self.around.as_ref().ok_or(TokenError::Nobody)?;
        Ok(source.payload(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(format!("{before}{key}{after}")))))
    }
}

/// Signs what no request has carried before: a principal and a second each.
struct Fresh {
    people: Vec<AwsCredentials>,
    next: usize,
    second: Timestamp,
}

impl Fresh {
    fn new(people: Vec<AwsCredentials>) -> Self {
        Self { next: people.len(), people, second: Timestamp::UNIX_EPOCH }
    }

    /// Whose token is next, and when it is signed. Where all have had one of a second, another is taken.
    fn draw(&mut self, seconds: &Seconds, now: Timestamp) -> Option<(&AwsCredentials, Timestamp)> {
        if self.next == self.people.len() {
            self.next = 0;
            self.second = seconds.take(now);
        }
        let person = self.people.get(self.next)?;
        self.next += 1;
        Some((person, self.second))
    }
}

/// How many distinct tokens so many principals have at one time.
#[must_use]
pub fn distinct(principals: usize) -> u64 {
    u64::try_from(OLDEST.as_secs()).unwrap_or_default().saturating_mul(principals as u64)
}

/// Makes requests one after the other, by a mix.
struct Maker {
    source: Source,
    draws: Draws,
    fresh: Fresh,
    forge: Forge,
    /// One a principal, made when it is first drawn.
    repeated: Vec<Option<(Timestamp, Bytes)>>,
    /// When those of the pool are signed.
    repeated_second: Option<Timestamp>,
    garbage: Vec<Bytes>,
}

impl Maker {
    fn new(source: Source, people: &[Credentials], mix: &Mix) -> Result<Self, TokenError> {
        if people.is_empty() && mix.needs_principals() {
            return Err(TokenError::Nobody);
        }
        let people: Vec<AwsCredentials> = people.iter().map(aws).collect();
        let pool = mix.pool.unwrap_or(people.len()).min(people.len());
        let mut draws = Draws::new(mix.clone());
        let garbage = (0..GARBAGE).map(|_| source.payload(&draws.garbage())).collect();
        Ok(Self {
            repeated: vec![None; pool],
            fresh: Fresh::new(people),
            repeated_second: None,
            forge: Forge { around: None },
            garbage,
            draws,
            source,
        })
    }

    fn make(&mut self) -> Result<Prepared, TokenError> {
        let class = self.draws.class();
        let now = Timestamp::now();
        let payload = match class {
            TokenClass::Fresh => {
                let (person, time) = self.fresh.draw(&self.source.seconds, now).ok_or(TokenError::Nobody)?;
                self.source.signed(person, time)?
            }
            TokenClass::Repeated => {
                let place = self.draws.below(self.repeated.len());
                let person = self.fresh.people.get(place).ok_or(TokenError::Nobody)?;
                let slot = self.repeated.get_mut(place).ok_or(TokenError::Nobody)?;
                match slot {
                    Some((signed, payload)) if now.duration_since(*signed) < RENEWED_AFTER => payload.clone(),
                    _ => {
                        let time = match self.repeated_second {
                            Some(time) if now.duration_since(time) < RENEWED_AFTER => time,
                            _ => self.source.seconds.take(now),
                        };
                        self.repeated_second = Some(time);
                        let payload = self.source.signed(person, time)?;
                        *slot = Some((time, payload.clone()));
                        payload
                    }
                }
            }
            TokenClass::Forged => {
                let (key, secret) = self.draws.forged();
                self.forge.token(&self.source, &key, &secret, now)?
            }
            TokenClass::Garbage => {
                let place = self.draws.below(self.garbage.len());
                self.garbage.get(place).cloned().ok_or(TokenError::Nobody)?
            }
        };
        Ok(Prepared { class, payload })
    }
}

/// Requests in the order in which they are to be sent, made ahead by a thread of its own, so that signing does not
/// move when they are sent.
pub struct Supply {
    made: Mutex<mpsc::Receiver<Prepared>>,
    stop: Arc<AtomicBool>,
}

impl Supply {
    /// Begins to make at most `total` requests, and waits until `ahead` of them are there.
    ///
    /// # Errors
    /// Where tokens cannot be made.
    pub async fn start(
        source: Source,
        people: &[Credentials],
        mix: &Mix,
        total: Option<u64>,
        ahead: usize,
    ) -> Result<Self, TokenError> {
        let mut maker = Maker::new(source, people, mix)?;
        // The first is made here: where one cannot be signed, none can.
        let first = maker.make()?;
        let (send, made) = mpsc::channel(ahead.max(1));
        let (full, is_full) = oneshot::channel::<()>();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let spawned = thread::Builder::new().name("lab-presign".to_owned()).spawn(move || {
            let mut full = Some(full);
            let mut next = Some(first);
            let mut left = total.unwrap_or(u64::MAX);
            while let Some(prepared) = next.take().filter(|_| left > 0 && !stopped.load(Ordering::Relaxed)) {
                left -= 1;
                let prepared = match send.try_send(prepared) {
                    Ok(()) => None,
                    Err(mpsc::error::TrySendError::Full(prepared)) => Some(prepared),
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                };
                if let Some(prepared) = prepared {
                    // Dropping it says that there are as many as there may be.
                    full = None;
                    if send.blocking_send(prepared).is_err() {
                        return;
                    }
                }
                // What could be signed once can be signed again.
                next = maker.make().ok();
            }
            drop(full);
        });
        if spawned.is_err() {
            return Err(TokenError::Nobody);
        }
        let _ = is_full.await;
        Ok(Self { made: Mutex::new(made), stop })
    }

    /// Requests that a test makes.
    #[cfg(test)]
    pub(super) fn by_hand(ahead: usize) -> (mpsc::Sender<Prepared>, Self) {
        let (send, made) = mpsc::channel(ahead);
        (send, Self { made: Mutex::new(made), stop: Arc::default() })
    }

    /// The next request; `None` where all have been sent.
    pub async fn next(&self) -> Option<Prepared> {
        self.made.lock().await.recv().await
    }

    /// The same, for a thread that is not a runtime's.
    #[must_use]
    pub fn blocking_next(&self) -> Option<Prepared> {
        self.made.blocking_lock().blocking_recv()
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
