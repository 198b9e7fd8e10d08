use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::{Directory, Error};

/// The files of a CA made for one control plane, and what it has issued.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) ca: PathBuf,
    pub(super) ca_key: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
    /// Of a client in `system:masters`.
    pub(super) admin: PathBuf,
    pub(super) admin_key: PathBuf,
    /// Signs service-account tokens.
    pub(super) service_account_key: PathBuf,
    /// Checks service-account tokens.
    pub(super) service_account_public_key: PathBuf,
}

impl Certificates {
    pub(super) fn issue(directory: &Directory) -> Result<Self, Error> {
        let ca = CertifiedIssuer::self_signed(authority(), KeyPair::generate()?)?;
        let issue = |name: &str, params: CertificateParams| -> Result<_, Error> {
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &ca)?;
            Ok((
                directory.write_private(&format!("{name}.pem"), &certificate.pem())?,
                directory.write_private(&format!("{name}.key"), &key.serialize_pem())?,
            ))
        };
        let (server, server_key) = issue("kube-apiserver", server_params()?)?;
        let (admin, admin_key) = issue("admin", admin_params()?)?;
        let service_account = KeyPair::generate()?;
        Ok(Self {
            ca: directory.write_private("ca.pem", &ca.pem())?,
            ca_key: directory.write_private("ca.key", &ca.key().serialize_pem())?,
            server,
            server_key,
            admin,
            admin_key,
            service_account_key: directory
                .write_private("service-account.key", &service_account.serialize_pem())?,
            service_account_public_key: directory
                .write_private("service-account.pub", &service_account.public_key_pem())?,
        })
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "arngate-lab control plane");
    params
}

fn server_params() -> Result<CertificateParams, rcgen::Error> {
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
    let mut params = CertificateParams::new(names.map(String::from))?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn admin_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    // kube-apiserver reads the user from CN and its groups from O.
    params.distinguished_name.push(DnType::CommonName, "arngate-lab-admin");
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
