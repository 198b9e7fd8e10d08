//! What STS answers, in XML or JSON.
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use quick_xml::escape::escape;
use serde_json::json;

use super::{failure::Failure, principals::Principal};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// What an action came to.
#[derive(Debug)]
pub(super) enum Success {
    /// `GetCallerIdentity`: who called.
    CallerIdentity(Arc<Principal>),
    /// `AssumeRole`: the session, and when it ends.
    AssumedRole(Arc<Principal>, Timestamp),
}

/// The form that an answer is asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// STS's own.
    Xml,
    /// With `Accept: application/json`.
    Json,
}

impl Format {
    /// The form that a request with this `Accept` header gets.
    pub(super) fn of(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accept.contains("application/json") { Self::Json } else { Self::Xml }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Xml => "text/xml",
            Self::Json => "application/json",
        })
    }
}

/// An answer, before it is put into HTTP.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    format: Format,
    request_id: String,
    body: String,
}

impl Answer {
    /// Writes what a request came to.
    pub(super) fn new(result: &Result<Success, Failure>, format: Format, request_id: String) -> Self {
        let (status, body) = match (result, format) {
            (Ok(success), Format::Xml) => (StatusCode::OK, success_xml(success, &request_id)),
            (Ok(success), Format::Json) => (StatusCode::OK, success_json(success, &request_id)),
            (Err(failure), Format::Xml) => (failure.status, failure_xml(failure, &request_id)),
            (Err(failure), Format::Json) => (failure.status, failure_json(failure, &request_id)),
        };
        Self { status, format, request_id, body }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.format.content_type());
        if let Ok(id) = HeaderValue::try_from(self.request_id) {
            headers.insert("x-amzn-requestid", id);
        }
        response
    }
}

fn success_xml(success: &Success, request_id: &str) -> String {
    let (action, result) = match success {
        Success::CallerIdentity(caller) => {
            let Principal { arn, user_id, account, .. } = &**caller;
            let (arn, user_id, account) = (escape(arn), escape(user_id), escape(account));
            let result = format!(
                "    <Arn>{arn}</Arn>\n    <UserId>{user_id}</UserId>\n    <Account>{account}</Account>\n"
            );
            ("GetCallerIdentity", result)
        }
        Success::AssumedRole(session, until) => {
            let Principal { arn, user_id, credentials, .. } = &**session;
            let (arn, user_id) = (escape(arn), escape(user_id));
            let result = format!(
                "    <AssumedRoleUser>\n      <AssumedRoleId>{user_id}</AssumedRoleId>\n      \
                 <Arn>{arn}</Arn>\n    </AssumedRoleUser>\n    <Credentials>\n      \
                 <AccessKeyId>{}</AccessKeyId>\n      <SecretAccessKey>{}</SecretAccessKey>\n      \
                 <SessionToken>{}</SessionToken>\n      <Expiration>{until:.0}</Expiration>\n    \
                 </Credentials>\n",
                credentials.access_key_id,
                credentials.secret_access_key,
                credentials.session_token.as_deref().unwrap_or_default(),
            );
            ("AssumeRole", result)
        }
    };
    format!(
        "<{action}Response xmlns=\"{NAMESPACE}\">\n  <{action}Result>\n{result}  </{action}Result>\n  \
         <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n\
         </{action}Response>\n"
    )
}

fn success_json(success: &Success, request_id: &str) -> String {
    let metadata = json!({ "RequestId": request_id });
    match success {
        Success::CallerIdentity(caller) => json!({ "GetCallerIdentityResponse": {
            "GetCallerIdentityResult": {
                "Account": caller.account,
                "Arn": caller.arn,
                "UserId": caller.user_id,
            },
            "ResponseMetadata": metadata,
        }}),
        Success::AssumedRole(session, until) => json!({ "AssumeRoleResponse": {
            "AssumeRoleResult": {
                "AssumedRoleUser": { "Arn": session.arn, "AssumedRoleId": session.user_id },
                "Credentials": {
                    "AccessKeyId": session.credentials.access_key_id,
                    "SecretAccessKey": session.credentials.secret_access_key,
                    "SessionToken": session.credentials.session_token,
                    "Expiration": until.as_second(),
                },
            },
            "ResponseMetadata": metadata,
        }}),
    }
    .to_string()
}

fn failure_xml(failure: &Failure, request_id: &str) -> String {
    let (kind, code, message) = (failure.kind(), failure.code, escape(&failure.message));
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\">\n  <Error>\n    <Type>{kind}</Type>\n    \
         <Code>{code}</Code>\n    <Message>{message}</Message>\n  </Error>\n  \
         <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
    )
}

fn failure_json(failure: &Failure, request_id: &str) -> String {
    json!({
        "Error": { "Code": failure.code, "Message": failure.message, "Type": failure.kind() },
        "RequestId": request_id,
    })
    .to_string()
}

/// Makes request IDs in the form of UUIDs.
#[derive(Debug, Default)]
pub(super) struct RequestIds {
    state: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let high = self.state.hash_one((number, 0));
        let low = self.state.hash_one((number, 1));
        // Version 4 and its variant, as STS's.
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_look_like_uuids_and_differ() {
        let ids = RequestIds::default();
        let (one, other) = (ids.next(), ids.next());
        assert_ne!(one, other);
        let lengths: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }

    #[test]
    fn text_in_xml_is_escaped() {
        let failure = Err(Failure::invalid_action("<&>", None));
        let answer = Answer::new(&failure, Format::Xml, "id".to_owned());
        assert!(
            answer.body.contains("Could not find operation &lt;&amp;&gt; for version NO_VERSION_SPECIFIED")
        );
    }
}
