//! STS as the steps have it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{
    principals::{ACCOUNT, Token, Who},
    steps::Word,
};
use crate::{
    sts::{Script, http::HttpFailure},
    token::PresignedRequest,
};

/// Answers as it is told to, once it may.
#[derive(Debug)]
pub(super) struct ScriptedSts {
    /// What it says of each token of the step under way, and whether it was asked, by the URL's query.
    words: Mutex<HashMap<String, (Word, bool)>>,
    /// Whether it answers now, or has whoever asks wait.
    answers: watch::Sender<bool>,
}

impl ScriptedSts {
    pub(super) fn new() -> Self {
        Self { words: Mutex::default(), answers: watch::Sender::new(true) }
    }

    /// A step begins, in which it says this of these tokens; of one that is there twice, the first counts.
    pub(super) fn begin<'a>(&self, words: impl IntoIterator<Item = (&'a Token, Word)>) {
        let mut all = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        all.clear();
        for (token, word) in words {
            all.entry(token.query()).or_insert((word, false));
        }
    }

    /// Has whoever asks wait, or answers all who do.
    pub(super) fn answers(&self, now: bool) {
        self.answers.send_replace(now);
    }

    /// What it said of `token` in this step, where it was asked.
    pub(super) fn said(&self, token: &Token) -> Option<Word> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.get(&token.query()).and_then(|(word, asked)| asked.then_some(*word))
    }
}

impl Script for ScriptedSts {
    fn answer(&self, request: &PresignedRequest) -> BoxFuture<'static, Result<(u16, String), HttpFailure>> {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let (word, asked) = words.get_mut(request.query()).expect("a token of this step");
        assert!(!*asked, "a token is asked about once at a time");
        *asked = true;
        let (word, mut answers) = (*word, self.answers.subscribe());
        Box::pin(async move {
            answers.wait_for(|now| *now).await.expect("STS outlives its callers");
            answer(word)
        })
    }
}

fn answer(word: Word) -> Result<(u16, String), HttpFailure> {
    let identity = |arn: &str, who: Who| {
        let user_id = who.user_id();
        let body = format!(
            r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{user_id}</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#
        );
        (200, body)
    };
    let error = |status: u16, code: &str| {
        let body = format!(
            r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code><Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>"#
        );
        (status, body)
    };
    Ok(match word {
        Word::Vouches(who) => identity(&who.arn(), who),
        Word::SignatureDoesNotMatch => error(403, "SignatureDoesNotMatch"),
        Word::ExpiredToken => error(403, "ExpiredToken"),
        Word::UnknownKey => error(403, "InvalidClientTokenId"),
        Word::AccessDenied => error(403, "AccessDenied"),
        Word::Throttles => error(400, "Throttling"),
        Word::Fails => error(503, "ServiceUnavailable"),
        Word::Breaks => return Err(HttpFailure::Transport),
        Word::Nonsense => (200, "<html>".to_owned()),
        Word::Contradicts => identity("arn:aws:iam::444455556666:user/gamma", Who::Gamma),
        Word::OtherPartition => identity("arn:aws-cn:iam::111122223333:user/gamma", Who::Gamma),
    })
}
