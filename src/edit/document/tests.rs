use proptest::prelude::*;

use super::*;
use crate::edit::{Listed, NewSubject, list};

const ROLES: Section = Section::Roles;
const NEW: &str = "arn:aws:iam::111122223333:role/New";

fn entry() -> NewEntry {
    NewEntry::Principal {
        subject: NewSubject::Role(NEW.to_owned()),
        username: Some("new:{{SessionName}}".to_owned()),
        groups: vec!["system:masters".to_owned()],
    }
}

/// The entry as it comes out, at this indentation, with `\n`.
fn lines(indent: &str, list_indent: &str) -> String {
    format!(
        "{indent}- rolearn: {NEW}\n{indent}  username: new:{{{{SessionName}}}}\n{indent}  groups:\n{indent}  \
         {list_indent}- system:masters\n"
    )
}

fn arns(text: &str) -> Vec<String> {
    list(ROLES, text).unwrap().into_iter().map(|Listed { arn, .. }| arn).collect()
}

#[test]
fn the_new_entry_takes_the_lists_own_form_and_the_rest_stays() {
    let roles = "- rolearn: a\n  username: b\n";
    for (text, want) in [
        (String::new(), lines("", "  ")),
        (roles.to_owned(), format!("{roles}{}", lines("", "  "))),
        (
            "# head\n- rolearn: a # c\n  groups:\n  - g\n  x-team: payments\n\n# tail\n".to_owned(),
            format!(
                "# head\n- rolearn: a # c\n  groups:\n  - g\n  x-team: payments\n\n# tail\n{}",
                lines("", "")
            ),
        ),
        ("  - rolearn: a\n".to_owned(), format!("  - rolearn: a\n{}", lines("  ", "  "))),
        ("- rolearn: a".to_owned(), format!("- rolearn: a\n{}", lines("", "  ").trim_end())),
        ("- {rolearn: a}\n...\n".to_owned(), format!("- {{rolearn: a}}\n{}...\n", lines("", "  "))),
        ("---\n- rolearn: a\n---\n".to_owned(), format!("---\n- rolearn: a\n{}---\n", lines("", "  "))),
        ("-\n  rolearn: a\n".to_owned(), format!("-\n  rolearn: a\n{}", lines("", "  "))),
        ("- rolearn: a\r\n".to_owned(), format!("- rolearn: a\r\n{}", lines("", "  ").replace('\n', "\r\n"))),
        ("- username: |\n    x\n\n".to_owned(), format!("- username: |\n    x\n\n{}", lines("", "  "))),
        ("# nobody yet\n".to_owned(), format!("# nobody yet\n{}", lines("", "  "))),
        ("[]\n".to_owned(), lines("", "  ")),
        ("[] # none\n".to_owned(), format!("# none\n{}", lines("", "  "))),
        ("# a\n[]\n# b\n".to_owned(), format!("# a\n# b\n{}", lines("", "  "))),
        ("''".to_owned(), lines("", "  ")),
        (" \n".to_owned(), lines("", "  ")),
        ("null\n".to_owned(), lines("", "  ")),
    ] {
        assert_eq!(append(&text, &entry()).unwrap(), want, "{text:?}");
    }
}

#[test]
fn a_list_in_brackets_stays_one() {
    let new = entry().flow();
    for (text, want) in [
        ("[{rolearn: a}]", format!("[{{rolearn: a}}, {new}]")),
        ("[{rolearn: a}, ] # c\n", format!("[{{rolearn: a}}, {new}, ] # c\n")),
        ("[\n  {rolearn: é} # c\n]\n", format!("[\n  {{rolearn: é}}, # c\n  {new}\n]\n")),
        ("[\n  {rolearn: a}, # c\n]\n", format!("[\n  {{rolearn: a}}, # c\n  {new},\n]\n")),
        ("[\r\n  {rolearn: a}\r\n]\r\n", format!("[\r\n  {{rolearn: a}},\r\n  {new}\r\n]\r\n")),
        ("[\n  {rolearn: a}]", format!("[\n  {{rolearn: a}},\n  {new}]")),
        ("[\n  {rolearn: a}]\n", format!("[\n  {{rolearn: a}},\n  {new}]\n")),
    ] {
        let edited = append(text, &entry()).unwrap();
        assert_eq!(edited, want, "{text:?}");
        assert_eq!(remove(ROLES, &edited, 1).as_deref(), Ok(text), "it is as it was");
    }
    let text = "[ {a: b}, # x\n {c: d} # y\n, # e\n {f: g}]";
    for (index, want) in [
        (0, "[ # x\n {c: d} # y\n, # e\n {f: g}]"),
        (1, "[ {a: b}, # x\n  # y\n# e\n {f: g}]"),
        (2, "[ {a: b}, # x\n {c: d} # y\n # e\n ]"),
    ] {
        assert_eq!(remove(ROLES, text, index).unwrap(), want, "{index}");
    }
    assert_eq!(remove(ROLES, "[{a: b}, {c: d}]", 1).unwrap(), "[{a: b}]");
    let text = "[\n  {a: b},\n  {c: d}, \n]\n";
    for (index, want) in [(0, "[\n  {c: d}, \n]\n"), (1, "[\n  {a: b},\n]\n")] {
        assert_eq!(remove(ROLES, text, index).unwrap(), want, "a line of its own goes with it");
    }
    assert_eq!(remove(ROLES, "[{a: b}]", 0).unwrap(), "[]");
}

