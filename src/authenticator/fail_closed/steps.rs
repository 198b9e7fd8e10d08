//! What can happen, and any sequence of it.

use proptest::prelude::*;

use super::principals::Who;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// aws-auth is edited. Where the API server is away, arngate does not learn of it until it is back.
    Edit(Content),
    /// The API server goes away: watches break, lists fail.
    ApiServerGoes,
    /// It comes back.
    ApiServerIsBack,
    /// The watch ends, as watches do.
    WatchEnds,
    /// The watch is too old to go on (410), and all is listed anew.
    WatchExpires,
    /// A token is reviewed.
    Review(Question),
    /// Tokens are reviewed at the same time, and aws-auth is edited while STS has not answered yet.
    Race(Vec<Question>, Content),
    /// So many seconds pass.
    Wait(u64),
    /// Somebody sets the clock forward or back, by seconds.
    SetClock(i64),
}

/// A token to be reviewed, and what STS says of it where it is asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) token: Pick,
    pub(super) word: Word,
}

/// Which token.
#[derive(Debug, Clone)]
pub(super) enum Pick {
    /// One that nobody has seen yet, signed so many seconds from now.
    Fresh(Who, i64),
    /// One that was reviewed before.
    Again(prop::sample::Index),
    /// One like it, with another signature.
    Forged(prop::sample::Index),
}

/// What STS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Vouches(Who),
    SignatureDoesNotMatch,
    ExpiredToken,
    UnknownKey,
    AccessDenied,
    Throttles,
    Fails,
    Breaks,
    /// 200, and no XML.
    Nonsense,
    /// 200, and an ARN of another account than its Account.
    Contradicts,
    /// 200, and somebody of another partition.
    OtherPartition,
}

/// What aws-auth holds; `None` where there is none.
pub(super) type Content = Option<Lists>;

/// The two lists.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    pub(super) roles: List,
    pub(super) users: List,
}

/// A list as an edit leaves it.
#[derive(Debug, Clone)]
pub(super) enum List {
    /// Its key is gone.
    Gone,
    /// It is no YAML.
    Unreadable,
    /// What it says of each of its two principals.
    Entries([Entry; 2]),
}

/// An entry as an edit leaves it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    /// It is not there.
    Gone,
    /// It names its principal, and what it gives cannot be read.
    Broken,
    /// It gives that.
    Good(Gives),
}

/// What an entry gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    Reader,
    Writer,
    Nothing,
}

/// Where it begins, and what happens then.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) content: Content,
    /// The API server is there at the start.
    pub(super) reachable: bool,
    pub(super) steps: Vec<Step>,
}

fn who() -> impl Strategy<Value = Who> {
    prop::sample::select(&Who::ALL[..])
}

fn content() -> impl Strategy<Value = Content> {
    let gives = prop::sample::select(&[Gives::Reader, Gives::Writer, Gives::Nothing][..]);
    let entry = prop_oneof![
        2 => Just(Entry::Gone),
        1 => Just(Entry::Broken),
        4 => gives.prop_map(Entry::Good),
    ];
    let list = prop_oneof![
        1 => Just(List::Gone),
        1 => Just(List::Unreadable),
        8 => [entry.clone(), entry].prop_map(List::Entries),
    ];
    let lists = (list.clone(), list).prop_map(|(roles, users)| Some(Lists { roles, users }));
    prop_oneof![1 => Just(None), 9 => lists]
}

fn question() -> impl Strategy<Value = Question> {
    let signed_at = prop_oneof![6 => -120..=0_i64, 1 => -1000..400_i64];
    let token = prop_oneof![
        4 => (who(), signed_at).prop_map(|(who, seconds)| Pick::Fresh(who, seconds)),
        6 => any::<prop::sample::Index>().prop_map(Pick::Again),
        1 => any::<prop::sample::Index>().prop_map(Pick::Forged),
    ];
    let others = [
        Word::SignatureDoesNotMatch,
        Word::ExpiredToken,
        Word::UnknownKey,
        Word::AccessDenied,
        Word::Throttles,
        Word::Fails,
        Word::Breaks,
        Word::Nonsense,
        Word::Contradicts,
        Word::OtherPartition,
    ];
    let word = prop_oneof![
        5 => who().prop_map(Word::Vouches),
        3 => prop::sample::select(others.to_vec()),
    ];
    (token, word).prop_map(|(token, word)| Question { token, word })
}

/// Any sequence.
pub(super) fn steps() -> impl Strategy<Value = Sequence> {
    let step = prop_oneof![
        6 => content().prop_map(Step::Edit),
        1 => Just(Step::ApiServerGoes),
        2 => Just(Step::ApiServerIsBack),
        1 => Just(Step::WatchEnds),
        1 => Just(Step::WatchExpires),
        14 => question().prop_map(Step::Review),
        3 => (prop::collection::vec(question(), 1..5), content())
            .prop_map(|(questions, content)| Step::Race(questions, content)),
        4 => prop_oneof![3 => 1..40_u64, 1 => 40..400_u64].prop_map(Step::Wait),
        1 => prop_oneof![-400..400_i64, -70..70_i64].prop_map(Step::SetClock),
    ];
    let steps = prop::collection::vec(step, 1..60);
    (content(), prop::bool::weighted(0.9), steps).prop_map(|(content, reachable, steps)| Sequence {
        content,
        reachable,
        steps,
    })
}
