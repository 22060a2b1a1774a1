//! Several keys at once, so that one can take the place of another.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::aes_gcm::Aes256Gcm;
use super::encryptor::Encryptor;
use super::key::EncryptionKey;
use crate::error::{Error, ErrorKind, Result};

/// The first byte of what a field is encrypted to.
const FORMAT: u8 = 1;
/// The format and the key's number.
pub(super) const HEADER_LENGTH: usize = 1 + size_of::<u32>();

/// The keys of a store, by number: one encrypts, all decrypt. Each ciphertext tells the number of its key.
///
/// Blind indexes (`#[schema(encrypted, index)]`, `unique`) have a key of their own, so that they stay as they are when another key encrypts.
///
/// As text it is a list of `number=key`, separated by commas, blanks or lines, of which the first encrypts, and `index=key` for blind indexes; a line that
/// begins with `#` is a comment.
///
/// ```
/// use store_core::{EncryptionKey, KeyRing};
///
/// let (old, new, index) = (EncryptionKey::generate()?, EncryptionKey::generate()?, EncryptionKey::generate()?);
/// let keys = KeyRing::new(2, new).with_key(1, old).with_index_key(index);
/// assert_eq!((keys.primary(), keys.numbers().collect::<Vec<_>>()), (2, vec![1, 2]));
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    primary: u32,
    encryptors: BTreeMap<u32, Arc<dyn Encryptor>>,
    index_key: Option<EncryptionKey>,
    /// Those of [`encryptors`](Self::encryptors) whose keys can be compared.
    known: Vec<(u32, Arc<Aes256Gcm>)>,
    /// What is wrong with the first key that should not have been given.
    problem: Option<String>,
}

impl KeyRing {
    /// A ring whose only key encrypts with AES-256-GCM.
    pub fn new(number: u32, key: EncryptionKey) -> Self {
        Self::with_primary(number, Aes256Gcm::new(&key))
    }

    /// A ring with an encryptor of the program's own.
    pub fn with_primary(number: u32, encryptor: impl Encryptor) -> Self {
        let ring = KeyRing { primary: number, encryptors: BTreeMap::new(), index_key: None, known: Vec::new(), problem: None };
        ring.with_encryptor(number, encryptor)
    }

    /// Adds a key that decrypts what was encrypted with it. A number stands for one key for ever: a store refuses a ring with two of one number, or with one of two.
    #[must_use]
    pub fn with_key(self, number: u32, key: EncryptionKey) -> Self {
        self.with_encryptor(number, Aes256Gcm::new(&key))
    }

    /// Adds an encryptor of the program's own, which decrypts what was encrypted with it.
    #[must_use]
    pub fn with_encryptor(mut self, number: u32, encryptor: impl Encryptor) -> Self {
        let encryptor = Arc::new(encryptor);
        let any: Arc<dyn Any + Send + Sync> = encryptor.clone();
        let known = any.downcast::<Aes256Gcm>().ok();
        let same = known.as_ref().and_then(|known| self.known.iter().find(|(_, other)| other.key() == known.key()));
        let problem = if self.encryptors.contains_key(&number) {
            Some(format!(
                "two encryption keys have the number {number}; give one of them another, and keep the numbers of keys that are in use"
            ))
        } else {
            same.map(|(other, _)| {
                format!(
                    "the encryption keys with the numbers {other} and {number} are the same key; make another with `openssl rand -hex 32`, or leave out the number \
                     that nothing was encrypted with"
                )
            })
        };
        self.problem = self.problem.or(problem);
        self.known.extend(known.map(|known| (number, known)));
        self.encryptors.insert(number, encryptor);
        self
    }

    /// Gives the key of blind indexes, which needs to be another one than those that encrypt: a store refuses a ring where it is not. It stays when those change.
    #[must_use]
    pub fn with_index_key(mut self, key: EncryptionKey) -> Self {
        self.index_key = Some(key);
        self
    }

    /// The number of the key that encrypts.
    pub fn primary(&self) -> u32 {
        self.primary
    }

