use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{CA_NAME, Ca, Error, hosts::Endpoint};

/// How many names are kept. There are some hundred endpoints.
const KEPT: usize = 1024;

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is over since yesterday.
    Expired,
    /// It is of another name.
    OtherName,
    /// A CA has issued it that nobody knows, under the name of the one that is known.
    UnknownIssuer,
}

/// Shows each client a certificate of the name that it asks for, if that is one of STS's.
#[derive(Debug)]
pub(super) struct Resolver {
    ca: Arc<Ca>,
    flaw: Option<Flaw>,
    /// For clients that were given the emulator's own address.
    local: Arc<CertifiedKey>,
    issued: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Resolver {
    /// One whose certificates are issued by `ca`, and have this flaw or none.
    pub(super) fn new(ca: Arc<Ca>, flaw: Option<Flaw>) -> Result<Self, Error> {
        let local = ca.issue(&["localhost", "127.0.0.1", "::1"])?;
        let ca = match flaw {
            Some(Flaw::UnknownIssuer) => Arc::new(Ca::generate(CA_NAME)?),
            Some(Flaw::Expired | Flaw::OtherName) | None => ca,
        };
        Ok(Self { ca, flaw, local, issued: RwLock::default() })
    }

    fn endpoint(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        Endpoint::of(name)?;
        if let Some(known) = self.issued.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(Arc::clone(known));
        }
        let certificate = match self.flaw {
            Some(Flaw::Expired) => self.ca.issue_expired(&[name]),
            Some(Flaw::OtherName) => self.ca.issue(&[&format!("{name}.example.com")]),
            Some(Flaw::UnknownIssuer) | None => self.ca.issue(&[name]),
        };
        let certificate = certificate.ok()?;
        let mut issued = self.issued.write().unwrap_or_else(PoisonError::into_inner);
        if issued.len() < KEPT {
            issued.insert(name.to_owned(), Arc::clone(&certificate));
        }
        Some(certificate)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            // Clients name no IP address.
            None | Some("localhost") => Some(Arc::clone(&self.local)),
            Some(name) => self.endpoint(&name.to_ascii_lowercase()),
        }
    }
}
