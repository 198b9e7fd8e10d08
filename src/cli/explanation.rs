//! What `arngate explain` has found, in words and as JSON.

use serde_json::{Value, json};

use super::{
    finding,
    printable::{printable_json, tell},
};
use crate::{
    identity::Principal,
    mapping::{Explained, Explanation as Said, MappedUser, NearMiss, Severity, Standing, Template},
    outcome::{Outcome, Unavailability, User},
    source::look::Place,
};

/// How many findings of a place are told in words.
const MAX_FINDINGS: usize = 20;

/// How the answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Explanation {
    /// Whom it is about, as STS would tell of them.
    pub(super) arn: String,
    /// What a server would say of them.
    pub(super) outcome: Outcome,
    /// What matched, where they would be let in.
    pub(super) mapped: Option<MappedUser>,
    /// What each backend says.
    pub(super) explained: Vec<Explained>,
    /// Where each of them was looked for.
    pub(super) places: Vec<Place>,
    /// What else is to be known.
    pub(super) notes: Vec<String>,
}

impl Explanation {
    /// Whether a place that could not be read may decide it.
    pub(super) fn is_undecided(&self) -> bool {
        let counts = self.counting().map_or(self.places.len(), |counts| counts + 1);
        self.places.iter().take(counts).any(|place| place.error.is_some())
            || matches!(self.outcome, Outcome::Unavailable(Unavailability::Ec2(_)))
    }

    /// Which of the backends counts: the first that maps them.
    fn counting(&self) -> Option<usize> {
        self.explained.iter().position(|explained| matches!(explained.explanation, Said::Mapped { .. }))
    }

    pub(super) fn print(&self, output: Output) {
        match output {
            Output::Text => self.tell(),
            Output::Json => println!("{}", printable_json(&format!("{:#}", self.object()))),
        }
    }

    fn tell(&self) {
        let counting = self.counting();
        for (index, (place, explained)) in self.places.iter().zip(&self.explained).enumerate() {
            let counts = counting.is_none_or(|counting| counting == index);
            tell_backend(place, explained, counts);
        }
        for note in &self.notes {
            tell(format_args!("note: {note}"));
        }
        let (reason, message) = (self.outcome.reason(), self.outcome.message());
        match &self.outcome {
            Outcome::Authenticated(User { username, uid, extra, .. }) => {
                tell(format_args!("verdict: {} is let in as {username}", self.arn));
                tell(format_args!("  uid: {uid}"));
                for (key, value) in extra {
                    tell(format_args!("  extra: {key}={value}"));
                }
            }
            Outcome::Denied(_) => tell(format_args!("verdict: {} is denied: {message} ({reason})", self.arn)),
            Outcome::Unavailable(_) => {
                tell(format_args!("verdict: none for {}: {message} ({reason})", self.arn));
            }
        }
    }

