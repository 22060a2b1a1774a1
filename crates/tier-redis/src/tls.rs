//! Encrypted connections.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use store_core::{Error, ErrorKind, Result, Role};

/// How the servers of a [`RedisConfig`](crate::RedisConfig) are verified over TLS. By default they must present a certificate, for the host name that
/// is connected to, that an authority known to the operating system has signed.
///
/// ```
/// use tier_redis::{RedisConfig, RedisTls};
///
/// # fn configure(authority: &[u8]) -> RedisConfig {
/// RedisConfig::standalone("redis.internal", 6380).with_tls(RedisTls::new().with_authority(authority))
/// # }
/// ```
#[derive(Clone, Default)]
pub struct RedisTls {
    authority: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Trusts the authorities that the operating system trusts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts only the authorities of this PEM text.
    #[must_use]
    pub fn with_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// Presents this certificate, followed by any intermediate ones, and proves it by its private key; both in PEM form.
    #[must_use]
    pub fn with_client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    pub(crate) fn to_client_config(&self) -> Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(self.roots()?);
        match &self.client {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|_| invalid("the private key of the TLS client certificate is no PEM key"))?;
                builder
                    .with_client_auth_cert(certificates(certificate, "the TLS client certificate")?, key)
                    .map_err(|error| invalid(format!("the TLS client certificate cannot be used: {error}")))
            }
        }
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.authority {
            Some(pem) => {
                for certificate in certificates(pem, "the TLS authority")? {
                    roots.add(certificate).map_err(|error| invalid(format!("the TLS authority cannot be used: {error}")))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(invalid(
                "the operating system names no trusted TLS authority; install its `ca-certificates` or use `RedisTls::with_authority`",
            ));
        }
        Ok(roots)
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| invalid(format!("{what} is malformed PEM: {error}")))?;
    if certificates.is_empty() { Err(invalid(format!("{what} holds no PEM certificate"))) } else { Ok(certificates) }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).with_tier(Role::Shared)
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("authority", &self.authority.as_ref().map_or("operating system", |_| "own"))
            .field("client_certificate", &self.client.is_some())
            .finish()
    }
}
