//! `arngate explain`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::{
    Global, aws_auth,
    explanation::{Explanation, Output},
};
use crate::{
    authenticator,
    config::{BackendName, File, ServerFlags, ServerSettings},
    ec2,
    identity::{CallerError, Identity, Principal, PrincipalKind},
    mapping::{BackendMode, CurrentChain, Manifest},
    outcome::{Denial, Outcome},
    server,
    source::look::{self, Instead, Looked},
    telemetry::Metrics,
};

/// Exit code where they would not be let in.
const DENIED: u8 = 3;
/// How long EC2 has to tell an instance's name, as in the server.
const EC2_WITHIN: Duration = Duration::from_secs(9);
/// The name of a session that nobody has named.
const SOME_SESSION: &str = "SESSION";
/// What is not known of a caller.
const UNKNOWN: &str = "UNKNOWN";

/// Say whether a principal would be let in, as whom and by which mapping, or which are nearly theirs
///
/// The answer has the entry that matches in each backend, and the username, uid, groups and extra fields that come out; or
/// the nearest entries, and why they are not theirs.
///
/// With the file and flags that a server has (-c and those below), it looks at everything that this server looks at, in
/// its order: the administrators, each backend of backendMode (or of the file at dynamicBackendModePath), what is reserved
/// and scrubbed, and the gate SSORoleMatch. Without, it looks at aws-auth alone. The cluster is reached as the server
/// reaches it, else as kubectl does. Nothing is written anywhere.
///
/// What it cannot know is what a running server remembers: entries that were good before a broken edit. Where it can read
/// the server's state directory, it takes that from there, as a server does that starts now.
///
/// Exit code 3 where they would not be let in, 1 where a place could not be read that may decide it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate explain arn:aws:iam::111122223333:role/Admin
  arngate explain arn:aws:iam::111122223333:role/Admin --aws-auth aws-auth.yaml --session-name alice@example.org
  arngate explain arn:aws:iam::111122223333:user/bob -c /etc/arngate/config.yaml --backend-mode EKSConfigMap,CRD
  kubectl get iamidentitymappings -o yaml | arngate explain arn:aws:iam::111122223333:role/Admin --iam-identity-mappings -
  arngate explain arn:aws:sts::111122223333:assumed-role/Node/i-0123456789abcdef0 --instance-name ip-10-0-0-1.ec2.internal")]
pub(super) struct Args {
    /// ARN of a role, a role's session or a user
    #[arg(value_name = "ARN")]
    arn: Principal,
    /// A file with aws-auth, or - for standard input, instead of the cluster's
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    aws_auth: Option<PathBuf>,
    /// A file with IAMIdentityMappings (YAML or JSON, several documents or a List), or - for standard input, instead of
    /// the cluster's
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    iam_identity_mappings: Option<PathBuf>,
    /// A file for the backend DynamicFile, instead of server.dynamicfilepath
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    dynamic_file: Option<PathBuf>,
    /// Name of the role's session, for templates
    #[arg(long, value_name = "NAME", default_value = SOME_SESSION)]
    session_name: String,
    /// The principal's unique ID (AROA…, AIDA…), for mappings that pin one and for the uid
    #[arg(long, value_name = "ID", default_value = UNKNOWN)]
    user_id: String,
    /// ID of the access key that the token would be signed by, for templates
    #[arg(long, value_name = "ID", default_value = UNKNOWN)]
    access_key_id: String,
    /// Private DNS name of the caller's instance, for templates; otherwise EC2 is asked where a session is named after an
    /// instance, as the server does
    #[arg(long, value_name = "NAME")]
    instance_name: Option<String>,
    /// How the answer looks
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten, next_help_heading = "The server's flags")]
    flags: ServerFlags,
}

pub(super) async fn run(global: &Global, mut args: Args) -> anyhow::Result<ExitCode> {
    let instead = instead(&args)?;
    let (settings, modes, mut notes) = settings(global, &mut args)?;
    let partition = settings.as_server.then_some(settings.server.partition);
    let identity = match identity(&args, partition)? {
        Ok(identity) => identity,
        Err(error) => {
            let outcome = Outcome::Denied(Denial::Caller(error));
            let (explained, places) = (Vec::new(), Vec::new());
            Explanation { arn: args.arn.arn(), outcome, mapped: None, explained, places, notes }
                .print(args.output);
            return Ok(ExitCode::from(DENIED));
        }
    };
    let Settings { server: settings, .. } = settings;
    let mut backends = server::backend_settings(&settings);
    if global.cluster_id.is_none() && global.config.is_none() {
        backends.last_good = None;
    }
    let Looked { chain, places } = look::look(&backends, &modes, instead).await;
    let explained = chain.explain(&identity, args.instance_name.as_deref());
    let scrubbed = settings.scrubbed_accounts.contains(&identity.principal().account());
    let chain = CurrentChain::new(chain);
    let (outcome, mapped) = if let Some(name) = &args.instance_name {
        let mapped = chain.get().map_instance(&identity, Some(name));
        (authenticator::outcome(&identity, &mapped, scrubbed), mapped.found())
    } else {
        let resolver = ec2::Resolver::start(settings.ec2, Metrics::new())?;
        let deadline = Instant::now() + EC2_WITHIN;
        authenticator::map(&chain, &resolver, &identity, scrubbed, deadline).await
    };
    if scrubbed {
        notes.push(
            "the account is scrubbed: neither logs nor Kubernetes are told of the principal".to_owned(),
        );
    }
    // Whose session it is decides what comes out, and nobody said.
    let by_instance = outcome == Outcome::Denied(Denial::NotRendered) && args.session_name == SOME_SESSION;
    if by_instance {
        notes.push(
            "a mapping is theirs, and names the caller's instance: --session-name i-… with --instance-name says what \
             comes out for one"
                .to_owned(),
        );
    }
    let let_in = by_instance || matches!(outcome, Outcome::Authenticated(_));
    let explanation =
        Explanation { arn: identity.principal().arn(), outcome, mapped, explained, places, notes };
    let undecided = explanation.is_undecided();
    explanation.print(args.output);
    Ok(if undecided {
        ExitCode::FAILURE
    } else if let_in {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DENIED)
    })
}

