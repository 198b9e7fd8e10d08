//! The check of `SigV4` signatures, presigned queries and `Authorization` headers alike.
//!
//! All of it is written here, with nothing but SHA-256 and HMAC from elsewhere, so that it also checks
//! the signing of the programs that are tried with it.
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use sha2::Sha256;

use super::{
    canonical::{Received, hash},
    failure::Failure,
    query::Parameters,
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// How long after its date STS takes a request, whatever `X-Amz-Expires` says.
const PAST: SignedDuration = SignedDuration::from_mins(15);
/// How far a client's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// What a request says about its signature. None of it is checked yet but its form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) session_token: Option<&'a str>,
    scope: Scope<'a>,
    /// `yyyymmddThhmmssZ`.
    date: &'a str,
    time: Timestamp,
    /// In lower case and in order.
    signed_headers: Vec<&'a str>,
    mac: [u8; 32],
}

#[derive(Debug, PartialEq, Eq)]
struct Scope<'a> {
    date: &'a str,
    region: &'a str,
    service: &'a str,
    terminator: &'a str,
}

impl<'a> Signature<'a> {
    /// Reads where and how a request is signed.
    ///
    /// # Errors
    /// `MissingAuthenticationToken` if it is not signed, `IncompleteSignature` if something is missing or
    /// malformed.
    pub(super) fn of(request: &Received<'a>) -> Result<Self, Failure> {
        if let Some(authorization) = header(request, "authorization") {
            return Self::of_header(request, authorization);
        }
        if request.query.get("X-Amz-Algorithm").is_some() || request.query.get("X-Amz-Signature").is_some() {
            return Self::of_query(request.query);
        }
        Err(Failure::missing_token())
    }

