//! The lines of the audit log: the schema, field by field, in this order. docs/audit-log.md is its description.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::record::{Asked, Caller, Given, Matched, Record};
use crate::{
    mapping::{Listed, Origin},
    sts::Source,
};

/// The name of the schema, and its version: another one where a field changes its meaning or goes; fields that are
/// added do not make one.
const SCHEMA: &str = "arngate.audit.v1";

/// A decision.
#[derive(Serialize)]
struct DecisionLine<'a> {
    schema: &'static str,
    kind: &'static str,
    time: Time,
    #[serde(serialize_with = "text")]
    request_id: super::RequestId,
    #[serde(serialize_with = "text")]
    client: std::net::SocketAddr,
    decision: &'static str,
    reason: &'static str,
    scrubbed: bool,
    access_key_id: Option<&'a str>,
    principal: Option<PrincipalPart<'a>>,
    user: Option<UserPart<'a>>,
    mapping: Option<MappingPart<'a>>,
    sts: Option<StsPart<'a>>,
    duration_ms: f64,
    suppressed: u64,
}

#[derive(Serialize)]
struct PrincipalPart<'a> {
    arn: &'a str,
    canonical_arn: &'a str,
    account: &'a str,
    #[serde(serialize_with = "text")]
    user_id: UserId<'a>,
}

#[derive(Serialize)]
struct UserPart<'a> {
    username: Option<&'a str>,
    uid: Option<&'a str>,
    groups: Option<&'a [String]>,
}

#[derive(Serialize)]
struct MappingPart<'a> {
    backend: &'static str,
    kind: Option<&'static str>,
    entry: Option<usize>,
    line: Option<usize>,
    object: Option<&'a str>,
}

#[derive(Serialize)]
struct StsPart<'a> {
    endpoint: &'a str,
    cache: &'static str,
}

/// Decisions that are no lines of their own.
#[derive(Serialize)]
struct GapLine {
    schema: &'static str,
    kind: &'static str,
    time: Time,
    cause: &'static str,
    reason: Option<&'static str>,
    count: u64,
}

/// Why decisions are not in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// There were more denials of this reason than are written in a second.
    Sampled(&'static str),
    /// More waited to be written than the queue holds.
    QueueFull,
    /// They could not be written.
    WriteFailed,
}

impl Cause {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Sampled(_) => "sampled",
            Self::QueueFull => "queue_full",
            Self::WriteFailed => "write_failed",
        }
    }
}

/// RFC 3339, in UTC, to the microsecond: always as long, so that lines sort by it.
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

/// STS's `UserId`: that of a role's session has the session's name behind it.
struct UserId<'a> {
    id: &'a str,
    session: &'a str,
}

impl fmt::Display for UserId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)?;
        if self.session.is_empty() { Ok(()) } else { write!(f, ":{}", self.session) }
    }
}

fn text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl<'a> PrincipalPart<'a> {
    fn of(caller: &'a Caller<'_>) -> Self {
        let Caller { arn, canonical_arn, account, identity } = caller;
        let user_id = UserId { id: identity.user_id(), session: identity.session_name() };
        Self { arn, canonical_arn, account: account.as_str(), user_id }
    }
}

impl<'a> MappingPart<'a> {
    fn of(matched: &Matched<'a>) -> Self {
        let nowhere =
            Self { backend: matched.backend.name(), kind: None, entry: None, line: None, object: None };
        match matched.origin {
            None => nowhere,
            Some(Origin::Listed(Listed { section, entry, position })) => {
                Self { kind: Some(section.key()), entry: Some(*entry), line: Some(position.line), ..nowhere }
            }
            Some(Origin::Object(name)) => {
                Self { kind: Some("IAMIdentityMapping"), object: Some(name), ..nowhere }
            }
            Some(Origin::Administrator(number)) => {
                Self { kind: Some("adminPrincipals"), entry: Some(*number), ..nowhere }
            }
        }
    }
}

impl<'a> StsPart<'a> {
    const fn of(asked: &Asked<'a>) -> Self {
        let cache = match (asked.source, asked.vouched) {
            (Source::Sts, _) => "none",
            (Source::Shared, _) => "shared",
            (Source::Cache, true) => "verified",
            (Source::Cache, false) => "negative",
        };
        Self { endpoint: asked.host, cache }
    }
}

/// The line of a decision, `suppressed` of whose kind stand behind it. Empty where it cannot be written as JSON, which
/// no value here can bring about.
pub(super) fn decision(record: &Record<'_>, suppressed: u64) -> Vec<u8> {
    line(&DecisionLine {
        schema: SCHEMA,
        kind: "decision",
        time: Time(record.review.decided_at),
        request_id: record.review.id,
        client: record.review.client,
        decision: record.outcome.label(),
        reason: record.outcome.reason(),
        scrubbed: record.scrubbed,
        access_key_id: record.access_key_id,
        principal: record.principal.as_ref().map(PrincipalPart::of),
        user: record.user.as_ref().map(|Given { username, uid, groups }| UserPart {
            username: *username,
            uid: *uid,
            groups: *groups,
        }),
        mapping: record.mapping.as_ref().map(MappingPart::of),
        sts: record.sts.as_ref().map(StsPart::of),
        duration_ms: (record.duration_ms() * 1000.0).round() / 1000.0,
        suppressed,
    })
}

/// The line of `count` decisions that are no lines of their own.
pub(super) fn gap(cause: Cause, count: u64, time: Timestamp) -> Vec<u8> {
    let reason = if let Cause::Sampled(reason) = cause { Some(reason) } else { None };
    line(&GapLine { schema: SCHEMA, kind: "gap", time: Time(time), cause: cause.label(), reason, count })
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    if !line.is_empty() {
        line.push(b'\n');
    }
    line
}

#[cfg(test)]
pub(super) mod tests;
