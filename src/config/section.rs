//! A section of the configuration file, of which keys are taken one by one, each as what it is to be.

use std::{collections::BTreeMap, fmt::Display, path::Path, str::FromStr};

use super::{
    Address, BackendName, ConfigError,
    scalar::{Whole, truth},
};
use crate::{
    identity::AccountId,
    mapping::BackendMode,
    sts::ExtraHost,
    yaml::{Node, Position, Value},
};

/// A mapping of the file, of which the keys are taken one by one.
pub(super) struct Section<'a> {
    path: &'a Path,
    prefix: &'static str,
    fields: Vec<(String, Node)>,
    /// The keys that were asked for: what a key that is left over may be meant for.
    known: Vec<&'static str>,
    /// Where those that say something stand.
    pub(super) lines: BTreeMap<String, usize>,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: &'a Path, prefix: &'static str, node: Node) -> Result<Self, ConfigError> {
        let mut section =
            Self { path, prefix, fields: Vec::new(), known: Vec::new(), lines: BTreeMap::new() };
        let position = node.span;
        match node.value {
            Value::Null => {}
            Value::Mapping(fields) => {
                for (key, value) in fields {
                    let (key_position, Some(name)) = (key.span, key.as_str()) else {
                        return Err(section.error("", key.span, "a key must be a text"));
                    };
                    if section.fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                        return Err(section.error(
                            name,
                            key_position,
                            "given twice; keys are matched without case",
                        ));
                    }
                    section.fields.push((name.to_owned(), value));
                }
            }
            _ => {
                return Err(section.error(
                    "",
                    position,
                    "want keys with values, such as `clusterID: my-cluster`",
                ));
            }
        }
        Ok(section)
    }

    pub(super) fn error(&self, key: &str, position: Position, message: impl Display) -> ConfigError {
        ConfigError::Value {
            path: self.path.to_owned(),
            position,
            key: format!("{}{key}", self.prefix),
            message: message.to_string(),
        }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self.fields.iter().position(|(name, _)| name.eq_ignore_ascii_case(key))?;
        let node = self.fields.swap_remove(index).1;
        if matches!(node.value, Value::Null) {
            return None;
        }
        // An empty text says nothing, but for an address.
        if node.as_str() != Some("") || key == "address" {
            self.lines.insert(format!("{}{key}", self.prefix), node.span.line);
        }
        Some(node)
    }

    /// A text; an empty one says nothing, as today.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(node) = self.take(key) else {
            return Ok(None);
        };
        match node.as_str() {
            Some("") => Ok(None),
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(self.error(key, node.span, "want a text")),
        }
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(node) = self.take(key) else {
            return Ok(None);
        };
        match node.as_str() {
            Some("") => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|error| self.error(key, node.span, format!("{text:?}: {error}"))),
            None => Err(self.error(key, node.span, "want a single value")),
        }
    }

    pub(super) fn whole<T>(&mut self, key: &'static str) -> Result<Option<T>, ConfigError>
    where
        Whole<T>: FromStr<Err: Display>,
    {
        Ok(self.parsed(key)?.map(|Whole(number)| number))
    }

    pub(super) fn address(&mut self, key: &'static str) -> Result<Option<Address>, ConfigError> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let Some(text) = node.as_str() else { return Err(self.error(key, node.span, "want a single value")) };
        Ok(text.parse().ok())
    }

    /// A truth value; any other text is taken as false, as aws-iam-authenticator does, and told.
    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let Some(text) = node.as_str() else { return Err(self.error(key, node.span, "want true or false")) };
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(truth(text).unwrap_or_else(|error| {
            self.warn(key, node.span, format!("{error}; taken as false"));
            false
        })))
    }

    /// Account IDs; what is none is skipped, as it would match nobody, and told.
    pub(super) fn accounts(&mut self, key: &'static str) -> Result<Vec<AccountId>, ConfigError> {
        let texts: Vec<String> = self.parsed_list(key)?;
        let position = Position { line: self.line(key), column: 1 };
        let account = |text: &String| {
            text.parse()
                .map_err(|error| self.warn(key, position, format!("{error}; an entry is skipped")))
                .ok()
        };
        Ok(texts.iter().filter_map(account).collect())
    }

    /// A list, or one text with commas or blanks, which is the same list as the flag takes.
    pub(super) fn parsed_list<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(node) = self.take(key) else {
            return Ok(Vec::new());
        };
        let parse = |text: &str, position| {
            text.trim().parse().map_err(|error| self.error(key, position, format!("{text:?}: {error}")))
        };
        match &node.value {
            Value::Sequence(items) => items
                .iter()
                .map(|item| match item.as_str() {
                    Some(text) => parse(text, item.span),
                    None => Err(self.error(key, item.span, "want a list of texts")),
                })
                .collect(),
            _ => match node.as_str() {
                Some(text) => {
                    let items = text.split([',', ' ']).filter(|item| !item.is_empty());
                    items.map(|item| parse(item, node.span)).collect()
                }
                None => Err(self.error(key, node.span, "want a list of texts")),
            },
        }
    }

    pub(super) fn extra_hosts(&mut self, key: &'static str) -> Result<Vec<ExtraHost>, ConfigError> {
        let Some(node) = self.take(key) else {
            return Ok(Vec::new());
        };
        let form = "want a list of entries with host and region";
        let Value::Sequence(items) = node.value else {
            return Err(self.error(key, node.span, form));
        };
        items
            .into_iter()
            .map(|item| {
                let position = item.span;
                let mut fields = Section::new(self.path, "server.stsExtraHosts.", item)?;
                match (fields.text("host")?, fields.text("region")?) {
                    (Some(host), Some(region)) => Ok(ExtraHost { host, region }),
                    _ => Err(self.error(key, position, form)),
                }
            })
            .collect()
    }

    /// Entries of backends, the last one of each. What is for no backend is skipped, and told.
    pub(super) fn reserved_prefixes(
        &mut self,
        key: &'static str,
    ) -> Result<Vec<(BackendMode, Vec<String>)>, ConfigError> {
        let Some(node) = self.take(key) else { return Ok(Vec::new()) };
        let form = "want a list of entries with backendMode and usernamePrefixReserveList";
        let items = match node.value {
            Value::Sequence(items) => items,
            Value::Mapping(_) => vec![node],
            _ => return Err(self.error(key, node.span, form)),
        };
        let mut reserved: Vec<(BackendMode, Vec<String>)> = Vec::new();
        for item in items {
            let position = item.span;
            let mut fields = Section::new(self.path, "server.reservedPrefixConfig.", item)?;
            let (name, prefixes) =
                (fields.text("backendMode")?, fields.prefixes("usernamePrefixReserveList")?);
            fields.warn_of_the_rest();
            let Some(name) = name else {
                self.warn(key, position, "an entry without backendMode reserves nothing");
                continue;
            };
            match name.parse::<BackendName>() {
                Ok(backend) if backend.older().is_none() => {
                    if reserved.iter().any(|(mode, _)| *mode == backend.mode()) {
                        self.warn(key, position, format!("a second entry for {name}: this one counts"));
                        reserved.retain(|(mode, _)| *mode != backend.mode());
                    }
                    reserved.push((backend.mode(), prefixes));
                }
                // aws-iam-authenticator looks for the newer name alone.
                Ok(backend) => self.warn(
                    key,
                    position,
                    format!("{name} reserves nothing here: write {}", backend.mode()),
                ),
                Err(error) => self.warn(key, position, format!("{name:?} reserves nothing: {error}")),
            }
        }
        Ok(reserved)
    }

    /// A list, or one text with commas.
    pub(super) fn prefixes(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let Some(node) = self.take(key) else { return Ok(Vec::new()) };
        let form = "want a list of texts";
        match (&node.value, node.as_str()) {
            (Value::Sequence(items), _) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.error(key, item.span, form)))
                .collect(),
            (_, Some(text)) => Ok(text.split(',').map(str::to_owned).collect()),
            _ => Err(self.error(key, node.span, form)),
        }
    }

    pub(super) fn line(&self, key: &str) -> usize {
        self.lines.get(&format!("{}{key}", self.prefix)).copied().unwrap_or_default()
    }

    pub(super) fn warn(&self, key: &str, position: Position, message: impl Display) {
        tracing::warn!(file = %self.path.display(), line = position.line, "{}{key}: {message}", self.prefix);
    }

    /// What each key that nobody asked for may be meant for.
    pub(super) fn left_over(&self) -> Vec<(&str, Position, Option<&'static str>)> {
        let likeness = |key: &str, known: &str| {
            strsim::normalized_damerau_levenshtein(&key.to_ascii_lowercase(), &known.to_ascii_lowercase())
        };
        let meant = |key: &str| {
            let best = self.known.iter().max_by(|a, b| likeness(key, a).total_cmp(&likeness(key, b)));
            best.copied().filter(|best| likeness(key, best) >= 0.6)
        };
        self.fields.iter().map(|(key, node)| (key.as_str(), node.span, meant(key))).collect()
    }

    pub(super) fn warn_of_the_rest(&self) {
        for (key, position, meant) in self.left_over() {
            let did_you_mean = meant.map(|meant| format!(": did you mean {}{meant}?", self.prefix));
            tracing::warn!(
                file = %self.path.display(),
                line = position.line,
                "{}{key} is no key of the configuration file, and ignored{}",
                self.prefix,
                did_you_mean.unwrap_or_default()
            );
        }
    }
}
