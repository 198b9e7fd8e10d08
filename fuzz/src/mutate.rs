//! Mutations by the pieces that an input is made of, beside libFuzzer's own by bytes.
//!
//! One mutation in two is by pieces: they are doubled, left out, exchanged, replaced by what others put there, or
//! given one odd character. What comes out is the same for the same seed.

use fastrand::Rng;

/// libFuzzer's own mutation, of `data[..size]` to at most `max_size`.
pub type ByBytes = fn(&mut [u8], usize, usize) -> usize;

/// Of URLs, alone or in a body: pieces end with one of `/?&=`, or with `%2F`.
pub fn url(data: &mut [u8], size: usize, max_size: usize, seed: u32, by_bytes: ByBytes) -> usize {
    mutate(
        data,
        size,
        max_size,
        seed,
        by_bytes,
        &Kind { ends: &["/", "?", "&", "=", "%2F"], others: URL, characters: " %#@:\\;\r\n\t\0.aA0é+" },
    )
}

/// Of texts in lines.
pub fn lines(data: &mut [u8], size: usize, max_size: usize, seed: u32, by_bytes: ByBytes) -> usize {
    mutate(
        data,
        size,
        max_size,
        seed,
        by_bytes,
        &Kind { ends: &["\n"], others: LINES, characters: "-: \t\n[]{}&*#'\"|>!%@`,?<~\\a0é" },
    )
}

/// Of XML: a piece is a tag, or what stands between two.
pub fn elements(data: &mut [u8], size: usize, max_size: usize, seed: u32, by_bytes: ByBytes) -> usize {
    mutate(
        data,
        size,
        max_size,
        seed,
        by_bytes,
        &Kind { ends: &[">"], others: ELEMENTS, characters: "<>&;/'\"!?[]- \n\0aé" },
    )
}

struct Kind {
    ends: &'static [&'static str],
    others: &'static [&'static str],
    characters: &'static str,
}

const URL: &[&str] = &[
    "https://",
    "http://",
    "sts.us-east-1.amazonaws.com/",
    "sts.amazonaws.com/",
    "sts-fips.us-west-2.amazonaws.com/",
    "sts.eu-central-1.api.aws/",
    "sts.cn-north-1.amazonaws.com.cn/",
    "sts.us-gov-west-1.amazonaws.com/",
    "169.254.169.254/",
    "sts.us-east-1.amazonaws.com:443/",
    "user@",
    "?",
    "Action=",
    "GetCallerIdentity&",
    "AssumeRole&",
    "Version=",
    "2011-06-15&",
    "X-Amz-Algorithm=",
    "AWS4-HMAC-SHA256&",
    "X-Amz-Credential=",
    "AKIAIOSFODNN7EXAMPLE%2F",
    "20260115%2F",
    "20260116%2F",
    "us-east-1%2F",
    "eu-central-1%2F",
    "us-west-2%2F",
    "cn-north-1%2F",
    "us-gov-west-1%2F",
    "sts%2F",
    "aws4_request&",
    "X-Amz-Date=",
    "20260115T120000Z&",
    "20260115T114500Z&",
    "20260115T120500Z&",
    "20260116T120000Z&",
    "X-Amz-Expires=",
    "60&",
    "0900&",
    "901&",
    "X-Amz-Security-Token=",
    "FwoGZXIvYXdzEXAMPLE%2F%2B%3D&",
    "X-Amz-SignedHeaders=",
    "host%3Bx-k8s-aws-id&",
    "host&",
    "X-Amz-Signature=",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "x-amz-credential=",
    "%41ction=",
];

