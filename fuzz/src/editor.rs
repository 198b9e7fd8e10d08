//! Edits of a list's text.
//!
//! **Property.** What was there stays byte for byte, in its order, when an entry is put in; nothing but bytes of its own
//! goes when one is taken out. Every other entry is read as it was, and gives what it gave. What was put in and taken
//! out again leaves the text as it was.
//!
//! Input: the text; the kind of entry (`role`, `user`, `sso` or `account`), whom it maps, the username, and a group a
//! line.

use std::collections::BTreeSet;

use arngate::{
    edit::{EditError, Listed, NewEntry, NewSubject, append, list, remove},
    mapping::{Section, Snapshot},
};

use crate::{
    aws_auth::aws_auth,
    parts::parts,
    saved::{Entry, entries},
};

/// Looks at an edit.
pub fn check(data: &[u8]) {
    let Some(parts) = parts(data) else { return };
    let text = parts.first().copied().unwrap_or_default();
    let entry = parts.get(1).and_then(|lines| new_entry(lines));
    if let Some(entry) = &entry {
        appended(text, entry);
    }
    let section = entry.map_or(Section::Roles, |entry| entry.section());
    let before = list(section, text).unwrap_or_default();
    for index in 0..before.len().min(8) {
        removed(section, text, &before, index);
    }
    assert!(matches!(
        remove(section, text, before.len()),
        Err(EditError::NoEntry { .. } | EditError::Yaml { .. } | EditError::NoList { .. })
    ));
}

fn new_entry(text: &str) -> Option<NewEntry> {
    let mut lines = text.lines();
    let (kind, whom) = (lines.next()?, lines.next()?.to_owned());
    let subject = match kind {
        "role" => NewSubject::Role(whom),
        "user" => NewSubject::User(whom),
        "sso" => {
            let (account, name) = whom.split_once(' ')?;
            let (account, name) = (account.parse().ok()?, name.to_owned());
            NewSubject::PermissionSet { name, account, partition: arngate::identity::Partition::Aws }
        }
        "account" => return Some(NewEntry::Account(whom.parse().ok()?)),
        _ => return None,
    };
    let username = lines.next().filter(|username| !username.is_empty()).map(str::to_owned);
    Some(NewEntry::Principal { subject, username, groups: lines.map(str::to_owned).collect() })
}

fn appended(text: &str, entry: &NewEntry) {
    let section = entry.section();
    let Ok(edited) = append(text, entry) else { return };
    let (before, after) =
        (list(section, text).expect("it was edited"), list(section, &edited).expect("it was written"));
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(
        before.iter().map(said).collect::<Vec<_>>(),
        after.iter().take(before.len()).map(said).collect::<Vec<_>>()
    );
    let new = after.last().expect("there is a new one");
    match entry {
        NewEntry::Account(account) => assert_eq!(new.arn, account.as_str()),
        NewEntry::Principal { subject, username, groups } => {
            assert_eq!(new.arn, subject.arn().trim());
            assert_eq!(new.username, username.as_deref().unwrap_or_default().trim());
            assert_eq!(new.groups, *groups);
        }
    }
    others_have_what_they_had(section, text, &edited);
    if before.is_empty() {
        // What stood for no entry is gone, and nothing else.
        let comments = |text: &str| {
            text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(comments(&edited).len() >= comments(text).len(), "{edited}");
        return;
    }
    assert!(is_within(text, &edited), "{text:?} became {edited:?}");
    let back = remove(section, &edited, before.len()).expect("what was put in can be taken out");
    assert_eq!(back, text, "by way of {edited:?}");
}

fn removed(section: Section, text: &str, before: &[Listed], index: usize) {
    let Ok(edited) = remove(section, text, index) else { return };
    let after = list(section, &edited).expect("it was written");
    let others: Vec<_> = before
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index)
        .map(|(_, listed)| said(listed))
        .collect();
    assert_eq!(after.iter().map(said).collect::<Vec<_>>(), others);
    assert!(is_within(&edited, text), "{text:?} became {edited:?}");
    others_have_what_they_had(section, &edited, text);
}

fn said(listed: &Listed) -> (&str, &str, &[String]) {
    (&listed.arn, &listed.username, &listed.groups)
}

/// Whoever `fewer` maps, `more` maps as well, but for one; and gives them the same.
fn others_have_what_they_had(section: Section, fewer: &str, more: &str) {
    let of = |text: &str| -> BTreeSet<Entry> {
        entries(&Snapshot::update(None, &aws_auth([(section.key(), text)])).0)
    };
    let (fewer, more) = (of(fewer), of(more));
    assert!(
        fewer.difference(&more).count() <= 1 && more.difference(&fewer).count() <= 1,
        "{fewer:?}, {more:?}"
    );
}

/// Whether `shorter` is `longer` with bytes left out.
fn is_within(shorter: &str, longer: &str) -> bool {
    let mut rest = longer.bytes();
    shorter.bytes().all(|byte| rest.any(|other| other == byte))
}
