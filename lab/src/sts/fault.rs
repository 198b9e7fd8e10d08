use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use jiff::SignedDuration;

mod latency;
mod limit;

pub use latency::{Latency, UnknownLatency};
pub use limit::{RateLimit, UnknownLimit};

use limit::Bucket;

/// What the emulator does wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// `Throttling`, which STS answers with HTTP 400.
    Throttle,
    /// An error of the service's own with this status.
    Status(StatusCode),
    /// The answer that would have been given, later.
    Delay(Duration),
    /// The connection is reset, without an answer.
    Reset,
    /// No answer ever comes; the connection stays.
    Hang,
    /// The answer that would have been given, its body spread over so long.
    SlowBody(Duration),
    /// HTTP 302 to this URL.
    Redirect(String),
    /// The answer that would have been given, with so many blanks behind it: whole for a reader without a bound.
    Oversized(usize),
    /// HTTP 200 with this content type and body.
    Body(String, Bytes),
}

/// A fault, and how many requests it is still for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// How many more requests; `None` is all of them.
    pub remaining: Option<usize>,
}

/// All that an emulator does wrong: every request is delayed, counted against the limit, and may meet the fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// What goes wrong, and for how many requests.
    pub plan: FaultPlan,
    /// Which share of the requests meets the fault, from 0 to 1.
    pub share: f64,
    /// How much later answers come.
    pub latency: Latency,
    /// Beyond which rate requests are throttled, as STS does it.
    pub limit: Option<RateLimit>,
    /// What latencies, and who meets a fault, are drawn from.
    pub seed: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { plan: FaultPlan::default(), share: 1.0, latency: Latency::None, limit: None, seed: 1 }
    }
}

/// What one request meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meeting {
    pub(super) fault: Fault,
    pub(super) latency: Duration,
}

/// The conditions that an emulator has now. Clones are of the same emulator.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: Conditions,
    bucket: Option<Bucket>,
    random: fastrand::Rng,
}

impl Default for State {
    fn default() -> Self {
        Self::new(Conditions::default())
    }
}

impl State {
    fn new(now: Conditions) -> Self {
        Self { bucket: now.limit.map(Bucket::new), random: fastrand::Rng::with_seed(now.seed), now }
    }
}

impl Faults {
    /// Has every request meet `fault` from now on; latency and limit stay.
    pub fn set(&self, fault: Fault) {
        self.plan(FaultPlan { fault, remaining: None });
    }

    /// Has the next `requests` requests meet `fault`, and none after them; latency and limit stay.
    pub fn set_for(&self, fault: Fault, requests: usize) {
        self.plan(FaultPlan { fault, remaining: Some(requests) });
    }

    /// Replaces all conditions.
    pub fn apply(&self, conditions: Conditions) {
        *self.state() = State::new(conditions);
    }

    /// Ends fault, latency and limit.
    pub fn clear(&self) {
        self.apply(Conditions::default());
    }

    /// The fault as it is now.
    #[must_use]
    pub fn current(&self) -> FaultPlan {
        self.state().now.plan.clone()
    }

    /// The conditions as they are now.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        self.state().now.clone()
    }

    /// What a request that comes at `now` meets.
    pub(super) fn next(&self, now: Instant) -> Meeting {
        let mut state = self.state();
        let State { now: conditions, bucket, random } = &mut *state;
        let latency = conditions.latency.draw(random);
        if bucket.as_mut().is_some_and(|bucket| !bucket.take(now)) {
            return Meeting { fault: Fault::Throttle, latency };
        }
        // Nothing is drawn where all or none meet it, so that latencies do not depend on it.
        let meets = conditions.share >= 1.0 || random.f64() < conditions.share;
        let fault = match &mut conditions.plan.remaining {
            _ if !meets => Fault::None,
            None => conditions.plan.fault.clone(),
            Some(0) => Fault::None,
            Some(remaining) => {
                *remaining -= 1;
                conditions.plan.fault.clone()
            }
        };
        Meeting { fault, latency }
    }

    fn plan(&self, plan: FaultPlan) {
        let mut state = self.state();
        state.now.plan = plan;
        state.now.share = 1.0;
    }

    // A panic elsewhere leaves nothing half done that matters here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected none, throttle, status=503, delay=200ms, slow-body=5s, reset, hang, redirect=URL, \
     oversized=BYTES or body=TEXT"
)]
pub struct UnknownFault;

impl FromStr for Fault {
    type Err = UnknownFault;

