//! Encrypted connections.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use store_core::Result;
use tokio_postgres::config::{Host, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Endpoint, RootCertificates, SslMode, invalid};

/// The way to encrypt connections to an endpoint; `None` where they never are.
pub(crate) fn connector(endpoint: &Endpoint) -> Result<Option<MakeRustlsConnect>> {
    if endpoint.ssl_mode == SslMode::Disable || is_local(endpoint) {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(format!("TLS cannot be set up: {error}")))?;
    let mut config = match (endpoint.ssl_mode, &endpoint.roots) {
        (SslMode::VerifyFull, roots) => builder.with_root_certificates(trusted(roots)?).with_no_client_auth(),
        (SslMode::VerifyCa, roots) => {
            let verifier = Verifier { roots: Some(trusted(roots)?), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        (SslMode::Require, RootCertificates::File(_) | RootCertificates::System) => {
            let verifier = Verifier { roots: Some(trusted(&endpoint.roots)?), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        (SslMode::Require | SslMode::Prefer | SslMode::Allow | SslMode::Disable, _) => {
            let verifier = Verifier { roots: None, provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    if endpoint.driver.get_ssl_negotiation() == SslNegotiation::Direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(Some(MakeRustlsConnect::new(config)))
}

/// Whether the endpoint is reached over Unix sockets alone, which PostgreSQL never encrypts.
fn is_local(endpoint: &Endpoint) -> bool {
    let is_socket = |host: &Host| match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(_) => false,
    };
    endpoint.driver.get_hostaddrs().is_empty() && endpoint.driver.get_hosts().iter().all(is_socket)
}

fn trusted(roots: &RootCertificates) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match roots {
        RootCertificates::File(path) => {
            let shown = path.display();
            let pem = std::fs::read(path).map_err(|error| invalid(format!("the root certificate {shown} cannot be read: {error}")))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate =
                    certificate.map_err(|error| invalid(format!("the root certificate {shown} is malformed PEM: {error}")))?;
                store.add(certificate).map_err(|error| invalid(format!("the root certificate {shown} cannot be used: {error}")))?;
            }
            if store.is_empty() {
                return Err(invalid(format!("{shown} holds no PEM certificate")));
            }
        }
        // Those that an administrator can add to, unlike a list compiled in: the authority of a database is seldom a public one.
        RootCertificates::System | RootCertificates::Unset => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(invalid(
                    "the operating system names no trusted TLS authority; install its `ca-certificates`, or name a file by `sslrootcert`",
                ));
            }
        }
    }
    Ok(store)
}

/// Checks that an authority signed the server's certificate, if there are any to check against, but not for which host.
#[derive(Debug)]
struct Verifier {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
