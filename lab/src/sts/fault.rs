use std::{
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use jiff::SignedDuration;

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
    /// HTTP 302 to this URL.
    Redirect(String),
    /// The answer that would have been given, with so many blanks before it.
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

/// The fault that an emulator has now. Clones are of the same emulator.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<FaultPlan>>);

impl Faults {
    /// Has every request meet `fault` from now on.
    pub fn set(&self, fault: Fault) {
        self.plan(FaultPlan { fault, remaining: None });
    }

    /// Has the next `requests` requests meet `fault`, and none after them.
    pub fn set_for(&self, fault: Fault, requests: usize) {
        self.plan(FaultPlan { fault, remaining: Some(requests) });
    }

    /// Ends the fault.
    pub fn clear(&self) {
        self.plan(FaultPlan::default());
    }

    /// The plan as it is now.
    #[must_use]
    pub fn current(&self) -> FaultPlan {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the next request meets.
    pub(super) fn next(&self) -> Fault {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut plan.remaining {
            None => plan.fault.clone(),
            Some(0) => Fault::None,
            Some(remaining) => {
                *remaining -= 1;
                plan.fault.clone()
            }
        }
    }

    fn plan(&self, plan: FaultPlan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected none, throttle, status=503, delay=200ms, reset, hang, redirect=URL, oversized=BYTES or \
     body=TEXT"
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
            ("delay", Some(delay)) => {
                let delay: SignedDuration = delay.parse().map_err(|_| UnknownFault)?;
                Self::Delay(delay.try_into().map_err(|_| UnknownFault)?)
            }
            ("redirect", Some(url)) => Self::Redirect(url.to_owned()),
            ("oversized", Some(bytes)) => Self::Oversized(bytes.parse().map_err(|_| UnknownFault)?),
            ("body", Some(body)) => Self::Body("text/xml".to_owned(), Bytes::from(body.to_owned())),
            _ => return Err(UnknownFault),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_some_requests_ends_by_itself() {
        let faults = Faults::default();
        faults.set_for(Fault::Throttle, 2);
        assert_eq!(
            [faults.next(), faults.next(), faults.next()],
            [Fault::Throttle, Fault::Throttle, Fault::None]
        );
        faults.set(Fault::Hang);
        assert_eq!([faults.next(), faults.next()], [Fault::Hang, Fault::Hang]);
        faults.clear();
        assert_eq!(faults.next(), Fault::None);
    }

    #[test]
    fn every_fault_can_be_written() {
        for (text, fault) in [
            ("none", Fault::None),
            ("throttle", Fault::Throttle),
            ("status=503", Fault::Status(StatusCode::SERVICE_UNAVAILABLE)),
            ("delay=1500ms", Fault::Delay(Duration::from_millis(1500))),
            ("reset", Fault::Reset),
            ("hang", Fault::Hang),
            ("redirect=https://a.example/?b=c", Fault::Redirect("https://a.example/?b=c".to_owned())),
            ("oversized=1048576", Fault::Oversized(1 << 20)),
            ("body=<x/>", Fault::Body("text/xml".to_owned(), Bytes::from("<x/>"))),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
        for text in ["", "status", "status=200", "status=x", "delay=-1s", "oversized=-1", "hang=1"] {
            assert_eq!(text.parse::<Fault>(), Err(UnknownFault), "{text}");
        }
    }
}