    fn of_query(query: &'a Parameters) -> Result<Self, Failure> {
        if query.repeats("X-Amz-") {
            return Err(Failure::incomplete_signature("AWS query-string parameters must not be repeated."));
        }
        let need = |name: &str| {
            query.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                let message = format!("AWS query-string parameters must include '{name}'.");
                Failure::incomplete_signature(message)
            })
        };
        check_algorithm(need("X-Amz-Algorithm")?)?;
        Self::new(
            need("X-Amz-Credential")?,
            need("X-Amz-SignedHeaders")?,
            need("X-Amz-Signature")?,
            need("X-Amz-Date")?,
            query.get("X-Amz-Security-Token"),
        )
    }

    fn of_header(request: &Received<'a>, authorization: &'a str) -> Result<Self, Failure> {
        let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        check_algorithm(algorithm)?;
        let part = |name: &str| {
            let parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
            parts.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).ok_or_else(|| {
                Failure::incomplete_signature(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let date = header(request, "x-amz-date").or_else(|| header(request, "date")).ok_or_else(|| {
            Failure::incomplete_signature(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            )
        })?;
        Self::new(
            part("Credential")?,
            part("SignedHeaders")?,
            part("Signature")?,
            date,
            header(request, "x-amz-security-token"),
        )
    }

    fn new(
        credential: &'a str,
        signed_headers: &'a str,
        signature: &str,
        date: &'a str,
        session_token: Option<&'a str>,
    ) -> Result<Self, Failure> {
        let [access_key_id, scope_date, region, service, terminator] =
            credential.split('/').collect::<Vec<_>>()[..]
        else {
            return Err(Failure::incomplete_signature(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term.",
            ));
        };
        let signed_headers: Vec<_> = signed_headers.split(';').collect();
        if !signed_headers.contains(&"host") {
            return Err(Failure::incomplete_signature(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ));
        }
        // In order and each once: pairs are strictly ascending.
        if !signed_headers.windows(2).all(|pair| pair[0] < pair[1])
            || signed_headers.iter().any(|name| name.bytes().any(|byte| byte.is_ascii_uppercase()))
        {
            return Err(Failure::incomplete_signature("SignedHeaders must be in lower case and in order."));
        }
        let time = parse_date(date).ok_or_else(|| {
            Failure::incomplete_signature(format!(
                "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
            ))
        })?;
        let scope = Scope { date: scope_date, region, service, terminator };
        let mac = parse_signature(signature).ok_or_else(Failure::wrong_signature)?;
        Ok(Self { access_key_id, session_token, scope, date, time, signed_headers, mac })
    }

    /// Checks that the scope is of this service and day, and of `region` if there is one to compare with.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, saying which part is wrong.
    pub(super) fn check_scope(&self, service: &str, region: Option<&str>) -> Result<(), Failure> {
        let Scope { date, region: signed_region, service: signed_service, terminator } = &self.scope;
        if region.is_some_and(|region| region != *signed_region) {
            let message = format!("Credential should be scoped to a valid region, not '{signed_region}'. ");
            return Err(Failure::signature(message));
        }
        if *signed_service != service {
            let message = format!("Credential should be scoped to correct service: '{service}'. ");
            return Err(Failure::signature(message));
        }
        if *terminator != TERMINATOR {
            let message = format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
            );
            return Err(Failure::signature(message));
        }
        let day = &self.date[..8];
        if *date != day {
            return Err(Failure::signature(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{date}' != '{day}', from '{}'.",
                self.date
            )));
        }
        Ok(())
    }

    /// Checks that the request was signed within the last 15 minutes, or the next 5.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, in STS's words for either case.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), Failure> {
        let edge = |by: SignedDuration| now.checked_add(by).unwrap_or(now);
        let (earliest, latest) = (edge(-PAST), edge(AHEAD));
        // Dates have whole seconds: compare whole seconds.
        if self.time.as_second() < earliest.as_second() {
            return Err(Failure::signature(format!(
                "Signature expired: {} is now earlier than {} ({} - 15 min.)",
                self.date,
                basic(earliest),
                basic(now),
            )));
        }
        if self.time.as_second() > latest.as_second() {
            return Err(Failure::signature(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                self.date,
                basic(latest),
                basic(now),
            )));
        }
        Ok(())
    }

    /// Whether the header `name`, in lower case, is signed.
    pub(super) fn signs(&self, name: &str) -> bool {
        self.signed_headers.contains(&name)
    }

    /// Checks, in constant time, that the request is signed with `secret`.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`.
    pub(super) fn check(&self, request: &Received<'_>, secret: &str) -> Result<(), Failure> {
        let canonical = request.canonical(&self.signed_headers).ok_or_else(Failure::wrong_signature)?;
        let Scope { date, region, service, terminator } = &self.scope;
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{date}/{region}/{service}/{terminator}\n{}",
            self.date,
            hash(canonical.as_bytes())
        );
        let key = signing_key(secret, date, region, service);
        mac(&key, &to_sign).verify(&self.mac.into()).map_err(|_| Failure::wrong_signature())
    }
}

fn header<'a>(request: &Received<'a>, name: &str) -> Option<&'a str> {
    request.headers.get(name).and_then(|value| value.to_str().ok())
}

fn check_algorithm(algorithm: &str) -> Result<(), Failure> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(Failure::incomplete_signature(format!("Unsupported AWS 'algorithm': '{algorithm}'.")))
}

/// The key of a day, a region and a service.
fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> [u8; 32] {
    let day = mac(format!("AWS4{secret}").as_bytes(), date).finalize().into_bytes();
    let parts = [region, service, TERMINATOR];
    parts.into_iter().fold(day, |key, part| mac(&key, part).finalize().into_bytes()).into()
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac
}

/// 64 hex digits, in lower case only, as STS wants them.
fn parse_signature(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Reads `yyyymmddThhmmssZ`, exactly.
fn parse_date(text: &str) -> Option<Timestamp> {
    let shaped = text.len() == 16
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let date = shaped.then(|| DateTime::strptime("%Y%m%dT%H%M%SZ", text))?.ok()?;
    TimeZone::UTC.to_timestamp(date).ok()
}

fn basic(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests;
