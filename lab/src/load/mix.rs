use serde::{Deserialize, Serialize};

/// What a token is to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenClass {
    /// One that was not sent before.
    Fresh,
    /// One that its principal sends again and again.
    Repeated,
    /// Well-formed, with an access key that STS does not know.
    Forged,
    /// None of ours, such as an expired service account's.
    Garbage,
}

impl TokenClass {
    /// All, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Fresh, Self::Repeated, Self::Forged, Self::Garbage];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As reports name it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Repeated => "repeated",
            Self::Forged => "forged",
            Self::Garbage => "not ours",
        }
    }
}

/// Which tokens are sent: the shares of three classes, the rest being fresh.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// The share that repeats a token.
    pub repeat: f64,
    /// The share that is forged.
    pub forged: f64,
    /// The share that is none of ours.
    pub garbage: f64,
    /// How many principals repeat theirs; all where absent.
    pub pool: Option<usize>,
    /// What is drawn follows from it.
    pub seed: u64,
}

impl Default for Mix {
    fn default() -> Self {
        Self { repeat: 0.0, forged: 0.0, garbage: 0.0, pool: None, seed: 1 }
    }
}

/// Shares that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("shares of repeated, forged and foreign tokens go from 0 to 1, and are 1 at most together")]
pub struct MixError;

impl Mix {
    /// Checks the shares.
    ///
    /// # Errors
    /// Where one is not between 0 and 1, or all are more than 1 together.
    pub fn check(&self) -> Result<(), MixError> {
        let shares = [self.repeat, self.forged, self.garbage];
        let sound = shares.iter().all(|share| (0.0..=1.0).contains(share));
        if sound && shares.iter().sum::<f64>() <= 1.0 + 1e-9 { Ok(()) } else { Err(MixError) }
    }

    /// The share of fresh tokens.
    #[must_use]
    pub fn fresh(&self) -> f64 {
        (1.0 - self.repeat - self.forged - self.garbage).max(0.0)
    }

    /// Whether anybody's keys are needed.
    #[must_use]
    pub fn needs_principals(&self) -> bool {
        self.repeat > 0.0 || self.fresh() > 1e-9
    }

    /// Whether STS is asked about any of it.
    #[must_use]
    pub fn reaches_sts(&self) -> bool {
        self.garbage < 1.0 - 1e-9
    }
}

/// What is drawn of a mix.
pub(super) struct Draws {
    mix: Mix,
    random: fastrand::Rng,
}

impl Draws {
    pub(super) fn new(mix: Mix) -> Self {
        Self { random: fastrand::Rng::with_seed(mix.seed), mix }
    }

    pub(super) fn class(&mut self) -> TokenClass {
        let drawn = self.random.f64();
        let Mix { repeat, forged, garbage, .. } = self.mix;
        if drawn < repeat {
            TokenClass::Repeated
        } else if drawn < repeat + forged {
            TokenClass::Forged
        } else if drawn < repeat + forged + garbage {
            TokenClass::Garbage
        } else {
            TokenClass::Fresh
        }
    }

    /// A number below `end`, or 0 where that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.random.usize(..end) }
    }

    /// An access key, and its secret, that no table holds.
    pub(super) fn forged(&mut self) -> (String, String) {
        // Digits that IAM's IDs do not have.
        let key = std::iter::repeat_with(|| self.random.char('0'..='1')).take(4);
        let key: String = "AKIA".chars().chain(key).collect();
        (key + &self.text(12).to_ascii_uppercase(), self.text(40))
    }

    /// A text in the form of a service account's token.
    pub(super) fn garbage(&mut self) -> String {
        format!("eyJhbGciOiJSUzI1NiIsImtpZCI6I{}.eyJ{}.{}", self.text(30), self.text(620), self.text(342))
    }

    fn text(&mut self, length: usize) -> String {
        std::iter::repeat_with(|| self.random.alphanumeric()).take(length).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_drawn_as_given() {
        let mix = Mix { repeat: 0.5, forged: 0.2, garbage: 0.1, ..Mix::default() };
        let mut draws = Draws::new(mix);
        let mut counts = [0_i32; 4];
        for _ in 0..10_000 {
            counts[draws.class().index()] += 1;
        }
        for (class, expected) in TokenClass::ALL.into_iter().zip([2000, 5000, 2000, 1000]) {
            let found = counts[class.index()];
            assert!((found - expected).abs() < 200, "{class:?}: {found}");
        }
    }

    #[test]
    fn shares_beyond_all_are_refused() {
        for (repeat, forged) in [(0.9, 0.2), (-0.1, 0.0), (1.1, 0.0), (f64::NAN, 0.0)] {
            assert_eq!(Mix { repeat, forged, ..Mix::default() }.check(), Err(MixError));
        }
        assert!(Mix { repeat: 0.9, forged: 0.1, ..Mix::default() }.check().is_ok());
    }

    #[test]
    fn forged_keys_have_the_form_of_keys_and_differ() {
        let mut draws = Draws::new(Mix::default());
        let ((one, _), (other, _)) = (draws.forged(), draws.forged());
        assert!(one.len() == 20 && one.starts_with("AKIA"), "{one}");
        assert_ne!(one, other);
    }
}
