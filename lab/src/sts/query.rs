//! Parameters of a query or a form, and AWS's way to percent-encode.
use std::fmt::Write as _;

/// Decoded parameters in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a URL's query; `None` if it is malformed.
    ///
    /// `+` is itself there: SigV4 knows a blank only as `%20`.
    pub(crate) fn of_query(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    /// Reads a form; `None` if it is malformed.
    pub(crate) fn of_form(body: &[u8]) -> Option<Self> {
        Self::parse(&std::str::from_utf8(body).ok()?.replace('+', " "))
    }

    fn parse(text: &str) -> Option<Self> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        decoded.collect::<Option<_>>().map(Self)
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether some parameter occurs more than once, for those whose names begin with `prefix`.
    pub(crate) fn repeats(&self, prefix: &str) -> bool {
        let mut names: Vec<_> =
            self.0.iter().map(|(name, _)| name).filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// The canonical query string, `left_out` left out.
    pub(crate) fn canonical(&self, left_out: &str) -> String {
        let kept = self.0.iter().filter(|(name, _)| name != left_out);
        let mut encoded: Vec<_> = kept.map(|(name, value)| (encode(name), encode(value))).collect();
        encoded.sort_unstable();
        let mut query = String::with_capacity(1024);
        for (name, value) in encoded {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&name);
            query.push('=');
            query.push_str(&value);
        }
        query
    }
}

/// Encodes all but RFC 3986's unreserved characters, in upper case.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes percent sequences; `None` if one is malformed or the result is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            decoded.push(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_sorted_and_encoded_anew() {
        let parameters = Parameters::of_query("b=2&a=%7e%2b+/&a=&c&X-Amz-Signature=ff").unwrap();
        assert_eq!(parameters.canonical("X-Amz-Signature"), "a=&a=~%2B%2B%2F&b=2&c=");
        assert_eq!(parameters.get("b"), Some("2"));
        assert!(parameters.repeats("a") && !parameters.repeats("X-Amz-"));
    }

    #[test]
    fn a_forms_plus_is_a_blank() {
        let parameters = Parameters::of_form(b"a=1+2%2B3").unwrap();
        assert_eq!(parameters.get("a"), Some("1 2+3"));
    }

    #[test]
    fn malformed_sequences_are_refused() {
        for query in ["a=%", "a=%4", "a=%zz", "%=1", "a=%ff"] {
            assert!(Parameters::of_query(query).is_none(), "{query}");
        }
    }
}
