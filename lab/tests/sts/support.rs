//! Requests to the emulator, presigned by AWS's own signer.
use std::time::{Duration, SystemTime};

use arngate_lab::sts::{Credentials, Emulator, Principals};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
    },
    sign::v4,
};

/// The account of all principals in these tests.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The host that most requests go to.
pub(crate) const HOST: &str = "sts.us-east-1.amazonaws.com";
const CLUSTER: &str = "test";

/// An emulator with one role's session, and that session's keys.
pub(crate) async fn emulator() -> (Emulator, Credentials) {
    let principals = Principals::new();
    let credentials = principals.role(ACCOUNT, "Admin", "alice@example.org");
    let emulator = Emulator::builder().principals(principals).start().await.unwrap();
    (emulator, credentials)
}

/// A presigned request.
pub(crate) struct Presigned {
    /// The host that is signed for and asked.
    pub(crate) host: String,
    /// The region that is signed for.
    pub(crate) region: &'static str,
    /// When it is signed.
    pub(crate) time: SystemTime,
    /// Headers that are signed along.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

impl Default for Presigned {
    fn default() -> Self {
        Self {
            host: HOST.to_owned(),
            region: "us-east-1",
            time: SystemTime::now(),
            headers: vec![("x-k8s-aws-id", CLUSTER)],
        }
    }
}

impl Presigned {
    /// The URL, signed with `credentials`.
    pub(crate) fn url(&self, credentials: &Credentials) -> String {
        let identity = aws_credential_types::Credentials::new(
            &credentials.access_key_id,
            &credentials.secret_access_key,
            credentials.session_token.clone(),
            None,
            "test",
        )
        .into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.expires_in = Some(Duration::from_mins(1));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("sts")
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();

        let url = format!("https://{}/?Action=GetCallerIdentity&Version=2011-06-15", self.host);
        let headers = self.headers.iter().copied();
        let signable = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(b"")).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = http::Request::get(&url).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request.uri().to_string()
    }

    /// Asks with the URL and the headers it is signed with.
    pub(crate) async fn send(&self, emulator: &Emulator, credentials: &Credentials) -> Answer {
        get(&client(emulator, &self.host), &self.url(credentials), CLUSTER).await
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The text of the first element `name`.
    pub(crate) fn element(&self, name: &str) -> &str {
        let rest = self.body.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split_once(&format!("</{name}>"))).map_or("", |(text, _)| text)
    }

    /// Status and error code.
    pub(crate) fn verdict(&self) -> (u16, &str) {
        (self.status, self.element("Code"))
    }
}

/// A client that has `host` lead to the emulator, as arngate's `--sts-connect-to`.
pub(crate) fn client(emulator: &Emulator, host: &str) -> reqwest::Client {
    builder(emulator).no_proxy().resolve(host, emulator.address()).build().unwrap()
}

/// A client that trusts the emulator alone.
pub(crate) fn builder(emulator: &Emulator) -> reqwest::ClientBuilder {
    let ca = reqwest::Certificate::from_pem(emulator.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([ca]).redirect(reqwest::redirect::Policy::none())
}

/// Asks with a cluster's header.
pub(crate) async fn get(client: &reqwest::Client, url: &str, cluster: &str) -> Answer {
    answer(client.get(url).header("x-k8s-aws-id", cluster)).await
}

/// Sends a request and reads its answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.text().await.unwrap() }
}
