use crate::{
    identity::{AccountId, Partition},
    mapping::Section,
};

/// An entry to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewEntry {
    /// To mapRoles or mapUsers.
    Principal {
        /// Whom it maps.
        subject: NewSubject,
        /// The username; none leaves the canonical ARN.
        username: Option<String>,
        /// The groups.
        groups: Vec<String>,
    },
    /// To mapAccounts.
    Account(AccountId),
}

/// Whom a new entry maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSubject {
    /// A role, by its ARN.
    Role(String),
    /// A user, root or federated user, by its ARN.
    User(String),
    /// A permission set of IAM Identity Center.
    PermissionSet {
        /// Its name.
        name: String,
        /// Its account.
        account: AccountId,
        /// Its partition.
        partition: Partition,
    },
}

/// How the entries of a list in lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// The blanks before an entry's hyphen.
    pub(super) indent: usize,
    /// The blanks between the hyphen and the first field.
    pub(super) gap: usize,
    /// How much further than its field a list is indented.
    pub(super) list_indent: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { indent: 0, gap: 1, list_indent: 2 }
    }
}

impl NewEntry {
    /// The list that it belongs in.
    #[must_use]
    pub const fn section(&self) -> Section {
        match self {
            Self::Principal { subject: NewSubject::User(_), .. } => Section::Users,
            Self::Principal { .. } => Section::Roles,
            Self::Account(_) => Section::Accounts,
        }
    }

    /// The fields of it, in the order in which people write them.
    fn fields(&self) -> Vec<(&'static str, Field)> {
        let Self::Principal { subject, username, groups } = self else {
            return Vec::new();
        };
        let mut fields = vec![match subject {
            NewSubject::Role(arn) => ("rolearn", Field::Text(arn.clone())),
            NewSubject::User(arn) => ("userarn", Field::Text(arn.clone())),
            NewSubject::PermissionSet { name, account, partition } => {
                let of = |name, value: &dyn ToString| (name, value.to_string());
                let sso =
                    [of("permissionSetName", name), of("accountID", account), of("partition", partition)];
                ("sso", Field::Fields(sso))
            }
        }];
        fields.extend(username.clone().map(|username| ("username", Field::Text(username))));
        if !groups.is_empty() {
            fields.push(("groups", Field::List(groups.clone())));
        }
        fields
    }

    /// The entry in lines, the last one without its break.
    pub(super) fn block(&self, style: Style, line_break: &str) -> String {
        let Style { indent, gap, list_indent } = style;
        let first = format!("{:indent$}-{:gap$}", "", "");
        if let Self::Account(account) = self {
            return format!("{first}{}", scalar(account.as_str()));
        }
        let mut lines: Vec<String> = Vec::new();
        for (name, field) in self.fields() {
            match field {
                Field::Text(text) => lines.push(format!("{name}: {}", scalar(&text))),
                Field::List(items) => {
                    lines.push(format!("{name}:"));
                    lines.extend(items.iter().map(|item| format!("{:list_indent$}- {}", "", scalar(item))));
                }
                Field::Fields(fields) => {
                    lines.push(format!("{name}:"));
                    lines.extend(fields.iter().map(|(name, text)| format!("  {name}: {}", scalar(text))));
                }
            }
        }
        let apart = format!("{line_break}{:blanks$}", "", blanks = first.len());
        format!("{first}{}", lines.join(&apart))
    }

    /// The entry in brackets, as JSON has it, which is YAML as well.
    pub(super) fn flow(&self) -> String {
        if let Self::Account(account) = self {
            return quoted(account.as_str());
        }
        let fields = self.fields().into_iter().map(|(name, field)| match field {
            Field::Text(text) => format!("{}: {}", quoted(name), quoted(&text)),
            Field::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                format!("{}: [{}]", quoted(name), items.join(", "))
            }
            Field::Fields(fields) => {
                let fields = fields.map(|(name, text)| format!("{}: {}", quoted(name), quoted(&text)));
                format!("{}: {{{}}}", quoted(name), fields.join(", "))
            }
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    }
}

/// A field's value.
enum Field {
    Text(String),
    List(Vec<String>),
    Fields([(&'static str, String); 3]),
}

/// A JSON string, which is one in double quotes to YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text as YAML writes it in a block: plain where it cannot be mistaken for anything else, else in double quotes.
fn scalar(text: &str) -> String {
    // https://yaml.org/type/bool.html and null.html: what YAML 1.1 programs take for more than a text.
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/_+=,.@{}-".contains(&byte);
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(plain)
        && !text.ends_with(':')
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_plain { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_plain_only_where_it_stays_a_text() {
        for text in
            ["arn:aws:iam::111122223333:role/A+b=c,d.e@f-g_h", "admin:{{SessionName}}", "system:masters"]
        {
            assert_eq!(scalar(text), text);
        }
        for text in
            ["{{SessionName}}", "000000000012", "Yes", "null", "a:", "a b", "a#b", "é", "", "- a", "*"]
        {
            assert_eq!(scalar(text), quoted(text));
        }
    }

    #[test]
    fn both_forms_of_an_entry() {
        let subject = NewSubject::PermissionSet {
            name: "Admins".to_owned(),
            account: "000000000012".parse().unwrap(),
            partition: Partition::Aws,
        };
        let groups = vec!["a".to_owned(), "{{x".to_owned()];
        let entry = NewEntry::Principal { subject, username: Some("u".to_owned()), groups };
        let style = Style { indent: 2, gap: 3, list_indent: 0 };
        assert_eq!(
            entry.block(style, "\n"),
            "  -   sso:\n        permissionSetName: Admins\n        accountID: \"000000000012\"\n        \
             partition: aws\n      username: u\n      groups:\n      - a\n      - \"{{x\""
        );
        assert_eq!(
            entry.flow(),
            r#"{"sso": {"permissionSetName": "Admins", "accountID": "000000000012", "partition": "aws"}, "username": "u", "groups": ["a", "{{x"]}"#
        );
    }
}
