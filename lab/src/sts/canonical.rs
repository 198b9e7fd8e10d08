//! A request as SigV4 signs it.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::query::{Parameters, encode};

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) method: &'a str,
    /// Percent-encoded, as it came.
    pub(crate) path: &'a str,
    pub(crate) query: &'a Parameters,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl Received<'_> {
    /// A header's only or first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The access key that it says it is signed with.
    pub(crate) fn access_key_id(&self) -> Option<&str> {
        let credential = self.query.get("X-Amz-Credential").or_else(|| {
            let authorization = self.header("authorization")?;
            authorization.split_once("Credential=").map(|(_, credential)| credential)
        });
        credential?.split('/').next()
    }

    /// The canonical request, signed with the headers `signed`, names in lower case and in order.
    ///
    /// `None` if one of them did not come.
    pub(crate) fn canonical(&self, signed: &[&str]) -> Option<String> {
        let mut text = String::with_capacity(2048);
        text.push_str(self.method);
        text.push('\n');
        // What came is encoded once more, as for every service but S3.
        for (index, segment) in self.path.split('/').enumerate() {
            if index > 0 {
                text.push('/');
            }
            text.push_str(&encode(segment));
        }
        text.push('\n');
        text.push_str(&self.query.canonical("X-Amz-Signature"));
        text.push('\n');
        for &name in signed {
            text.push_str(name);
            text.push(':');
            self.push_values(&mut text, name)?;
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&signed.join(";"));
        text.push('\n');
        text.push_str(&hash(self.body));
        Some(text)
    }

    /// Appends a header's values, joined by commas, runs of blanks made one.
    fn push_values(&self, text: &mut String, name: &str) -> Option<()> {
        let mut values = self.headers.get_all(name).iter().peekable();
        values.peek()?;
        for (index, value) in values.enumerate() {
            if index > 0 {
                text.push(',');
            }
            let words = value.to_str().ok()?.split(' ').filter(|word| !word.is_empty());
            for (index, word) in words.enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                text.push_str(word);
            }
        }
        Some(())
    }
}

/// SHA-256 in lower-case hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
