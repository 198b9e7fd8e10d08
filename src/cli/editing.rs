//! What commands that edit aws-auth have in common: they show what they are about to do, and may ask.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufRead, IsTerminal, Read, Write},
};

use anyhow::{Context, bail};
use similar::{ChangeTag, TextDiff};

use super::printable::printable;
use crate::{
    edit::{AwsAuth, Change, EditError},
    mapping::{self, Section},
};

/// The data of aws-auth.
pub(super) type Data = BTreeMap<String, String>;

/// How an edit is carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caution {
    /// Show it, and leave it at that.
    pub(super) dry_run: bool,
    /// Ask before writing.
    pub(super) prompt: bool,
}

/// Shows what `edit` would do to aws-auth, and does it.
pub(super) async fn edit(
    aws_auth: &AwsAuth,
    caution: Caution,
    edit: impl Fn(&Data) -> anyhow::Result<Data>,
) -> anyhow::Result<()> {
    let mut shown = Shown { caution, agreed: None, undoable: None };
    let written = aws_auth.edit(edit, |change| shown.confirm(change)).await?;
    shown.told(written);
    Ok(())
}

/// Shows what undoing the last edit would do, and does it.
pub(super) async fn undo(aws_auth: &AwsAuth, caution: Caution, force: bool) -> anyhow::Result<()> {
    let mut shown = Shown { caution, agreed: None, undoable: None };
    let written = aws_auth.undo::<anyhow::Error>(force, |change| shown.confirm(change)).await?;
    shown.told(written);
    Ok(())
}

/// The key under which a list is kept in `data`: one that differs in case alone is taken as well, as the server does.
///
/// # Errors
/// Where another key may be meant for it: who is in there would lose access to a list under the right one.
pub(super) fn key_of(section: Section, data: &Data) -> Result<String, EditError> {
    if let Some(unclear) = mapping::AwsAuth::from(data.clone()).unclear(section) {
        return Err(EditError::Unclear(Box::new(unclear)));
    }
    let key = section.key();
    let alike = || data.keys().find(|other| other.eq_ignore_ascii_case(key)).cloned();
    Ok(if data.contains_key(key) { key.to_owned() } else { alike().unwrap_or_else(|| key.to_owned()) })
}

/// What has been shown, and what was said to it.
struct Shown {
    caution: Caution,
    /// The diff that was last said yes to.
    agreed: Option<String>,
    /// Whether the change that was shown last can be undone; nothing where none was.
    undoable: Option<bool>,
}

impl Shown {
    fn confirm(&mut self, change: &Change) -> anyhow::Result<bool> {
        self.undoable = Some(change.undoable);
        if change.tries > 0 {
            eprintln!("somebody else has written configmap/aws-auth meanwhile; the edit is made anew:");
        }
        if change.before.is_none() {
            eprintln!("there is no configmap/aws-auth in kube-system; it will be made:");
        }
        let diff = diff(change, colours());
        eprint!("{diff}");
        if !change.undoable {
            eprintln!("this is too long to be kept for `arngate undo`");
        }
        if self.caution.dry_run {
            return Ok(false);
        }
        if !self.is_to_be_asked(&diff) {
            return Ok(true);
        }
        let yes = ask("configmap/aws-auth in kube-system")?;
        self.agreed = yes.then_some(diff);
        Ok(yes)
    }

    /// A yes is to what was shown: where somebody else wrote meanwhile, and it has become another change, it is none.
    fn is_to_be_asked(&self, diff: &str) -> bool {
        self.caution.prompt && self.agreed.as_deref() != Some(diff)
    }

    fn told(&self, written: bool) {
        println!(
            "{}",
            match (written, self.undoable, self.caution.dry_run) {
                (true, Some(false), _) => "configmap/aws-auth is written; `arngate undo` cannot take it back",
                (true, ..) => "configmap/aws-auth is written; `arngate undo` takes it back",
                (false, None, _) => "nothing to do: configmap/aws-auth is so already",
                (false, Some(_), true) => "dry run: nothing is written",
                (false, Some(_), false) => "cancelled: nothing is written",
            }
        );
    }
}

/// Whether people may be shown colours.
fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Shows what would become of a text.
pub(super) fn show(name: &str, before: Option<&str>, after: &str) {
    eprint!("{}", diff_of(name, before, Some(after), colours()));
}

