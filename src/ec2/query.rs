//! One call of an AWS query API, signed.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};

use super::{Failure, endpoint::Endpoint};
use crate::sts::http::{self, HttpFailure};

/// A call before it is signed.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) action: &'static str,
    pub(super) version: &'static str,
    pub(super) parameters: Vec<(String, String)>,
    /// Sent and signed beside those that every call has.
    pub(super) headers: Vec<(&'static str, &'a str)>,
    /// The longest answer that is read, in bytes.
    pub(super) max_body: usize,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Call<'_> {
    /// Signs it at `now` and sends it.
    ///
    /// # Errors
    /// Where it cannot be signed, or no whole answer comes.
    pub(super) async fn send(
        &self,
        http: &reqwest::Client,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Answer, Failure> {
        let request = self.sign(endpoint, credentials, now).map_err(|error| {
            tracing::error!(service = endpoint.service.name(), error, "a request cannot be signed");
            Failure::Credentials
        })?;
        let response = http.execute(request).await.map_err(|error| HttpFailure::of(&error))?;
        let status = response.status().as_u16();
        Ok(Answer { status, body: http::read(response, self.max_body).await? })
    }

    /// The request, or what is wrong: errors of the signer and of the HTTP types are reduced to a word, for their
    /// texts may hold the credentials.
    fn sign(
        &self,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<reqwest::Request, &'static str> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let body = self.form(endpoint);
        let headers = self.headers.iter().copied().chain([("content-type", FORM)]);
        let mut request = ::http::Request::post(endpoint.url.as_str());
        for (name, value) in headers.clone() {
            request = request.header(name, value);
        }
        let mut request = request.body(body.clone()).map_err(|_| "a header is malformed")?;

        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&endpoint.region)
            .name(endpoint.service.name())
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| "a signing parameter is missing")?
            .into();
        let body = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", endpoint.url.as_str(), headers, body)
            .map_err(|_| "the signer refuses the request")?;
        let signed = sign(signable, &params).map_err(|_| "the signer refuses the credentials")?;
        let (instructions, _signature) = signed.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().map_err(|_| "the HTTP client refuses the request")
    }

    fn form(&self, endpoint: &Endpoint) -> String {
        let mut url = endpoint.url.clone();
        let parameters = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        url.query_pairs_mut()
            .clear()
            .extend_pairs([("Action", self.action), ("Version", self.version)])
            .extend_pairs(parameters);
        url.query().unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::endpoint::Service;

    fn call(value: &str) -> Call<'static> {
        Call {
            action: "DescribeInstances",
            version: "2016-11-15",
            parameters: vec![("NextToken".to_owned(), value.to_owned())],
            headers: vec![("x-amz-source-account", "111122223333")],
            max_body: 1,
        }
    }

    fn endpoint(url: &str) -> Endpoint {
        Endpoint { url: url.parse().unwrap(), region: "us-east-1".to_owned(), service: Service::Ec2 }
    }

    #[test]
    fn headers_and_the_session_token_are_signed() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("session".to_owned()), None, "test");
        let now = "2026-01-15T12:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
        let endpoint = endpoint("https://ec2.us-east-1.amazonaws.com/");
        let request = call("a+b&c=d/ é").sign(&endpoint, &credentials, now).unwrap();
        let header = |name| request.headers()[name].to_str().unwrap();
        assert!(header("authorization").starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260115/us-east-1/ec2/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-source-account, Signature="
        ));
        assert_eq!(header("x-amz-security-token"), "session");
        assert_eq!(header("x-amz-source-account"), "111122223333");
        assert_eq!(
            request.body().unwrap().as_bytes().unwrap(),
            b"Action=DescribeInstances&Version=2016-11-15&NextToken=a%2Bb%26c%3Dd%2F+%C3%A9"
        );
        assert_eq!(request.url().as_str(), "https://ec2.us-east-1.amazonaws.com/");
    }

    #[test]
    fn what_no_header_can_hold_is_refused_without_being_told() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("s\n".to_owned()), None, "test");
        let error = call("").sign(&endpoint("https://a.example/"), &credentials, SystemTime::UNIX_EPOCH);
        assert!(error.is_err());
    }
}