/// By what is looked.
struct Settings {
    server: ServerSettings,
    /// They are some server's, not those of a desk.
    as_server: bool,
}

/// What is looked by, and the backends in their order.
fn settings(global: &Global, args: &mut Args) -> anyhow::Result<(Settings, Vec<BackendMode>, Vec<String>)> {
    const CONTEXT: &str = "the configuration cannot be used";
    let mut file = global.config.as_deref().map(File::read).transpose().context(CONTEXT)?.unwrap_or_default();
    let given = [
        (BackendMode::EksConfigMap, &args.aws_auth),
        (BackendMode::Crd, &args.iam_identity_mappings),
        (BackendMode::DynamicFile, &args.dynamic_file),
    ];
    let given: Vec<(BackendMode, PathBuf)> =
        given.into_iter().filter_map(|(mode, path)| Some((mode, path.clone()?))).collect();
    let has_modes = !args.flags.backend_mode.is_empty() || !file.backend_mode.is_empty();
    if global.config.is_none() && !has_modes {
        // Nobody speaks of a server: what is given is looked at, or else aws-auth.
        let modes = given.iter().map(|(mode, _)| BackendName::from(*mode)).collect();
        args.flags.backend_mode =
            if given.is_empty() { vec![BackendMode::EksConfigMap.into()] } else { modes };
    }
    if args.dynamic_file.is_some() {
        file.dynamic_file_path.clone_from(&args.dynamic_file);
    }
    let as_server = global.config.is_some() || args.flags.partition.is_some();
    // It decides nothing here but whose last good snapshot it may be.
    let cluster_id = global.cluster_id.clone().or_else(|| file.cluster_id.clone());
    let cluster_id = cluster_id.as_deref().unwrap_or(UNKNOWN);
    let mut server = ServerSettings::new(file, Some(cluster_id), &args.flags).context(CONTEXT)?;
    server.permission_sets = global.gates().sso_role_match;
    let (mut modes, mut notes) = (server.backend_modes.clone(), Vec::new());
    if let Some(path) = &server.dynamic_backend_mode {
        match look::backend_modes(path) {
            Ok(Some(found)) => {
                notes.push(format!("{} says which backends there are", path.display()));
                modes = found;
            }
            Ok(None) => {}
            Err(error) => notes.push(format!("{error}; a server keeps the backends that it has")),
        }
    }
    if let Some((mode, path)) = given.iter().find(|(mode, _)| !modes.contains(mode)) {
        let (path, modes) = (aws_auth::name(path), names(&modes));
        bail!("{path} is for the backend {mode}, and this server's are {modes}: set --backend-mode");
    }
    Ok((Settings { server, as_server }, modes, notes))
}

fn names(modes: &[BackendMode]) -> String {
    modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ")
}

/// The files that are looked at instead of a cluster.
fn instead(args: &Args) -> anyhow::Result<Instead> {
    let paths = [&args.aws_auth, &args.iam_identity_mappings, &args.dynamic_file].into_iter().flatten();
    aws_auth::check_standard_input(paths)?;
    if args.dynamic_file.as_deref().is_some_and(aws_auth::is_standard_input) {
        bail!("--dynamic-file wants a file, not standard input");
    }
    let aws_auth = |path: &Path| {
        let name = aws_auth::name(path);
        let manifest = Manifest::read(&aws_auth::text(path)?).with_context(|| name.clone())?;
        aws_auth::check_is_read(path, &manifest)?;
        anyhow::Ok((name, manifest))
    };
    let objects = |path: &Path| anyhow::Ok((aws_auth::name(path), aws_auth::text(path)?));
    Ok(Instead {
        aws_auth: args.aws_auth.as_deref().map(aws_auth).transpose()?,
        identity_mappings: args.iam_identity_mappings.as_deref().map(objects).transpose()?,
    })
}

/// The caller as STS would tell of it to a server of `partition`; any partition's where that is `None`.
fn identity(
    args: &Args,
    partition: Option<crate::identity::Partition>,
) -> anyhow::Result<Result<Identity, CallerError>> {
    let (principal, session) = match args.arn.kind() {
        PrincipalKind::Role { path_and_name } => {
            let name = path_and_name.rsplit('/').next().unwrap_or_default();
            let (partition, account) = (args.arn.partition(), args.arn.account());
            let session = &args.session_name;
            let arn = format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}");
            (Principal::parse(&arn).context("--session-name")?, Some(session))
        }
        PrincipalKind::AssumedRole { session, .. } => (args.arn.clone(), Some(session)),
        _ => (args.arn.clone(), None),
    };
    let user_id = match (session, args.arn.kind()) {
        // STS writes the session behind the ID, and so it may have been copied.
        (Some(session), _) => {
            format!("{}:{session}", args.user_id.split(':').next().unwrap_or_default())
        }
        (None, PrincipalKind::Root) => principal.account().to_string(),
        (None, PrincipalKind::FederatedUser { name }) => format!("{}:{name}", principal.account()),
        (None, _) => args.user_id.clone(),
    };
    let partition = partition.unwrap_or(principal.partition());
    match Identity::new(partition, &principal.arn(), principal.account(), &user_id, &args.access_key_id) {
        Err(error @ CallerError::Partition(_)) => Ok(Err(error)),
        identity => Ok(Ok(identity.context("--user-id")?)),
    }
}
