//! Where keys come from.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use super::key_ring::KeyRing;
use crate::error::{Error, ErrorKind, Result};

/// Gives a store its keys, once, when it is built. A [`KeyRing`] gives itself.
///
/// For keys that are themselves stored encrypted (*envelope keys*), read them where they lie and let the key management service decrypt them here: the store sees the
/// data keys alone, and the service is asked once and not for each value.
///
/// ```
/// use async_trait::async_trait;
/// use store_core::{EncryptionKey, Error, ErrorKind, KeyProvider, KeyRing, Result};
///
/// /// A data key that a service has wrapped.
/// #[derive(Debug)]
/// struct Wrapped {
///     number: u32,
///     wrapped: Vec<u8>,
/// }
///
/// # async fn ask_service_to_unwrap(wrapped: &[u8]) -> std::io::Result<Vec<u8>> { Ok(wrapped.to_vec()) }
/// #[async_trait]
/// impl KeyProvider for Wrapped {
///     async fn key_ring(&self) -> Result<KeyRing> {
///         let key = ask_service_to_unwrap(&self.wrapped).await;
///         let key = key.map_err(|error| Error::new(ErrorKind::InvalidConfig, "the data key cannot be unwrapped").with_source(error))?;
///         Ok(KeyRing::new(self.number, EncryptionKey::from_bytes(&key)?))
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # assert!(Wrapped { number: 1, wrapped: vec![7; 32] }.key_ring().await.is_ok());
/// # }
/// ```
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// The keys.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) where there are none, or none that can be read. The error never shows a key.
    async fn key_ring(&self) -> Result<KeyRing>;
}

#[async_trait]
impl KeyProvider for KeyRing {
    async fn key_ring(&self) -> Result<KeyRing> {
        Ok(self.clone())
    }
}

/// Keys in an environment variable, written as a [`KeyRing`]'s text.
///
/// ```
/// use store_core::{EnvironmentKeys, KeyProvider};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let keys = EnvironmentKeys::new("MY_KEYS");
/// let error = keys.key_ring().await.unwrap_err();
/// assert!(error.to_string().contains("MY_KEYS"), "it is not set");
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EnvironmentKeys {
    variable: String,
}

impl EnvironmentKeys {
    /// Reads the variable of this name.
    pub fn new(variable: impl Into<String>) -> Self {
        EnvironmentKeys { variable: variable.into() }
    }
}

#[async_trait]
impl KeyProvider for EnvironmentKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        match std::env::var(&self.variable).map(Zeroizing::new) {
            Ok(text) => KeyRing::parse(&text).map_err(|problem| refused(&self.variable, &problem)),
            Err(_) => Err(refused(&self.variable, "the environment variable is not set, or is no text; set it")),
        }
    }
}

/// Keys in a file, written as a [`KeyRing`]'s text. Nobody but the program's user should be able to read it.
///
/// ```
/// use store_core::{FileKeys, KeyProvider};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
/// # let path = std::env::temp_dir().join(format!("strata-keys-{}", std::process::id()));
/// # std::fs::write(&path, format!("1={}\n", "ab".repeat(32))).unwrap();
/// let keys = FileKeys::new(&path).key_ring().await?;
/// assert_eq!(keys.primary(), 1);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct FileKeys {
    path: PathBuf,
}

impl FileKeys {
    /// Reads the file at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FileKeys { path: path.into() }
    }
}

#[async_trait]
impl KeyProvider for FileKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        let (path, shown) = (self.path.clone(), self.path.display().to_string());
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).map(Zeroizing::new)).await;
        match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(text) => KeyRing::parse(&text).map_err(|problem| refused(&shown, &problem)),
            Err(error) => {
                let problem = format!("the file cannot be read ({}); check path and permissions", error.kind());
                Err(refused(&shown, &problem).with_source(error))
            }
        }
    }
}

/// Keys that a function of the program's own gives.
///
/// ```
/// use store_core::{CallbackKeys, EncryptionKey, KeyProvider, KeyRing};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
/// let keys = CallbackKeys::new(async || Ok(KeyRing::new(1, EncryptionKey::generate()?)));
/// assert_eq!(keys.key_ring().await?.primary(), 1);
/// # Ok(()) }
/// ```
pub struct CallbackKeys {
    give: Box<dyn Fn() -> BoxFuture<'static, Result<KeyRing>> + Send + Sync>,
}

impl CallbackKeys {
    /// Calls `give` for the keys.
    pub fn new<F: Future<Output = Result<KeyRing>> + Send + 'static>(give: impl Fn() -> F + Send + Sync + 'static) -> Self {
        CallbackKeys { give: Box::new(move || Box::pin(give())) }
    }
}

#[async_trait]
impl KeyProvider for CallbackKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        (self.give)().await
    }
}

impl fmt::Debug for CallbackKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackKeys(…)")
    }
}

fn refused(place: &str, problem: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("`{place}`: {problem}"))
}
