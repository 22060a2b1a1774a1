//! Calling the user's hooks, whose panics go no further.

use std::borrow::Borrow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use super::{Borrowed, Pipeline, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::OnEvict;
use crate::hooks::{HookError, Hooks};
use crate::key::Key;
use crate::record::Record;
use crate::schema::Schema;
use crate::version::Version;

/// The hooks of one schema.
pub(crate) struct HookCalls<T: Schema> {
    hooks: Arc<dyn Hooks<T>>,
    schema: &'static str,
    /// The memory tier keeps these calls too, and must not keep the store's tasks going.
    shared: Weak<Shared>,
}

impl<T: Schema> HookCalls<T> {
    pub(crate) fn new(hooks: Arc<dyn Hooks<T>>, schema: &'static str, shared: &Arc<Shared>) -> Self {
        HookCalls { hooks, schema, shared: Arc::downgrade(shared) }
    }

    /// What the memory tier calls of every entry that leaves on its own.
    pub(crate) fn on_evict(&self) -> OnEvict<T> {
        let calls = HookCalls { hooks: Arc::clone(&self.hooks), schema: self.schema, shared: Weak::clone(&self.shared) };
        Arc::new(move |key, model, cause| {
            calls.run("on_evict", |hooks| hooks.on_evict(key.borrow(), model, cause));
        })
    }

    /// Runs a hook; `None` if it panicked.
    fn run<R>(&self, hook: &'static str, call: impl FnOnce(&dyn Hooks<T>) -> R) -> Option<R> {
        let answer = catch_unwind(AssertUnwindSafe(|| call(&*self.hooks))).ok();
        if answer.is_none() {
            if let Some(shared) = self.shared.upgrade() {
                shared.counters.hook_panics.add(1);
            }
            tracing::error!(schema = self.schema, hook, "a hook panicked; the panic's own message says where");
        }
        answer
    }

    /// Runs a hook that may refuse. `held_back` says what has not happened then.
    fn ask(&self, hook: &'static str, held_back: &str, call: impl FnOnce(&dyn Hooks<T>) -> Result<(), HookError>) -> Result<()> {
        // The text is the user's own code as well.
        match self.run(hook, |hooks| call(hooks).map_err(|source| (source.to_string(), source))) {
            Some(Ok(())) => Ok(()),
            Some(Err((text, source))) => {
                Err(Error::new(ErrorKind::Refused, format!("`{hook}` answered \"{text}\", and {held_back}")).with_source(source))
            }
            None => Err(panicked(hook, held_back)),
        }
    }

    /// Fills the computed fields of a model that nobody else has seen.
    pub(super) fn after_load(&self, model: &mut T) -> Result<()> {
        let key = model.key();
        if self.run("after_load", |hooks| hooks.after_load(model)).is_none() {
            return Err(panicked("after_load", "the record cannot be shown"));
        }
        if model.key() != key {
            let message = "`after_load` changed the key; let it fill only fields that are not stored";
            return Err(Error::new(ErrorKind::DecodeFailed, message).with_schema(self.schema));
        }
        Ok(())
    }
}

impl<T: Schema> fmt::Debug for HookCalls<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookCalls").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[cold]
fn panicked(hook: &'static str, held_back: &str) -> Error {
    Error::new(ErrorKind::HookPanic, format!("`{hook}` panicked, and {held_back}; the panic's own message says where"))
}

impl<T: Schema> Pipeline<T> {
    pub(crate) fn has_hooks(&self) -> bool {
        self.hooks.is_some()
    }

    /// Lets the hook check and change models that are about to be written.
    pub(crate) fn before_set(&self, models: &mut [T]) -> Result<()> {
        let Some(hooks) = &self.hooks else { return Ok(()) };
        self.check_open()?;
        for model in models {
            let key = model.key();
            hooks
                .ask("before_set", "nothing was written", |hooks| hooks.before_set(model))
                .map_err(|error| error.with_key(Self::text(&key)))?;
        }
        Ok(())
    }

    /// Tells the hook of what the truth has taken and the caches show.
    pub(super) fn after_set<'a>(&self, records: impl IntoIterator<Item = &'a Record<T>>) {
        let Some(hooks) = &self.hooks else { return };
        for record in records {
            hooks.run("after_set", |hooks| hooks.after_set(record));
        }
    }

    /// Lets the hook check keys that are about to be deleted.
    pub(super) fn before_delete(&self, keys: &[T::Key]) -> Result<()> {
        let Some(hooks) = &self.hooks else { return Ok(()) };
        for key in keys {
            hooks
                .ask("before_delete", "nothing was deleted", |hooks| hooks.before_delete(key.borrow()))
                .map_err(|error| error.with_key(Self::text(key)))?;
        }
        Ok(())
    }

    /// Tells the hook of what the truth has deleted and the caches do not show any more.
    pub(super) fn after_delete(&self, keys: &[T::Key], versions: &[Option<Version>]) {
        let Some(hooks) = &self.hooks else { return };
        for (key, version) in keys.iter().zip(versions) {
            hooks.run("after_delete", |hooks| hooks.after_delete(key.borrow(), *version));
        }
    }

    /// Tells the hook of a pending write that the truth did not take.
    pub(super) fn on_write_error(&self, key: &Borrowed<T>, error: &Error) {
        if let Some(hooks) = &self.hooks {
            hooks.run("on_write_error", |hooks| hooks.on_write_error(key, error));
        }
    }

    /// Tells the hook of a key that a record is asked for by.
    #[inline]
    pub(crate) fn before_get(&self, operation: &'static str, key: &Borrowed<T>) -> Result<()> {
        match &self.hooks {
            None => Ok(()),
            Some(hooks) => self.call_before_get(hooks, operation, key),
        }
    }

    #[inline(never)]
    fn call_before_get(&self, hooks: &HookCalls<T>, operation: &'static str, key: &Borrowed<T>) -> Result<()> {
        hooks.run("before_get", |hooks| hooks.before_get(key)).ok_or_else(|| {
            let mut text = String::new();
            <T::Key as Key>::write_text(key, &mut text);
            self.report(operation, panicked("before_get", "nothing was read").with_key(text))
        })
    }

    /// As [`before_get`](Self::before_get), for all keys of a batch.
    pub(crate) fn before_get_many(&self, operation: &'static str, keys: &[T::Key]) -> Result<()> {
        if self.has_hooks() {
            keys.iter().try_for_each(|key| self.before_get(operation, key.borrow()))?;
        }
        Ok(())
    }

    /// Tells the hook of models that a read answers.
    #[inline]
    pub(crate) fn after_get<'a>(&self, answered: impl IntoIterator<Item = &'a T>) {
        if let Some(hooks) = &self.hooks {
            answered.into_iter().for_each(|model| {
                hooks.run("after_get", |hooks| hooks.after_get(model));
            });
        }
    }

    /// As [`after_get`](Self::after_get), for records.
    #[inline]
    pub(crate) fn after_get_records<'a>(&self, answered: impl IntoIterator<Item = &'a Record<T>>) {
        self.after_get(answered.into_iter().map(|record| &**record.model()));
    }
}
