use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::lanes::Lane;
use crate::{
    sts::{Endpoint, Endpoints, NoVerdict, StsError},
    telemetry::VerifierMetrics,
};

/// So many calls in a row that found no STS open the circuit.
const FAILURES: u32 = 5;
/// How long the circuit is open at first. Each failed probe doubles it, up to `LONGEST_WAIT`.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How soon after a failure somebody known may probe: a stranger's tokens may have opened the circuit.
const KNOWN_WAIT: Duration = Duration::from_millis(250);

/// A circuit breaker for each of STS's hosts.
#[derive(Debug)]
pub(super) struct Circuits {
    /// The hosts are a closed set, known at the start.
    by_host: HashMap<Box<str>, Arc<Circuit>>,
}

/// The circuit to one host: closed while STS is there; open, with a probe from time to time, while it is not.
#[derive(Debug)]
pub(super) struct Circuit {
    endpoint: Arc<Endpoint>,
    state: Mutex<State>,
    metrics: VerifierMetrics,
}

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        /// Since when; the last failed probe counts.
        since: Instant,
        wait: Duration,
        /// A probe is under way: the circuit is half open.
        probing: bool,
    },
}

/// Leave to call a host. Dropped without an answer it tells nothing.
#[derive(Debug)]
pub(super) struct Passage {
    circuit: Arc<Circuit>,
    probe: bool,
}

impl Circuits {
    pub(super) fn new(endpoints: &Endpoints, metrics: &VerifierMetrics) -> Self {
        let by_host = endpoints.iter().map(|endpoint| {
            let circuit = Circuit {
                endpoint: Arc::clone(endpoint),
                state: Mutex::new(State::Closed { failures: 0 }),
                metrics: metrics.clone(),
            };
            (Box::from(endpoint.host()), Arc::new(circuit))
        });
        Self { by_host: by_host.collect() }
    }

    /// The circuit to `endpoint`; `None` for one that is not of the set.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Option<&Arc<Circuit>> {
        self.by_host.get(endpoint.host())
    }
}

impl Circuit {
    /// Whether a call could leave at `now`.
    ///
    /// # Errors
    /// How long it is best to wait.
    pub(super) fn check(&self, lane: Lane, now: Instant) -> Result<(), Duration> {
        self.state().check(lane, now).map(drop)
    }

    /// Has a call leave at `now`.
    ///
    /// # Errors
    /// How long it is best to wait.
    pub(super) fn enter(self: &Arc<Self>, lane: Lane, now: Instant) -> Result<Passage, Duration> {
        let mut state = self.state();
        let probe = state.check(lane, now)?;
        if let State::Open { probing, .. } = &mut *state {
            *probing = true;
        }
        Ok(Passage { circuit: Arc::clone(self), probe })
    }

    // Every change is one assignment, so that a panic elsewhere leaves it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self) {
        let mut state = self.state();
        let was_open = matches!(*state, State::Open { .. });
        *state = State::Closed { failures: 0 };
        drop(state);
        if was_open {
            self.metrics.circuit_closed(self.endpoint.region_label());
            tracing::info!(sts_host = self.endpoint.host(), "STS answers again");
        }
    }

    fn failed(&self, probe: bool, now: Instant) {
        let mut state = self.state();
        match &mut *state {
            State::Closed { failures } if *failures + 1 < FAILURES => *failures += 1,
            State::Closed { .. } => {
                *state = State::Open { since: now, wait: FIRST_WAIT, probing: false };
                drop(state);
                self.metrics.circuit_opened(self.endpoint.region_label());
                tracing::error!(
                    sts_host = self.endpoint.host(),
                    failures = FAILURES,
                    "STS cannot be reached; it is asked from time to time whether it is back, and tokens for \
                     this host are answered with 503 until then; see that this node reaches the host on port 443"
                );
            }
            State::Open { since, wait, probing } if probe => {
                *since = now;
                *wait = (*wait * 2).min(LONGEST_WAIT);
                *probing = false;
            }
            // A call that had left before the circuit opened tells nothing new.
            State::Open { .. } => {}
        }
    }
}

impl State {
    /// Whether a call that leaves now is a probe.
    fn check(&self, lane: Lane, now: Instant) -> Result<bool, Duration> {
        let Self::Open { since, wait, probing } = self else { return Ok(false) };
        let wait = match lane {
            Lane::Known => (*wait).min(KNOWN_WAIT),
            Lane::Stranger => *wait,
        };
        let left = wait.saturating_sub(now.saturating_duration_since(*since));
        if *probing || !left.is_zero() { Err(left.max(KNOWN_WAIT)) } else { Ok(true) }
    }
}

