//! Reading a request's body within bounds: of one body, and of all bodies together.
//!
//! A TokenReview has a few thousand bytes. Its first `SMALL` bytes come out of a budget of their own, so that
//! whoever fills the one for longer bodies keeps no real review out.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::{self, Answer};

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The part of a body that comes out of the budget for small ones, in bytes: several times a real review.
const SMALL: usize = 16 * 1024;
/// What all bodies that are being read may hold of their first [`SMALL`] bytes, in bytes.
const SMALL_BUDGET: usize = 16 * 1024 * 1024;
/// What they may hold beyond that, in bytes.
const LARGE_BUDGET: usize = 8 * 1024 * 1024;

/// What all the bodies that are being read may hold in memory.
#[derive(Debug)]
pub struct BodyBudget {
    small: Semaphore,
    large: Semaphore,
}

/// A body that was read, and its share of the budget, which is free again when this is dropped.
#[derive(Debug)]
pub struct Whole<'a> {
    bytes: Vec<u8>,
    _held: [Option<SemaphorePermit<'a>>; 2],
}

impl Whole<'_> {
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
    #[error("a body has at most {MAX_BODY} bytes")]
    TooLarge,
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
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
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
    pub fn new() -> Self {
        Self { small: Semaphore::new(SMALL_BUDGET), large: Semaphore::new(LARGE_BUDGET) }
    }

    /// Reads `body` whole.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn read<B: Body<Data = Bytes> + Unpin>(&self, body: B) -> Result<Whole<'_>, BodyError> {
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(BodyError::TooLarge);
        }
        tokio::time::timeout(TIMEOUT, self.collect(body)).await.map_err(|_| BodyError::Late)?
    }

    async fn collect<B: Body<Data = Bytes> + Unpin>(&self, mut body: B) -> Result<Whole<'_>, BodyError> {
        let mut bytes = Vec::new();
        let (mut small, mut large) = (None, None);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            let (before, after) = (bytes.len(), bytes.len() + data.len());
            if after > MAX_BODY {
                return Err(BodyError::TooLarge);
            }
            hold(&self.small, &mut small, after.min(SMALL).saturating_sub(before))?;
            hold(&self.large, &mut large, after.saturating_sub(before.max(SMALL)))?;
            bytes.extend_from_slice(&data);
        }
        Ok(Whole { bytes, _held: [small, large] })
    }
}

impl Default for BodyBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes `bytes` out of `budget`, on top of what is held of it.
fn hold<'a>(
    budget: &'a Semaphore,
    held: &mut Option<SemaphorePermit<'a>>,
    bytes: usize,
) -> Result<(), BodyError> {
    if bytes == 0 {
        return Ok(());
    }
    let more = u32::try_from(bytes).ok().and_then(|bytes| budget.try_acquire_many(bytes).ok());
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
        let budget = BodyBudget::new();
        for length in [0, 1, SMALL, SMALL + 1, MAX_BODY] {
            assert_eq!(budget.read(full(length)).await.unwrap().bytes().len(), length);
        }
        assert_eq!(budget.read(chunks(100_000)).await.unwrap().bytes().len(), 100_000);
        assert_eq!(budget.read(full(MAX_BODY + 1)).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(budget.read(chunks(MAX_BODY + 1000)).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(budget.small.available_permits(), SMALL_BUDGET, "all is given back");
        assert_eq!(budget.large.available_permits(), LARGE_BUDGET, "all is given back");
    }

    #[tokio::test]
    async fn long_bodies_together_are_bounded_and_keep_no_review_out() {
        let budget = BodyBudget::new();
        let mut held = Vec::new();
        let refused = loop {
            match budget.read(full(MAX_BODY)).await {
                Ok(whole) => held.push(whole),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, BodyError::Overloaded);
        assert_eq!(held.len(), LARGE_BUDGET / (MAX_BODY - SMALL));
        let review = budget.read(full(SMALL)).await.unwrap();
        held.push(review);
        held.clear();
        budget.read(full(MAX_BODY)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(BodyBudget::new().read(never).await.unwrap_err(), BodyError::Late);
    }
}
