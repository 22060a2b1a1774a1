//! What seals the bytes of a field.

use std::fmt::Debug;

use crate::error::Result;

/// Encrypts the bytes of fields with one key. [`Aes256Gcm`](crate::Aes256Gcm) is the usual one; a [`KeyRing`](crate::KeyRing) takes any.
///
/// Implementations MUST authenticate what they encrypt together with the associated data, MUST never encrypt twice with the same nonce, and MUST show neither
/// key nor plaintext in `Debug` or in errors. They run within the calls of the store, so they must not wait for anything.
///
/// ```
/// use store_core::{Encryptor, Result};
///
/// fn is_bound_to_its_place(encryptor: &dyn Encryptor) -> Result<bool> {
///     let ciphertext = encryptor.encrypt(b"a secret", b"here")?;
///     Ok(encryptor.decrypt(&ciphertext, b"here")? == b"a secret" && encryptor.decrypt(&ciphertext, b"there").is_err())
/// }
///
/// let aes = store_core::Aes256Gcm::new(&store_core::EncryptionKey::generate()?);
/// assert!(is_bound_to_its_place(&aes)?);
/// # Ok::<(), store_core::Error>(())
/// ```
pub trait Encryptor: Debug + Send + Sync + 'static {
    /// Encrypts; the answer holds all but the key that [`decrypt`](Self::decrypt) needs.
    ///
    /// # Errors
    ///
    /// [`EncodeFailed`](crate::ErrorKind::EncodeFailed).
    fn encrypt(&self, plaintext: &[u8], associated_data: &[u8]) -> Result<Vec<u8>>;

    /// Decrypts what [`encrypt`](Self::encrypt) answered for the same associated data. The bytes may be anything.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](crate::ErrorKind::DecodeFailed) for whatever is not exactly that, without a word of the content.
    fn decrypt(&self, ciphertext: &[u8], associated_data: &[u8]) -> Result<Vec<u8>>;
}
