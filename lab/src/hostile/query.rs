//! The query's form, and its parameters' names.

use arngate::token::TokenError;

use super::{HostileCase, Url};

pub(super) fn form(good: Url<'_>) -> Vec<HostileCase> {
    let action = |value: &str| good.set("Action", value);
    [
        ("semicolon_as_separator", good.with("&Version", ";Version")),
        ("empty_parameter", good.with("&Version", "&&Version")),
        ("trailing_separator", good.and("&")),
        ("parameter_without_value", good.with("Version=2011-06-15", "Version")),
        ("malformed_percent_sequence", action("GetCallerIdentity%")),
        ("percent_sequence_that_is_no_number", action("GetCallerIdentity%zz")),
        ("percent_sequence_cut_off", action("GetCallerIdentity%2")),
        ("percent_sequence_in_lower_case", action("GetCallerIdentity%2f")),
        ("needless_percent_encoding", action("%47etCallerIdentity")),
        ("plus_for_space", action("+GetCallerIdentity")),
        ("second_question_mark", action("GetCallerIdentity?")),
    ]
    .map(|(name, url)| HostileCase::of_url(name, &url, TokenError::Query))
    .to_vec()
}

pub(super) fn names(good: Url<'_>) -> Vec<HostileCase> {
    let credential = good.value("X-Amz-Credential");
    let duplicates = [
        ("duplicate_parameter", good.and(&format!("&X-Amz-Credential={credential}"))),
        ("duplicate_action", good.and("&Action=GetCallerIdentity")),
    ]
    .map(|(name, url)| HostileCase::of_url(name, &url, TokenError::DuplicateParameter));
    let unknown = [
        // CVE-2022-2385: whoever compares without case sees one parameter where STS sees two.
        ("duplicate_in_another_case", good.and(&format!("&x-amz-credential={credential}"))),
        ("parameter_in_another_case", good.with("X-Amz-Date", "x-amz-date")),
        ("action_in_another_case", good.with("Action", "action")),
        ("percent_encoded_name", good.with("Action", "%41ction")),
        ("duplicate_by_percent_encoded_name", good.and("&%41ction=GetCallerIdentity")),
        ("unknown_parameter", good.and("&DurationSeconds=900")),
        ("parameter_without_name", good.and("&=x")),
    ]
    .map(|(name, url)| HostileCase::of_url(name, &url, TokenError::UnknownParameter));
    let missing = [
        ("no_action", "Action"),
        ("no_version", "Version"),
        ("no_algorithm", "X-Amz-Algorithm"),
        ("no_credential", "X-Amz-Credential"),
        ("no_date", "X-Amz-Date"),
        ("no_expires", "X-Amz-Expires"),
        ("no_signed_headers", "X-Amz-SignedHeaders"),
        ("no_signature", "X-Amz-Signature"),
    ]
    .map(|(name, parameter)| {
        HostileCase::of_url(name, &good.without(parameter), TokenError::MissingParameter(parameter))
    });
    duplicates.into_iter().chain(unknown).chain(missing).collect()
}
