use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Ca, Error, hosts::Endpoint};

/// How many names are kept. There are some hundred endpoints.
const KEPT: usize = 1024;

/// Shows each client a certificate of the name that it asks for, if that is one of STS's.
#[derive(Debug)]
pub(super) struct Resolver {
    ca: Arc<Ca>,
    /// For clients that were given the emulator's own address.
    local: Arc<CertifiedKey>,
    issued: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Resolver {
    pub(super) fn new(ca: Arc<Ca>) -> Result<Self, Error> {
        let local = ca.issue(&["localhost", "127.0.0.1", "::1"])?;
        Ok(Self { ca, local, issued: RwLock::default() })
    }

    fn endpoint(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        Endpoint::of(name)?;
        if let Some(known) = self.issued.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(Arc::clone(known));
        }
        let certificate = self.ca.issue(&[name]).ok()?;
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
