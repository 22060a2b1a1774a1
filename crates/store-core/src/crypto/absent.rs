//! What stands in the place of encryption in a build without it: nothing can be sealed, and no store has a schema that asks for it.

use std::sync::Arc;

use crate::error::Result;
use crate::query::Filter;
use crate::schema::{BoundSchema, SchemaDefinition};
use crate::value::{Row, Value};

/// Keys, of which there are none.
#[derive(Debug)]
pub(crate) enum KeyRing {}

/// What would seal rows.
#[derive(Debug)]
pub(crate) enum Sealer {}

impl Sealer {
    pub(crate) fn problem(schema: &BoundSchema, older: &[&SchemaDefinition], _: Option<&KeyRing>) -> Option<String> {
        let mut columns = std::iter::once(schema.definition()).chain(older.iter().copied()).flat_map(SchemaDefinition::columns);
        let encrypted = columns.find(|column| column.encryption.is_some())?;
        Some(format!("its field `{}` is encrypted, and this build cannot encrypt; turn on Strata's feature `encryption`", encrypted.name))
    }

    pub(crate) fn new(_: &BoundSchema, keys: &Arc<KeyRing>) -> Option<Self> {
        match **keys {}
    }

    pub(crate) fn of_version(_: &'static SchemaDefinition, _: &BoundSchema, keys: &Arc<KeyRing>) -> Option<Self> {
        match **keys {}
    }

    pub(crate) fn seal<'a>(&self, _: Row<'a>) -> Result<Row<'a>> {
        match *self {}
    }

    pub(crate) fn open(&self, _: Row<'static>) -> Result<Row<'static>> {
        match *self {}
    }

    pub(crate) fn shared_value(&self, _: &[Value<'_>], _: usize) -> Result<Option<Value<'static>>> {
        match *self {}
    }

    pub(crate) fn may_hold(&self, _: &Filter, _: &[Value<'_>]) -> bool {
        match *self {}
    }

    pub(crate) fn seal_filter(&self, _: Filter) -> Result<Filter> {
        match *self {}
    }
}
