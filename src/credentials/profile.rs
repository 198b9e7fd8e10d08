//! Profiles whose roles want MFA codes, which the SDK passes over.
//!
//! ```text
//! [profile ops]     role_arn, source_profile = hub, mfa_serial ──▶ RoleStep 2
//! [profile hub]     role_arn, source_profile = keys            ──▶ RoleStep 1
//! [profile keys]    aws_access_key_id, … (or SSO, a process)   ──▶ Base
//! ```
//!
//! The order in which a profile's keys are looked at is the SDKs':
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>.

use aws_config::{
    SdkConfig,
    ecs::EcsCredentialsProvider,
    environment::EnvironmentVariableCredentialsProvider,
    imds::credentials::ImdsCredentialsProvider,
    profile::{Profile, ProfileFileCredentialsProvider, ProfileSet},
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError as NotProvided},
};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};
use jiff::Timestamp;

use super::{CredentialsError, MfaCode, RoleSession, assume_role};

/// How many profiles may stand behind one another.
const MAX_PROFILES: usize = 16;

/// What the roles are assumed with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    /// A profile's own access key.
    Keys(Credentials),
    /// Whatever the SDK gives for a profile.
    Profile(String),
    /// `credential_source = Environment`
    Environment,
    /// `credential_source = Ec2InstanceMetadata`
    Instance,
    /// `credential_source = EcsContainer`
    Container,
}

/// A role on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RoleStep {
    role_arn: String,
    session_name: Option<String>,
    external_id: Option<String>,
    duration: Option<i32>,
    mfa_serial: Option<String>,
}

/// The way to a profile's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    profile: String,
    base: Base,
    /// In the order in which they are assumed.
    roles: Vec<RoleStep>,
}

/// The way to the selected profile's credentials, where a role on it wants an MFA code. `None` where none does,
/// and where a profile is amiss: the SDK says so.
pub(super) async fn chain_with_mfa() -> Option<Chain> {
    let (fs, env, files) = (Fs::real(), Env::real(), EnvConfigFiles::default());
    Chain::of(&aws_config::profile::load(&fs, &env, &files, None).await.ok()?)
}

impl Chain {
    fn of(profiles: &ProfileSet) -> Option<Self> {
        let selected = profiles.selected_profile();
        let mut name = selected;
        let mut roles = Vec::new();
        let base = loop {
            let profile = profiles.get_profile(name)?;
            // An access key of a profile that another names as its source comes before the profile's role.
            if let (false, Some(keys)) = (roles.is_empty(), keys(profile)) {
                break Base::Keys(keys);
            }
            let Some(step) = RoleStep::of(profile) else {
                break Base::Profile(name.to_owned());
            };
            if roles.len() == MAX_PROFILES {
                return None;
            }
            roles.push(step);
            match (profile.get("source_profile"), profile.get("credential_source")) {
                (Some(source), None) if source == name => break Base::Keys(keys(profile)?),
                (Some(source), None) => name = source,
                (None, Some("Environment")) => break Base::Environment,
                (None, Some("Ec2InstanceMetadata")) => break Base::Instance,
                (None, Some("EcsContainer")) => break Base::Container,
                _ => return None,
            }
        };
        roles.reverse();
        let wants_mfa = roles.iter().any(|role| role.mfa_serial.is_some());
        wants_mfa.then(|| Self { profile: selected.to_owned(), base, roles })
    }

    /// Goes the way, and calls `ask` with the device's serial number or ARN where a code is wanted.
    pub(super) async fn credentials<E>(
        self,
        aws: &SdkConfig,
        ask: impl AsyncFn(&str) -> Result<MfaCode, E>,
    ) -> Result<Credentials, CredentialsError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut credentials = self.base.credentials().await.map_err(CredentialsError::NotProvided)?;
        for role in self.roles {
            let mfa = match role.mfa_serial {
                Some(serial) => match ask(&serial).await {
                    Ok(code) => Some((serial, code)),
                    Err(source) => {
                        let profile = self.profile;
                        return Err(CredentialsError::Code { profile, serial, source: source.into() });
                    }
                },
                None => None,
            };
            let name = role.session_name.unwrap_or_else(default_session_name);
            let RoleStep { role_arn, external_id, duration, .. } = role;
            let session = RoleSession { role_arn, name, external_id, duration, mfa };
            credentials = assume_role(aws, &credentials, session).await?;
        }
        Ok(credentials)
    }
}

impl RoleStep {
    /// A profile's role; none where a web identity token is what it is assumed with, which is the SDK's.
    fn of(profile: &Profile) -> Option<Self> {
        if profile.get("web_identity_token_file").is_some() {
            return None;
        }
        let text = |key: &str| profile.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self {
            role_arn: text("role_arn")?,
            session_name: text("role_session_name"),
            external_id: text("external_id"),
            duration: text("duration_seconds").and_then(|seconds| seconds.parse().ok()),
            mfa_serial: text("mfa_serial"),
        })
    }
}

