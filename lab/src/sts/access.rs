//! Whose a request is: what every service asks before it acts.
use std::sync::Arc;

use super::{
    Clock, KeyStatus, Principal, Principals,
    canonical::Received,
    failure::Failure,
    hosts::{Endpoint, Service},
    sigv4::Signature,
};

/// The keys that there are, and the time.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) principals: Principals,
    pub(crate) clock: Clock,
}

impl Access {
    /// Checks that the request is signed for `service`, and that the key is good here and now.
    ///
    /// # Errors
    /// In STS's words.
    pub(crate) fn authenticate(
        &self,
        request: &Received<'_>,
        service: Service,
    ) -> Result<Arc<Principal>, Failure> {
        let now = self.clock.now();
        let host = request.header("host").unwrap_or_default().to_ascii_lowercase();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        // None, if a program was given this emulator's own address: any region will do.
        let endpoint = Endpoint::of(name);

        let signature = Signature::of(request)?;
        signature.check_scope(service.name(), endpoint.as_ref().map(|endpoint| endpoint.region))?;
        signature.check_time(now)?;

        let caller =
            self.principals.get(signature.access_key_id).ok_or_else(Failure::invalid_client_token)?;
        // A partition knows no keys of another.
        let elsewhere = endpoint.is_some_and(|endpoint| {
            let partition = caller.arn.split(':').nth(1).unwrap_or_default();
            partition != endpoint.partition.id()
        });
        if elsewhere || signature.session_token != caller.credentials.session_token.as_deref() {
            return Err(Failure::invalid_client_token());
        }
        match caller.status {
            KeyStatus::Active => {}
            KeyStatus::ActiveUntil(end) if now < end => {}
            KeyStatus::ActiveUntil(_) | KeyStatus::Expired => return Err(Failure::expired_token()),
            KeyStatus::Disabled => return Err(Failure::invalid_client_token()),
        }
        signature.check(request, &caller.credentials.secret_access_key)?;
        Ok(caller)
    }
}
