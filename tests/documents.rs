//! The pages say what the program says, and lead where they say.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The labels in these sources' `=> "label"` arms.
fn labels(source: &str) -> Vec<String> {
    let source = read(source);
    let arms = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    let label = |text: &&str| {
        text.contains('_') && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    arms.filter(label).map(str::to_owned).collect()
}

#[test]
fn every_reason_is_in_the_page_on_troubleshooting() {
    let page = read("docs/troubleshooting.md");
    let sources = ["src/outcome.rs", "src/token/error.rs", "src/sts/verifier/refusal.rs", "src/ec2/error.rs"];
    // What dashboards of aws-iam-authenticator know; no reasons.
    let others = ["invalid_token", "uknown_user", "sts_throttling", "sts_error"];
    let mut reasons: Vec<String> = sources.into_iter().flat_map(labels).collect();
    reasons.retain(|reason| !others.contains(&reason.as_str()));
    assert!(reasons.len() > 60, "{reasons:?}");
    let missing: Vec<&String> =
        reasons.iter().filter(|reason| !page.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The pages that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = [root(), root().join("docs")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

/// An anchor as GitHub and mdBook make it of a heading.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

fn has_anchor(page: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(page).unwrap();
    text.lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| anchor(line.trim_start_matches('#')) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target}", page.display());
            assert!(anchor.is_empty() || has_anchor(&file, anchor), "{}: {target}", page.display());
        }
    }
    assert!(links > 20, "{links}");
}