impl Base {
    async fn credentials(self) -> Result<Credentials, NotProvided> {
        match self {
            Self::Keys(keys) => Ok(keys),
            Self::Profile(name) => {
                let provider = ProfileFileCredentialsProvider::builder().profile_name(name).build();
                provider.provide_credentials().await
            }
            Self::Environment => EnvironmentVariableCredentialsProvider::new().provide_credentials().await,
            Self::Instance => ImdsCredentialsProvider::builder().build().provide_credentials().await,
            Self::Container => EcsCredentialsProvider::builder().build().provide_credentials().await,
        }
    }
}

/// What a session is called where nobody names it.
#[must_use]
pub fn default_session_name() -> String {
    format!("arngate-{}", Timestamp::now().as_second())
}

fn keys(profile: &Profile) -> Option<Credentials> {
    let key = profile.get("aws_access_key_id")?;
    let secret = profile.get("aws_secret_access_key")?;
    let session = profile.get("aws_session_token").map(str::to_owned);
    Some(Credentials::new(key, secret, session, None, "ProfileFile"))
}

#[cfg(test)]
mod tests {
    use aws_runtime::env_config::file::EnvConfigFileKind;

    use super::*;

    async fn chain(config: &str) -> Option<Chain> {
        let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, config).build();
        let (fs, env) = (Fs::from_slice(&[]), Env::from_slice(&[]));
        Chain::of(&aws_config::profile::load(&fs, &env, &files, Some("ops".into())).await.unwrap())
    }

    const KEYS: &str = "[profile keys]\naws_access_key_id = AKIA\naws_secret_access_key = secret\n";

    #[tokio::test]
    async fn roles_are_assumed_from_the_end_of_the_way_to_its_beginning() {
        let config = format!(
            "[profile ops]\nrole_arn = arn:ops\nsource_profile = hub\nmfa_serial = arn:device\nexternal_id = x\n\
             duration_seconds = 900\n[profile hub]\nrole_arn = arn:hub\nsource_profile = keys\n\
             role_session_name = me\n{KEYS}"
        );
        let chain = chain(&config).await.unwrap();
        assert!(matches!(&chain.base, Base::Keys(keys) if keys.access_key_id() == "AKIA"), "{chain:?}");
        let [hub, ops] = chain.roles.as_slice() else { panic!("{chain:?}") };
        assert_eq!((hub.role_arn.as_str(), hub.session_name.as_deref()), ("arn:hub", Some("me")));
        assert_eq!((hub.mfa_serial.as_deref(), hub.duration), (None, None));
        assert_eq!((ops.role_arn.as_str(), ops.external_id.as_deref()), ("arn:ops", Some("x")));
        assert_eq!((ops.mfa_serial.as_deref(), ops.duration), (Some("arn:device"), Some(900)));
    }

    #[tokio::test]
    async fn every_kind_of_source() {
        let role = "[profile ops]\nrole_arn = arn:ops\nmfa_serial = arn:device\n";
        for (source, want) in [
            ("credential_source = Environment", Base::Environment),
            ("credential_source = Ec2InstanceMetadata", Base::Instance),
            ("credential_source = EcsContainer", Base::Container),
            (
                "source_profile = other\n[profile other]\ncredential_process = x",
                Base::Profile("other".into()),
            ),
        ] {
            assert_eq!(chain(&format!("{role}{source}\n")).await.unwrap().base, want, "{source}");
        }
        let own = "source_profile = ops\naws_access_key_id = AKIA\naws_secret_access_key = secret\n";
        assert!(matches!(chain(&format!("{role}{own}")).await.unwrap().base, Base::Keys(_)));
    }

    #[tokio::test]
    async fn what_wants_no_code_or_is_amiss_is_left_to_the_sdk() {
        for config in [
            "[profile ops]\naws_access_key_id = AKIA\naws_secret_access_key = secret\nmfa_serial = arn:device\n",
            "[profile ops]\nrole_arn = arn:ops\nsource_profile = keys\n",
            "[profile ops]\nrole_arn = arn:ops\nsource_profile = nowhere\nmfa_serial = arn:device\n",
            "[profile ops]\nrole_arn = arn:ops\nmfa_serial = arn:device\n",
            "[profile ops]\nrole_arn = arn:ops\ncredential_source = Magic\nmfa_serial = arn:device\n",
            "[profile ops]\nrole_arn = arn:a\nsource_profile = b\nmfa_serial = arn:device\n\
             [profile b]\nrole_arn = arn:b\nsource_profile = ops\n",
            "[profile other]\n",
        ] {
            assert_eq!(chain(&format!("{config}{KEYS}")).await, None, "{config}");
        }
    }
}
