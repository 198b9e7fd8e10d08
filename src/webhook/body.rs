//! Reading a request's body within bounds: of one body, and of all bodies together.
//!
//! A TokenReview has a few thousand bytes, and so have most edits of aws-auth. A body's first bytes come out of a
//! budget of their own, so that whoever fills the one for longer bodies keeps no real review out.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{self, Answer};

/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What bodies of one kind may hold in memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest body that is read.
    pub body: usize,
    /// The part of a body that comes out of the budget for small ones: several times a real one.
    pub small: usize,
    /// What all bodies that are being read may hold of their first [`Limits::small`] bytes.
    pub small_budget: usize,
    /// What they may hold beyond that.
    pub large_budget: usize,
}

impl Limits {
    /// Of TokenReviews.
    pub const TOKEN_REVIEWS: Self = Self {
        body: 1024 * 1024,
        small: 16 * 1024,
        small_budget: 16 * 1024 * 1024,
        large_budget: 8 * 1024 * 1024,
    };
    /// Of AdmissionReviews. One holds the object as it was and as it shall be, of which an API server takes 3 MiB
    /// each at most.
    pub const ADMISSION_REVIEWS: Self = Self {
        body: 8 * 1024 * 1024,
        small: 64 * 1024,
        small_budget: 8 * 1024 * 1024,
        large_budget: 16 * 1024 * 1024,
    };
}

/// What all the bodies that are being read may hold in memory.
#[derive(Debug)]
pub struct BodyBudget {
    limits: Limits,
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// A body that was read, and its share of the budget, which is free again when this is dropped.
#[derive(Debug)]
pub struct Whole {
    bytes: Vec<u8>,
    _held: [Option<OwnedSemaphorePermit>; 2],
}

impl Whole {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than anything that is asked here.
    #[error("a body has at most {0} bytes")]
    TooLarge(usize),
    /// The bodies that are being read fill the budget.
    #[error("too many bodies are being read; try again")]
    Overloaded,
    /// The connection broke.
    #[error("the body broke off")]
    Broken,
    /// It came too slowly.
    #[error("the body did not arrive within {} s", TIMEOUT.as_secs())]
    Late,
}

impl BodyError {
    /// What the client is told.
    #[must_use]
    pub fn answer(self) -> Answer {
        let code = match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded => {
                return answer::try_again(StatusCode::SERVICE_UNAVAILABLE, self.to_string(), 1);
            }
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
        };
        answer::failure(code, self.to_string())
    }
}

impl BodyBudget {
    /// An unused budget.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let (small, large) = (Semaphore::new(limits.small_budget), Semaphore::new(limits.large_budget));
        Self { limits, small: Arc::new(small), large: Arc::new(large) }
    }

    /// Reads `body` whole.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn read<B: Body<Data = Bytes> + Unpin>(&self, body: B) -> Result<Whole, BodyError> {
        if body.size_hint().lower() > self.limits.body as u64 {
            return Err(BodyError::TooLarge(self.limits.body));
        }
        tokio::time::timeout(TIMEOUT, self.collect(body)).await.map_err(|_| BodyError::Late)?
    }

    async fn collect<B: Body<Data = Bytes> + Unpin>(&self, mut body: B) -> Result<Whole, BodyError> {
        let Limits { body: longest, small: first, .. } = self.limits;
        let mut bytes = Vec::new();
        let (mut small, mut large) = (None, None);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            let (before, after) = (bytes.len(), bytes.len() + data.len());
            if after > longest {
                return Err(BodyError::TooLarge(longest));
            }
            hold(&self.small, &mut small, after.min(first).saturating_sub(before))?;
            hold(&self.large, &mut large, after.saturating_sub(before.max(first)))?;
            bytes.extend_from_slice(&data);
        }
        Ok(Whole { bytes, _held: [small, large] })
    }
}

/// Takes `bytes` out of `budget`, on top of what is held of it.
fn hold(
    budget: &Arc<Semaphore>,
    held: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
) -> Result<(), BodyError> {
    if bytes == 0 {
        return Ok(());
    }
    let more =
        u32::try_from(bytes).ok().and_then(|bytes| Arc::clone(budget).try_acquire_many_owned(bytes).ok());
    let more = more.ok_or(BodyError::Overloaded)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const LIMITS: Limits = Limits::TOKEN_REVIEWS;
    const MAX_BODY: usize = LIMITS.body;
    const SMALL: usize = LIMITS.small;

    fn full(length: usize) -> Full<Bytes> {
        Full::new(vec![b'x'; length].into())
    }

    /// A body whose length nobody knows before it is read.
    fn chunks(length: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let chunk = || Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; 1000])));
        StreamBody::new(stream::iter((0..length / 1000).map(move |_| chunk())))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_the_limit_and_no_further() {
        let budget = BodyBudget::new(LIMITS);
        for length in [0, 1, SMALL, SMALL + 1, MAX_BODY] {
            assert_eq!(budget.read(full(length)).await.unwrap().bytes().len(), length);
        }
        assert_eq!(budget.read(chunks(100_000)).await.unwrap().bytes().len(), 100_000);
        assert_eq!(budget.read(full(MAX_BODY + 1)).await.unwrap_err(), BodyError::TooLarge(MAX_BODY));
        assert_eq!(budget.read(chunks(MAX_BODY + 1000)).await.unwrap_err(), BodyError::TooLarge(MAX_BODY));
        assert_eq!(budget.small.available_permits(), LIMITS.small_budget, "all is given back");
        assert_eq!(budget.large.available_permits(), LIMITS.large_budget, "all is given back");
    }

    #[tokio::test]
    async fn long_bodies_together_are_bounded_and_keep_no_review_out() {
        let budget = BodyBudget::new(LIMITS);
        let mut held = Vec::new();
        let refused = loop {
            match budget.read(full(MAX_BODY)).await {
                Ok(whole) => held.push(whole),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, BodyError::Overloaded);
        assert_eq!(held.len(), LIMITS.large_budget / (MAX_BODY - SMALL));
        let review = budget.read(full(SMALL)).await.unwrap();
        held.push(review);
        held.clear();
        budget.read(full(MAX_BODY)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(BodyBudget::new(LIMITS).read(never).await.unwrap_err(), BodyError::Late);
    }
}
