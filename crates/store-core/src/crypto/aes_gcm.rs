//! AES-256-GCM.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroize;

use super::encryptor::Encryptor;
use super::key::{EncryptionKey, random};
use crate::error::{Error, ErrorKind, Result};

/// AES-256-GCM with a random nonce of 96 bits for each encryption. What it answers is `nonce (12 bytes) | ciphertext | tag (16 bytes)`.
///
/// With random nonces a key is good for 2³² encryptions; put another one into use well before.
///
/// ```
/// use store_core::{Aes256Gcm, EncryptionKey, Encryptor, ErrorKind};
///
/// let aes = Aes256Gcm::new(&EncryptionKey::generate()?);
/// let ciphertext = aes.encrypt(b"a secret", b"its place")?;
/// assert_eq!(ciphertext.len(), 12 + 8 + 16);
/// assert_eq!(aes.decrypt(&ciphertext, b"its place")?, b"a secret");
/// assert_eq!(aes.decrypt(&ciphertext, b"elsewhere").unwrap_err().kind(), ErrorKind::DecodeFailed);
/// # Ok::<(), store_core::Error>(())
/// ```
pub struct Aes256Gcm {
    /// The round keys are made of it for each call: `ring` would not wipe those that are kept.
    key: EncryptionKey,
}

impl Aes256Gcm {
    /// Encrypts with a key.
    pub fn new(key: &EncryptionKey) -> Self {
        Aes256Gcm { key: key.clone() }
    }

    pub(super) fn key(&self) -> &[u8] {
        self.key.bytes()
    }

    fn cipher(&self) -> Result<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM, self.key.bytes());
        key.map(LessSafeKey::new).map_err(|_| Error::new(ErrorKind::Internal, "AES-256-GCM does not take a key of 32 bytes"))
    }
}

impl Encryptor for Aes256Gcm {
    fn encrypt(&self, plaintext: &[u8], associated_data: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        // All of it at once, so that no copy of the plaintext is left behind where it grew.
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
        sealed.extend(nonce);
        sealed.extend(plaintext);
        let tag = self.cipher()?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data),
            &mut sealed[NONCE_LEN..],
        );
        match tag {
            Ok(tag) => sealed.extend(tag.as_ref()),
            Err(_) => {
                sealed.zeroize();
                return Err(Error::new(ErrorKind::EncodeFailed, "the value is too long for AES-256-GCM, which takes 64 GiB at once"));
            }
        }
        Ok(sealed)
    }

    fn decrypt(&self, ciphertext: &[u8], associated_data: &[u8]) -> Result<Vec<u8>> {
        let refused = || Error::new(ErrorKind::DecodeFailed, "the ciphertext is not what this key made for this place");
        let (nonce, sealed) = ciphertext.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut opened = sealed.to_vec();
        let length = self.cipher()?.open_in_place(nonce, Aad::from(associated_data), &mut opened).map_err(|_| refused())?.len();
        opened.truncate(length);
        Ok(opened)
    }
}

impl fmt::Debug for Aes256Gcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aes256Gcm(…)")
    }
}
