//! ARNs.
//!
//! **Property.** Reading and writing agree: what is read of a principal's ARN is written as it was, its canonical form
//! is read as itself, and so is the form by which it is looked up. Two principals are looked up by one form only where
//! they differ in case, in a role's path or in a role's session alone.

use arngate::{
    identity::{Arn, Principal, PrincipalKind},
    mapping::PermissionSet,
};

/// Looks at one ARN a line, each beside the one before it.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut before: Option<Principal> = None;
    for line in text.split('\n').take(8) {
        let Some(principal) = read(line) else { continue };
        if let Some(before) = before {
            let one = before.match_key() == principal.match_key();
            assert_eq!(one, plain(&before) == plain(&principal), "{before} and {principal}");
        }
        before = Some(principal);
    }
}

fn read(text: &str) -> Option<Principal> {
    let read = Principal::parse(text);
    let mapped = Principal::parse_mapped(text);
    let Ok(principal) = read else {
        // As people write it, case does not count before the first name; nothing else is forgiven.
        let (keywords, names) = text.split_at(text.find('/').unwrap_or(text.len()));
        let lower = format!("{}{names}", keywords.to_ascii_lowercase());
        assert_eq!(
            mapped.ok().map(|principal| principal.arn()),
            Principal::parse(&lower).ok().map(|_| lower)
        );
        return None;
    };
    assert_eq!(mapped.as_ref(), Ok(&principal));
    assert_eq!(principal.arn(), text);
    assert!(text.len() <= Arn::MAX_LEN && text.bytes().all(|byte| byte.is_ascii_graphic()));
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [_, partition, _, "", account, _] = parts.as_slice() else { panic!("{text} has other parts") };
    assert_eq!((principal.partition().id(), principal.account().as_str()), (*partition, *account));

    let canonical = principal.canonical_arn();
    let again = Principal::parse(&canonical).expect("the canonical form is one");
    assert_eq!(again.canonical_arn(), canonical);
    assert_eq!(again.match_key(), principal.match_key());
    let key = principal.match_key();
    let by_key = Principal::parse(key.as_str()).expect("the form of look-ups is one");
    assert_eq!(by_key.match_key(), key);
    assert_eq!(key.as_str(), key.as_str().to_ascii_lowercase());
    // Whom a permission set's entry lets in is a role of that account.
    if let Some(set) = PermissionSet::of(&principal) {
        assert_eq!((set.partition, set.account), (principal.partition(), principal.account()));
        assert!(key.as_str().contains(&format!(":role/awsreservedsso_{}_", set.name)));
    }
    Some(principal)
}

/// What tells principals apart: partition, account, kind, and the names in lower case.
fn plain(principal: &Principal) -> (String, String, &'static str, String) {
    let (kind, name) = match principal.kind() {
        PrincipalKind::Root => ("root", ""),
        PrincipalKind::User { path_and_name } => ("user", path_and_name.as_str()),
        PrincipalKind::Role { path_and_name } => {
            ("role", path_and_name.rsplit('/').next().unwrap_or_default())
        }
        PrincipalKind::AssumedRole { role, .. } => ("role", role.as_str()),
        PrincipalKind::FederatedUser { name } => ("federated", name.as_str()),
    };
    let (partition, account) = (principal.partition().to_string(), principal.account().to_string());
    (partition, account, kind, name.to_ascii_lowercase())
}
