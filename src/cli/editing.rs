//! What commands that edit aws-auth have in common: they show what they are about to do, and may ask.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io::{self, BufRead, IsTerminal, Read, Write},
};

use anyhow::{Context, bail};
use imara_diff::{Algorithm, Diff, InternedInput, Interner, Token, UnifiedDiffConfig, UnifiedDiffPrinter};

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

/// A unified diff of two texts of this name.
fn diff_of(name: &str, old: Option<&str>, new: Option<&str>, colours: bool) -> String {
    let lines = InternedInput::new(old.unwrap_or_default(), new.unwrap_or_default());
    let mut diff = Diff::compute(Algorithm::Myers, &lines);
    diff.postprocess_lines(&lines);
    let painted = Painted { lines: &lines.interner, colours };
    let named = |side, text: Option<&str>| {
        if text.is_some() { format!("{side}/{name}") } else { "/dev/null".into() }
    };
    let heads = [(RED, format!("--- {}", named("a", old))), (GREEN, format!("+++ {}", named("b", new)))];
    let mut shown = String::new();
    for (colour, head) in heads {
        let _ = painted.write(&mut shown, colour, &head);
    }
    let _ = write!(shown, "{}", diff.unified_diff(&painted, UnifiedDiffConfig::default(), &lines));
    shown
}

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// How lines of a diff look. Writing to a string does not fail.
struct Painted<'t> {
    lines: &'t Interner<&'t str>,
    colours: bool,
}

impl Painted<'_> {
    fn write(&self, mut to: impl fmt::Write, colour: &str, text: &str) -> fmt::Result {
        if self.colours && !colour.is_empty() {
            writeln!(to, "{colour}{text}{PLAIN}")
        } else {
            writeln!(to, "{text}")
        }
    }

    fn line(&self, mut to: impl fmt::Write, colour: &str, sign: char, line: Token) -> fmt::Result {
        // The token is one of the texts that were compared.
        let text = self.lines[line];
        let whole = text.strip_suffix('\n');
        self.write(&mut to, colour, &format!("{sign}{}", printable(whole.unwrap_or(text))))?;
        if whole.is_none() { writeln!(to, "\\ No newline at end of file") } else { Ok(()) }
    }
}

impl UnifiedDiffPrinter for Painted<'_> {
    fn display_header(
        &self,
        to: impl fmt::Write,
        start_before: u32,
        start_after: u32,
        len_before: u32,
        len_after: u32,
    ) -> fmt::Result {
        // Lines count from 1; of no lines, the one before counts.
        let range = |start: u32, len: u32| format!("{},{len}", if len == 0 { start } else { start + 1 });
        let (before, after) = (range(start_before, len_before), range(start_after, len_after));
        self.write(to, CYAN, &format!("@@ -{before} +{after} @@"))
    }

    fn display_context_token(&self, to: impl fmt::Write, token: Token) -> fmt::Result {
        self.line(to, "", ' ', token)
    }

    fn display_hunk(&self, mut to: impl fmt::Write, before: &[Token], after: &[Token]) -> fmt::Result {
        for line in before {
            self.line(&mut to, RED, '-', *line)?;
        }
        for line in after {
            self.line(&mut to, GREEN, '+', *line)?;
        }
        Ok(())
    }
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
    fn changes_far_apart_are_hunks_of_their_own() {
        let lines = (1..=20).map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
        let after = lines.replace("3\n4\n", "3\n").replace("17\n", "17\nnew\n");
        assert_eq!(
            diff(&change(&lines, &after), false),
            "--- a/mapRoles\n+++ b/mapRoles\n@@ -1,7 +1,6 @@\n 1\n 2\n 3\n-4\n 5\n 6\n 7\n@@ -15,6 +14,7 @@\n \
             15\n 16\n 17\n+new\n 18\n 19\n 20\n"
        );
        let new = Change { before: None, ..change("", "- c\n") };
        assert_eq!(diff(&new, false), "--- /dev/null\n+++ b/mapRoles\n@@ -0,0 +1,1 @@\n+- c\n");
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
