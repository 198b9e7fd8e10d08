//! What runs beside a load, and the target that it leaves.
use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::bail;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{Kubeconfig, Location, Population, StsView, Target, cli::Args};
use crate::{
    servers::{Limits, Server, Settings, StsThread},
    sts::{Conditions, Emulator},
};

/// What runs beside the load; ended with it, the server first.
pub(super) struct Scene {
    pub(super) target: Target,
    pub(super) sts: Option<StsView>,
    _server: Option<Server>,
    _emulator: Option<StsThread>,
}

impl Scene {
    /// Starts what `args` ask for, and finds the target.
    pub(super) async fn set_up(args: &Args, population: &Population) -> anyhow::Result<Self> {
        let target =
            async |location: Location| Target::resolve(&location, args.via(), args.allow_remote).await;
        if !args.with_arngate && !args.with_sts {
            let sts = args.sts_metrics.as_deref().map(StsView::at).transpose()?;
            return Ok(Self { target: target(args.location()?).await?, sts, _server: None, _emulator: None });
        }
        let conditions = Conditions {
            latency: args.sts_latency,
            limit: args.sts_limit,
            seed: args.seed,
            ..Conditions::default()
        };
        let builder = Emulator::builder()
            .principals(population.table().clone())
            .conditions(conditions)
            .listen(args.sts_listen)
            .proxy(args.sts_proxy);
        for address in [args.sts_listen, args.sts_proxy] {
            if !address.ip().is_loopback() {
                bail!("{address}: the emulator of a load listens on this machine alone; see arngate-lab sts");
            }
        }
        let emulator = StsThread::start(builder).await?;
        let sts = Some(StsView::Here(Arc::clone(emulator.emulator())));
        if !args.with_arngate {
            explain(&emulator, population);
            let location = wait_for_server(args).await?;
            let target = target(location).await?;
            return Ok(Self { target, sts, _server: None, _emulator: Some(emulator) });
        }
        let program = args.arngate.clone().map_or_else(arngate_beside, Ok)?;
        let settings = Settings {
            program: &program,
            cluster_id: &args.cluster_id,
            mappings: &population.mappings("  "),
            sts: emulator.emulator(),
            limits: Limits::Default,
        };
        let server = Server::arngate(&settings).await?;
        let target = target(webhook_of(&server)?).await?;
        Ok(Self { target, sts, _server: Some(server), _emulator: Some(emulator) })
    }
}

/// Where a server is, by the kubeconfig that it has written.
pub(crate) fn webhook_of(server: &Server) -> Result<Location, super::KubeconfigError> {
    let Kubeconfig { authority, .. } = Kubeconfig::read(&server.kubeconfig())?;
    Ok(Location { url: server.url().to_owned(), authority, ..Location::default() })
}

/// The arngate that was built with this program.
pub(crate) fn arngate_beside() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("arngate");
    if beside.is_file() {
        return Ok(beside);
    }
    bail!("there is no {}: build it (cargo build --release), or say which arngate to start", beside.display())
}

/// Says how to start a server that has the emulator as its STS.
fn explain(emulator: &StsThread, population: &Population) {
    let sts = emulator.emulator();
    eprintln!(
        "STS is emulated at {}. Start arngate with\n\n  --sts-connect-to {} --sts-ca-bundle {}\n\n\
         or aws-iam-authenticator with\n\n  HTTPS_PROXY=http://{} SSL_CERT_FILE={}\n\n\
         and these mappings in the `server` section of its configuration (backend MountedFile), or in aws-auth:\n\n{}",
        sts.address(),
        sts.address(),
        sts.ca_file().display(),
        sts.proxy_address(),
        sts.ca_file().display(),
        population.mappings("  ")
    );
}

/// Waits until the target is described, where it writes a kubeconfig, and listens.
async fn wait_for_server(args: &Args) -> anyhow::Result<Location> {
    eprintln!("Waiting for the server, at most {:?}.", args.wait);
    let deadline = Instant::now() + args.wait;
    loop {
        let failure = match args.location() {
            Err(error) => format!("{error:#}"),
            Ok(location) => match Target::resolve(&location, args.via(), args.allow_remote).await {
                // What this machine must not load is not waited for.
                Err(error) => return Err(error.into()),
                Ok(target) => match TcpStream::connect(target.address).await {
                    Ok(_) => return Ok(location),
                    Err(error) => format!("{}: {error}", target.address),
                },
            },
        };
        if Instant::now() > deadline {
            bail!("the server is not there: {failure}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}
