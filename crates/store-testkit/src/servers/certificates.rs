use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{ServerError, TlsFiles};

impl TlsFiles {
    /// Makes an authority and a certificate signed by it for `localhost` and 127.0.0.1, and writes
    /// them into an existing directory.
    ///
    /// ```
    /// use store_testkit::servers::TlsFiles;
    ///
    /// let directory = std::env::temp_dir().join(format!("certificates-{}", std::process::id()));
    /// std::fs::create_dir(&directory)?;
    /// let files = TlsFiles::generate(&directory)?;
    /// assert!(std::fs::read_to_string(&files.certificate)?.starts_with("-----BEGIN CERTIFICATE-----"));
    /// std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn generate(directory: &Path) -> Result<Self, ServerError> {
        let (authority, certificate, key) =
            sign().map_err(|error| ServerError::Failed { action: "make a certificate".to_owned(), output: error.to_string() })?;
        let write = |name: &str, content: String| {
            let path = directory.join(name);
            fs::write(&path, content).map_err(ServerError::io(format!("write {}", path.display())))?;
            Ok(path)
        };
        Ok(Self {
            certificate: write("server.crt", certificate)?,
            key: write("server.key", key)?,
            authority: write("authority.crt", authority)?,
        })
    }
}

fn sign() -> Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    // Under the default name, which the server's certificate has too, it would pass for self-signed.
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "Authority of throw-away servers");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    Ok((authority.pem(), certificate.pem(), key.serialize_pem()))
}
