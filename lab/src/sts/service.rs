//! The actions, and what is checked before them.

use arngate::identity::{Principal as Arn, PrincipalKind};
use jiff::{SignedDuration, Timestamp};

use super::{
    Principal, TrustPolicies, access::Access, answer::Success, canonical::Received, failure::Failure,
    hosts::Service, query::Parameters, sigv4::Signature,
};

const VERSION: &str = "2011-06-15";

/// STS, without HTTP.
#[derive(Debug)]
pub(super) struct Sts {
    pub(super) access: Access,
    pub(super) trust: TrustPolicies,
}

impl Sts {
    /// Answers a request. `form` has its body's parameters.
    pub(super) fn call(&self, request: &Received<'_>, form: &Parameters) -> Result<Success, Failure> {
        let get = |name: &str| request.query.get(name).or_else(|| form.get(name));
        let action = get("Action").ok_or_else(Failure::missing_action)?;
        let version = get("Version");
        let known = version == Some(VERSION) && ["GetCallerIdentity", "AssumeRole"].contains(&action);
        if !known {
            return Err(Failure::invalid_action(action, version));
        }
        let caller = self.access.authenticate(request, Service::Sts)?;
        if action == "AssumeRole" {
            self.assume_role(request, &caller, get)
        } else {
            Ok(Success::CallerIdentity(caller))
        }
    }

    /// Makes a session of any role whose trust policy, if it has one, is satisfied.
    fn assume_role<'a>(
        &self,
        request: &Received<'_>,
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
        let until = end_of_session(self.access.clock.now(), get("DurationSeconds"))?;
        let account = role.account();
        let name = path_and_name.rsplit('/').next().unwrap_or(path_and_name);
        // What its ARN can't hold is no session name.
        let session_arn = format!("arn:{}:sts::{account}:assumed-role/{name}/{session}", role.partition());
        if Arn::parse(&session_arn).is_err() || !(2..=64).contains(&session.len()) {
            return Err(Failure::validation(format!("{session} is invalid as roleSessionName")));
        }
        let signature = Signature::of(request)?;
        let source = |name: &str| request.header(name).filter(|_| signature.signs(name));
        if !caller.arn.starts_with(&format!("arn:{}:", role.partition())) {
            return Err(Failure::access_denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                caller.arn
            )));
        }
        self.trust.check(&caller.arn, role_arn, &get, source)?;
        let principals = self.access.principals.in_partition(role.partition());
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
