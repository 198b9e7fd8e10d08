use super::error::TokenError;

/// `X-Amz-Credential`, in its encoding: `<key>%2F<yyyymmdd>%2F<region>%2Fsts%2Faws4_request`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credential<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) date: &'a str,
    pub(super) region: &'a str,
}

impl<'a> Credential<'a> {
    pub(super) fn parse(value: &'a str) -> Result<Self, TokenError> {
        let mut parts = value.split("%2F");
        let (Some(access_key_id), Some(date), Some(region), Some("sts"), Some("aws4_request"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Credential);
        };
        // https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html: 16 to 128 of \w.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(16..=128).contains(&access_key_id.len()) || !access_key_id.bytes().all(allowed) {
            return Err(TokenError::Credential);
        }
        Ok(Self { access_key_id, date, region })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_parts_and_no_other() {
        let good = "AKIAIOSFODNN7EXAMPLE%2F20260101%2Fus-east-1%2Fsts%2Faws4_request";
        let credential = Credential::parse(good).unwrap();
        assert_eq!(
            credential,
            Credential { access_key_id: "AKIAIOSFODNN7EXAMPLE", date: "20260101", region: "us-east-1" }
        );
        for bad in [
            String::new(),
            good.replace("sts", "s3"),
            good.replace("aws4", "aws5"),
            good.replace("AKIAIOSFODNN7EXAMPLE", "AKIA"),
            good.replace("AKIA", "AK-A"),
            good.replace("AKIAIOSFODNN7EXAMPLE", &"A".repeat(129)),
            good.replace("%2F20260101", ""),
            format!("{good}%2F"),
        ] {
            assert_eq!(Credential::parse(&bad), Err(TokenError::Credential), "{bad}");
        }
    }
}
