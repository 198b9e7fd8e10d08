//! `cert.pem` and `key.pem` in the state directory.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use jiff::{SignedDuration, Timestamp};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::Check;
use crate::webhook::certificate::{ADMISSION_NAME, facts::Facts};

const NAME: &str = "certificate";
/// The check of whom the certificate is for.
pub(super) const NAMES: &str = "certificate names";
/// The longest PEM file that is read, in bytes: many chains fit.
pub(super) const MAX_LEN: u64 = 1024 * 1024;
/// How long before its end a certificate is worth a word.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

const ANEW: &str = "remove cert.pem and key.pem, restart arngate, which makes new ones and writes the webhook kubeconfig, and \
                    then restart kube-apiserver, which reads that when it starts";

/// Looks at the pair in `state_dir`, which is to be for `hostname`, at `now`.
pub(super) fn examine(state_dir: &Path, hostname: &str, now: Timestamp) -> Vec<Check> {
    let (certificate, key) = (state_dir.join("cert.pem"), state_dir.join("key.pem"));
    let told = certificate.display();
    match (certificate.exists(), key.exists()) {
        (true, true) => {}
        (false, false) => {
            let found = format!("{told} is not there yet");
            return vec![Check::warn(
                NAME,
                found,
                "arngate makes it when it first starts, and `arngate init` before that",
            )];
        }
        _ => {
            let found = format!("of cert.pem and key.pem in {} one is missing", state_dir.display());
            return vec![Check::warn(NAME, found, ANEW)];
        }
    }
    let facts = match pair(&certificate, &key) {
        Ok(facts) => facts,
        Err(check) => return vec![check],
    };
    let mut checks = vec![lasting(&facts, &told.to_string(), now)];
    if let Ok(mode) = fs::metadata(&key).map(|metadata| metadata.permissions().mode())
        && mode & 0o077 != 0
    {
        let found = format!("others than its owner may use {} (mode {:o})", key.display(), mode & 0o777);
        checks.push(Check::warn(NAME, found, format!("chmod 600 {}", key.display())));
    }
    checks.push(names(&facts, hostname, &told.to_string()));
    checks
}

/// What the first certificate says, where the key is its own.
fn pair(certificate: &Path, key: &Path) -> Result<Facts, Check> {
    const OWNER: &str = "run this as the user that arngate runs as";
    let unread = |error: String| Check::fail(NAME, error, OWNER);
    let chain = certificates(certificate).map_err(unread)?;
    let unusable = |path: &Path, what: &str| Check::fail(NAME, format!("{} {what}", path.display()), ANEW);
    let facts = chain.first().and_then(|first| Facts::of(first));
    let facts = facts.ok_or_else(|| unusable(certificate, "holds no certificate that can be read"))?;
    let pem = read(key).map_err(|error| unread(format!("cannot read {}: {error}", key.display())))?;
    let key_der =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable(key, "holds no private key in PEM"))?;
    CertifiedKey::from_der(chain, key_der, &aws_lc_rs::default_provider())
        .map_err(|error| unusable(key, &format!("is not the key of cert.pem: {error}")))?;
    Ok(facts)
}

/// The certificates in a PEM file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{} is no PEM: {error}", path.display()))
}

/// A file of no more than [`MAX_LEN`] bytes.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_LEN {
        return Err(io::Error::other(format!("longer than {MAX_LEN} bytes")));
    }
    fs::read(path)
}

fn lasting(facts: &Facts, told: &str, now: Timestamp) -> Check {
    let (from, until) = (facts.not_before, facts.not_after);
    if now < from {
        let advice = "set the clock; if it is right, wait, or have new ones made";
        return Check::fail(NAME, format!("{told} is good from {from} on, and it is {now}"), advice);
    }
    if now > until {
        return Check::fail(NAME, format!("{told} was good until {until}"), ANEW);
    }
    if until.duration_since(now) < SOON {
        return Check::warn(NAME, format!("{told} is good until {until}"), ANEW);
    }
    Check::ok(NAME, format!("{told} and its key fit, and are good until {until}"))
}

/// Whether a certificate is for the host in the kubeconfig's URL, and for the admission webhook's name.
pub(super) fn names(facts: &Facts, hostname: &str, told: &str) -> Check {
    let whose = facts.whose();
    if !facts.is_of(hostname) {
        let found = format!("{told} is for {whose}, and not for {hostname}, by which kube-apiserver asks");
        return Check::fail(NAMES, found, format!("set server.hostname to one of those, or {ANEW}"));
    }
    if !facts.is_of(ADMISSION_NAME) {
        let found = format!("{told} is for {whose}, and not for {ADMISSION_NAME}");
        let advice =
            format!("nothing, unless deploy/admission.yaml has kube-apiserver ask by a Service: then {ANEW}");
        return Check::warn(NAMES, found, advice);
    }
    Check::ok(NAMES, format!("{told} is for {whose}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::{super::Status, *};

    const NOW: &str = "2026-06-01T00:00:00Z";

    fn write(folder: &Path, names: &[&str], until: (i32, u8, u8)) -> KeyPair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        key
    }

    /// The gravest status, and all that was found.
    fn looked(folder: &Path) -> (Status, String) {
        let checks = examine(folder, "localhost", NOW.parse().unwrap());
        let gravest = [Status::Fail, Status::Warn, Status::Ok];
        let status = gravest.into_iter().find(|status| checks.iter().any(|check| check.status == *status));
        (status.unwrap(), checks.into_iter().map(|check| check.found + "\n").collect())
    }

    #[test]
    fn a_pair_is_good_or_it_is_told_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let all = ["localhost", ADMISSION_NAME];
        assert_eq!(looked(folder).0, Status::Warn);
        for (names, until, status, told) in [
            (&all[..], (2027, 1, 1), Status::Ok, "good until 2027-01-01T00:00:00Z"),
            (&all[..], (2026, 6, 15), Status::Warn, "is good until 2026-06-15"),
            (&all[..], (2026, 5, 31), Status::Fail, "was good until 2026-05-31"),
            (&["localhost"], (2027, 1, 1), Status::Warn, "not for arngate.kube-system.svc"),
            (&["other"], (2027, 1, 1), Status::Fail, "is for other, and not for localhost"),
        ] {
            write(folder, names, until);
            let (found, words) = looked(folder);
            assert!(found == status && words.contains(told), "{names:?} {until:?}: {words}");
        }
        write(folder, &all, (2027, 1, 1));
        fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(looked(folder).1.contains("others than its owner may use"), "{:?}", looked(folder));
        fs::write(folder.join("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(looked(folder).1.contains("is not the key of cert.pem"), "{:?}", looked(folder));
        fs::write(folder.join("key.pem"), "none").unwrap();
        assert!(looked(folder).1.contains("holds no private key"), "{:?}", looked(folder));
        fs::write(folder.join("cert.pem"), "none").unwrap();
        assert!(looked(folder).1.contains("holds no certificate"), "{:?}", looked(folder));
        fs::remove_file(folder.join("cert.pem")).unwrap();
        assert!(looked(folder).1.contains("one is missing"), "{:?}", looked(folder));
    }
}
