//! Fields that not every tier holds.

/// A field that caches leave out (`#[schema(omit_cache)]`, `#[schema(omit_l1)]`).
///
/// `get` answers with such fields not loaded, whichever tier answered; `collection.from(Role::Truth)` loads them. Writing a record whose
/// deferred field is not loaded leaves the stored column alone, so a cached record written back can never blank it.
///
/// ```
/// use store_core::Deferred;
///
/// let hash: Deferred<String> = Deferred::from(String::from("$argon2id$…"));
/// assert!(hash.is_loaded());
/// assert_eq!(Deferred::<String>::NotLoaded.loaded(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Deferred<F> {
    /// The value was not asked for.
    #[default]
    NotLoaded,
    /// The value.
    Loaded(F),
}

impl<F> Deferred<F> {
    /// The value, if it was loaded.
    pub fn loaded(&self) -> Option<&F> {
        match self {
            Deferred::NotLoaded => None,
            Deferred::Loaded(value) => Some(value),
        }
    }

    /// The value itself, if it was loaded.
    pub fn into_loaded(self) -> Option<F> {
        match self {
            Deferred::NotLoaded => None,
            Deferred::Loaded(value) => Some(value),
        }
    }

    /// Whether the value was loaded.
    pub fn is_loaded(&self) -> bool {
        matches!(self, Deferred::Loaded(_))
    }
}

impl<F> From<F> for Deferred<F> {
    fn from(value: F) -> Self {
        Deferred::Loaded(value)
    }
}
