//! Entries that are added to aws-auth, and what happens where there is one of the same ARN.

use anyhow::bail;

use super::editing::{Data, key_of};
use crate::{
    edit::{self, NewEntry},
    mapping::Section,
};

/// An entry to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) entry: NewEntry,
    pub(super) duplicates: Duplicates,
}

/// What is done where there is an entry of the same ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// The new entry takes its place.
    Shadow,
    /// Nothing where it is the same, else an error.
    Refuse,
    /// Nothing where it gives the same username, else the new entry takes its place.
    SameUsername,
}

impl Duplicates {
    /// By the flag `--no-duplicate-arns`, or the field.
    pub(super) const fn new(refuse: bool) -> Self {
        if refuse { Self::Refuse } else { Self::Shadow }
    }
}

/// The data with all of the entries, and what is to be told of them.
pub(super) fn edited(data: &Data, additions: &[Addition]) -> anyhow::Result<(Data, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut data = data.clone();
    for addition in additions {
        data = add(data, addition, &mut warnings)?;
    }
    Ok((data, warnings))
}

fn add(
    mut data: Data,
    Addition { entry, duplicates }: &Addition,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Data> {
    let section = entry.section();
    let key = key_of(section, &data)?;
    let text = data.get(&key).cloned().unwrap_or_default();
    let (arn, username, groups) = match entry {
        NewEntry::Account(account) => (account.to_string(), "", &[][..]),
        NewEntry::Principal { subject, username, groups } => {
            (subject.arn(), username.as_deref().unwrap_or_default(), groups.as_slice())
        }
    };
    let mut alike = edit::list(section, &text)?;
    alike.retain(|listed| listed.means(&arn));
    // Of several entries the last one counts.
    let counts = alike.iter().rfind(|listed| listed.is_of(&arn));
    if *duplicates == Duplicates::SameUsername && counts.is_some_and(|listed| listed.username == username) {
        return Ok(data);
    }
    for listed in alike {
        if section == Section::Accounts {
            return Ok(data);
        }
        let entry = listed.index + 1;
        if *duplicates == Duplicates::Refuse {
            if listed.is_of(&arn) && listed.username == username && listed.groups == groups {
                warnings.push(format!("{key} has the same entry already, entry {entry}"));
                return Ok(data);
            }
            bail!("{key} maps {arn} already, in entry {entry}, and --no-duplicate-arns is given");
        }
        warnings.push(format!(
            "{key} maps {} already, in entry {entry}: the new entry takes its place",
            listed.arn
        ));
    }
    let text = edit::append(&text, entry)?;
    data.insert(key, text);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mapping_file;

    fn data() -> Data {
        let roles = "- rolearn: arn:aws:iam::111122223333:role/A\n  username: a\n# c\n- rolearn: \
                     arn:aws:iam::111122223333:role/A\n  groups: [g, h]\n- rolearn: arn:aws:iam::111122223333:role/p/B\n";
        Data::from([
            ("mapRoles".to_owned(), roles.to_owned()),
            ("mapAccounts".to_owned(), "- \"111122223333\"\n".to_owned()),
        ])
    }

    fn roles(data: &Data) -> usize {
        edit::list(Section::Roles, &data["mapRoles"]).unwrap().len()
    }

    #[test]
    fn duplicates_are_shadowed_or_refused_and_the_same_is_left_alone() {
        let with = |arn: &str, username: &str, no_duplicate_arns| {
            let username = Some(username).filter(|name| !name.is_empty()).map(str::to_owned);
            let entry = mapping_file::principal(arn.to_owned(), username, vec!["g".to_owned()])?;
            edited(&data(), &[Addition { entry, duplicates: Duplicates::new(no_duplicate_arns) }])
        };
        let b = "arn:aws:iam::111122223333:role/B";
        let (shadowed, warnings) = with(b, "b", false).unwrap();
        assert_eq!(roles(&shadowed), 4);
        assert!(warnings[0].ends_with("in entry 3: the new entry takes its place"), "{warnings:?}");
        assert!(with(b, "b", true).unwrap_err().to_string().contains("already, in entry 3"));
        let user = "arn:aws:iam::111122223333:user/u";
        assert!(with(user, "", true).unwrap().0["mapUsers"].starts_with("- userarn: "));
        let account = NewEntry::Account("111122223333".parse().unwrap());
        let account = Addition { entry: account, duplicates: Duplicates::Shadow };
        assert_eq!(edited(&data(), &[account]).unwrap().0, data());
        let (one, _) = with(user, "u", true).unwrap();
        let entry = mapping_file::principal(user.to_owned(), Some("u".to_owned()), vec!["g".to_owned()]);
        let again = Addition { entry: entry.unwrap(), duplicates: Duplicates::Refuse };
        assert_eq!(edited(&one, &[again]).unwrap().0, one);
    }

    #[test]
    fn a_services_entry_is_added_unless_the_one_that_counts_has_its_username() {
        let service = |username: &str| {
            let arn = "arn:aws:iam::111122223333:role/A".to_owned();
            let entry = mapping_file::principal(arn, Some(username.to_owned()), Vec::new()).unwrap();
            Addition { entry, duplicates: Duplicates::SameUsername }
        };
        // The first entry of the ARN has that username, but the second one counts.
        let (once, _) = edited(&data(), &[service("a")]).unwrap();
        assert_eq!(roles(&once), 4);
        assert_eq!(edited(&once, &[service("a")]).unwrap(), (once.clone(), Vec::new()));
        assert_eq!(roles(&edited(&once, &[service("b")]).unwrap().0), 5);
    }
}
