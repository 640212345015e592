//! A certificate of a test's own, for servers that speak TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// See the module.
#[derive(Debug)]
pub struct Certificate {
    pem: String,
    key_pem: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Makes one for a host name or an address.
    pub fn make(host: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]);
        let made = made.expect("a certificate can be made");
        Self {
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }

    /// Writes certificate and key into a folder, and tells where.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let files = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&files.0, &self.pem).expect("the certificate can be written");
        fs::write(&files.1, &self.key_pem).expect("the key can be written");
        files
    }

    /// What clients have that trust this one and no other.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a good certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}
