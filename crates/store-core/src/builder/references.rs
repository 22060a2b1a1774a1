//! Holding the references of models against the models that they name.

use std::sync::Arc;

use crate::schema::{BoundSchema, ReferenceDefinition, SchemaDefinition, WriteMode};

/// Leads each reference to the table that its target has in this store.
pub(super) fn resolve(bound: &mut [Arc<BoundSchema>]) {
    let tables: Vec<_> = bound.iter().map(|schema| (schema.definition(), schema.table().to_owned())).collect();
    // Nobody else has them yet.
    for schema in bound.iter_mut().filter_map(Arc::get_mut) {
        for (target, table) in &tables {
            schema.refer(target, table);
        }
    }
}

/// Notes every reference that the database would refuse, or that records could not keep.
pub(super) fn check(bound: &[Arc<BoundSchema>], problems: &mut Vec<String>) {
    for schema in bound {
        for (reference, _) in schema.references() {
            let columns = reference.columns.join(", ");
            if let Some(problem) = problem(schema, reference, bound) {
                problems.push(format!("schema `{}`: its reference of `{columns}` {problem}", schema.name()));
            }
        }
    }
}

fn problem(schema: &BoundSchema, reference: &ReferenceDefinition, bound: &[Arc<BoundSchema>]) -> Option<String> {
    let target = (reference.target)();
    let name = target.name();
    let Some(other) = bound.iter().find(|other| std::ptr::eq(other.definition(), target)) else {
        return Some(format!("names the schema `{name}`, which the store does not have; add it with `schema`"));
    };
    if other.is_cache_only() {
        return Some(format!("names the schema `{name}`, which has no table; store its records, or take the reference away"));
    }
    if other.write_mode() == WriteMode::WriteBehind && !std::ptr::eq(other.definition(), schema.definition()) {
        return Some(format!(
            "names the schema `{name}`, whose records reach the table later than they are written; write them through, or take the reference away"
        ));
    }
    if target.partition().is_some_and(|partition| partition.partitioning.has_default()) {
        return Some(format!(
            "names the schema `{name}`, whose table is divided: a row that waits for its partition is deleted and inserted to move it there, which the database would \
             take for a deletion; take the reference or the division away"
        ));
    }
    if let Some(column) =
        target.columns().iter().find(|column| column.encryption.is_some() && reference.target_columns.contains(&column.name))
    {
        let column = column.name;
        return Some(format!("names `{column}` of `{name}`, which is encrypted, so that the database cannot compare it; name the key"));
    }
    if !is_unique(target, &reference.target_columns) {
        let columns = reference.target_columns.join(", ");
        return Some(format!(
            "names `{columns}` of `{name}`, which may be the same in several records; make it unique there, or name the key"
        ));
    }
    let type_of = |definition: &SchemaDefinition, column: &str| Some(definition.columns()[definition.position(column)?].column_type);
    reference.columns.iter().zip(&reference.target_columns).find_map(|(own, other)| {
        let (own_type, other_type) = (type_of(schema.definition(), own)?, type_of(target, other)?);
        (own_type != other_type).then(|| {
            format!("is of columns that differ: `{own}` holds {own_type}, and `{other}` of `{name}` {other_type}; give both fields the same type")
        })
    })
}

fn is_unique(target: &SchemaDefinition, columns: &[&str]) -> bool {
    let same = |others: &[&str]| others.len() == columns.len() && columns.iter().all(|column| others.contains(column));
    let key: Vec<&str> = target.key_columns().map(|column| column.name).collect();
    same(&key)
        || target.columns().iter().any(|column| column.unique && same(&[column.name]))
        || target.indexes().iter().any(|index| index.unique && index.condition.is_none() && same(&index.columns))
}
