use std::str::FromStr;

/// aws-iam-authenticator's feature gates, as its `--feature-gates` takes them: `Name=true,Name=false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeatureGates {
    /// `init` writes to the configured directories, not to the working directory.
    pub configured_init_directories: bool,
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
    /// Permission sets always match here.
    #[error("SSORoleMatch cannot be switched off: remove the sso entries from the mappings instead")]
    SsoRoleMatch,
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
                // On whatever is said here; but whoever switches it off wants those entries to match nobody.
                "SSORoleMatch" if value => {}
                "SSORoleMatch" => return Err(GateError::SsoRoleMatch),
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
        for (text, configured) in [
            ("", false),
            ("SSORoleMatch=true", false),
            ("ConfiguredInitDirectories=true, IAMIdentityMappingCRD=false,", true),
            ("ConfiguredInitDirectories=true,ConfiguredInitDirectories=0", false),
        ] {
            assert_eq!(text.parse(), Ok(FeatureGates { configured_init_directories: configured }), "{text}");
        }
        assert_eq!("SSORoleMatch=false".parse::<FeatureGates>(), Err(GateError::SsoRoleMatch));
        assert_eq!("Foo=true".parse::<FeatureGates>(), Err(GateError::Unknown("Foo".to_owned())));
        for text in ["SSORoleMatch", "SSORoleMatch=yes", "=true"] {
            assert!(text.parse::<FeatureGates>().is_err(), "{text}");
        }
    }
}