#[test]
fn an_entry_goes_with_its_lines_and_no_others() {
    let text = "# head\n- rolearn: a # of a\n  groups:\n  - g\n\n# about b\n- rolearn: b\n  # within b\n  username: |\n    x\n\n\
                # about c\n-\n  rolearn: c\n  groups:\n# tail\n";
    for (index, want) in [
        (0, text.replace("- rolearn: a # of a\n  groups:\n  - g\n", "")),
        (1, text.replace("- rolearn: b\n  # within b\n  username: |\n    x\n", "")),
        (2, text.replace("-\n  rolearn: c\n  groups:\n", "")),
    ] {
        assert_eq!(remove(ROLES, text, index).unwrap(), want, "{index}");
    }
    assert_eq!(remove(ROLES, "- rolearn: a\n- rolearn: b", 1).unwrap(), "- rolearn: a");
    assert_eq!(remove(ROLES, "- rolearn: a\r\n- rolearn: b\r\n", 0).unwrap(), "- rolearn: b\r\n");
    assert_eq!(remove(ROLES, "- rolearn: a\n", 0).unwrap(), "");
    let accounts = "- '111122223333'\n- 000000000012\n";
    assert_eq!(remove(Section::Accounts, accounts, 0).unwrap(), "- 000000000012\n");
    let account = NewEntry::Account("000000000013".parse().unwrap());
    assert_eq!(append(accounts, &account).unwrap(), format!("{accounts}- \"000000000013\"\n"));
}

#[test]
fn what_cannot_be_edited_is_refused_with_its_place() {
    let refused = |text: &str| append(text, &entry()).unwrap_err().to_string();
    let error = refused("- rolearn: a\n\tusername: b\n");
    assert!(
        error.contains("mapRoles cannot be read as YAML (line 2") && error.contains("kubectl edit"),
        "{error}"
    );
    assert!(refused("a: b\n").contains("a mapping, not a list"));
    assert!(refused("some text").contains("a text, not a list"));
    // Another entry is what an anchor of this one says.
    let error = remove(ROLES, "- &x {rolearn: a}\n- *x\n", 0).unwrap_err().to_string();
    assert!(error.contains("another entry would not be what it is now"), "{error}");
    assert_eq!(remove(ROLES, "- rolearn: a\n", 1), Err(EditError::NoEntry { section: ROLES, entry: 2 }));
    let long = format!("- rolearn: a\n#{}\n", "x".repeat(1024 * 1024 - 20));
    assert_eq!(append(&long, &entry()), Err(EditError::TooLong { section: ROLES }));
}

