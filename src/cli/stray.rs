//! Words of a command line that no flag takes.

/// Words that are ignored, as aws-iam-authenticator ignores them.
#[derive(Debug, clap::Args)]
pub(super) struct Stray {
    /// Ignored
    #[arg(value_name = "IGNORED", hide = true)]
    stray: Vec<String>,
}

impl Stray {
    /// Says that there are some. They are not quoted: one may be a secret that was meant for a flag.
    pub(super) fn tell(&self) {
        let number = self.stray.len();
        if number > 0 {
            tracing::warn!(
                number,
                "words on the command line that belong to no flag are ignored; a flag that is true or false takes \
                 its value behind =, as in --kubeconfig-pregenerated=true"
            );
        }
    }
}
