//! The models that a command line knows.

use strata::{Schema, SchemaOptions, StoreBuilder, mem::MemTier};

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
    changes: Vec<Change>,
}

/// How a program makes its builder ready.
type Change = Box<dyn Fn(StoreBuilder<MemTier>) -> StoreBuilder<MemTier> + Send + Sync>;

impl Registry {
    /// One without models.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Adds a model, with the policies that it declares.
    #[must_use]
    pub fn schema<T: Schema>(self) -> Self {
        self.schema_with::<T>(|_| {})
    }

    /// Adds a model whose policies the program changes, as [`StoreBuilder::schema_with`] does: give both the same function, or the commands work on another table
    /// than the program.
    ///
    /// ```
    /// # use strata::prelude::*;
    /// # #[derive(Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// use strata::SchemaOptions;
    /// use strata_cli::Registry;
    ///
    /// fn city(options: &mut SchemaOptions<City>) {
    ///     options.policies.truth.table = Some("geo_city".into());
    /// }
    ///
    /// let registry = Registry::new().schema_with::<City>(city);
    /// ```
    #[must_use]
    pub fn schema_with<T: Schema>(mut self, change: impl Fn(&mut SchemaOptions<T>) + Send + Sync + 'static) -> Self {
        self.models.push(Box::new(Typed::new(change)));
        self
    }

    /// Changes the builder of every store that a command opens: settings, keys from elsewhere than the environment. It is given one with the servers of the
    /// environment and all models. Whatever it says, only `migrate` makes tables, and writes wait for the truth.
    ///
    /// ```
    /// use std::time::Duration;
    /// use strata_cli::Registry;
    ///
    /// let patient = |settings: &mut strata::Settings| settings.migration.patience = Duration::from_secs(600);
    /// let registry = Registry::new().builder(move |builder| builder.configure(patient));
    /// ```
    #[must_use]
    pub fn builder(mut self, change: impl Fn(StoreBuilder<MemTier>) -> StoreBuilder<MemTier> + Send + Sync + 'static) -> Self {
        self.changes.push(Box::new(change));
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

    /// Gives all models to a builder, and changes it as the program does.
    pub(crate) fn add_to(&self, builder: StoreBuilder<MemTier>) -> StoreBuilder<MemTier> {
        let builder = self.models.iter().fold(builder, |builder, model| model.add_to(builder));
        self.changes.iter().fold(builder, |builder, change| change(builder))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
