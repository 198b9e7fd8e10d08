use std::env;
use std::path::{self, Path, PathBuf};

use super::Error;

/// Where the control plane's programs and the clients tried against it are.
///
/// `lab/control-plane/build` (`make assets`) makes them.
#[derive(Clone, Debug)]
pub struct Assets {
    /// Holds etcd, kube-apiserver and kubectl.
    control_plane: PathBuf,
    /// Holds `bin/` and `venv/` of the build.
    built: PathBuf,
}

impl Assets {
    /// Finds them in `ARNGATE_ASSETS`, else in the workspace's `target/control-plane`,
    /// else, for etcd, kube-apiserver and kubectl, in `KUBEBUILDER_ASSETS`.
    ///
    /// # Errors
    /// If etcd, kube-apiserver or kubectl are missing.
    pub fn locate() -> Result<Self, Error> {
        let built = directory_in("ARNGATE_ASSETS").unwrap_or_else(|| {
            Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("control-plane")
        });
        let built = Self { control_plane: built.join("bin"), built };
        let Some(missing) = built.missing() else {
            return Ok(built);
        };
        if let Some(control_plane) = directory_in("KUBEBUILDER_ASSETS") {
            let given = Self { control_plane, ..built };
            if given.missing().is_none() {
                return Ok(given);
            }
        }
        Err(Error::AssetMissing(missing))
    }

    fn missing(&self) -> Option<PathBuf> {
        [self.etcd(), self.kube_apiserver(), self.kubectl()].into_iter().find(|file| !file.is_file())
    }

    /// etcd.
    #[must_use]
    pub fn etcd(&self) -> PathBuf {
        self.control_plane.join("etcd")
    }

    /// kube-apiserver.
    #[must_use]
    pub fn kube_apiserver(&self) -> PathBuf {
        self.control_plane.join("kube-apiserver")
    }

    /// kubectl, of kube-apiserver's version.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.control_plane.join("kubectl")
    }

    /// kubeadm, of the same version. `KUBEBUILDER_ASSETS` doesn't have it.
    #[must_use]
    pub fn kubeadm(&self) -> PathBuf {
        self.built.join("bin/kubeadm")
    }

    /// helm. `KUBEBUILDER_ASSETS` doesn't have it.
    #[must_use]
    pub fn helm(&self) -> PathBuf {
        self.built.join("bin/helm")
    }

    /// The Go client `aws-iam-authenticator`. `KUBEBUILDER_ASSETS` doesn't have it.
    #[must_use]
    pub fn go_authenticator(&self) -> PathBuf {
        self.built.join("bin/aws-iam-authenticator")
    }

    /// The AWS CLI. `KUBEBUILDER_ASSETS` doesn't have it.
    #[must_use]
    pub fn aws_cli(&self) -> PathBuf {
        self.built.join("venv/bin/aws")
    }

    /// A Python that has boto3. `KUBEBUILDER_ASSETS` doesn't have it.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.built.join("venv/bin/python")
    }
}

/// The directory that a variable names, absolute: the programs are run from another
/// one. Empty is as good as unset.
fn directory_in(variable: &str) -> Option<PathBuf> {
    let directory = env::var_os(variable).filter(|value| !value.is_empty())?;
    path::absolute(directory).ok()
}
