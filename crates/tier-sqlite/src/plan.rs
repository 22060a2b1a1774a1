//! The statements of one schema, written once.

use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use store_core::sql::{ConstraintPlan, Dialect, VERSION_COLUMN, constraint_plans};
use store_core::{BoundSchema, ColumnDefinition, SchemaDefinition, Stamp};

/// One schema's table and the hot statements on it. Values stand in the order of the columns (or of the key), the version last.
#[derive(Debug)]
pub(crate) struct Plan {
    definition: &'static SchemaDefinition,
    table: String,
    constraints: Vec<ConstraintPlan>,
    /// Reads a row by key: every column, then the version.
    pub(crate) get: String,
    /// Whether there is a row for a key.
    pub(crate) exists: String,
    /// The version of a row by key.
    pub(crate) version: String,
    /// Deletes a row by key.
    pub(crate) delete: String,
    /// Inserts or updates a row of which every column is given, and reads it back.
    pub(crate) put: String,
}

impl Plan {
    fn new(schema: &BoundSchema) -> Self {
        let definition = schema.definition();
        let mut plan = Plan {
            definition,
            table: schema.table().to_owned(),
            constraints: constraint_plans(Dialect::Sqlite, schema),
            get: String::new(),
            exists: String::new(),
            version: String::new(),
            delete: String::new(),
            put: String::new(),
        };
        let table = quote(schema.table());
        let by_key: Vec<_> =
            definition.key_columns().enumerate().map(|(position, column)| format!("{} = ?{}", quote(column.name), position + 1)).collect();
        let by_key = by_key.join(" AND ");
        plan.get = format!("SELECT {} FROM {table} WHERE {by_key}", plan.all_columns());
        plan.exists = format!("SELECT 1 FROM {table} WHERE {by_key}");
        plan.version = format!("SELECT {} FROM {table} WHERE {by_key}", quote(VERSION_COLUMN));
        plan.delete = format!("DELETE FROM {table} WHERE {by_key}");
        plan.put = plan.upsert(&(0..definition.columns().len()).collect::<Vec<_>>());
        plan
    }

    /// The schema's name.
    pub(crate) fn name(&self) -> &'static str {
        self.definition.name()
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The check of a name.
    pub(crate) fn check(&self, name: &str) -> Option<&ConstraintPlan> {
        self.constraints.iter().find(|constraint| !constraint.is_reference && constraint.name == name)
    }

    pub(crate) fn columns(&self) -> &'static [ColumnDefinition] {
        self.definition.columns()
    }

    pub(crate) fn key_positions(&self) -> &'static [usize] {
        self.definition.key_positions()
    }

    /// Inserts a row of which the columns at `given` have values, or updates those of them that an update may touch, and reads the row back.
    pub(crate) fn upsert(&self, given: &[usize]) -> String {
        let mut sql = self.insert(given);
        let key: Vec<_> = self.definition.key_columns().map(|column| quote(column.name)).collect();
        let _ = write!(sql, " ON CONFLICT ({}) DO UPDATE SET ", key.join(", "));
        for &position in given {
            let column = &self.columns()[position];
            if is_updated(column) {
                let name = quote(column.name);
                let _ = write!(sql, "{name} = excluded.{name}, ");
            }
        }
        let version = quote(VERSION_COLUMN);
        let _ = write!(sql, "{version} = excluded.{version} RETURNING {}", self.all_columns());
        sql
    }

    /// Inserts a row of which the columns at `given` have values.
    fn insert(&self, given: &[usize]) -> String {
        let mut sql = format!("INSERT INTO {} (", quote(&self.table));
        for &position in given {
            let _ = write!(sql, "{}, ", quote(self.columns()[position].name));
        }
        let _ = write!(sql, "{}) VALUES (", quote(VERSION_COLUMN));
        for number in 1..=given.len() {
            let _ = write!(sql, "?{number}, ");
        }
        let _ = write!(sql, "?{})", given.len() + 1);
        sql
    }

    /// Updates a row, if it is there, with the columns at `given` and reads it back.
    pub(crate) fn update(&self, given: &[usize]) -> String {
        format!("{} RETURNING {}", self.update_only(given), self.all_columns())
    }

    /// Updates a row, if it is there, with the columns at `given`.
    pub(crate) fn update_only(&self, given: &[usize]) -> String {
        let mut sql = format!("UPDATE {} SET ", quote(&self.table));
        let mut condition = String::new();
        for (number, &position) in (1..).zip(given) {
            let column = &self.columns()[position];
            if column.is_key {
                let and = if condition.is_empty() { "" } else { " AND " };
                let _ = write!(condition, "{and}{} = ?{number}", quote(column.name));
            } else if is_updated(column) {
                let _ = write!(sql, "{} = ?{number}, ", quote(column.name));
            }
        }
        let _ = write!(sql, "{} = ?{} WHERE {condition}", quote(VERSION_COLUMN), given.len() + 1);
        sql
    }

    /// The columns that the log names of an update with those at `given`; `None` where these are all or none, which says no more than the key.
    pub(crate) fn named(&self, given: &[usize]) -> Option<Vec<&'static str>> {
        let changed = given.iter().map(|&position| &self.columns()[position]).filter(|column| is_updated(column));
        let names: Vec<_> = changed.map(|column| column.name).collect();
        let is_part = !names.is_empty() && names.len() < self.columns().iter().filter(|column| is_updated(column)).count();
        is_part.then_some(names)
    }

    fn all_columns(&self) -> String {
        let mut list = String::new();
        for column in self.columns() {
            let _ = write!(list, "{}, ", quote(column.name));
        }
        list + &quote(VERSION_COLUMN)
    }
}

fn is_updated(column: &ColumnDefinition) -> bool {
    !column.is_key && column.stamp != Stamp::OnInsert
}

pub(crate) fn quote(name: &str) -> String {
    Dialect::Sqlite.quote(name)
}

/// The plans of the schemas that were used so far. A store has few, so they are looked through one by one.
#[derive(Debug, Default)]
pub(crate) struct Plans(RwLock<Vec<Arc<Plan>>>);

impl Plans {
    /// The plan of a schema, made on first use.
    pub(crate) fn of(&self, schema: &BoundSchema) -> Arc<Plan> {
        let is_of = |plan: &&Arc<Plan>| std::ptr::eq(plan.definition, schema.definition()) && plan.table == schema.table();
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_of).cloned();
        known.unwrap_or_else(|| {
            let mut plans = self.0.write().unwrap_or_else(PoisonError::into_inner);
            // Another call may have been quicker.
            let known = plans.iter().find(is_of).cloned();
            known.unwrap_or_else(|| {
                let plan = Arc::new(Plan::new(schema));
                plans.push(Arc::clone(&plan));
                plan
            })
        })
    }
}
