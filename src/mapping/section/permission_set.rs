//! The field `sso`.

use crate::{identity::AccountId, mapping::PermissionSet, yaml::Node};

/// How it is written.
pub(super) const FORM: &str =
    "write sso with permissionSetName, accountID and, outside partition aws, partition";

/// Reads the fields of `sso`, of which the last of a name counts.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read<'n>(
    pairs: &(impl DoubleEndedIterator<Item = &'n (Node, Node)> + Clone),
) -> Result<PermissionSet, &'static str> {
    let field = |wanted: &str| {
        let is_it = |key: &Node| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(wanted));
        pairs.clone().rev().find(|(key, _)| is_it(key)).and_then(|(_, value)| value.as_str())
    };
    let partition = field("partition").filter(|text| !text.is_empty()).unwrap_or("aws");
    let (Ok(partition), Some(account)) =
        (partition.parse(), field("accountID").and_then(|text| text.parse::<AccountId>().ok()))
    else {
        return Err("sso has no valid accountID, or an unknown partition");
    };
    // https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_PermissionSet.html
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    let name = field("permissionSetName")
        .filter(|name| (1..=32).contains(&name.len()) && name.bytes().all(allowed))
        .ok_or("sso has no valid permissionSetName (1 to 32 of letters, digits and _+=,.@-)")?;
    Ok(PermissionSet { partition, account, name: name.to_ascii_lowercase().into() })
}