/// Asks whether what is shown is to be written to `object`.
pub(super) fn ask(object: &str) -> anyhow::Result<bool> {
    eprint!("Write this to {object}? [y/N]: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    let read = io::stdin().lock().take(64).read_line(&mut answer).context("cannot read the answer")?;
    if read == 0 {
        bail!("nobody answers: nothing is written; --prompt=false does not ask");
    }
    Ok(["y", "yes"].iter().any(|yes| yes.eq_ignore_ascii_case(answer.trim())))
}

/// The change as a unified diff of each data key that changes.
fn diff(change: &Change, colours: bool) -> String {
    let empty = Data::new();
    let before = change.before.as_ref().unwrap_or(&empty);
    let mut keys: Vec<&String> = before.keys().chain(change.after.keys()).collect();
    keys.sort();
    keys.dedup();
    let of = |data: &'_ Data, key| data.get(key).cloned();
    keys.into_iter()
        .map(|key| (key, of(before, key), of(&change.after, key)))
        .filter(|(_, old, new)| old != new)
        .map(|(key, old, new)| diff_of(key, old.as_deref(), new.as_deref(), colours))
        .collect()
}

/// A unified diff of two texts of this name. Writing to a string does not fail.
fn diff_of(name: &str, old: Option<&str>, new: Option<&str>, colours: bool) -> String {
    let (red, green, cyan, plain) =
        if colours { ("\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m") } else { ("", "", "", "") };
    let named = |side, text: Option<&str>| {
        if text.is_some() { format!("{side}/{name}") } else { "/dev/null".into() }
    };
    let mut shown = format!("{red}--- {}{plain}\n{green}+++ {}{plain}\n", named("a", old), named("b", new));
    let diff = TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default());
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(shown, "{cyan}{}{plain}", hunk.header());
        for line in hunk.iter_changes() {
            let (colour, sign) = match line.tag() {
                ChangeTag::Delete => (red, '-'),
                ChangeTag::Insert => (green, '+'),
                ChangeTag::Equal => ("", ' '),
            };
            let end = if colour.is_empty() { "" } else { plain };
            let text = line.value();
            let text = printable(text.strip_suffix('\n').unwrap_or(text));
            let _ = writeln!(shown, "{colour}{sign}{text}{end}");
            if line.missing_newline() {
                shown.push_str("\\ No newline at end of file\n");
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &str, after: &str) -> Change {
        let data = |text: &str| Data::from([("mapRoles".to_owned(), text.to_owned())]);
        Change { before: Some(data(before)), after: data(after), undoable: true, tries: 0 }
    }

    #[test]
    fn a_change_is_shown_as_diff_shows_it() {
        assert_eq!(
            diff(&change("- a\n- b", "- a\n- b\n- c"), false),
            "--- a/mapRoles\n+++ b/mapRoles\n@@ -1,2 +1,3 @@\n - a\n-- b\n\\ No newline at end of file\n+- b\n+- c\n\\ No \
             newline at end of file\n"
        );
        assert!(diff(&change("", "- c\n"), true).contains("\x1b[32m+- c\x1b[0m"));
    }

    #[test]
    fn a_yes_is_to_what_was_shown() {
        let caution = |prompt| Caution { dry_run: false, prompt };
        let shown = |prompt, agreed: Option<&str>| {
            let agreed = agreed.map(str::to_owned);
            Shown { caution: caution(prompt), agreed, undoable: None }.is_to_be_asked("+- c")
        };
        assert!(shown(true, None) && shown(true, Some("+- b")));
        assert!(!shown(true, Some("+- c")) && !shown(false, None));
    }

    #[test]
    fn nothing_in_a_list_moves_the_cursor() {
        let shown = diff(&change("", "- \x1b[2Ja\r\n"), false);
        assert!(shown.contains("+- \\u{1b}[2Ja\\r\n"), "{shown:?}");
    }

    #[test]
    fn a_list_is_kept_where_it_is() {
        let data =
            |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), String::new())).collect::<Data>();
        for (keys, want) in
            [(&[][..], "mapRoles"), (&["maproles"], "maproles"), (&["maproles", "mapRoles"], "mapRoles")]
        {
            assert_eq!(key_of(Section::Roles, &data(keys)).unwrap(), want);
        }
        let refused = key_of(Section::Roles, &data(&["map_roles"])).unwrap_err().to_string();
        assert!(
            refused.contains("there is no mapRoles, but map_roles") && refused.contains("kubectl edit"),
            "{refused}"
        );
        assert_eq!(key_of(Section::Users, &data(&["map_roles"])).unwrap(), "mapUsers");
    }
}