impl Passage {
    /// Tells what came of the call, at `now`.
    ///
    /// Any answer that is STS's own, a refusal or throttling too, says that STS is there. What anybody can
    /// bring about by an odd token (an unreadable answer, say) says nothing.
    pub(super) fn answered<T>(mut self, answer: &Result<T, StsError>, now: Instant) {
        match answer {
            Ok(_) | Err(StsError::Rejected(_) | StsError::NoVerdict(NoVerdict::Throttled)) => {
                self.probe = false;
                self.circuit.succeeded();
            }
            Err(StsError::NoVerdict(
                NoVerdict::Connect | NoVerdict::Timeout | NoVerdict::Transport | NoVerdict::ServerError(_),
            )) => {
                let probe = std::mem::take(&mut self.probe);
                self.circuit.failed(probe, now);
            }
            Err(StsError::NoVerdict(_)) => {}
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        // However a probe ends, the next one must be possible.
        if self.probe
            && let State::Open { probing, .. } = &mut *self.circuit.state()
        {
            *probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sts::Rejection, telemetry::Metrics};

    type Answer = Result<(), StsError>;

    const FAILED: Answer = Err(StsError::NoVerdict(NoVerdict::Connect));

    fn circuit() -> (Arc<Circuit>, Instant, Metrics) {
        let metrics = Metrics::new();
        let endpoint = Endpoint::regional("us-east-1").unwrap();
        let circuits = Circuits::new(&Endpoints::of(&endpoint), metrics.verifier());
        (Arc::clone(circuits.of(&endpoint).unwrap()), Instant::now(), metrics)
    }

    fn opened() -> (Arc<Circuit>, Instant, Metrics) {
        let (circuit, now, metrics) = circuit();
        for _ in 0..FAILURES {
            circuit.enter(Lane::Stranger, now).unwrap().answered(&FAILED, now);
        }
        (circuit, now, metrics)
    }

    fn open(metrics: &Metrics) -> bool {
        let text = String::from_utf8(metrics.render(jiff::Timestamp::UNIX_EPOCH).unwrap().0).unwrap();
        text.contains(r#"sts_circuits_open{StsRegion="us-east-1"} 1"#)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_before() {
        let (circuit, now, metrics) = circuit();
        for alive in [Ok(()), Err(Rejection::SignatureDoesNotMatch.into()), Err(NoVerdict::Throttled.into())]
        {
            for _ in 1..FAILURES {
                circuit.enter(Lane::Stranger, now).unwrap().answered(&FAILED, now);
            }
            circuit.enter(Lane::Stranger, now).unwrap().answered(&alive, now);
        }
        for failure in
            [NoVerdict::Connect, NoVerdict::Timeout, NoVerdict::Transport, NoVerdict::ServerError(500)]
        {
            circuit.enter(Lane::Stranger, now).unwrap().answered(&Answer::Err(failure.into()), now);
        }
        assert!(circuit.check(Lane::Stranger, now).is_ok() && !open(&metrics));
        circuit.enter(Lane::Stranger, now).unwrap().answered(&FAILED, now);
        assert_eq!(circuit.check(Lane::Stranger, now), Err(FIRST_WAIT));
        assert!(open(&metrics));
    }

    #[test]
    fn what_an_odd_token_can_bring_about_does_not_open_it() {
        let (circuit, now, _) = circuit();
        for answer in [NoVerdict::Oversized, NoVerdict::Encoding, NoVerdict::UnexpectedStatus(302)] {
            for _ in 0..2 * FAILURES {
                circuit.enter(Lane::Stranger, now).unwrap().answered(&Answer::Err(answer.into()), now);
            }
        }
        assert!(circuit.check(Lane::Stranger, now).is_ok());
    }

    #[test]
    fn one_probe_at_a_time_and_a_good_one_closes_it() {
        let (circuit, now, metrics) = opened();
        let later = now + FIRST_WAIT;
        let probe = circuit.enter(Lane::Stranger, later).unwrap();
        assert!(circuit.enter(Lane::Stranger, later).is_err(), "one at a time");
        assert!(circuit.enter(Lane::Known, later).is_err());
        probe.answered(&Answer::Ok(()), later);
        assert!(circuit.check(Lane::Stranger, later).is_ok() && !open(&metrics));
    }

    #[test]
    fn failed_probes_come_more_and_more_seldom() {
        let (circuit, mut now, _) = opened();
        for wait in [1, 2, 4, 8, 10, 10].map(Duration::from_secs) {
            assert!(circuit.check(Lane::Stranger, now + wait - Duration::from_millis(1)).is_err());
            now += wait;
            circuit.enter(Lane::Stranger, now).unwrap().answered(&FAILED, now);
        }
    }

    #[test]
    fn somebody_known_probes_sooner() {
        let (circuit, now, _) = opened();
        assert_eq!(circuit.check(Lane::Known, now), Err(KNOWN_WAIT));
        let soon = now + KNOWN_WAIT;
        assert!(circuit.check(Lane::Stranger, soon).is_err());
        circuit.enter(Lane::Known, soon).unwrap().answered(&Answer::Ok(()), soon);
        assert!(circuit.check(Lane::Stranger, soon).is_ok());
    }

    #[test]
    fn a_probe_that_never_ends_does_not_keep_it_open_for_ever() {
        let (circuit, now, _) = opened();
        drop(circuit.enter(Lane::Stranger, now + FIRST_WAIT).unwrap());
        assert!(circuit.enter(Lane::Stranger, now + FIRST_WAIT).is_ok());
    }

    #[test]
    fn a_straggler_neither_prolongs_nor_ends_a_probe() {
        let (circuit, now, _) = circuit();
        let straggler = circuit.enter(Lane::Stranger, now).unwrap();
        for _ in 0..FAILURES {
            circuit.enter(Lane::Stranger, now).unwrap().answered(&FAILED, now);
        }
        let probe = circuit.enter(Lane::Stranger, now + FIRST_WAIT).unwrap();
        straggler.answered(&FAILED, now + FIRST_WAIT);
        assert!(circuit.enter(Lane::Stranger, now + FIRST_WAIT).is_err(), "the probe is still under way");
        drop(probe);
    }
}