    /// Reads what `arngate-lab sts --fault` takes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        Ok(match (name, value) {
            ("none", None) => Self::None,
            ("throttle", None) => Self::Throttle,
            ("reset", None) => Self::Reset,
            ("hang", None) => Self::Hang,
            ("status", Some(status)) => {
                let status: StatusCode = status.parse().map_err(|_| UnknownFault)?;
                if !(status.is_client_error() || status.is_server_error()) {
                    return Err(UnknownFault);
                }
                Self::Status(status)
            }
            ("delay", Some(delay)) => Self::Delay(duration(delay)?),
            ("slow-body", Some(lasting)) => Self::SlowBody(duration(lasting)?),
            ("redirect", Some(url)) => Self::Redirect(url.to_owned()),
            ("oversized", Some(bytes)) => Self::Oversized(bytes.parse().map_err(|_| UnknownFault)?),
            ("body", Some(body)) => Self::Body("text/xml".to_owned(), Bytes::from(body.to_owned())),
            _ => return Err(UnknownFault),
        })
    }
}

fn duration(text: &str) -> Result<Duration, UnknownFault> {
    let duration: SignedDuration = text.parse().map_err(|_| UnknownFault)?;
    duration.try_into().map_err(|_| UnknownFault)
}

impl fmt::Display for Fault {
    /// Writes what [`Fault::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Throttle => f.write_str("throttle"),
            Self::Status(status) => write!(f, "status={}", status.as_u16()),
            Self::Delay(delay) => write!(f, "delay={delay:?}"),
            Self::SlowBody(lasting) => write!(f, "slow-body={lasting:?}"),
            Self::Reset => f.write_str("reset"),
            Self::Hang => f.write_str("hang"),
            Self::Redirect(url) => write!(f, "redirect={url}"),
            Self::Oversized(bytes) => write!(f, "oversized={bytes}"),
            Self::Body(_, body) => write!(f, "body={}", String::from_utf8_lossy(body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(faults: &Faults) -> Fault {
        faults.next(Instant::now()).fault
    }

    #[test]
    fn a_share_of_the_requests_meets_the_fault() {
        let faults = Faults::default();
        let plan = FaultPlan { fault: Fault::Reset, remaining: None };
        faults.apply(Conditions { plan, share: 0.25, ..Conditions::default() });
        let met = (0..4000).filter(|_| next(&faults) == Fault::Reset).count();
        assert!((900..1100).contains(&met), "{met}");
    }

    #[test]
    fn beyond_the_limit_requests_are_throttled_and_all_are_late() {
        let faults = Faults::default();
        let (latency, limit) = ("20ms".parse().unwrap(), Some("5/s".parse().unwrap()));
        faults.apply(Conditions { latency, limit, ..Conditions::default() });
        let now = Instant::now();
        let met: Vec<_> = (0..7).map(|_| faults.next(now)).collect();
        assert!(met.iter().all(|met| met.latency == Duration::from_millis(20)));
        assert_eq!(met.iter().filter(|met| met.fault == Fault::Throttle).count(), 2);
        faults.clear();
        assert_eq!(faults.next(now), Meeting { fault: Fault::None, latency: Duration::ZERO });
    }

    #[test]
    fn a_fault_for_some_requests_ends_by_itself() {
        let faults = Faults::default();
        faults.set_for(Fault::Throttle, 2);
        assert_eq!(
            [next(&faults), next(&faults), next(&faults)],
            [Fault::Throttle, Fault::Throttle, Fault::None]
        );
        faults.set(Fault::Hang);
        assert_eq!([next(&faults), next(&faults)], [Fault::Hang, Fault::Hang]);
        faults.clear();
        assert_eq!(next(&faults), Fault::None);
    }

    #[test]
    fn every_fault_can_be_written() {
        for (text, fault) in [
            ("none", Fault::None),
            ("throttle", Fault::Throttle),
            ("status=503", Fault::Status(StatusCode::SERVICE_UNAVAILABLE)),
            ("delay=1.5s", Fault::Delay(Duration::from_millis(1500))),
            ("slow-body=2s", Fault::SlowBody(Duration::from_secs(2))),
            ("reset", Fault::Reset),
            ("hang", Fault::Hang),
            ("redirect=https://a.example/?b=c", Fault::Redirect("https://a.example/?b=c".to_owned())),
            ("oversized=1048576", Fault::Oversized(1 << 20)),
            ("body=<x/>", Fault::Body("text/xml".to_owned(), Bytes::from("<x/>"))),
        ] {
            assert_eq!(fault.to_string(), text);
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
        for text in ["", "status", "status=200", "status=x", "delay=-1s", "oversized=-1", "hang=1"] {
            assert_eq!(text.parse::<Fault>(), Err(UnknownFault), "{text}");
        }
    }
}
