use std::{fmt, str::FromStr};

use super::scalar::truth;

/// aws-iam-authenticator's feature gates, as its `--feature-gates` takes them: `Name=true,Name=false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureGates {
    /// `init` writes to the configured directories, not to the working directory.
    pub configured_init_directories: bool,
    /// Permission sets match. Off by default today; here whoever wrote such an entry has it.
    pub sso_role_match: bool,
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self { configured_init_directories: false, sso_role_match: true }
    }
}

impl FeatureGates {
    /// What all the lists of a command line come to. The last word on a gate counts, and that on a gate before that
    /// on all of them, whatever their order.
    #[must_use]
    pub fn of(lists: &[GateList]) -> Self {
        let said = |gate| {
            let mut words = lists.iter().flat_map(|list| &list.0).rev();
            words.find(|(other, _)| *other == gate).map(|(_, on)| *on)
        };
        // All of aws-iam-authenticator's gates are alpha, so AllBeta says nothing of any.
        let on = |gate, default| said(gate).or_else(|| said(Gate::AllAlpha)).unwrap_or(default);
        let default = Self::default();
        Self {
            configured_init_directories: on(
                Gate::ConfiguredInitDirectories,
                default.configured_init_directories,
            ),
            sso_role_match: on(Gate::SsoRoleMatch, default.sso_role_match),
        }
    }
}

impl fmt::Display for FeatureGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ConfiguredInitDirectories={},SSORoleMatch={}",
            self.configured_init_directories, self.sso_role_match
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    AllAlpha,
    AllBeta,
    ConfiguredInitDirectories,
    /// Decides nothing: the backend itself says whether it is served.
    IamIdentityMappingCrd,
    SsoRoleMatch,
}

/// One list of gates, as one flag gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateList(Vec<(Gate, bool)>);

/// What is wrong with a list of gates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Not of the form.
    #[error("want NAME=true or NAME=false, parted by commas, not {0:?}")]
    Form(String),
    /// No such gate.
    #[error(
        "no feature gate is called {0:?}; there are ConfiguredInitDirectories, IAMIdentityMappingCRD, SSORoleMatch, \
         AllAlpha and AllBeta"
    )]
    Unknown(String),
}

impl FromStr for GateList {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let gate = |pair: &str| {
            let form = || GateError::Form(pair.to_owned());
            let (name, value) = pair.split_once('=').ok_or_else(form)?;
            let gate = match name.trim() {
                "AllAlpha" => Gate::AllAlpha,
                "AllBeta" => Gate::AllBeta,
                "ConfiguredInitDirectories" => Gate::ConfiguredInitDirectories,
                "IAMIdentityMappingCRD" => Gate::IamIdentityMappingCrd,
                "SSORoleMatch" => Gate::SsoRoleMatch,
                other => return Err(GateError::Unknown(other.to_owned())),
            };
            Ok((gate, truth(value.trim()).map_err(|_| form())?))
        };
        pairs.map(gate).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_todays_program_takes() {
        for (lists, configured_init_directories, sso_role_match) in [
            (&[][..], false, true),
            (&[""], false, true),
            (&["SSORoleMatch=true"], false, true),
            (&["SSORoleMatch=false"], false, false),
            (&["ConfiguredInitDirectories=true, IAMIdentityMappingCRD=false,"], true, true),
            (&["ConfiguredInitDirectories=true,ConfiguredInitDirectories=0"], false, true),
            (&["ConfiguredInitDirectories=true", "SSORoleMatch=false"], true, false),
            (&["SSORoleMatch=false", "SSORoleMatch=true"], false, true),
            (&["AllAlpha=true"], true, true),
            (&["AllAlpha=false,AllBeta=true"], false, false),
            (&["ConfiguredInitDirectories=false", "AllAlpha=true"], false, true),
        ] {
            let parsed: Vec<GateList> = lists.iter().map(|list| list.parse().unwrap()).collect();
            let wanted = FeatureGates { configured_init_directories, sso_role_match };
            assert_eq!(FeatureGates::of(&parsed), wanted, "{lists:?}");
        }
        assert_eq!("Foo=true".parse::<GateList>(), Err(GateError::Unknown("Foo".to_owned())));
        for text in ["SSORoleMatch", "SSORoleMatch=yes", "=true", "AllAlpha"] {
            assert!(text.parse::<GateList>().is_err(), "{text}");
        }
    }
}