#[test]
fn an_entry_that_would_not_take_effect_is_not_added() {
    for (subject, told) in [
        (NewSubject::Role("arn:aws:iam::111122223333:group/g".to_owned()), "no ARN that can be mapped"),
        (NewSubject::Role("x".to_owned()), "write it as arn:aws:iam"),
        (
            NewSubject::PermissionSet {
                name: "a b".to_owned(),
                account: "111122223333".parse().unwrap(),
                partition: crate::identity::Partition::Aws,
            },
            "permissionSetName",
        ),
    ] {
        let entry = NewEntry::Principal { subject, username: None, groups: Vec::new() };
        let error = append("", &entry).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

/// An entry as somebody may write it, without indentation: its lines.
fn an_entry() -> impl Strategy<Value = Vec<String>> {
    let field = prop::sample::select(vec![
        "username: 'bob: #1'",
        "username: \"a\\\"b\"  # why",
        "userName: é",
        "x-owner: [a, {b: c}]",
        "groups: [g, 'h # i']",
        "groups:\n- g # h\n- i",
        "groups:\n  - g\n\n  # between\n  - i",
        "groups:",
        "note: |\n  # no comment\n   text\n",
        "note: >-\n  folded\n  text",
        "note: two\n  lines",
        "# a comment",
        "",
    ]);
    (0_u32..1000, prop::collection::vec(field, 0..4)).prop_map(|(number, fields)| {
        let arn = format!("rolearn: arn:aws:iam::111122223333:role/R{number}");
        let mut seen = std::collections::HashSet::new();
        let fields = fields
            .into_iter()
            .filter(|field| seen.insert(field.split(':').next().unwrap_or_default().to_ascii_lowercase()));
        std::iter::once(arn.as_str())
            .chain(fields)
            .flat_map(|field| field.split('\n'))
            .map(str::to_owned)
            .collect()
    })
}

/// A list in lines, with what people put between entries.
fn a_list() -> impl Strategy<Value = String> {
    let between = prop::sample::select(vec!["", "# c\n", "\n", "\n# c: d\n\n", "  # - rolearn: old\n"]);
    let entries = prop::collection::vec((an_entry(), between), 1..5);
    let indents = (prop::sample::select(vec![0_usize, 2, 4]), prop::sample::select(vec![1_usize, 3]));
    (entries, indents, any::<[bool; 3]>()).prop_map(|(entries, (indent, gap), [crlf, finished, alone])| {
        let mut text = String::new();
        for (fields, between) in entries {
            text.push_str(between);
            for (index, line) in fields.iter().enumerate() {
                let hyphen = format!("{:indent$}-{:gap$}", "", "");
                let blanks = format!("{:width$}", "", width = hyphen.len());
                match (index, alone) {
                    (0, true) => text.extend([hyphen.trim_end(), "\n", &blanks, line, "\n"]),
                    (0, false) => text.extend([&hyphen, line, "\n"]),
                    _ if line.is_empty() => text.push('\n'),
                    _ => text.extend([&blanks, line, "\n"]),
                }
            }
        }
        let text = if crlf { text.replace('\n', "\r\n") } else { text };
        if finished { text } else { text.trim_end().to_owned() }
    })
}

/// What the list says, read without this module.
fn values(text: &str) -> Vec<Vec<String>> {
    fn flat(node: &Node, into: &mut Vec<String>) {
        match &node.value {
            Value::Null => into.push("null".to_owned()),
            Value::Scalar(text) => into.push(format!("={text}")),
            Value::Sequence(items) => {
                into.push("[".to_owned());
                for item in items {
                    flat(item, into);
                }
            }
            Value::Mapping(fields) => {
                into.push("{".to_owned());
                for (key, value) in fields {
                    flat(key, into);
                    flat(value, into);
                }
            }
        }
    }
    let Some(Node { value: Value::Sequence(items), .. }) = yaml::parse(text, Limits::default()).unwrap()
    else {
        return Vec::new();
    };
    let values = |item: &Node| {
        let mut values = Vec::new();
        flat(item, &mut values);
        values
    };
    items.iter().map(values).collect()
}

/// Whether the lines of `part` are lines of `whole`, in their order, byte for byte.
fn are_lines_of(part: &str, whole: &str) -> bool {
    let mut lines = whole.split_inclusive('\n');
    part.split_inclusive('\n').all(|line| lines.any(|other| other.trim_end() == line.trim_end()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_appended_can_be_removed_and_nothing_else_moves(text in a_list()) {
        let before = values(&text);
        let edited = append(&text, &entry()).unwrap();
        prop_assert!(edited.starts_with(&text), "{text:?}\n{edited:?}");
        let after = values(&edited);
        prop_assert_eq!(&after[..before.len()], &before[..]);
        prop_assert_eq!(after.len(), before.len() + 1);
        prop_assert_eq!(arns(&edited).pop(), Some(NEW.to_owned()));
        prop_assert_eq!(remove(ROLES, &edited, before.len()).unwrap(), text);
    }

    #[test]
    fn what_is_removed_takes_only_lines_of_its_own(text in a_list(), index in any::<prop::sample::Index>()) {
        let mut before = values(&text);
        let index = index.index(before.len());
        let edited = remove(ROLES, &text, index).unwrap();
        before.remove(index);
        prop_assert_eq!(values(&edited), before);
        prop_assert!(are_lines_of(&edited, &text), "{text:?}\n{edited:?}");
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with("# c")).count();
        prop_assert_eq!(comments(&edited), comments(&text), "comments between entries stay");
    }

    #[test]
    fn any_text_is_edited_or_refused(text in "[-:a \\n\\t\\[\\]{}&*<>'\"|~#!%]{0,60}", index in 0_usize..4) {
        if let Ok(edited) = append(&text, &entry()) {
            prop_assert_eq!(arns(&edited).pop(), Some(NEW.to_owned()));
        }
        let _ = remove(ROLES, &text, index);
    }
}
