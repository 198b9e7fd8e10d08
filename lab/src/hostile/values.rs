//! The parameters' values.

use arngate::token::TokenError;
use jiff::{SignedDuration, Timestamp};

use super::{HostileCase, Url};

pub(super) fn fixed(good: Url<'_>) -> Vec<HostileCase> {
    let headers = "X-Amz-SignedHeaders";
    [
        ("another_action", "Action", "AssumeRole", TokenError::Action),
        ("action_with_more_behind_it", "Action", "GetCallerIdentityX", TokenError::Action),
        ("another_version", "Version", "2010-05-08", TokenError::Version),
        ("another_algorithm", "X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256", TokenError::Algorithm),
        ("host_not_signed", headers, "x-k8s-aws-id", TokenError::SignedHeaders),
        ("cluster_id_not_signed", headers, "host", TokenError::SignedHeaders),
        ("another_header_signed", headers, "accept%3Bhost%3Bx-k8s-aws-id", TokenError::SignedHeaders),
        ("signed_headers_in_upper_case", headers, "Host%3BX-K8s-Aws-Id", TokenError::SignedHeaders),
        ("another_header_signed_behind", headers, "host%3Bx-k8s-aws-id%3Bx-other", TokenError::SignedHeaders),
        ("signed_headers_out_of_order", headers, "x-k8s-aws-id%3Bhost", TokenError::SignedHeaders),
        ("signed_headers_twice", headers, "host%3Bhost%3Bx-k8s-aws-id", TokenError::SignedHeaders),
        ("signed_headers_empty", headers, "", TokenError::SignedHeaders),
        ("signed_headers_with_a_raw_semicolon", headers, "host;x-k8s-aws-id", TokenError::Query),
        ("empty_security_token", "X-Amz-Security-Token", "", TokenError::SecurityToken),
    ]
    .map(|(name, parameter, value, refusal)| HostileCase::of_url(name, &good.set(parameter, value), refusal))
    .to_vec()
}

pub(super) fn credential(good: Url<'_>) -> Vec<HostileCase> {
    let scope: Vec<&str> = good.value("X-Amz-Credential").split("%2F").collect();
    let (key, date, region) = (scope[0], scope[1], scope[2]);
    let scoped = |parts: &[&str]| good.set("X-Amz-Credential", &parts.join("%2F"));
    let elsewhere = scoped(&[key, date, "eu-central-1", "sts", "aws4_request"]);
    let global = Url(&elsewhere).with("sts.us-east-1.amazonaws.com", "sts.amazonaws.com");
    [
        ("credential_without_scope", scoped(&[key]), TokenError::Credential),
        (
            "credential_of_another_service",
            scoped(&[key, date, region, "s3", "aws4_request"]),
            TokenError::Credential,
        ),
        (
            "credential_with_another_end",
            scoped(&[key, date, region, "sts", "aws5_request"]),
            TokenError::Credential,
        ),
        (
            "credential_with_a_part_more",
            scoped(&[key, date, region, "sts", "aws4_request", "x"]),
            TokenError::Credential,
        ),
        (
            "credential_without_key",
            scoped(&["", date, region, "sts", "aws4_request"]),
            TokenError::Credential,
        ),
        (
            "credential_of_another_day",
            scoped(&[key, "20200101", region, "sts", "aws4_request"]),
            TokenError::CredentialDate,
        ),
        (
            "credential_of_no_day",
            scoped(&[key, "", region, "sts", "aws4_request"]),
            TokenError::CredentialDate,
        ),
        ("credential_of_another_region", elsewhere.clone(), TokenError::CredentialRegion),
        ("global_host_with_another_region", global, TokenError::CredentialRegion),
    ]
    .map(|(name, url, refusal)| HostileCase::of_url(name, &url, refusal))
    .to_vec()
}

pub(super) fn numbers(good: Url<'_>) -> Vec<HostileCase> {
    let expires = [
        ("expires_too_large", "901"),
        ("expires_negative", "-1"),
        ("expires_overflowing", "99999999999999999999"),
        ("expires_overflowing_16_bits", "65537"),
        ("expires_not_a_number", "x"),
        ("expires_empty", ""),
        ("expires_fraction", "60.5"),
        ("expires_with_sign", "%2B60"),
    ]
    .map(|(name, value)| HostileCase::of_url(name, &good.set("X-Amz-Expires", value), TokenError::Expires));
    let signatures = [
        ("signature_empty", String::new()),
        ("signature_too_short", "0".repeat(63)),
        ("signature_too_long", "0".repeat(65)),
        ("signature_not_hexadecimal", "g".repeat(64)),
        ("signature_in_upper_case", "A".repeat(64)),
    ]
    .map(|(name, value)| {
        HostileCase::of_url(name, &good.set("X-Amz-Signature", &value), TokenError::Signature)
    });
    expires.into_iter().chain(signatures).collect()
}

pub(super) fn times(good: Url<'_>, now: Timestamp) -> Vec<HostileCase> {
    let dates = [
        ("date_empty", ""),
        ("date_without_time", "20260101"),
        ("date_in_another_form", "2026-01-01T00%3A00%3A00Z"),
        ("date_without_zone", "20260101T000000"),
        ("date_that_the_calendar_lacks", "20260230T000000Z"),
        ("date_with_a_61st_second", "20260101T000061Z"),
    ]
    .map(|(name, value)| HostileCase::of_url(name, &good.set("X-Amz-Date", value), TokenError::Date));
    let (minutes, second) = (SignedDuration::from_mins, SignedDuration::from_secs(1));
    let moments = [
        ("more_than_15_minutes_old", now - minutes(15) - second, TokenError::Expired),
        ("years_old", now - minutes(60 * 24 * 365 * 3), TokenError::Expired),
        // Two seconds, since the server may be asked a second later than the case was made.
        ("more_than_5_minutes_ahead", now + minutes(5) + second + second, TokenError::NotYetValid),
        ("years_ahead", now + minutes(60 * 24 * 365 * 3), TokenError::NotYetValid),
    ]
    .map(|(name, time, refusal)| HostileCase::of_url(name, &signed_at(good, time), refusal));
    dates.into_iter().chain(moments).collect()
}

/// With another X-Amz-Date, and the scope's date to go with it.
fn signed_at(good: Url<'_>, time: Timestamp) -> String {
    let date = time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let url = good.set("X-Amz-Date", &date);
    let url = Url(&url);
    let credential = url.value("X-Amz-Credential");
    let day = credential.split("%2F").nth(1).unwrap_or_default();
    url.set("X-Amz-Credential", &credential.replacen(day, &date[..8], 1))
}
