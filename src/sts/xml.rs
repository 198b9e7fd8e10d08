//! STS's answers: what is wanted stands at a known path, once.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

pub use crate::xml::XmlError;
use crate::xml::fields;

/// How deep an answer may nest; STS's own nest three deep.
const MAX_DEPTH: usize = 8;

/// STS's answer to GetCallerIdentity, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// `Arn`
    pub arn: String,
    /// `UserId`
    pub user_id: String,
    /// `Account`
    pub account: String,
}

/// STS's answer where it refuses or fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// `Code`, such as `SignatureDoesNotMatch`.
    pub code: String,
    /// `Message`. It may quote the request: never log it.
    pub message: String,
}

/// Reads a `GetCallerIdentityResponse`.
///
/// # Errors
/// See [`XmlError`].
pub fn caller_identity(body: &str) -> Result<CallerIdentity, XmlError> {
    const RESULT: &str = "GetCallerIdentityResponse/GetCallerIdentityResult";
    let [arn, user_id, account] = fields(
        body,
        MAX_DEPTH,
        [&format!("{RESULT}/Arn"), &format!("{RESULT}/UserId"), &format!("{RESULT}/Account")],
    )?;
    Ok(CallerIdentity {
        arn: arn.ok_or(XmlError::Missing)?,
        user_id: user_id.ok_or(XmlError::Missing)?,
        account: account.ok_or(XmlError::Missing)?,
    })
}

/// Reads an `ErrorResponse`.
///
/// # Errors
/// See [`XmlError`].
pub fn error(body: &str) -> Result<ErrorBody, XmlError> {
    let [code, message] =
        fields(body, MAX_DEPTH, ["ErrorResponse/Error/Code", "ErrorResponse/Error/Message"])?;
    Ok(ErrorBody { code: code.ok_or(XmlError::Missing)?, message: message.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetCallerIdentityResult>
    <Arn>arn:aws:sts::111122223333:assumed-role/Admin/alice</Arn>
    <UserId>AROAEXAMPLE:alice</UserId>
    <Account>111122223333</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata>
</GetCallerIdentityResponse>"#;

    #[test]
    fn reads_an_identity() {
        let identity = caller_identity(IDENTITY).unwrap();
        assert_eq!(identity.arn, "arn:aws:sts::111122223333:assumed-role/Admin/alice");
        assert_eq!(identity.user_id, "AROAEXAMPLE:alice");
        assert_eq!(identity.account, "111122223333");
    }

    #[test]
    fn reads_an_error() {
        let body = r#"<?xml version="1.0"?><ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
            <Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>a &lt;b&gt; &#38; c</Message></Error>
            <RequestId>x</RequestId></ErrorResponse>"#;
        let error = error(body).unwrap();
        assert_eq!(error.code, "SignatureDoesNotMatch");
        assert_eq!(error.message, "a <b> & c");
    }

    #[test]
    fn a_field_elsewhere_does_not_count() {
        let body = IDENTITY.replace("GetCallerIdentityResult>", "Other>");
        assert_eq!(caller_identity(&body), Err(XmlError::Missing));
        assert_eq!(caller_identity(&format!("<a>{IDENTITY}</a>")), Err(XmlError::Missing));
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        let body = IDENTITY.replace("<UserId>", "<Arn>arn:aws:iam::111122223333:root</Arn><UserId>");
        assert_eq!(caller_identity(&body), Err(XmlError::Duplicate));
        let two = format!("{IDENTITY}{IDENTITY}");
        assert!(matches!(caller_identity(&two), Err(XmlError::Duplicate | XmlError::Malformed)));
    }

    #[test]
    fn every_cut_is_refused() {
        for end in (0..IDENTITY.len()).filter(|end| IDENTITY.is_char_boundary(*end)) {
            assert!(caller_identity(&IDENTITY[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn entities_are_refused_and_never_expanded() {
        let bomb = format!(r#"<!DOCTYPE a [<!ENTITY x "y">]>{IDENTITY}"#);
        assert_eq!(caller_identity(&bomb), Err(XmlError::Entity));
        let unknown = IDENTITY.replace("alice<", "&who;<");
        assert_eq!(caller_identity(&unknown), Err(XmlError::Entity));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "<a>".repeat(100_000);
        assert_eq!(caller_identity(&deep), Err(XmlError::Depth));
    }
}
