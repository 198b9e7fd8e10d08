//! Placeholders in usernames and groups.

use std::fmt;

use crate::identity::Identity;

/// A username or group with placeholders, split once when it is loaded.
///
/// It is rendered in one pass: what is put in for a placeholder is never looked at for placeholders again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Placeholder(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    AccountId,
    SessionName,
    SessionNameRaw,
    AccessKeyId,
    Ec2PrivateDnsName,
}

const PLACEHOLDERS: [(&str, Placeholder); 5] = [
    ("AccountID", Placeholder::AccountId),
    ("SessionName", Placeholder::SessionName),
    ("SessionNameRaw", Placeholder::SessionNameRaw),
    ("AccessKeyID", Placeholder::AccessKeyId),
    ("EC2PrivateDNSName", Placeholder::Ec2PrivateDnsName),
];

/// How many slips away from a placeholder's name another may be that is taken for a misspelling of it.
const MAX_SLIPS: usize = 2;

/// Why a template gives nothing for an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// There is a `{{EC2PrivateDNSName}}`, and no name was given for it.
    #[error("there is a {{{{EC2PrivateDNSName}}}}, and the session is not named after an instance")]
    NoInstanceName,
}

impl Template {
    /// Splits `text`. What stands between braces and is no placeholder's name stays as it is, as today.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.find("{{").and_then(|start| rest.split_at_checked(start)) {
            let known = PLACEHOLDERS.iter().find_map(|(name, placeholder)| {
                let after = tail.strip_prefix("{{")?.strip_prefix(name)?.strip_prefix("}}")?;
                Some((*placeholder, after))
            });
            literal.push_str(before);
            if let Some((placeholder, after)) = known {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(Part::Placeholder(placeholder));
                rest = after;
            } else {
                // One brace on: `{{{AccountID}}` holds a placeholder behind a brace.
                literal.push('{');
                rest = tail.strip_prefix('{').unwrap_or_default();
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Self(parts.into())
    }

    /// What stands in double braces in `text` and is no placeholder, each with the name that may be meant.
    #[must_use]
    pub fn unknown(text: &str) -> Vec<(&str, Option<&'static str>)> {
        text.split("{{")
            .skip(1)
            .filter_map(|rest| rest.split_once("}}"))
            .map(|(name, _)| name)
            .filter(|name| !PLACEHOLDERS.iter().any(|(known, _)| known == name))
            .map(|name| {
                let letters =
                    |text: &str| text.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
                let written = letters(name);
                let slips = |known: &str| match letters(known) {
                    known if written.len().abs_diff(known.len()) > MAX_SLIPS => usize::MAX,
                    known => strsim::damerau_levenshtein(&written, &known),
                };
                let nearest = PLACEHOLDERS.iter().map(|(known, _)| (slips(known), *known)).min();
                (name, nearest.filter(|(slips, _)| *slips <= MAX_SLIPS).map(|(_, known)| known))
            })
            .collect()
    }

    /// The names of all placeholders, for messages.
    #[must_use]
    pub fn names() -> String {
        PLACEHOLDERS.map(|(name, _)| format!("{{{{{name}}}}}")).join(", ")
    }

    /// Whether it wants the private DNS name of the caller's instance.
    #[must_use]
    pub fn names_the_instance(&self) -> bool {
        self.0.contains(&Part::Placeholder(Placeholder::Ec2PrivateDnsName))
    }

    /// The text for `identity`, whose instance has the private DNS name `instance_name`, if it is one and that has
    /// been looked up.
    ///
    /// # Errors
    /// Where a placeholder has no value for it.
    pub fn render(&self, identity: &Identity, instance_name: Option<&str>) -> Result<String, RenderError> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => match placeholder {
                    Placeholder::AccountId => text.push_str(identity.principal().account().as_str()),
                    Placeholder::SessionName => text.push_str(&identity.session_name().replace('@', "-")),
                    Placeholder::SessionNameRaw => text.push_str(identity.session_name()),
                    Placeholder::AccessKeyId => text.push_str(identity.access_key_id()),
                    Placeholder::Ec2PrivateDnsName => {
                        text.push_str(instance_name.ok_or(RenderError::NoInstanceName)?);
                    }
                },
            }
        }
        Ok(text)
    }
}

