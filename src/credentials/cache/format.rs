//! The file's content: `clusters` → cluster ID → profile → role → credentials, as aws-iam-authenticator writes
//! it (its pkg/filecache, version 0.7.18). Keys and fields that it does not know it drops, and so does this.

use std::{collections::BTreeMap, fmt::Write as _, time::SystemTime};

use aws_credential_types::Credentials;
use jiff::Timestamp;

use super::{CacheKey, MAX_LEN};
use crate::yaml::{self, Limits, Node, Position, Value};

/// The entries of a file, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<CacheKey, Credentials>);

/// Where a file is damaged. What is wrong there would quote secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage(pub(super) Position);

impl Entries {
    pub(super) fn parse(text: &str) -> Result<Self, Damage> {
        let document =
            yaml::parse(text, Limits::for_bytes(MAX_LEN)).map_err(|error| Damage(error.position))?;
        let mut entries = Self::default();
        let clusters = match &document {
            None | Some(Node { value: Value::Null, .. }) => return Ok(entries),
            Some(document) => {
                document.as_mapping().ok_or(Damage(document.span)).map(|_| document.get("clusters"))?
            }
        };
        for (cluster, profiles) in pairs(clusters)? {
            for (profile, roles) in pairs(Some(profiles))? {
                for (role, fields) in pairs(Some(roles))? {
                    let key = CacheKey {
                        cluster: text_of(cluster)?.to_owned(),
                        profile: text_of(profile)?.to_owned(),
                        role: text_of(role)?.to_owned(),
                    };
                    // One that cannot expire would be used for ever; aws-iam-authenticator writes none.
                    if let Some(credentials) = credentials(fields)? {
                        entries.0.insert(key, credentials);
                    }
                }
            }
        }
        Ok(entries)
    }

    /// The credentials under `key` that are good until `until` at least.
    pub(super) fn get(&self, key: &CacheKey, until: SystemTime) -> Option<&Credentials> {
        self.0.get(key).filter(|credentials| credentials.expiry().is_some_and(|expiry| expiry > until))
    }

    /// Puts credentials in, and takes those out that have expired by `now`.
    pub(super) fn put(&mut self, key: CacheKey, credentials: Credentials, now: SystemTime) {
        self.0.retain(|_, credentials| credentials.expiry().is_some_and(|expiry| expiry > now));
        self.0.insert(key, credentials);
    }

    /// The text of the file. Writing to a string does not fail.
    pub(super) fn write(&self) -> String {
        let mut text = "clusters:\n".to_owned();
        let mut before: Option<&CacheKey> = None;
        for (key, credentials) in &self.0 {
            let Some(expires) = credentials.expiry().and_then(|time| Timestamp::try_from(time).ok()) else {
                continue;
            };
            let new_cluster = before.is_none_or(|before| before.cluster != key.cluster);
            if new_cluster {
                let _ = writeln!(text, "  {}:", quoted(&key.cluster));
            }
            if new_cluster || before.is_none_or(|before| before.profile != key.profile) {
                let _ = writeln!(text, "    {}:", quoted(&key.profile));
            }
            let _ = writeln!(text, "      {}:", quoted(&key.role));
            let account = credentials
                .account_id()
                .map(aws_credential_types::attributes::AccountId::as_str)
                .unwrap_or_default();
            for (field, value) in [
                ("accesskeyid", credentials.access_key_id()),
                ("secretaccesskey", credentials.secret_access_key()),
                ("sessiontoken", credentials.session_token().unwrap_or_default()),
                ("source", "arngate"),
            ] {
                let _ = writeln!(text, "        {field}: {}", quoted(value));
            }
            let _ = writeln!(text, "        canexpire: true\n        expires: {expires}");
            let _ = writeln!(text, "        accountid: {}", quoted(account));
            before = Some(key);
        }
        if self.0.is_empty() { "clusters: {}\n".to_owned() } else { text }
    }
}

fn pairs(node: Option<&Node>) -> Result<&[(Node, Node)], Damage> {
    match node {
        None | Some(Node { value: Value::Null, .. }) => Ok(&[]),
        Some(node) => node.as_mapping().ok_or(Damage(node.span)),
    }
}

fn text_of(node: &Node) -> Result<&str, Damage> {
    node.as_str().ok_or(Damage(node.span))
}