const LINES: &[&str] = &[
    "=====\n",
    "---\n",
    "...\n",
    "# a comment\n",
    "mapRoles: |\n",
    "- rolearn: arn:aws:iam::111122223333:role/Admin\n",
    "- rolearn: arn:aws:iam::111122223333:role/team/Dev\n",
    "- userarn: arn:aws:iam::444455556666:user/ops/Bob\n",
    "- sso: {permissionSetName: View, accountID: '111122223333'}\n",
    "- sso:\n    permissionSetName: View\n    accountID: \"111122223333\"\n",
    "  rolearn: arn:aws:iam::111122223333:role/Other\n",
    "  username: admin:{{SessionName}}\n",
    "  username: dev\n",
    "  groups: [system:masters]\n",
    "  groups:\n  - viewers\n  - dev\n",
    "  - system:nodes\n",
    "  userid: AROAEXAMPLE\n",
    "  <<: *a\n",
    "- &a\n",
    "- *a\n",
    "- '000000000012'\n",
    "- {rolearn: arn:aws:iam::111122223333:role/Flow, username: f, groups: [a, b]}\n",
    "server:\n",
    "  partition: aws-cn\n",
    "  region: eu-south-9\n",
    "  stsExtraHosts:\n  - host: vpce-1.sts.us-east-1.vpce.amazonaws.com\n    region: us-east-1\n",
    "  adminPrincipals: [arn:aws:iam::111122223333:role/Root]\n",
    "  backendMode: [EKSConfigMap, MountedFile]\n",
    "  reservedPrefixConfig:\n  - backendMode: EKSConfigMap\n    usernamePrefixReserveList: [system:]\n",
];

const ELEMENTS: &[&str] = &[
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
    "<!DOCTYPE a [<!ENTITY x \"y\">]>",
    "<!-- a -->",
    "<![CDATA[a]]>",
    "<a>",
    "</a>",
    "<a/>",
    "&x;",
    "&#65;",
    "&amp;",
    "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">",
    "<GetCallerIdentityResult>",
    "<Arn>arn:aws:iam::111122223333:user/Bob</Arn>",
    "<UserId>AIDAEXAMPLE</UserId>",
    "<Account>111122223333</Account>",
    "</GetCallerIdentityResult>",
    "</GetCallerIdentityResponse>",
    "<item>",
    "</item>",
    "<instanceId>i-0123456789abcdef0</instanceId>",
    "<privateDnsName>ip-10-0-0-1.ec2.internal</privateDnsName>",
    "<nextToken>",
    "<Code>",
];

fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, by_bytes: ByBytes, kind: &Kind) -> usize {
    let mut rng = Rng::with_seed(u64::from(seed));
    let text = data.get(..size).and_then(|data| std::str::from_utf8(data).ok()).map(str::to_owned);
    let (Some(text), true) = (text, rng.bool()) else { return by_bytes(data, size, max_size) };
    let new = by_pieces(&text, kind, &mut rng);
    let new = new.as_bytes();
    let length = new.len().min(max_size);
    match (data.get_mut(..length), new.get(..length)) {
        (Some(place), Some(new)) => place.copy_from_slice(new),
        _ => return by_bytes(data, size, max_size),
    }
    length
}

fn by_pieces(text: &str, kind: &Kind, rng: &mut Rng) -> String {
    let mut pieces = pieces(text, kind.ends);
    let other = *rng.choice(kind.others).expect("there are some");
    if pieces.is_empty() {
        return other.to_owned();
    }
    let (at, with) = (rng.usize(..pieces.len()), rng.usize(..pieces.len()));
    match rng.u8(..9) {
        0 => pieces.insert(at, other),
        1 => pieces[at] = other,
        2 => pieces.insert(at, pieces[with]),
        3 => drop(pieces.remove(at)),
        4 => pieces.swap(at, with),
        5 => pieces.truncate(at),
        6 => {
            let blanks = " ".repeat(rng.usize(1..5));
            let piece = format!("{blanks}{}", pieces[at]);
            pieces[at] = &piece;
            return pieces.concat();
        }
        7 => pieces[at] = pieces[at].trim_start(),
        _ => {
            let mut letters: Vec<char> = pieces[at].chars().collect();
            let characters: Vec<char> = kind.characters.chars().collect();
            let character = *rng.choice(&characters).expect("there are some");
            let place = rng.usize(..=letters.len());
            match letters.get_mut(place).filter(|_| rng.bool()) {
                Some(letter) => *letter = character,
                None => letters.insert(place, character),
            }
            let piece: String = letters.into_iter().collect();
            pieces[at] = &piece;
            return pieces.concat();
        }
    }
    pieces.concat()
}

/// `text` in pieces, each with what it ends with.
fn pieces<'t>(text: &'t str, ends: &[&str]) -> Vec<&'t str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = ends.iter().filter_map(|end| rest.find(end).map(|at| at + end.len())).min();
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
