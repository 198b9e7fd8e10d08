use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use arngate::identity::AccountId;

/// The conditions of roles' trust policies. A role without any is anybody's to assume.
///
/// Clones are handles of one table.
#[derive(Debug, Clone, Default)]
pub struct TrustPolicies(Arc<RwLock<HashMap<String, Source>>>);

/// `aws:SourceArn` and `aws:SourceAccount`, as a condition wants them.
#[derive(Debug)]
struct Source {
    arn: String,
    account: AccountId,
}

impl TrustPolicies {
    /// Has a role be assumed on behalf of this resource of this account alone.
    pub fn require_source(&self, role_arn: &str, source_arn: &str, account: AccountId) {
        let source = Source { arn: source_arn.to_owned(), account };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(role_arn.to_owned(), source);
    }

    /// Whether the role may be assumed on behalf of this resource, as the request's signed headers tell it.
    pub(super) fn admit(&self, role_arn: &str, source_arn: Option<&str>, account: Option<&str>) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(role_arn).is_none_or(|source| {
            source_arn == Some(source.arn.as_str()) && account == Some(source.account.as_str())
        })
    }
}