fn credentials(fields: &Node) -> Result<Option<Credentials>, Damage> {
    let field = |name| fields.get(name).and_then(Node::as_str).unwrap_or_default();
    pairs(Some(fields))?;
    let (key, secret) = (field("accesskeyid"), field("secretaccesskey"));
    if field("canexpire") != "true" || key.is_empty() || secret.is_empty() {
        return Ok(None);
    }
    let expires: Timestamp = field("expires").parse().map_err(|_| Damage(fields.span))?;
    let session = Some(field("sessiontoken")).filter(|token| !token.is_empty()).map(str::to_owned);
    let mut builder = Credentials::builder()
        .access_key_id(key)
        .secret_access_key(secret)
        .expiry(expires.into())
        .provider_name("credential cache");
    builder.set_session_token(session);
    if !field("accountid").is_empty() {
        builder = builder.account_id(field("accountid"));
    }
    Ok(Some(builder.build()))
}

/// A JSON string, which is one in double quotes to YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Written by aws-iam-authenticator 0.7.18.
    const THEIRS: &str = "clusters:
  test-cluster:
    ops:
      \"\":
        accesskeyid: ASIAIOSFODNN7EXAMPLE
        secretaccesskey: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
        sessiontoken: abc/def==
        source: AssumeRoleProvider
        canexpire: true
        expires: 2026-01-15T13:00:00Z
        accountid: \"111122223333\"
      arn:aws:iam::111122223333:role/Deployer:
        accesskeyid: \"\"
        secretaccesskey: \"\"
        sessiontoken: \"\"
        source: \"\"
        canexpire: false
        expires: 0001-01-01T00:00:00Z
        accountid: \"\"
";

    fn key(cluster: &str, profile: &str, role: &str) -> CacheKey {
        CacheKey { cluster: cluster.to_owned(), profile: profile.to_owned(), role: role.to_owned() }
    }

    fn at(time: &str) -> SystemTime {
        time.parse::<Timestamp>().unwrap().into()
    }

    #[test]
    fn what_the_go_program_writes_is_read() {
        let entries = Entries::parse(THEIRS).unwrap();
        let ops = key("test-cluster", "ops", "");
        let found = entries.get(&ops, at("2026-01-15T12:59:59Z")).unwrap();
        assert_eq!(found.access_key_id(), "ASIAIOSFODNN7EXAMPLE");
        assert_eq!(found.session_token(), Some("abc/def=="));
        assert_eq!(
            found.account_id().map(aws_credential_types::attributes::AccountId::as_str),
            Some("111122223333")
        );
        assert!(entries.get(&ops, at("2026-01-15T13:00:00Z")).is_none(), "expired");
        let empty = key("test-cluster", "ops", "arn:aws:iam::111122223333:role/Deployer");
        assert!(entries.get(&empty, SystemTime::UNIX_EPOCH).is_none());
    }

    #[test]
    fn nothing_is_an_empty_cache_and_damage_is_told_by_its_place_alone() {
        for text in ["", "clusters:\n", "clusters: {}\n", "{}", "# nothing\n"] {
            assert!(Entries::parse(text).unwrap().0.is_empty(), "{text:?}");
        }
        for text in [
            "clusters: [a]",
            "clusters: {a: {b: x}}",
            "- a",
            "clusters:\n\ta: b\n",
            "clusters: {a: {b: {c: {accesskeyid: a, secretaccesskey: b, canexpire: true, expires: soon}}}}",
        ] {
            assert!(Entries::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_has_expired_goes_when_something_is_put_in() {
        let mut entries = Entries::parse(THEIRS).unwrap();
        let now = at("2026-01-15T13:00:00Z");
        let fresh = Credentials::new("ASIA", "s", None, Some(now + Duration::from_mins(1)), "test");
        entries.put(key("c", "p", "r"), fresh, now);
        assert_eq!(entries.0.len(), 1);
        assert!(!entries.write().contains("ASIAIOSFODNN7EXAMPLE"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            keys in prop::collection::btree_set(("[ -~é\\t]{0,12}", "[ -~]{0,12}", "[ -~\\n]{0,12}"), 0..8),
            secret in "[!-~]{1,40}",
            session in prop::option::of("[!-~]{1,60}"),
            seconds in 1_700_000_000_u64..4_000_000_000,
        ) {
            let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let mut entries = Entries::default();
            for (cluster, profile, role) in &keys {
                let credentials = Credentials::new("ASIA", &secret, session.clone(), Some(expires), "test");
                entries.put(key(cluster, profile, role), credentials, SystemTime::UNIX_EPOCH);
            }
            let again = Entries::parse(&entries.write()).unwrap();
            prop_assert_eq!(again.0.len(), keys.len());
            for (cluster, profile, role) in &keys {
                let found = again.get(&key(cluster, profile, role), SystemTime::UNIX_EPOCH).unwrap();
                prop_assert_eq!(found.secret_access_key(), &secret);
                prop_assert_eq!(found.session_token(), session.as_deref());
                prop_assert_eq!(found.expiry(), Some(expires));
            }
        }
    }
}
