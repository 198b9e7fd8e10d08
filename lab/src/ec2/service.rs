//! DescribeInstances, and what is checked before it.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>; errors and their messages:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
use http::StatusCode;

use super::{Instance, Instances};
use crate::sts::{access::Access, canonical::Received, failure::Failure, hosts::Service, query::Parameters};

const VERSION: &str = "2016-11-15";

/// EC2, without HTTP.
#[derive(Debug)]
pub(crate) struct Ec2 {
    pub(crate) access: Access,
    pub(crate) instances: Instances,
}

impl Ec2 {
    /// Whether a request that came to no host in particular is for EC2.
    pub(crate) fn is_meant(version: Option<&str>) -> bool {
        version == Some(VERSION)
    }

    /// Answers a request. `form` has its body's parameters.
    pub(crate) fn call(&self, request: &Received<'_>, form: &Parameters) -> Result<Vec<Instance>, Failure> {
        let get = |name: &str| request.query.get(name).or_else(|| form.get(name));
        let action = get("Action").ok_or_else(Failure::missing_action)?;
        if action != "DescribeInstances" || get("Version") != Some(VERSION) {
            let message = format!("The action {action} is not valid for this web service.");
            return Err(Failure::new(StatusCode::BAD_REQUEST, "InvalidAction", message));
        }
        let caller = self.access.authenticate(request, Service::Ec2).map_err(in_ec2s_words)?;
        if !self.instances.may_describe(&caller.arn) {
            let message = "You are not authorized to perform this operation.";
            return Err(Failure::new(StatusCode::FORBIDDEN, "UnauthorizedOperation", message));
        }
        self.describe(&ids(get))
    }

    /// All of them, or an error that names those that cannot be.
    fn describe(&self, ids: &[String]) -> Result<Vec<Instance>, Failure> {
        if let Some(id) = ids.iter().find(|id| !is_instance_id(id)) {
            let message = format!("Invalid id: \"{id}\"");
            return Err(Failure::new(StatusCode::BAD_REQUEST, "InvalidInstanceID.Malformed", message));
        }
        let found: Vec<_> = ids.iter().map(|id| (id, self.instances.get(id))).collect();
        let missing: Vec<_> =
            found.iter().filter(|(_, instance)| instance.is_none()).map(|(id, _)| id.as_str()).collect();
        if !missing.is_empty() {
            let (noun, verb) = if missing.len() == 1 { ("ID", "does") } else { ("IDs", "do") };
            let message = format!("The instance {noun} '{}' {verb} not exist", missing.join(", "));
            return Err(Failure::new(StatusCode::BAD_REQUEST, "InvalidInstanceID.NotFound", message));
        }
        Ok(found.into_iter().filter_map(|(_, instance)| instance).collect())
    }
}

/// The instances that a request asks about.
pub(crate) fn ids<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
    (1..).map_while(|number| get(&format!("InstanceId.{number}")).map(str::to_owned)).collect()
}

/// `RequestLimitExceeded`, which comes with HTTP 503.
pub(crate) fn throttling() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "RequestLimitExceeded", "Request limit exceeded.")
}

/// What STS calls otherwise.
fn in_ec2s_words(failure: Failure) -> Failure {
    match failure.code {
        "ExpiredToken" => Failure::new(StatusCode::BAD_REQUEST, "RequestExpired", "Request has expired."),
        "InvalidClientTokenId" | "SignatureDoesNotMatch" => Failure::new(
            StatusCode::UNAUTHORIZED,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        ),
        _ => failure,
    }
}

fn is_instance_id(id: &str) -> bool {
    id.strip_prefix("i-").is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
