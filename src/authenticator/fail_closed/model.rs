//! What may be, written as one would say it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    principals::{ACCOUNT, Token, Who},
    steps::{Content, Entry, Gives, List, Word},
};

/// How long STS's word counts.
pub(super) const TTL: Duration = Duration::from_mins(1);

/// When something happens: by the clock on the wall, which anybody may set, and by one that nobody can.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) steady: Instant,
}

/// A Kubernetes user, as it must be to the letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) username: String,
    pub(super) groups: Vec<String>,
    pub(super) uid: String,
}

/// What arngate knows, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Whom aws-auth maps; `None` before it has been seen.
    mapped: Option<HashMap<Who, Gives>>,
    /// Who of them has what an earlier edit gave, since the last one does not say.
    kept: HashSet<Who>,
    /// Whom STS vouched for by a token, and when, where it has not said otherwise since.
    vouched: HashMap<Token, (Who, Moment)>,
}

impl Model {
    /// arngate sees what aws-auth holds: what is gone is gone; what cannot be read stays as it was.
    pub(super) fn sees(&mut self, content: &Content) {
        let before = self.mapped.take().unwrap_or_default();
        let mut mapped = HashMap::new();
        self.kept.clear();
        if let Some(lists) = content {
            for (list, principals) in
                [(&lists.roles, [Who::Alpha, Who::Beta]), (&lists.users, [Who::Gamma, Who::Delta])]
            {
                for (index, who) in principals.into_iter().enumerate() {
                    let says = match list {
                        List::Gone => Entry::Gone,
                        List::Unreadable => Entry::Broken,
                        List::Entries(entries) => entries[index],
                    };
                    match (says, before.get(&who)) {
                        (Entry::Good(gives), _) => {
                            mapped.insert(who, gives);
                        }
                        (Entry::Broken, Some(gave)) => {
                            mapped.insert(who, *gave);
                            self.kept.insert(who);
                        }
                        (Entry::Broken, None) | (Entry::Gone, _) => {}
                    }
                }
            }
        }
        self.mapped = Some(mapped);
    }

    /// STS has been asked about `token`, at `asked`, and says `word`.
    pub(super) fn hears(&mut self, token: &Token, word: Word, asked: Moment) {
        match word {
            Word::Vouches(who) => {
                self.vouched.insert(token.clone(), (who, asked));
            }
            Word::SignatureDoesNotMatch | Word::ExpiredToken | Word::OtherPartition => {
                self.vouched.remove(token);
            }
            // Nothing is said that would be for good.
            Word::UnknownKey
            | Word::AccessDenied
            | Word::Throttles
            | Word::Fails
            | Word::Breaks
            | Word::Nonsense
            | Word::Contradicts => {}
        }
    }

    /// Whom STS vouches for by `token` at `now`, without being asked: it has done so within the TTL, by either clock,
    /// and the token's own time is not over.
    pub(super) fn remembered(&self, token: &Token, now: Moment) -> Option<Who> {
        let (who, asked) = self.vouched.get(token)?;
        let ttl = SignedDuration::try_from(TTL).unwrap();
        let is_fresh = now.steady.duration_since(asked.steady) < TTL && now.wall < asked.wall + ttl;
        (is_fresh && is_in_time(token, now)).then_some(*who)
    }

    /// Whether `who` has what an earlier edit gave.
    pub(super) fn is_kept(&self, who: Who) -> bool {
        self.kept.contains(&who)
    }

    /// Who `who` is in Kubernetes; nobody where no mapping in force says so.
    pub(super) fn user(&self, who: Who, token: &Token) -> Option<Expected> {
        let gives = match self.mapped.as_ref()?.get(&who) {
            Some(gives) => *gives,
            // The configuration file, which comes second, has but this.
            None if who == Who::Alpha => return Some(expected(who, "of-the-file", &["file"])),
            None => return None,
        };
        let account = format!("account:{ACCOUNT}");
        Some(match gives {
            Gives::Reader => expected(who, "reader", &["readers"]),
            Gives::Writer => expected(who, &format!("writer:{}", who.session()), &["writers", &account]),
            Gives::Nothing => expected(who, &format!("nothing:{}", token.key.access_key_id()), &[]),
        })
    }
}

/// Whether a token's own time is now: 15 minutes from its signature, and 5 before it for a clock that is behind.
pub(super) fn is_in_time(token: &Token, now: Moment) -> bool {
    let age = now.wall.duration_since(token.signed_at);
    (SignedDuration::from_mins(-5)..=SignedDuration::from_mins(15)).contains(&age)
}

fn expected(who: Who, username: &str, groups: &[&str]) -> Expected {
    let id = who.user_id().split(':').next().unwrap();
    Expected {
        username: username.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        uid: format!("aws-iam-authenticator:{ACCOUNT}:{id}"),
    }
}
