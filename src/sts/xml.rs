//! STS's XML, read strictly: what is wanted stands at a known path, once; all else is skipped, and a document
//! type, an unknown entity or a second value at one path refuses the whole answer.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use quick_xml::{Reader, events::Event};

/// How deep an answer may nest; STS's own nest three deep.
const MAX_DEPTH: usize = 8;

/// Why an answer's body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, or cut off.
    #[error("the body is not well-formed XML")]
    Malformed,
    /// A document type or an entity that XML does not predefine. STS sends neither.
    #[error("the body declares or uses entities, which STS never does")]
    Entity,
    /// Nested too deep.
    #[error("the body nests deeper than STS's answers do")]
    Depth,
    /// The same field twice.
    #[error("the body gives one field twice")]
    Duplicate,
    /// A field that every answer has is missing.
    #[error("the body lacks a field that STS always gives")]
    Missing,
}

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
    let [arn, user_id, account] =
        fields(body, [&format!("{RESULT}/Arn"), &format!("{RESULT}/UserId"), &format!("{RESULT}/Account")])?;
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
    let [code, message] = fields(body, ["ErrorResponse/Error/Code", "ErrorResponse/Error/Message"])?;
    Ok(ErrorBody { code: code.ok_or(XmlError::Missing)?, message: message.unwrap_or_default() })
}

/// The texts at `paths`, each a list of element names from the root, parted by slashes.
fn fields<const N: usize>(body: &str, paths: [&str; N]) -> Result<[Option<String>; N], XmlError> {
    let mut found: [Option<String>; N] = [const { None }; N];
    let mut reader = Reader::from_str(body);
    reader.config_mut().expand_empty_elements = true;
    let mut path = String::new();
    let mut depth = 0_usize;
    let mut roots = 0_usize;
    loop {
        let text: Option<String> = match reader.read_event().map_err(|_| XmlError::Malformed)? {
            Event::Start(start) => {
                if depth == MAX_DEPTH {
                    return Err(XmlError::Depth);
                }
                roots += usize::from(depth == 0);
                depth += 1;
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(start.local_name().as_ref());
                if let Some(field) = field(&mut found, &paths, &path)
                    && field.replace(String::new()).is_some()
                {
                    return Err(XmlError::Duplicate);
                }
                None
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                path.truncate(path.rfind('/').unwrap_or(0));
                None
            }
            Event::Text(text) => Some(text.xml10_content().into_owned()),
            Event::CData(text) => Some(text.xml10_content().into_owned()),
            Event::GeneralRef(reference) => Some(resolve(&reference)?),
            Event::DocType(_) => return Err(XmlError::Entity),
            // `expand_empty_elements` turns Empty into Start and End.
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
            Event::Eof if depth == 0 && roots == 1 => return Ok(found),
            Event::Eof => return Err(XmlError::Malformed),
        };
        if let (Some(text), Some(field)) = (text, field(&mut found, &paths, &path)) {
            field.get_or_insert_default().push_str(&text);
        }
    }
}

/// What has been found at `path`, where that is one of `paths`.
fn field<'a>(found: &'a mut [Option<String>], paths: &[&str], path: &str) -> Option<&'a mut Option<String>> {
    found.iter_mut().zip(paths).find(|(_, wanted)| **wanted == path).map(|(field, _)| field)
}

/// A character reference or one of XML's five predefined entities.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
        return Ok(character.to_string());
    }
    quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())
        .map(str::to_owned)
        .ok_or(XmlError::Entity)
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
