//! The models that a command line knows.

use strata::{Schema, StoreBuilder, mem::MemTier};

use crate::model::{Model, Typed};

/// The models that the commands work on.
///
/// ```
/// use strata::prelude::*;
/// use strata_cli::Registry;
///
/// #[derive(Schema)]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
///     name: String,
/// }
///
/// let registry = Registry::new().schema::<City>();
/// assert_eq!(registry.names().collect::<Vec<_>>(), ["city"]);
/// ```
#[derive(Default)]
pub struct Registry {
    models: Vec<Box<dyn Model>>,
}

impl Registry {
    /// One without models.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Adds a model.
    #[must_use]
    pub fn schema<T: Schema>(mut self) -> Self {
        self.models.push(Box::new(Typed::<T>::new()));
        self
    }

    /// The names of the models, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.models.iter().map(|model| model.definition().name())
    }

    pub(crate) fn models(&self) -> &[Box<dyn Model>] {
        &self.models
    }

    pub(crate) fn model(&self, name: &str) -> Result<&dyn Model, String> {
        let found = self.models.iter().find(|model| model.definition().name() == name);
        found.map(|model| &**model).ok_or_else(|| {
            let known: Vec<_> = self.names().collect();
            format!("there is no schema `{name}`; the schemas are {}", known.join(", "))
        })
    }

    /// Gives all models to a builder.
    pub(crate) fn add_to(&self, builder: StoreBuilder<MemTier>) -> StoreBuilder<MemTier> {
        self.models.iter().fold(builder, |builder, model| model.add_to(builder))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
