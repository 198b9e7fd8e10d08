use super::{AccountId, AccountIdError, Partition, UnknownPartition};

/// The parts of an IAM or STS ARN: `arn:partition:service::account:resource`, borrowed from its text.
///
/// IAM is global, so the region is always empty.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// The partition.
    pub partition: Partition,
    /// `iam` or `sts` in what this program handles; any text here.
    pub service: &'a str,
    /// The account.
    pub account: AccountId,
    /// All behind the fifth colon: `role/path/name`, `assumed-role/name/session`, `root`, …
    pub resource: &'a str,
}

/// Why a text is not an IAM ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// Longer than [`Arn::MAX_LEN`].
    #[error("longer than {} bytes", Arn::MAX_LEN)]
    TooLong,
    /// Not six parts, or the first is not `arn`.
    #[error("not of the form arn:PARTITION:iam::ACCOUNT:RESOURCE")]
    Form,
    /// The second part names no partition.
    #[error(transparent)]
    Partition(#[from] UnknownPartition),
    /// A region where IAM has none.
    #[error("an IAM ARN has no region: nothing stands between the third and the fourth colon")]
    Region,
    /// The fifth part is no account.
    #[error(transparent)]
    Account(#[from] AccountIdError),
    /// Bytes that no ARN of IAM has.
    #[error("holds a character that IAM ARNs do not have (space, control or non-ASCII)")]
    Character,
}

impl<'a> Arn<'a> {
    /// IAM's longest ARN: a 512-byte path and a 64-byte name behind 40 bytes of front matter, with room.
    pub const MAX_LEN: usize = 1024;

    /// Splits `text`.
    ///
    /// # Errors
    /// Where it is not an ARN of the form that IAM and STS use.
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        if text.len() > Self::MAX_LEN {
            return Err(ArnError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ArnError::Character);
        }
        let mut parts = text.splitn(6, ':');
        let (Some("arn"), Some(partition), Some(service), Some(region), Some(account), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ArnError::Form);
        };
        let partition = partition.parse()?;
        if !region.is_empty() {
            return Err(ArnError::Region);
        }
        Ok(Self { partition, service, account: account.parse()?, resource })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_an_arn() {
        let arn = Arn::parse("arn:aws-cn:iam::000000000012:role/team/x").unwrap();
        assert_eq!(
            arn,
            Arn {
                partition: Partition::AwsCn,
                service: "iam",
                account: "000000000012".parse().unwrap(),
                resource: "role/team/x"
            }
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("", ArnError::Form),
            ("role/x", ArnError::Form),
            ("arn:aws:iam::111122223333", ArnError::Form),
            ("ARN:aws:iam::111122223333:root", ArnError::Form),
            ("arn:awz:iam::111122223333:root", ArnError::Partition(UnknownPartition)),
            ("arn:aws:iam:us-east-1:111122223333:root", ArnError::Region),
            ("arn:aws:iam::11112222333:root", ArnError::Account(AccountIdError)),
            ("arn:aws:iam::111122223333:role/a b", ArnError::Character),
            ("arn:aws:iam::111122223333:role/ä", ArnError::Character),
            ("arn:aws:iam::111122223333:role/a\0", ArnError::Character),
        ] {
            assert_eq!(Arn::parse(text), Err(error), "{text:?}");
        }
        let long = format!("arn:aws:iam::111122223333:role/{}", "x".repeat(2000));
        assert_eq!(Arn::parse(&long), Err(ArnError::TooLong));
    }
}
