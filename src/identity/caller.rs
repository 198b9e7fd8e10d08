use super::{AccountId, Partition, Principal, PrincipalError, PrincipalKind};

/// A caller that STS vouched for.
///
/// Everything but the access key ID comes from STS's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    principal: Principal,
    user_id: String,
    session_name: String,
    access_key_id: String,
}

/// Why STS's answer describes nobody that this server lets in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallerError {
    /// The ARN is none of a principal.
    #[error("STS answered with an ARN that is no principal's: {0}")]
    Principal(#[from] PrincipalError),
    /// The ARN's account is not the answer's.
    #[error("STS answered with an ARN of another account than its Account field")]
    Account,
    /// The ARN's partition is not this server's.
    #[error("the caller belongs to partition {0}, and this server serves another")]
    Partition(Partition),
    /// The user ID is empty, overlong or of another form than the principal's kind has.
    #[error("STS answered with a malformed UserId")]
    UserId,
}

impl Identity {
    /// Puts together what STS answered, checked against itself and against the server's partition.
    ///
    /// `user_id` is STS's `UserId`: `AIDA…` for a user, the account for root, `AROA…:session` for an assumed
    /// role, `account:name` for a federated user.
    ///
    /// # Errors
    /// Where the answer contradicts itself or names no principal of `partition`.
    pub fn new(
        partition: Partition,
        arn: &str,
        account: AccountId,
        user_id: &str,
        access_key_id: &str,
    ) -> Result<Self, CallerError> {
        let principal = Principal::parse(arn)?;
        if principal.account() != account {
            return Err(CallerError::Account);
        }
        if principal.partition() != partition {
            return Err(CallerError::Partition(principal.partition()));
        }
        // A unique ID is 21 characters and a session name at most 64; the bound only keeps nonsense out.
        if user_id.is_empty() || user_id.len() > 256 || !user_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CallerError::UserId);
        }
        let (user_id, session_name) = match principal.kind() {
            PrincipalKind::AssumedRole { .. } | PrincipalKind::Role { .. } => {
                let (id, session) = user_id.split_once(':').ok_or(CallerError::UserId)?;
                if id.is_empty() || session.is_empty() || session.contains(':') {
                    return Err(CallerError::UserId);
                }
                (id, session)
            }
            // Kept whole: without its name a federated user's ID would be root's.
            PrincipalKind::FederatedUser { .. } | PrincipalKind::User { .. } | PrincipalKind::Root => {
                (user_id, "")
            }
        };
        Ok(Self {
            user_id: user_id.to_owned(),
            session_name: session_name.to_owned(),
            access_key_id: access_key_id.to_owned(),
            principal,
        })
    }

    /// Who it is.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The unique ID: `AROA…`, `AIDA…`, the account's number for root, `account:name` for a federated user.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The role session's name; empty for all that is no assumed role.
    #[must_use]
    pub fn session_name(&self) -> &str {
        &self.session_name
    }

    /// The key that signed the token. Only the token says it; it decides nothing.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(arn: &str, user_id: &str) -> Result<Identity, CallerError> {
        Identity::new(Partition::Aws, arn, "111122223333".parse().unwrap(), user_id, "AKIAEXAMPLE")
    }

    #[test]
    fn an_assumed_role_has_its_unique_id_and_its_session() {
        let role =
            identity("arn:aws:sts::111122223333:assumed-role/Admin/alice@x.org", "AROAEXAMPLE:alice@x.org");
        let role = role.unwrap();
        assert_eq!((role.user_id(), role.session_name()), ("AROAEXAMPLE", "alice@x.org"));
    }

    #[test]
    fn a_federated_user_keeps_its_id_whole() {
        let federated = identity("arn:aws:sts::111122223333:federated-user/Bob", "111122223333:Bob").unwrap();
        assert_eq!((federated.user_id(), federated.session_name()), ("111122223333:Bob", ""));
    }

    #[test]
    fn an_answer_that_contradicts_itself_is_refused() {
        assert_eq!(identity("arn:aws:iam::444455556666:user/Bob", "AIDAEXAMPLE"), Err(CallerError::Account));
        assert_eq!(
            identity("arn:aws-cn:iam::111122223333:user/Bob", "AIDAEXAMPLE"),
            Err(CallerError::Partition(Partition::AwsCn))
        );
        for user_id in ["AROAEXAMPLE", "AROAEXAMPLE:", ":s", "AROA:s:t", "", "AROA :s"] {
            let role = identity("arn:aws:sts::111122223333:assumed-role/Admin/s", user_id);
            assert_eq!(role, Err(CallerError::UserId), "{user_id:?}");
        }
    }
}
