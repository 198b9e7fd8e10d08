use std::str::FromStr;

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

/// What is wrong with a list of gates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Not of the form.
    #[error("want NAME=true or NAME=false, parted by commas, not {0:?}")]
    Form(String),
    /// No such gate.
    #[error(
        "no feature gate is called {0:?}; there are ConfiguredInitDirectories, IAMIdentityMappingCRD and SSORoleMatch"
    )]
    Unknown(String),
}

impl FromStr for FeatureGates {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut gates = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let form = || GateError::Form(pair.to_owned());
            let (name, value) = pair.split_once('=').ok_or_else(form)?;
            let value = match value.trim().to_ascii_lowercase().as_str() {
                "true" | "t" | "1" => true,
                "false" | "f" | "0" => false,
                _ => return Err(form()),
            };
            match name.trim() {
                "ConfiguredInitDirectories" => gates.configured_init_directories = value,
                // The backend itself says whether it is served.
                "IAMIdentityMappingCRD" => {}
                "SSORoleMatch" => gates.sso_role_match = value,
                other => return Err(GateError::Unknown(other.to_owned())),
            }
        }
        Ok(gates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_todays_program_takes() {
        for (text, configured_init_directories, sso_role_match) in [
            ("", false, true),
            ("SSORoleMatch=true", false, true),
            ("SSORoleMatch=false", false, false),
            ("ConfiguredInitDirectories=true, IAMIdentityMappingCRD=false,", true, true),
            ("ConfiguredInitDirectories=true,ConfiguredInitDirectories=0", false, true),
        ] {
            assert_eq!(
                text.parse(),
                Ok(FeatureGates { configured_init_directories, sso_role_match }),
                "{text}"
            );
        }
        assert_eq!("Foo=true".parse::<FeatureGates>(), Err(GateError::Unknown("Foo".to_owned())));
        for text in ["SSORoleMatch", "SSORoleMatch=yes", "=true"] {
            assert!(text.parse::<FeatureGates>().is_err(), "{text}");
        }
    }
}
