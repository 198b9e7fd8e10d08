use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use arngate::identity::AccountId;

use super::failure::Failure;

/// What a role's trust policy wants of whoever assumes it, beside an access key of its partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// `sts:ExternalId`.
    pub external_id: Option<String>,
    /// `aws:MultiFactorAuthPresent`: the device, and the codes that it shows. Each is good once.
    pub mfa: Option<(String, HashSet<String>)>,
    /// `aws:SourceArn` and `aws:SourceAccount`: on whose behalf alone the role may be assumed.
    pub source: Option<(String, AccountId)>,
}

/// The trust policies of roles, by their ARN. A role without one lets in everybody.
///
/// Clones are handles of one table, which may change while an emulator uses it.
#[derive(Debug, Clone, Default)]
pub struct TrustPolicies(Arc<Mutex<HashMap<String, TrustPolicy>>>);

impl TrustPolicies {
    /// Sets a role's.
    pub fn set(&self, role_arn: &str, policy: TrustPolicy) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(role_arn.to_owned(), policy);
    }

    /// Sees whether `caller` may assume the role with these parameters of `AssumeRole`, and these signed headers.
    pub(super) fn check<'a, 'b>(
        &self,
        caller: &str,
        role_arn: &str,
        get: impl Fn(&str) -> Option<&'a str>,
        header: impl Fn(&str) -> Option<&'b str>,
    ) -> Result<(), Failure> {
        let (serial, code) = (get("SerialNumber"), get("TokenCode"));
        // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        if code.is_some_and(|code| code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Failure::validation("1 validation error detected: Value at 'tokenCode' is invalid"));
        }
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(policy) = table.get_mut(role_arn) else {
            return Ok(());
        };
        let denied = || {
            Failure::access_denied(format!(
                "User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            ))
        };
        if policy.external_id.is_some() && policy.external_id.as_deref() != get("ExternalId") {
            return Err(denied());
        }
        if let Some((arn, account)) = &policy.source {
            let told = (header("x-amz-source-arn"), header("x-amz-source-account"));
            if told != (Some(arn.as_str()), Some(account.as_str())) {
                return Err(denied());
            }
        }
        if let Some((device, codes)) = &mut policy.mfa {
            let (Some(serial), Some(code)) = (serial, code) else {
                return Err(denied());
            };
            if serial != device || !codes.remove(code) {
                return Err(Failure::access_denied(
                    "MultiFactorAuthentication failed with invalid MFA one time pass code.",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/Ops";

    fn check(policies: &TrustPolicies, parameters: &[(&str, &str)]) -> Result<(), String> {
        let get = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        policies.check("arn:caller", ROLE, get, get).map_err(|failure| failure.code.to_owned())
    }

    #[test]
    fn a_code_is_good_once_and_an_external_id_always() {
        let policies = TrustPolicies::default();
        assert_eq!(check(&policies, &[]), Ok(()), "a role without a policy");
        let mfa = Some(("device".to_owned(), HashSet::from(["123456".to_owned()])));
        policies.set(ROLE, TrustPolicy { external_id: Some("x".to_owned()), mfa, source: None });
        let denied = Err("AccessDenied".to_owned());
        let with = |id, serial, code| [("ExternalId", id), ("SerialNumber", serial), ("TokenCode", code)];
        assert_eq!(check(&policies, &[("ExternalId", "x")]), denied);
        assert_eq!(check(&policies, &with("y", "device", "123456")), denied);
        assert_eq!(check(&policies, &with("x", "other", "123456")), denied);
        assert_eq!(check(&policies, &with("x", "device", "654321")), denied);
        assert_eq!(check(&policies, &with("x", "device", "12")), Err("ValidationError".to_owned()));
        assert_eq!(check(&policies, &with("x", "device", "123456")), Ok(()));
        assert_eq!(check(&policies, &with("x", "device", "123456")), denied, "used up");
    }

    #[test]
    fn a_role_for_one_source_is_assumed_for_it_alone() {
        let policies = TrustPolicies::default();
        let source = Some(("arn:aws:eks:a".to_owned(), "111122223333".parse().unwrap()));
        policies.set(ROLE, TrustPolicy { source, ..TrustPolicy::default() });
        let denied = Err("AccessDenied".to_owned());
        let from = |arn, account| [("x-amz-source-arn", arn), ("x-amz-source-account", account)];
        assert_eq!(check(&policies, &from("arn:aws:eks:a", "111122223333")), Ok(()));
        assert_eq!(check(&policies, &from("arn:aws:eks:b", "111122223333")), denied);
        assert_eq!(check(&policies, &from("arn:aws:eks:a", "444455556666")), denied);
        assert_eq!(check(&policies, &[]), denied);
    }
}
