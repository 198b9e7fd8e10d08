//! The actions, and what is checked before them.
use std::sync::Arc;

use arngate::identity::{Principal as Arn, PrincipalKind};
use jiff::{SignedDuration, Timestamp};

use super::{
    Clock, KeyStatus, Principal, Principals, TrustPolicies, answer::Success, canonical::Received,
    failure::Failure, hosts::Endpoint, query::Parameters, sigv4::Signature,
};

const VERSION: &str = "2011-06-15";
const SERVICE: &str = "sts";

/// STS, without HTTP.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) principals: Principals,
    pub(super) clock: Clock,
    pub(super) trust: TrustPolicies,
}

impl Service {
    /// Answers a request. `form` has its body's parameters.
    pub(super) fn call(&self, request: &Received<'_>, form: &Parameters) -> Result<Success, Failure> {
        let get = |name: &str| request.query.get(name).or_else(|| form.get(name));
        let action = get("Action").ok_or_else(Failure::missing_action)?;
        let version = get("Version");
        let known = version == Some(VERSION) && ["GetCallerIdentity", "AssumeRole"].contains(&action);
        if !known {
            return Err(Failure::invalid_action(action, version));
        }
        let caller = self.authenticate(request)?;
        if action == "AssumeRole" {
            self.assume_role(&caller, get)
        } else {
            Ok(Success::CallerIdentity(caller))
        }
    }

    /// Checks the signature, and that the key is good here and now.
    fn authenticate(&self, request: &Received<'_>) -> Result<Arc<Principal>, Failure> {
        let now = self.clock.now();
        let host = request.header("host").unwrap_or_default().to_ascii_lowercase();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        // None, if a program was given this emulator's own address: any region will do.
        let endpoint = Endpoint::of(name);

        let signature = Signature::of(request)?;
        signature.check_scope(SERVICE, endpoint.as_ref().map(|endpoint| endpoint.region))?;
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

    /// Makes a session of any role whose trust policy, if it has one, is satisfied.
    fn assume_role<'a>(
        &self,
        caller: &Principal,
        get: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Success, Failure> {
        let need = |name: &str| {
            get(name).ok_or_else(|| {
                Failure::validation(format!(
                    "1 validation error detected: Value null at '{name}' failed to satisfy constraint: \
                     Member must not be null"
                ))
            })
        };
        let (role_arn, session) = (need("RoleArn")?, need("RoleSessionName")?);
        let role = Arn::parse(role_arn).map_err(|_| Failure::validation(format!("{role_arn} is invalid")))?;
        let PrincipalKind::Role { path_and_name } = role.kind() else {
            return Err(Failure::validation(format!("{role_arn} is invalid")));
        };
        let until = end_of_session(self.clock.now(), get("DurationSeconds"))?;
        let account = role.account();
        let name = path_and_name.rsplit('/').next().unwrap_or(path_and_name);
        // What its ARN can't hold is no session name.
        let session_arn = format!("arn:{}:sts::{account}:assumed-role/{name}/{session}", role.partition());
        if Arn::parse(&session_arn).is_err() || !(2..=64).contains(&session.len()) {
            return Err(Failure::validation(format!("{session} is invalid as roleSessionName")));
        }
        if !caller.arn.starts_with(&format!("arn:{}:", role.partition())) {
            return Err(Failure::access_denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                caller.arn
            )));
        }
        self.trust.check(&caller.arn, role_arn, &get)?;
        let principals = self.principals.in_partition(role.partition());
        Ok(Success::AssumedRole(principals.session(account.as_str(), name, session, until), until))
    }
}

/// When a session ends: in an hour, if the caller does not say.
fn end_of_session(now: Timestamp, seconds: Option<&str>) -> Result<Timestamp, Failure> {
    let seconds =
        seconds.map_or(Ok(3600), str::parse).ok().filter(|seconds| (900..=43_200).contains(seconds));
    let until = seconds.and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
    until.ok_or_else(|| Failure::validation("DurationSeconds must be between 900 and 43200"))
}
