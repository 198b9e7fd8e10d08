use std::{fmt::Display, str::FromStr, time::Duration};

use arngate::yaml::{Node, Position, Value, YamlError};

/// Why a scenario cannot be played: where, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct ScenarioError {
    /// Where.
    pub position: Position,
    /// What.
    pub message: String,
}

impl From<YamlError> for ScenarioError {
    fn from(error: YamlError) -> Self {
        Self { position: error.position, message: error.message }
    }
}

/// The fields of a mapping, of which all must be known.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Node);

impl<'a> Fields<'a> {
    /// A mapping with some of these keys and no others.
    pub(super) fn of(node: &'a Node, known: &[&str]) -> Result<Self, ScenarioError> {
        let fields = node.as_mapping().ok_or_else(|| wrong(node, "expected a mapping"))?;
        for (key, _) in fields {
            let name = key.as_str().unwrap_or_default();
            if !known.contains(&name) {
                let known = known.join(", ");
                return Err(wrong(key, format!("{name:?} is not known here: there are {known}")));
            }
        }
        Ok(Self(node))
    }

    pub(super) fn node(self, key: &str) -> Option<&'a Node> {
        self.0.get(key)
    }

    pub(super) fn text(self, key: &str) -> Result<Option<&'a str>, ScenarioError> {
        let Some(node) = self.0.get(key) else { return Ok(None) };
        node.as_str().map(Some).ok_or_else(|| wrong(node, format!("{key}: expected a text")))
    }

    /// What a text says, by what its type reads.
    pub(super) fn parsed<T: FromStr<Err: Display>>(self, key: &str) -> Result<Option<T>, ScenarioError> {
        let (Some(node), Some(text)) = (self.0.get(key), self.text(key)?) else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|error| wrong(node, format!("{key}: {text:?}: {error}")))
    }

    /// A share, from 0 to 1.
    pub(super) fn share(self, key: &str) -> Result<Option<f64>, ScenarioError> {
        match (self.0.get(key), self.parsed::<f64>(key)?) {
            (Some(node), Some(share)) if !(0.0..=1.0).contains(&share) => {
                Err(wrong(node, format!("{key}: expected a number from 0 to 1")))
            }
            (_, share) => Ok(share),
        }
    }

    pub(super) fn duration(self, key: &str) -> Result<Option<Duration>, ScenarioError> {
        let (Some(node), Some(text)) = (self.0.get(key), self.text(key)?) else { return Ok(None) };
        crate::load::cli::duration(text).map(Some).map_err(|error| wrong(node, format!("{key}: {error}")))
    }

    pub(super) fn list(self, key: &str) -> Result<&'a [Node], ScenarioError> {
        match self.0.get(key) {
            None => Ok(&[]),
            Some(node) => match &node.value {
                Value::Sequence(entries) => Ok(entries),
                _ => Err(wrong(node, format!("{key}: expected a list"))),
            },
        }
    }

    /// An error about the whole.
    pub(super) fn wrong(self, message: impl Into<String>) -> ScenarioError {
        wrong(self.0, message)
    }
}

pub(super) fn wrong(node: &Node, message: impl Into<String>) -> ScenarioError {
    ScenarioError { position: node.span, message: message.into() }
}
