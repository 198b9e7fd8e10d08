use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::sts::{Client, Endpoint, Endpoints};

/// How long a host is kept warm after the last call.
const IN_USE: Duration = Duration::from_mins(15);
/// How long a connection is idle at most before something is sent. Together with `LOOK_EVERY` it is shorter than the
/// client keeps an idle connection.
const IDLE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Keeps a connection open to each of STS's hosts that is in use, so that a token after a quiet minute does not wait
/// for TCP and TLS.
///
/// What is sent is a request for nothing, which names no action and carries no credentials: STS answers it with a
/// redirect to its product page, and counts it as nobody's call. A host that nobody's tokens name is never asked.
#[derive(Debug)]
pub(super) struct Warmth(Mutex<HashMap<Box<str>, Use>>);

#[derive(Debug)]
struct Use {
    endpoint: Arc<Endpoint>,
    /// When it was last called.
    called: Option<Instant>,
    /// When something was last sent.
    sent: Instant,
}

impl Warmth {
    /// Of `endpoints`, none of which is in use yet; and the task that keeps them warm, which ends with its handle.
    pub(super) fn new(endpoints: &Endpoints, client: Client) -> (Arc<Self>, AbortOnDropHandle<()>) {
        let warmth = Arc::new(Self::of(endpoints, Instant::now()));
        let task = tokio::spawn({
            let warmth = Arc::clone(&warmth);
            async move {
                loop {
                    sleep(LOOK_EVERY).await;
                    for endpoint in warmth.due(Instant::now()) {
                        // The hosts in use are one or two; each call has a deadline of its own.
                        client.keep_warm(&endpoint).await;
                    }
                }
            }
        });
        (warmth, AbortOnDropHandle::new(task))
    }

    fn of(endpoints: &Endpoints, now: Instant) -> Self {
        let unused = |endpoint: &Arc<Endpoint>| {
            let endpoint = Arc::clone(endpoint);
            (Box::from(endpoint.host()), Use { endpoint, called: None, sent: now })
        };
        Self(Mutex::new(endpoints.iter().map(unused).collect()))
    }

    /// STS was called at `endpoint`.
    pub(super) fn called(&self, endpoint: &Endpoint, now: Instant) {
        if let Some(host) = self.hosts().get_mut(endpoint.host()) {
            (host.called, host.sent) = (Some(now), now);
        }
    }

    /// The hosts to which something is to be sent now.
    fn due(&self, now: Instant) -> Vec<Arc<Endpoint>> {
        let since = |then| now.saturating_duration_since(then);
        let mut due = Vec::new();
        for host in self.hosts().values_mut() {
            if host.called.is_some_and(|called| since(called) < IN_USE) && since(host.sent) >= IDLE {
                host.sent = now;
                due.push(Arc::clone(&host.endpoint));
            }
        }
        due
    }

    // Every change is an assignment, so that a panic elsewhere leaves it whole.
    fn hosts(&self) -> MutexGuard<'_, HashMap<Box<str>, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Partition;

    #[test]
    fn hosts_in_use_are_kept_warm_and_no_others() {
        let (endpoints, start) = (Endpoints::new(Partition::Aws, None, &[]).unwrap(), Instant::now());
        let warmth = Warmth::of(&endpoints, start);
        let hosts = |after: u64| -> Vec<String> {
            let due = warmth.due(start + Duration::from_secs(after));
            due.iter().map(|endpoint| endpoint.host().to_owned()).collect()
        };
        assert!(hosts(600).is_empty(), "nothing was called yet");
        let called = Endpoint::regional("eu-west-1").unwrap();
        warmth.called(&called, start + Duration::from_mins(10));
        assert!(hosts(615).is_empty(), "not yet idle");
        assert_eq!(hosts(630), [called.host()]);
        assert!(hosts(645).is_empty(), "sent a moment ago");
        assert_eq!(hosts(660), [called.host()]);
        assert!(hosts(600 + IN_USE.as_secs()).is_empty(), "no longer in use");
    }
}
