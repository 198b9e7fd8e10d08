mod doubts;
mod hand;
mod keeping;
mod keys;
mod pins;
mod precedence;
mod properties;
mod reading;
mod slips;
mod written;

use super::*;
use crate::{
    identity::{Identity, Partition},
    mapping::Match,
};

const ACCOUNT: &str = "111122223333";

fn data(pairs: &[(&str, &str)]) -> AwsAuth {
    let data: BTreeMap<_, _> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    data.into()
}

fn load(pairs: &[(&str, &str)]) -> (Snapshot, Vec<Diagnostic>) {
    Snapshot::update(None, &data(pairs))
}

fn identity(resource: &str) -> Identity {
    let user_id = if resource.contains("assumed-role/") { "AROAEXAMPLE:s" } else { "AIDAEXAMPLE" };
    let account = resource.split("::").nth(1).unwrap().split(':').next().unwrap();
    let arn = format!("arn:aws:{resource}");
    Identity::new(Partition::Aws, &arn, account.parse().unwrap(), user_id, "ASIAEXAMPLE").unwrap()
}

fn role(name: &str) -> Identity {
    identity(&format!("sts::{ACCOUNT}:assumed-role/{name}/s"))
}

fn user(name: &str) -> Identity {
    identity(&format!("iam::{ACCOUNT}:user/{name}"))
}

/// Username and groups, joined by commas; `-` where nothing matches.
fn who(snapshot: &Snapshot, identity: &Identity) -> String {
    match snapshot.index().look_up(identity) {
        Some(Match::Entry(mapping)) => {
            let (username, groups) = mapping.render(identity, None).unwrap();
            std::iter::once(username).chain(groups).collect::<Vec<_>>().join(",")
        }
        Some(Match::Account(_)) => "account".to_owned(),
        None => "-".to_owned(),
    }
}

fn entry(role: &str, username: &str) -> String {
    format!("- rolearn: arn:aws:iam::{ACCOUNT}:role/{role}\n  username: {username}\n  groups: [g]\n")
}

#[track_caller]
fn only(diagnostics: &[Diagnostic], severity: Severity, text: &str) {
    let [diagnostic] = diagnostics else { panic!("not one: {diagnostics:#?}") };
    assert_eq!(diagnostic.severity, severity, "{diagnostic}");
    assert!(diagnostic.to_string().contains(text), "{diagnostic}\ndoes not contain\n{text}");
}