    /// The numbers of all keys.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.encryptors.keys().copied()
    }

    pub(super) fn index_key(&self) -> Option<&EncryptionKey> {
        self.index_key.as_ref()
    }

    /// What is wrong with it, if something is.
    pub(super) fn problem(&self) -> Option<String> {
        let is_index = |(_, key): &(u32, Arc<Aes256Gcm>)| self.index_key.as_ref().is_some_and(|index| key.key() == index.bytes());
        let message = "the key of blind indexes is one of those that encrypt; make another with `openssl rand -hex 32`";
        self.problem.clone().or_else(|| self.known.iter().any(is_index).then(|| message.to_owned()))
    }

    /// Reads the text of a ring, or says what is wrong without showing any of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let entries = lines.flat_map(|line| line.split([',', ' ', '\t'])).filter(|entry| !entry.is_empty());
        let (mut ring, mut index_key): (Option<KeyRing>, Option<EncryptionKey>) = (None, None);
        for (position, entry) in (1..).zip(entries) {
            let Some((name, key)) = entry.split_once('=') else {
                return Err(format!("entry {position} of the encryption keys is not `number=key` or `index=key`; write it so"));
            };
            let key = EncryptionKey::parse(key).map_err(|problem| format!("entry {position} of the encryption keys: {problem}"))?;
            if name == "index" {
                if index_key.replace(key).is_some() {
                    return Err("the encryption keys have `index` twice; leave one of them out".to_owned());
                }
                continue;
            }
            let Some(number) = name.parse().ok().filter(|&number| number > 0) else {
                return Err(format!(
                    "entry {position} of the encryption keys begins neither with a number nor with `index`; number the keys from 1 up"
                ));
            };
            ring = Some(match ring {
                Some(ring) => ring.with_key(number, key),
                None => KeyRing::new(number, key),
            });
        }
        let ring = ring.ok_or("there is no encryption key; write `1=` and 64 hexadecimal digits, as `openssl rand -hex 32` prints them")?;
        let ring = KeyRing { index_key, ..ring };
        ring.problem().map_or(Ok(ring), Err)
    }

    /// What every ciphertext of the key that encrypts begins with.
    pub(super) fn header(&self) -> [u8; HEADER_LENGTH] {
        header_of(self.primary)
    }

    /// Encrypts with the primary key, for a place.
    pub(super) fn seal(&self, plaintext: &[u8], place: &[u8]) -> Result<Vec<u8>> {
        let header = self.header();
        let encryptor = self.encryptors.get(&self.primary);
        let encryptor = encryptor.ok_or_else(|| Error::new(ErrorKind::Internal, "a key ring lacks its own primary key"))?;
        let ciphertext = encryptor.encrypt(plaintext, &[&header, place].concat())?;
        Ok([&header, &*ciphertext].concat())
    }

    /// Decrypts what was encrypted for a place, with whichever key it was.
    pub(super) fn open(&self, sealed: &[u8], place: &[u8]) -> Result<Vec<u8>> {
        let refused = |message: String| Error::new(ErrorKind::DecodeFailed, message);
        let Some((header, ciphertext)) = sealed.split_at_checked(HEADER_LENGTH) else {
            return Err(refused(
                "what is stored is too short to be an encrypted value; it was not written by Strata, or was cut off".to_owned(),
            ));
        };
        let Some(number) = key_number(header) else {
            let message =
                "what is stored is no encrypted value of this version of Strata; it was written by a newer one, or by another program";
            return Err(refused(message.to_owned()));
        };
        let Some(encryptor) = self.encryptors.get(&number) else {
            return Err(refused(format!(
                "the value was encrypted with the key number {number}, which the store was not given; add it to the key ring"
            )));
        };
        let opened = encryptor.decrypt(ciphertext, &[header, place].concat());
        // Whatever an encryptor of the program's own says, it may say too much.
        opened.map_err(|_| {
            refused(format!(
                "the value does not decrypt with the key number {number}: the key is another one, or the value was changed, cut off, or moved from another \
                 row, column or table"
            ))
        })
    }
}

/// What every ciphertext of a key begins with.
pub(super) fn header_of(number: u32) -> [u8; HEADER_LENGTH] {
    let mut header = [FORMAT; HEADER_LENGTH];
    header[1..].copy_from_slice(&number.to_be_bytes());
    header
}

/// The number of the key that a ciphertext was made with.
fn key_number(sealed: &[u8]) -> Option<u32> {
    let [FORMAT, rest @ ..] = sealed else { return None };
    rest.first_chunk().map(|number| u32::from_be_bytes(*number))
}

impl FromStr for KeyRing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).map_err(|problem| Error::new(ErrorKind::InvalidConfig, problem))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("primary", &self.primary)
            .field("numbers", &self.encryptors.keys())
            .field("has_index_key", &self.index_key.is_some())
            .finish()
    }
}
