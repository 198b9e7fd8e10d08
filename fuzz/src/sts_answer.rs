//! STS's answers.
//!
//! **Property.** What is read of an answer is what another XML reader finds at the same places, each place once, and
//! whatever that one reads is read here too. Whoever an answer names is a principal of the answer's own account and of
//! one partition; its ARN is the answer's; and no other principal's mapping is its.

use std::{collections::BTreeMap, sync::LazyLock};

use arngate::{
    identity::{Identity, Partition, Principal},
    mapping::{AwsAuth, Snapshot},
    sts::{
        CallerIdentity,
        xml::{XmlError, caller_identity, error},
    },
};
use roxmltree::Document;

use crate::xml;

/// How deep an answer may nest.
const MAX_DEPTH: usize = 8;

/// Somebody who is mapped.
const ROLE: &str = "arn:aws:iam::111122223333:role/Admin";

static MAPPED: LazyLock<Snapshot> = LazyLock::new(|| {
    let data = BTreeMap::from([("mapRoles".to_owned(), format!("- rolearn: {ROLE}\n  username: a\n"))]);
    Snapshot::update(None, &AwsAuth::from(data)).0
});

/// Looks at a body.
pub fn check(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let document = Document::parse(body);
    let ours = caller_identity(body);
    let result = "GetCallerIdentityResponse/GetCallerIdentityResult";
    let fields = ["Arn", "UserId", "Account"].map(|name| format!("{result}/{name}"));
    let read = ours.as_ref().map(|CallerIdentity { arn, user_id, account }| [arn, user_id, account]);
    compare(document.as_ref().ok(), read, &fields, &[true; 3]);
    let told = error(body);
    let fields = ["Code", "Message"].map(|name| format!("ErrorResponse/Error/{name}"));
    let read = told.as_ref().map(|error| [&error.code, &error.message]);
    compare(document.as_ref().ok(), read, &fields, &[true, false]);
    assert!(ours.is_err() || told.is_err(), "an identity and an error in one body");
    if let Ok(answer) = ours {
        principal(&answer);
    }
}

/// Compares what was read with what stands at `paths` in `document`; those that are `needed` must be there.
fn compare<const N: usize>(
    document: Option<&Document<'_>>,
    read: Result<[&String; N], &XmlError>,
    paths: &[String; N],
    needed: &[bool; N],
) {
    let Some(document) = document else {
        // Ours is no judge of what is XML, and what no other program reads may be taken here.
        return;
    };
    let found = paths.each_ref().map(|path| xml::texts(document, path));
    match read {
        Ok(read) => {
            for (read, found) in read.into_iter().zip(found) {
                assert!(found.len() <= 1, "one of {found:?} was taken");
                assert_eq!(*read, found.concat());
            }
        }
        Err(error) => {
            let is_whole = found.iter().zip(needed).all(|(found, needed)| match found.len() {
                0 => !needed,
                count => count == 1,
            });
            // Each of the two takes something for XML that the other does not.
            let is_refused = *error == XmlError::Malformed || xml::depth(document) > MAX_DEPTH;
            assert!(!is_whole || is_refused, "{error}, and another reader has it");
        }
    }
}

fn principal(answer: &CallerIdentity) {
    let Ok(account) = answer.account.parse() else { return };
    let mut of = Vec::new();
    for partition in Partition::ALL {
        let new = Identity::new(partition, &answer.arn, account, &answer.user_id, "AKIAIOSFODNN7EXAMPLE");
        let Ok(identity) = new else { continue };
        of.push(partition);
        let principal = identity.principal();
        assert_eq!(principal.arn(), answer.arn);
        assert_eq!((principal.partition(), principal.account()), (partition, account));
        assert!(answer.arn.starts_with(&format!("arn:{partition}:")) && answer.arn.contains(&answer.account));
        assert_eq!(Principal::parse(&principal.arn()).as_ref(), Ok(principal));
        let whole = if identity.session_name().is_empty() {
            identity.user_id().to_owned()
        } else {
            format!("{}:{}", identity.user_id(), identity.session_name())
        };
        assert_eq!(whole, answer.user_id);
        let is_mapped = MAPPED.index().look_up(&identity).is_some();
        assert_eq!(is_mapped, is_mapped_role(&answer.arn), "{}", answer.arn);
    }
    assert!(of.len() <= 1, "of {of:?}");
}

/// Whether `arn` is a session of [`ROLE`], or the role itself, by its text.
fn is_mapped_role(arn: &str) -> bool {
    let session =
        arn.strip_prefix("arn:aws:sts::111122223333:assumed-role/").and_then(|rest| rest.split_once('/'));
    let role = arn.strip_prefix("arn:aws:iam::111122223333:role/").and_then(|path| path.rsplit('/').next());
    session.map(|(role, _)| role).or(role).is_some_and(|role| role.eq_ignore_ascii_case("admin"))
}