/// The text that it was made from.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Literal(literal) => f.write_str(literal)?,
                Part::Placeholder(placeholder) => {
                    let name = PLACEHOLDERS.iter().find(|(_, known)| known == placeholder);
                    write!(f, "{{{{{}}}}}", name.map_or("", |(name, _)| name))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Partition;

    fn identity(session: &str) -> Identity {
        Identity::new(
            Partition::Aws,
            &format!("arn:aws:sts::111122223333:assumed-role/R/{session}"),
            "111122223333".parse().unwrap(),
            &format!("AROAEXAMPLE:{session}"),
            "ASIAEXAMPLE",
        )
        .unwrap()
    }

    fn render(template: &str, session: &str) -> String {
        Template::parse(template).render(&identity(session), None).unwrap()
    }

    #[test]
    fn every_placeholder_has_its_value() {
        let template = "a:{{AccountID}}:{{SessionName}}:{{SessionNameRaw}}:{{AccessKeyID}}:{{AccountID}}";
        assert_eq!(
            render(template, "bob@x.org"),
            "a:111122223333:bob-x.org:bob@x.org:ASIAEXAMPLE:111122223333"
        );
    }

    #[test]
    fn what_is_put_in_is_not_expanded_again() {
        // A user ID's session may hold braces, which an ARN's cannot.
        let identity = Identity::new(
            Partition::Aws,
            "arn:aws:sts::111122223333:assumed-role/R/s",
            "111122223333".parse().unwrap(),
            "AROAEXAMPLE:{{AccountID}}{{SessionNameRaw}}",
            "ASIAEXAMPLE",
        )
        .unwrap();
        let text = Template::parse("{{SessionNameRaw}}/{{SessionName}}").render(&identity, None).unwrap();
        assert_eq!(text, "{{AccountID}}{{SessionNameRaw}}/{{AccountID}}{{SessionNameRaw}}");
        let text = Template::parse("{{EC2PrivateDNSName}}").render(&identity, Some("{{AccountID}}")).unwrap();
        assert_eq!(text, "{{AccountID}}");
    }

    #[test]
    fn what_is_no_placeholder_stays() {
        for text in [
            "",
            "plain",
            "{{}}",
            "{{accountid}}",
            "{{ AccountID }}",
            "{AccountID}",
            "{{AccountID",
            "}}{{",
            "{{{{",
        ] {
            assert_eq!(render(text, "s"), text);
            assert_eq!(Template::parse(text).to_string(), text);
        }
        for text in ["{{{AccountID}}}", "{{x{{AccountID}}", "a{{SessionName}}{{SessionNameRaw}}b"] {
            assert_eq!(Template::parse(text).to_string(), text);
        }
        assert_eq!(render("{{{AccountID}}}", "s"), "{111122223333}");
        assert_eq!(render("{{x{{AccountID}}", "s"), "{{x111122223333");
    }

    #[test]
    fn a_misspelt_placeholder_is_told_with_what_may_be_meant() {
        let unknown = Template::unknown(
            "n:{{EC2PrivateDnsName}}:{{ SessionName }}:{{AccountID}}:{{Foo}}:{{SesionName}}:{{AcountId}}",
        );
        assert_eq!(
            unknown,
            [
                ("EC2PrivateDnsName", Some("EC2PrivateDNSName")),
                (" SessionName ", Some("SessionName")),
                ("Foo", None),
                ("SesionName", Some("SessionName")),
                ("AcountId", Some("AccountID")),
            ]
        );
    }

    #[test]
    fn an_instances_name_is_put_in_and_nothing_is_where_there_is_none() {
        let template = Template::parse("system:node:{{EC2PrivateDNSName}}");
        let identity = identity("i-0123456789abcdef0");
        let rendered = template.render(&identity, Some("ip-10-0-0-1.ec2.internal"));
        assert_eq!(rendered.as_deref(), Ok("system:node:ip-10-0-0-1.ec2.internal"));
        assert_eq!(template.render(&identity, None), Err(RenderError::NoInstanceName));
    }
}
