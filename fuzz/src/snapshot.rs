//! The files that keep what was last good: of aws-auth, and of IAMIdentityMappings.
//!
//! **Property.** What is written is read again, entry by entry. One flipped bit, or a cut, and nothing is read. What is
//! read of any document with a right sum is written and read again as the same; and neither file is the other.
//!
//! Input: mapRoles, mapUsers, mapAccounts; or, where it begins with `{`, the JSON of a file.

use std::collections::BTreeMap;

use arngate::mapping::{AwsAuth, Lasting, ObjectRecords, Saved, Section, Snapshot};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{parts::parts, saved::entries};

const CLUSTER: &str = "fuzz";
/// How many flips and cuts are tried on one text.
const TRIES: usize = 16;

/// Looks at the lists, or at the document.
pub fn check(data: &[u8]) {
    // As it stands, it is hardly ever one; whatever it is, it is read without a panic.
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Saved::<Snapshot>::from_text(text, CLUSTER);
    }
    let Some(parts) = parts(data) else { return };
    if let [json] = parts.as_slice()
        && json.starts_with('{')
    {
        document(json);
        return;
    }
    let keys = Section::ALL.map(|section| section.key().to_owned());
    let texts: BTreeMap<String, String> =
        keys.into_iter().zip(parts.into_iter().map(str::to_owned)).collect();
    written(&Snapshot::update(None, &AwsAuth::from(texts)).0, data);
}

fn written(snapshot: &Snapshot, data: &[u8]) {
    let at = Timestamp::from_second(1_768_478_400).expect("it is a moment");
    let text = Saved::to_text(snapshot, CLUSTER, at).expect("it can be saved");
    let saved = read(&text).expect("what was written is read");
    assert_eq!(entries(&saved.content), entries(snapshot));
    assert_eq!((saved.content.index().len(), saved.confirmed_at), (snapshot.index().len(), at));
    assert!(Saved::<Snapshot>::from_text(&text, "another").is_err(), "of another cluster");

    // Which bits: as the input has it, so that a finding can be found again.
    let digest = Sha256::digest(data);
    let mut random =
        fastrand::Rng::with_seed(digest.iter().fold(0, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte)));
    for _ in 0..TRIES {
        let mut bytes = text.clone().into_bytes();
        let (place, bit) = (random.usize(..bytes.len()), random.u8(..8));
        bytes[place] ^= 1 << bit;
        // A file that is no text is refused when it is read.
        let is_read = std::str::from_utf8(&bytes).is_ok_and(|text| read(text).is_some());
        assert!(!is_read, "with byte {place} flipped in bit {bit}");
        // The last line break alone may be lost.
        let cut = random.usize(..text.len() - 1);
        let is_read = text.get(..cut).is_some_and(|text| read(text).is_some());
        assert!(!is_read, "cut at {cut}");
    }
}

fn read(text: &str) -> Option<Saved<Snapshot>> {
    Saved::from_text(text, CLUSTER).ok()
}

fn document(json: &str) {
    let json = json.trim_end_matches('\n');
    let sum = Sha256::digest(json).iter().fold(String::new(), |sum, byte| format!("{sum}{byte:02x}"));
    let text = format!("arngate-snapshot 1 {sum}\n{json}\n");
    let lists = twice::<Snapshot>(&text);
    let objects = twice::<ObjectRecords>(&text);
    assert!(lists.is_none() || objects.is_none(), "lists and objects in one");
    if let Some([first, again]) = lists {
        assert_eq!(entries(&first), entries(&again));
    }
    if let Some([first, again]) = objects {
        assert_eq!(first, again);
    }
}

/// What `text` holds, and what that holds once it is written and read again.
fn twice<T: Lasting>(text: &str) -> Option<[T; 2]> {
    let first = Saved::<T>::from_text(text, CLUSTER).ok()?;
    let written = Saved::to_text(&first.content, CLUSTER, first.confirmed_at).ok()?;
    let again = Saved::<T>::from_text(&written, CLUSTER).expect("what was written is read");
    assert_eq!(again.confirmed_at, first.confirmed_at);
    Some([first.content, again.content])
}
