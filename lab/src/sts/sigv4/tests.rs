use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

/// The secret of AWS's published examples.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn authorization(service: &str, signed: &str, signature: &str) -> HeaderValue {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, \
         SignedHeaders={signed}, Signature={signature}"
    );
    value.try_into().unwrap()
}

/// The example that AWS's guide to SigV4 works through: IAM's `ListUsers`.
#[test]
fn the_guides_example() {
    let mut headers = headers(&[
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", "iam.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
    ]);
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    headers.insert("authorization", authorization("iam", "content-type;host;x-amz-date", signature));
    let query = Parameters::of_query("Action=ListUsers&Version=2010-05-08").unwrap();
    let request = Received { method: "GET", path: "/", query: &query, headers: &headers, body: b"" };

    let canonical = request.canonical(&["content-type", "host", "x-amz-date"]).unwrap();
    assert_eq!(
        hash(canonical.as_bytes()),
        "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    );
    assert_eq!(
        hex::encode(signing_key(SECRET, "20150830", "us-east-1", "iam")),
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    );
    let signature = Signature::of(&request).unwrap();
    assert_eq!(signature.access_key_id, "AKIDEXAMPLE");
    signature.check_scope("iam", Some("us-east-1")).unwrap();
    signature.check_time("2015-08-30T12:50:00Z".parse().unwrap()).unwrap();
    signature.check(&request, SECRET).unwrap();
    assert_eq!(signature.check(&request, "another"), Err(Failure::wrong_signature()));
}

/// From AWS's SigV4 test suite, its requests without the headers that all of them have.
#[test]
fn the_test_suites_vectors() {
    for (name, request, signature) in [
        ("get-vanilla", "GET /", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "get-vanilla-query-order-key-case",
            "GET /?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        // The path as it was before it was encoded.
        ("get-utf8", "GET /ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        (
            "get-header-value-trim",
            "GET /\nmy-header1:value1\nmy-header2:\"a   b   c\"",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "get-header-key-duplicate",
            "GET /\nmy-header1:value2\nmy-header1:value2\nmy-header1:value1",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "post-x-www-form-urlencoded",
            "POST /\ncontent-type:application/x-www-form-urlencoded\n\nParam1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ] {
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let mut lines = head.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = headers(&[("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]);
        for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut signed: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        signed.sort_unstable();
        headers.insert("authorization", authorization("service", &signed.join(";"), signature));

        let query = Parameters::of_query(query).unwrap();
        let request = Received { method, path, query: &query, headers: &headers, body: body.as_bytes() };
        assert_eq!(Signature::of(&request).unwrap().check(&request, SECRET), Ok(()), "{name}");
    }
}

fn presigned(change: impl Fn(&str) -> String) -> Result<(), Failure> {
    let query = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20150830T123600Z\
         &X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
         &X-Amz-Signature=0000000000000000000000000000000000000000000000000000000000000000";
    let query = Parameters::of_query(&change(query)).unwrap();
    let headers = HeaderMap::new();
    let request = Received { method: "GET", path: "/", query: &query, headers: &headers, body: b"" };
    let signature = Signature::of(&request)?;
    signature.check_scope("sts", Some("us-east-1"))?;
    signature.check_time("2015-08-30T12:36:00Z".parse().unwrap())
}

#[test]
fn what_is_missing_or_malformed_is_incomplete() {
    presigned(str::to_owned).unwrap();
    for (from, to) in [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        ("X-Amz-Credential", "X-Amz-Credentials"),
        ("%2Faws4_request", ""),
        ("X-Amz-Date=", "X-Amz-Date=&X-Amz-Date="),
        ("20150830T123600Z", "20150830T1236Z"),
        ("20150830T123600Z", "20151330T123600Z"),
        ("20150830T123600Z", "2015-08-30T12:36Z"),
        ("host%3B", ""),
        ("host%3Bx-k8s-aws-id", "x-k8s-aws-id%3Bhost"),
        ("host%3Bx-k8s-aws-id", "host%3BX-k8s-aws-id"),
        ("X-Amz-Signature", "X-Amz-Sig"),
    ] {
        let failure = presigned(|query| query.replace(from, to)).unwrap_err();
        assert_eq!(failure.code, "IncompleteSignature", "{from} → {to}: {}", failure.message);
    }
    let unsigned = presigned(|query| query.replace("X-Amz-Algorithm", "A").replace("X-Amz-Signature", "S"));
    assert_eq!(unsigned, Err(Failure::missing_token()));
    for signature in ["00", "FF", "zz"] {
        let wrong = presigned(|query| query.replace(&"00".repeat(32), &signature.repeat(31)));
        assert_eq!(wrong, Err(Failure::wrong_signature()), "{signature}");
    }
}

#[test]
fn the_scope_is_of_this_region_service_and_day() {
    for (from, to, message) in [
        ("us-east-1", "us-east-2", "Credential should be scoped to a valid region, not 'us-east-2'. "),
        ("%2Fsts", "%2Fiam", "Credential should be scoped to correct service: 'sts'. "),
        (
            "aws4_request",
            "aws5",
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'.",
        ),
        (
            "20150830%2F",
            "20150829%2F",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '20150829' != '20150830', from '20150830T123600Z'.",
        ),
    ] {
        assert_eq!(presigned(|query| query.replace(from, to)), Err(Failure::signature(message)));
    }
}

#[test]
fn a_request_is_good_from_5_minutes_before_its_date_to_15_after() {
    let at = |time: &str| presigned(|query| query.replace("20150830T123600Z", time)).map_err(|f| f.message);
    assert_eq!(at("20150830T122100Z"), Ok(()));
    assert_eq!(at("20150830T124100Z"), Ok(()));
    assert_eq!(
        at("20150830T122059Z").unwrap_err(),
        "Signature expired: 20150830T122059Z is now earlier than 20150830T122100Z (20150830T123600Z - 15 min.)"
    );
    assert_eq!(
        at("20150830T124101Z").unwrap_err(),
        "Signature not yet current: 20150830T124101Z is still later than 20150830T124100Z (20150830T123600Z + 5 min.)"
    );
}
