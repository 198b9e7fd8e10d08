/// Why a token was refused before STS was asked. One variant a rule; none holds any part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`super::MAX_LEN`].
    #[error("the token is longer than {} bytes", super::MAX_LEN)]
    TooLong,
    /// Without the prefix: some other authenticator's token.
    #[error("the token does not begin with {}", super::PREFIX)]
    Prefix,
    /// Not base64url without padding.
    #[error("the token is not base64url without padding")]
    Base64,
    /// A byte that no presigned URL has: a control character, white space, or beyond ASCII.
    #[error("the URL holds a byte that is not printable ASCII")]
    Character,
    /// Another scheme than `https`.
    #[error("the URL does not begin with https://")]
    Scheme,
    /// A host that is not STS's in this partition; port, user and case count.
    #[error("the URL's host is none of STS's in this server's partition")]
    Host,
    /// Another path than `/`.
    #[error("the URL's path is not /")]
    Path,
    /// A fragment.
    #[error("the URL has a fragment")]
    Fragment,
    /// The query is not `name=value` pairs joined by `&` in SigV4's encoding.
    #[error("the query is not in the encoding that SigV4 signs")]
    Query,
    /// A parameter that a GetCallerIdentity URL does not have, letter case counting.
    #[error("the query has a parameter that a presigned GetCallerIdentity URL does not have")]
    UnknownParameter,
    /// A parameter twice.
    #[error("the query has a parameter twice")]
    DuplicateParameter,
    /// A parameter that must be there is not.
    #[error("the query lacks {0}")]
    MissingParameter(&'static str),
    /// Another action.
    #[error("Action is not GetCallerIdentity")]
    Action,
    /// Another version.
    #[error("Version is not 2011-06-15")]
    Version,
    /// Another algorithm.
    #[error("X-Amz-Algorithm is not AWS4-HMAC-SHA256")]
    Algorithm,
    /// Not `<key>/<date>/<region>/sts/aws4_request`.
    #[error("X-Amz-Credential is not KEY/DATE/REGION/sts/aws4_request")]
    Credential,
    /// The scope's date is not the request's.
    #[error("X-Amz-Credential is of another day than X-Amz-Date")]
    CredentialDate,
    /// The scope's region is not the host's.
    #[error("X-Amz-Credential is for another region than the host's")]
    CredentialRegion,
    /// Not exactly `host;x-k8s-aws-id`.
    #[error("X-Amz-SignedHeaders is not host;x-k8s-aws-id")]
    SignedHeaders,
    /// Not a number from 0 to 900.
    #[error("X-Amz-Expires is not a number from 0 to 900")]
    Expires,
    /// Not `yyyymmddThhmmssZ`, or no such moment.
    #[error("X-Amz-Date is not a moment in the form yyyymmddThhmmssZ")]
    Date,
    /// Empty.
    #[error("X-Amz-Security-Token is empty")]
    SecurityToken,
    /// Not 64 hexadecimal digits.
    #[error("X-Amz-Signature is not 64 hexadecimal digits in lower case")]
    Signature,
    /// Signed more than 15 minutes ago.
    #[error("the token was signed more than 15 minutes ago")]
    Expired,
    /// Signed more than 5 minutes from now: a clock is wrong.
    #[error("the token was signed more than 5 minutes in the future: one of the two clocks is wrong")]
    NotYetValid,
}

/// What a refusal means for whoever may remember it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenErrorClass {
    /// Another authenticator's, or nobody's.
    NotOurs,
    /// It can never become good.
    Malformed,
    /// It was good once, and will never be again.
    Expired,
    /// It may become good.
    NotYetValid,
}

impl TokenError {
    /// The reason's label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Prefix => "token_not_ours",
            Self::Base64 => "token_base64",
            Self::Character => "token_character",
            Self::Scheme => "token_scheme",
            Self::Host => "token_host",
            Self::Path => "token_path",
            Self::Fragment => "token_fragment",
            Self::Query => "token_query",
            Self::UnknownParameter => "token_unknown_parameter",
            Self::DuplicateParameter => "token_duplicate_parameter",
            Self::MissingParameter(_) => "token_missing_parameter",
            Self::Action => "token_action",
            Self::Version => "token_version",
            Self::Algorithm => "token_algorithm",
            Self::Credential => "token_credential",
            Self::CredentialDate => "token_credential_date",
            Self::CredentialRegion => "token_credential_region",
            Self::SignedHeaders => "token_signed_headers",
            Self::Expires => "token_expires",
            Self::Date => "token_date",
            Self::SecurityToken => "token_security_token",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
        }
    }

    /// What it means for whoever may remember it.
    #[must_use]
    pub const fn class(self) -> TokenErrorClass {
        match self {
            Self::Prefix => TokenErrorClass::NotOurs,
            Self::Expired => TokenErrorClass::Expired,
            Self::NotYetValid => TokenErrorClass::NotYetValid,
            _ => TokenErrorClass::Malformed,
        }
    }
}