    fn object(&self) -> Value {
        let user = if let Outcome::Authenticated(user) = &self.outcome { Some(user) } else { None };
        let user = user.map(|User { username, uid, groups, extra }| {
            json!({"username": username, "uid": uid, "groups": groups, "extra": extra})
        });
        let canonical = Principal::parse(&self.arn).map(|principal| principal.canonical_arn()).ok();
        let backends = self.places.iter().zip(&self.explained);
        json!({
            "arn": self.arn, "canonicalARN": canonical,
            "verdict": self.outcome.label(), "reason": self.outcome.reason(), "message": self.outcome.message(),
            "user": user,
            "backend": self.mapped.as_ref().map(|mapped| mapped.backend.name()),
            "mapping": self.mapped.as_ref().map(|mapped| mapped.origin.to_string()),
            "backends": backends.map(|(place, explained)| backend(place, explained)).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

fn tell_backend(place: &Place, explained: &Explained, counts: bool) {
    let Explained { backend, standing, explanation, .. } = explained;
    let head = format!("{backend} ({})", place.location);
    if let Some(error) = &place.error {
        tell(format_args!("{head}: could not be read: {error}"));
    }
    let restored = matches!(standing, Standing::Restored { .. });
    match explanation {
        Said::NotLoaded => {}
        Said::Mapped { origin, username, groups, gives, reserved } => {
            let so = if counts { "maps it" } else { "maps it too, but does not count" };
            let so = if restored { format!("{so}, by what was last good") } else { so.to_owned() };
            tell(format_args!("{head}: {origin} {so}"));
            tell_gives(username.as_deref(), groups, gives.as_ref().map_err(ToString::to_string));
            for note in misspelt(username.as_deref(), groups) {
                tell(format_args!("  {note}"));
            }
            if let Some(beginning) = reserved {
                tell(format_args!(
                    "  refused: usernames that begin with {beginning} are reserved from {backend}"
                ));
            }
        }
        Said::NotMapped(misses) => {
            tell(format_args!("{head}: does not map it"));
            for NearMiss { origin, subject, why } in misses {
                tell(format_args!("  nearly: {origin}, {subject}: {why}"));
            }
        }
    }
    let errors = place.findings.iter().filter(|finding| finding.severity == Severity::Error);
    for finding in errors.clone().take(MAX_FINDINGS) {
        println!("  {}", finding::line(&place.location, finding));
    }
    let more = errors.count().saturating_sub(MAX_FINDINGS);
    if more > 0 {
        println!("  {more} more errors; `arngate lint` tells them all");
    }
    for note in &place.notes {
        tell(format_args!("  note: {note}"));
    }
}

/// What comes out, with the templates that it comes out of.
fn tell_gives(username: Option<&str>, groups: &[String], gives: Result<&(String, Vec<String>), String>) {
    let of = |template: &str, text: &str| {
        if template == text { text.to_owned() } else { format!("{text} (from {template})") }
    };
    let none_as = |texts: String| if texts.is_empty() { "none".to_owned() } else { texts };
    match gives {
        Ok((name, rendered)) => {
            match username {
                Some(template) => tell(format_args!("  username: {}", of(template, name))),
                None => tell(format_args!("  username: {name} (the canonical ARN)")),
            }
            let groups: Vec<_> =
                groups.iter().zip(rendered).map(|(template, group)| of(template, group)).collect();
            tell(format_args!("  groups: {}", none_as(groups.join(", "))));
        }
        Err(why) => {
            let template = username.unwrap_or("the canonical ARN");
            tell(format_args!("  username: {template} (cannot be rendered here: {why})"));
            tell(format_args!("  groups: {}", none_as(groups.join(", "))));
        }
    }
}

/// What looks like a template in a username and groups, and is none.
fn misspelt(username: Option<&str>, groups: &[String]) -> Vec<String> {
    let names = username.into_iter().chain(groups.iter().map(String::as_str));
    let told = names.flat_map(Template::unknown).map(|(name, meant)| {
        let meant = meant.map(|meant| format!("; did you mean {{{{{meant}}}}}?")).unwrap_or_default();
        format!("{{{{{name}}}}} is no template, and stays as it is{meant}")
    });
    told.collect()
}

fn backend(place: &Place, explained: &Explained) -> Value {
    let Explained { backend, standing, mappings, explanation } = explained;
    let standing = match standing {
        Standing::NotLoaded => "notLoaded",
        Standing::Loaded => "loaded",
        Standing::Restored { .. } => "restored",
    };
    let (found, misses) = match explanation {
        Said::NotLoaded => (None, Vec::new()),
        Said::Mapped { origin, username, groups, gives, reserved } => {
            let found = json!({
                "mapping": origin.to_string(), "usernameTemplate": username, "groupTemplates": groups,
                "username": gives.as_ref().ok().map(|(username, _)| username),
                "groups": gives.as_ref().ok().map(|(_, groups)| groups),
                "error": gives.as_ref().err().map(ToString::to_string),
                "reservedPrefix": reserved, "notes": misspelt(username.as_deref(), groups),
            });
            (Some(found), Vec::new())
        }
        Said::NotMapped(misses) => (None, misses.iter().map(near_miss).collect()),
    };
    json!({
        "name": backend.name(), "location": place.location, "standing": standing, "mappings": mappings,
        "match": found, "nearMisses": misses,
        "findings": place.findings.iter().map(|found| finding::object(&place.location, found)).collect::<Vec<_>>(),
        "notes": place.notes, "error": place.error.as_ref().map(ToString::to_string),
    })
}

fn near_miss(miss: &NearMiss) -> Value {
    json!({"mapping": miss.origin.to_string(), "subject": miss.subject.to_string(), "why": miss.why})
}
