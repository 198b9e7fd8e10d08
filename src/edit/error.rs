use crate::{
    mapping::{Diagnostic, Section},
    yaml::YamlError,
};

/// Why a list is not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The list is no YAML: where it would have to be touched cannot be told.
    #[error(
        "{} cannot be read as YAML ({source}{}{}); correct it first: kubectl edit -n kube-system configmap/aws-auth",
        section.key(),
        if source.advice.is_empty() { "" } else { "; " },
        source.advice
    )]
    Yaml {
        /// Which list.
        section: Section,
        /// Where, and why.
        source: YamlError,
    },
    /// It is no list.
    #[error(
        "{} is {kind}, not a list; correct it first: kubectl edit -n kube-system configmap/aws-auth",
        section.key()
    )]
    NoList {
        /// Which list.
        section: Section,
        /// What it is.
        kind: &'static str,
    },
    /// Where it is cannot be told. The server keeps what the list last held; one made beside it would take that away.
    #[error("{0}; correct it first: kubectl edit -n kube-system configmap/aws-auth")]
    Unclear(Box<Diagnostic>),
    /// Other entries would change.
    #[error(
        "{} is written in a way that cannot be edited without touching the rest ({reason}); edit it by hand: kubectl \
         edit -n kube-system configmap/aws-auth",
        section.key()
    )]
    Form {
        /// Which list.
        section: Section,
        /// What is in the way.
        reason: &'static str,
    },
    /// There is no such entry.
    #[error("{} has no entry {entry}", section.key())]
    NoEntry {
        /// Which list.
        section: Section,
        /// Which entry, from 1.
        entry: usize,
    },
    /// The entry itself would not take effect.
    #[error("the new entry would not take effect: {0}")]
    Invalid(String),
    /// The list would not fit into a ConfigMap.
    #[error("{} would be longer than a ConfigMap can hold (1 MiB)", section.key())]
    TooLong {
        /// Which list.
        section: Section,
    },
}
