//! Tokens that must be refused before anything leaves for STS, each derived from one good token.
//!
//! The tests put every one of them to the parser and to the real server, and count what STS sees.

mod encoding;
mod query;
mod url;
mod values;

use arngate::token::{PREFIX, TokenError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

/// A token that must be refused, and why.
#[derive(Debug, Clone)]
pub struct HostileCase {
    /// What is wrong with it.
    pub name: &'static str,
    /// The token.
    pub token: String,
    /// The refusal.
    pub refusal: TokenError,
}

impl HostileCase {
    /// A token around a spoilt URL.
    fn of_url(name: &'static str, url: &str, refusal: TokenError) -> Self {
        Self { name, token: token(url.as_bytes()), refusal }
    }
}

/// Every hostile case, derived from `url`: a presigned URL for `sts.us-east-1.amazonaws.com` with a security
/// token, signed at `now`.
///
/// # Panics
/// Where `url` is no such URL, since a case would then test something else than its name says.
#[must_use]
pub fn hostile_tokens(url: &str, now: Timestamp) -> Vec<HostileCase> {
    let good = Url(url);
    [
        url::hosts(good),
        url::paths(good),
        url::bytes(good),
        query::form(good),
        query::names(good),
        values::fixed(good),
        values::credential(good),
        values::numbers(good),
        values::times(good, now),
        encoding::cases(url),
    ]
    .concat()
}

/// A token around any bytes.
#[must_use]
pub fn token(url: &[u8]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))
}

/// The URL in a token.
///
/// # Panics
/// Where `token` holds none.
#[must_use]
pub fn url_of(token: &str) -> String {
    let body = token.strip_prefix(PREFIX).unwrap_or_else(|| panic!("no token"));
    let bytes = URL_SAFE_NO_PAD.decode(body).unwrap_or_else(|error| panic!("no base64: {error}"));
    String::from_utf8(bytes).unwrap_or_else(|error| panic!("no text: {error}"))
}

/// A good URL, to be spoilt.
#[derive(Clone, Copy)]
struct Url<'a>(&'a str);

impl Url<'_> {
    fn with(&self, from: &str, to: &str) -> String {
        assert!(self.0.contains(from), "the good URL does not hold {from}");
        self.0.replacen(from, to, 1)
    }

    fn and(&self, more: &str) -> String {
        format!("{}{more}", self.0)
    }

    fn pair(&self, name: &str) -> &str {
        let found =
            self.0.split(['?', '&']).find(|pair| pair.split_once('=').is_some_and(|(key, _)| key == name));
        found.unwrap_or_else(|| panic!("the good URL lacks {name}"))
    }

    fn value(&self, name: &str) -> &str {
        &self.pair(name)[name.len() + 1..]
    }

    fn set(&self, name: &str, value: &str) -> String {
        self.with(self.pair(name), &format!("{name}={value}"))
    }

    fn without(&self, name: &str) -> String {
        let pair = self.pair(name);
        let behind = format!("&{pair}");
        if self.0.contains(&behind) { self.with(&behind, "") } else { self.with(&format!("{pair}&"), "") }
    }
}
