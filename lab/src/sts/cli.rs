//! `arngate-lab sts`: an emulator that runs until it is told to end.
use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

use super::{Conditions, Emulator, Fault, FaultPlan, Latency, Principals, RateLimit, files::write_private};

/// How many principals there are if nobody says.
const PRINCIPALS: usize = 4;

/// Run an emulator of STS and EC2 that checks signatures, and a proxy that leads their host names to it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen for TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where the HTTPS proxy listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    proxy: SocketAddr,

    /// Listen on addresses that other machines can reach, too
    #[arg(long)]
    allow_remote: bool,

    /// Who there is: `{"principals": [{"arn": "arn:aws:sts::111122223333:assumed-role/Admin/alice"}]}`;
    /// user ID and keys are made up where they are left out
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    principals: Option<PathBuf>,

    /// Make up so many principals, roles' sessions and users [default: 4]
    #[arg(long, value_name = "N")]
    generate: Option<usize>,

    /// An EC2 instance that there is, and its private DNS name; may be given again
    #[arg(long, value_name = "ID=NAME", value_parser = instance)]
    instance: Vec<(String, String)>,

    /// A directory for ca.pem, principals.json and env.sh; without it, they are gone when this ends
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// What goes wrong with every request: throttle, status=503, delay=200ms, slow-body=5s, reset, hang,
    /// redirect=URL, oversized=BYTES or body=TEXT
    #[arg(long, default_value = "none", hide_default_value = true)]
    fault: Fault,

    /// Which share of the requests meets the fault, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    fault_share: f64,

    /// How much later answers come: 20ms, uniform=10ms..30ms, exponential=20ms, lognormal=20ms,0.5
    #[arg(long, default_value = "none", hide_default_value = true)]
    latency: Latency,

    /// Beyond which rate requests are throttled, as STS does it: 100/s, or 100/s,burst=200
    #[arg(long, value_name = "RATE")]
    limit: Option<RateLimit>,

    /// What latencies and shares are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Where fault, latency and limit can be changed while it runs, and its figures read; loopback alone
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

/// Runs an emulator until SIGINT or SIGTERM.
///
/// # Errors
/// If it can't be started.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let emulator = start(args).await?;
    explain(&emulator)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn start(args: Args) -> anyhow::Result<Emulator> {
    for address in [args.listen, args.proxy] {
        if !address.ip().is_loopback() && !args.allow_remote {
            bail!(
                "{address} can be reached by other machines, and whoever reaches it can ask for anybody's \
                 session: add --allow-remote if that is meant"
            );
        }
    }
    let principals = match &args.principals {
        Some(file) => Principals::from_file(file)?,
        None => Principals::generated(args.generate.unwrap_or(PRINCIPALS)),
    };
    if !(0.0..=1.0).contains(&args.fault_share) {
        bail!("--fault-share {}: expected a number from 0 to 1", args.fault_share);
    }
    let conditions = Conditions {
        plan: FaultPlan { fault: args.fault, remaining: None },
        share: args.fault_share,
        latency: args.latency,
        limit: args.limit,
        seed: args.seed,
    };
    let mut builder = Emulator::builder()
        .principals(principals)
        .listen(args.listen)
        .proxy(args.proxy)
        .conditions(conditions);
    if let Some(admin) = args.admin {
        builder = builder.admin(admin);
    }
    if let Some(dir) = args.dir {
        builder = builder.directory(dir);
    }
    let emulator = builder.start().await?;
    for (id, private_dns_name) in &args.instance {
        emulator.instances().add(id, private_dns_name);
    }
    Ok(emulator)
}

fn instance(text: &str) -> Result<(String, String), &'static str> {
    let (id, name) = text.split_once('=').ok_or("want ID=NAME")?;
    Ok((id.to_owned(), name.to_owned()))
}

/// Writes the files beside ca.pem, and says how to use them.
fn explain(emulator: &Emulator) -> anyhow::Result<()> {
    let table = emulator.ca_file().with_file_name("principals.json");
    write_private(&table, &emulator.principals().to_json())?;
    let script = emulator.ca_file().with_file_name("env.sh");
    write_private(&script, &env_script(emulator))?;

    println!(
        "STS and EC2 are emulated at {}, for arngate's --sts-connect-to and --ec2-connect-to.",
        emulator.address()
    );
    println!("Their host names lead to it through the proxy http://{}.", emulator.proxy_address());
    if let Some(admin) = emulator.admin_address() {
        println!("What goes wrong can be changed at http://{admin}/conditions, and figures read at /seen.");
    }
    println!("Principals and their keys: {}", table.display());
    for principal in emulator.principals().all().iter().take(4) {
        println!("  {}  {}", principal.credentials.access_key_id, principal.arn);
    }
    println!();
    println!("In another terminal:");
    println!();
    for (name, value) in emulator.client_env() {
        println!("  export {name}={}", quoted(&value));
    }
    println!();
    println!("or all of that, and the first principal's keys, at once:");
    println!();
    println!("  . {}", quoted(&script.display().to_string()));
    println!("  aws sts get-caller-identity --region us-east-1");
    println!();
    println!("Ctrl-C stops it.");
    Ok(())
}

/// Exports that have a shell's programs reach the emulator as its first principal.
fn env_script(emulator: &Emulator) -> String {
    let first = emulator.principals().all().into_iter().next();
    let credentials = first.map(|principal| principal.credentials.env()).unwrap_or_default();
    let mut script = String::new();
    // A token of another session would be sent along with these keys.
    script.push_str("unset AWS_PROFILE AWS_SESSION_TOKEN\n");
    for (name, value) in emulator.client_env().into_iter().chain(credentials) {
        // Writing to a string does not fail.
        let _ = writeln!(script, "export {name}={}", quoted(&value));
    }
    script
}

/// A shell's word.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+=./:,@".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &[&str]) -> Args {
        Command::try_parse_from(["sts"].iter().chain(line)).unwrap().args
    }

    #[tokio::test]
    async fn other_machines_are_let_in_only_if_that_is_meant() {
        for flag in ["--listen", "--proxy"] {
            let refused = start(args(&[flag, "0.0.0.0:0"])).await.unwrap_err().to_string();
            assert!(refused.contains("--allow-remote"), "{refused}");
        }
        let emulator = start(args(&["--listen", "0.0.0.0:0", "--allow-remote"])).await.unwrap();
        assert!(emulator.address().ip().is_loopback(), "clients of this machine use loopback");
    }

    #[tokio::test]
    async fn its_files_are_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b/sts");
        let emulator = start(args(&["--generate", "3", "--dir", path.to_str().unwrap()])).await.unwrap();
        explain(&emulator).unwrap();
        for name in ["ca.pem", "principals.json", "env.sh"] {
            let mode = path.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let table = Principals::from_file(&path.join("principals.json")).unwrap();
        assert_eq!(table.all(), emulator.principals().all());
        let script = env_script(&emulator);
        assert!(script.contains("export SSL_CERT_FILE='/"), "{script}");
        assert!(script.contains("\nexport AWS_SESSION_TOKEN="), "{script}");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(
            [quoted("a/b=c"), quoted("a b"), quoted("it's"), quoted("")],
            ["a/b=c", "'a b'", r"'it'\''s'", "''"]
        );
    }
}
