//! Entries of aws-auth, printed.

use std::fmt::Write as _;

use clap::ValueEnum;

use super::printable::{printable, printable_json};
use crate::{edit::Listed, mapping::Section};

/// How entries are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// In columns
    Table,
    /// A JSON list
    Json,
    /// A YAML list
    Yaml,
}

/// The entries, in this form.
pub(super) fn printed(entries: &[Listed], output: Output) -> anyhow::Result<String> {
    let of = |section, text: &str| if section == Section::Accounts { String::new() } else { text.to_owned() };
    Ok(match output {
        Output::Table => {
            let rows: Vec<[String; 4]> = entries
                .iter()
                .map(|Listed { section, arn, username, groups, .. }| {
                    let account = if *section == Section::Accounts { arn.clone() } else { String::new() };
                    [of(*section, arn), username.clone(), groups.join(","), account]
                        .map(|cell| printable(&cell))
                })
                .collect();
            table(&["ARN", "USERNAME", "GROUPS", "ACCOUNT"].map(str::to_owned), &rows)
        }
        Output::Json => {
            let objects: Vec<_> = entries.iter().map(object).collect();
            format!("{}\n", printable_json(&serde_json::to_string_pretty(&objects)?))
        }
        Output::Yaml if entries.is_empty() => "[]\n".to_owned(),
        Output::Yaml => {
            let mut yaml = String::new();
            for entry in entries {
                let mut hyphen = "- ";
                for (name, value) in object(entry) {
                    // Writing to a string does not fail.
                    let _ = writeln!(yaml, "{hyphen}{name}: {value}");
                    hyphen = "  ";
                }
            }
            printable_json(&yaml)
        }
    })
}

/// The fields of an entry, with eksctl's names.
fn object(entry: &Listed) -> serde_json::Map<String, serde_json::Value> {
    let name = match entry.section {
        Section::Roles => "rolearn",
        Section::Users => "userarn",
        Section::Accounts => "account",
    };
    let mut object = serde_json::Map::from_iter([(name.to_owned(), entry.arn.clone().into())]);
    if entry.section != Section::Accounts {
        object.insert("username".to_owned(), entry.username.clone().into());
        object.insert("groups".to_owned(), entry.groups.clone().into());
    }
    object
}

fn table(head: &[String; 4], rows: &[[String; 4]]) -> String {
    let lines = || std::iter::once(head).chain(rows);
    let mut widths = [0; 4];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for line in lines() {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        table.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        edit::list,
        yaml::{Limits, parse},
    };

    #[test]
    fn no_form_of_output_moves_the_cursor() {
        let roles = "- {rolearn: 'arn:aws:iam::111122223333:role/A', username: \"a\\e[1A\\u009b2K\", groups: [\"g\\n\"]}";
        let entries = list(Section::Roles, roles).unwrap();
        assert_eq!(entries[0].username, "a\x1b[1A\u{9b}2K");
        for (output, lines) in [(Output::Table, 2), (Output::Json, 9), (Output::Yaml, 3)] {
            let shown = printed(&entries, output).unwrap();
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
            assert_eq!(shown.lines().count(), lines, "{shown}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&printed(&entries, Output::Json).unwrap()).unwrap();
        assert_eq!(json[0]["username"], entries[0].username);
    }

    #[test]
    fn every_form_of_output_says_the_same() {
        let roles = "- {rolearn: 'arn:aws:iam::111122223333:role/A', groups: [g, h]}";
        let mut entries = list(Section::Roles, roles).unwrap();
        entries.extend(list(Section::Accounts, "- 111122223333").unwrap());
        let table = printed(&entries, Output::Table).unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], format!("{:32}  USERNAME  GROUPS  ACCOUNT", "ARN"));
        assert_eq!(lines[1], "arn:aws:iam::111122223333:role/A            g,h");
        assert!(lines[2].trim_start() == "111122223333", "{table}");
        let json: serde_json::Value =
            serde_json::from_str(&printed(&entries, Output::Json).unwrap()).unwrap();
        assert_eq!(json[0]["groups"][1], "h");
        assert_eq!(json[1], serde_json::json!({"account": "111122223333"}));
        let yaml = printed(&entries, Output::Yaml).unwrap();
        assert!(yaml.contains("- account: \"111122223333\"\n"), "{yaml}");
        assert!(parse(&yaml, Limits::default()).is_ok());
    }
}
