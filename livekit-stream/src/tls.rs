//! How servers are verified unless the caller says otherwise.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// Mozilla's roots, and `ring` whatever provider the process prefers.
pub(crate) fn default_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
