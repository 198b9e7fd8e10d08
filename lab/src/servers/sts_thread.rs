use std::{io, sync::Arc};

use tokio::runtime::{Builder, Runtime};

use super::ThreadCpu;
use crate::sts::{Emulator, EmulatorBuilder, Error};

/// What its threads are called.
const NAME: &str = "lab-sts";

/// An emulator on a runtime of its own, so that neither it nor a client waits for the other's work, and their CPU
/// time can be told apart.
#[derive(Debug)]
pub struct StsThread {
    emulator: Arc<Emulator>,
    runtime: Option<Runtime>,
}

/// Why there is no emulator.
#[derive(Debug, thiserror::Error)]
pub enum StsThreadError {
    /// No runtime.
    #[error("no thread for the STS emulator")]
    Runtime(#[from] io::Error),
    /// No emulator.
    #[error(transparent)]
    Emulator(#[from] Error),
    /// It panicked.
    #[error("the STS emulator did not start")]
    Panicked,
}

impl StsThread {
    /// Starts an emulator.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub async fn start(builder: EmulatorBuilder) -> Result<Self, StsThreadError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(NAME).enable_all().build()?;
        let started = runtime.spawn(builder.start()).await;
        let emulator = started.map_err(|_| StsThreadError::Panicked)??;
        Ok(Self { emulator: Arc::new(emulator), runtime: Some(runtime) })
    }

    /// The emulator.
    #[must_use]
    pub fn emulator(&self) -> &Arc<Emulator> {
        &self.emulator
    }

    /// The CPU time of its threads so far.
    #[must_use]
    pub fn cpu() -> ThreadCpu {
        ThreadCpu::of_threads_named(NAME)
    }
}

impl Drop for StsThread {
    fn drop(&mut self) {
        // A runtime must not be waited for where another one runs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
