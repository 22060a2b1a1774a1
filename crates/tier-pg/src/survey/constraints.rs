//! References and checks that a table lacks.

use std::sync::Arc;

use store_core::sql::{ConstraintPlan, constraint_plans, explain_left_rule, is_made_up_constraint};
use store_core::{Blocking, BoundSchema, MigrationStep};

use super::{DIALECT, Part, of_schema_drift, step, task};
use crate::catalog::{Relation, mismatch};
use crate::error::Failure;
use crate::pool::Lease;

/// A constraint of a table.
struct Present {
    name: String,
    is_reference: bool,
    columns: Vec<String>,
    /// Schema, table, columns and what becomes of the row, for a reference.
    target: Option<String>,
    is_valid: bool,
}

/// Adds what the table lacks: to one with rows first for those that are written from then on, and then, beside writers, for those that are there.
pub(super) async fn add(lease: &Lease, schema: &Arc<BoundSchema>, relation: Option<&Relation>, part: &mut Part) -> Result<(), Failure> {
    let plans = constraint_plans(DIALECT, schema);
    let present = match relation {
        Some(relation) => constraints(lease, relation.oid).await?,
        None => Vec::new(),
    };
    for plan in &plans {
        let found = present.iter().find(|constraint| constraint.name == plan.name);
        let found = match found {
            None if plan.is_reference => present.iter().find(|constraint| constraint.is_reference && is_as_planned(constraint, plan)),
            found => found,
        };
        let what = format!("add the {} `{}`", if plan.is_reference { "reference" } else { "check" }, plan.name);
        let validate = || {
            let what = format!("hold the rows against `{}`", plan.name);
            let sql = format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", DIALECT.quote_table(schema.table()), DIALECT.quote(&plan.name));
            let step = step(Some(schema), what, "the model asks for it", sql, Blocking::Nobody);
            // How long it takes is up to the rows.
            task(Some(schema), None, MigrationStep { in_transaction: false, ..step })
        };
        let of_model = |sql, blocking| task(Some(schema), None, step(Some(schema), what.clone(), "the model asks for it", sql, blocking));
        match (found, relation) {
            (Some(constraint), _) if plan.is_reference && !is_as_planned(constraint, plan) => {
                let drop = format!("ALTER TABLE {} DROP CONSTRAINT {}", DIALECT.quote_table(schema.table()), DIALECT.quote(&plan.name));
                let message =
                    format!("the reference `{}` exists and differs; run: {drop}; {}", plan.name, plan.add_statement(schema, true));
                return Err(mismatch(schema, message).into());
            }
            (Some(constraint), _) if !constraint.is_valid => part.last.push(validate()),
            (Some(_), _) => {}
            (None, None) if plan.is_made_with_table(DIALECT) => {}
            (None, None) => part.last.push(of_model(plan.add_statement(schema, true), Blocking::Briefly)),
            // PostgreSQL adds a reference to a divided table for all rows at once, or not at all.
            (None, Some(relation)) if relation.is_divided() && plan.is_reference => {
                part.last.push(of_model(plan.add_statement(schema, true), Blocking::Writers));
            }
            (None, Some(_)) => {
                part.last.push(of_model(plan.add_statement(schema, false), Blocking::Briefly));
                part.last.push(validate());
            }
        }
    }
    for left in present.iter().filter(|constraint| is_left(schema, &plans, constraint)) {
        let drop = format!("run: ALTER TABLE {} DROP CONSTRAINT {}", DIALECT.quote_table(schema.table()), DIALECT.quote(&left.name));
        let kind = if left.is_reference { "reference" } else { "check" };
        part.drift.push(of_schema_drift(schema, explain_left_rule(&format!("{kind} `{}`", left.name), &drop)));
    }
    Ok(())
}

/// Whether a reference is of the same columns to the same ones, and does the same with them.
fn is_as_planned(constraint: &Present, plan: &ConstraintPlan) -> bool {
    let plain = |text: &str| text.replace(['"', ' '], "").to_lowercase();
    let wanted = plain(plan.definition.split_once(" REFERENCES ").map_or("", |(_, target)| target));
    // The model may leave the schema out.
    let is_wanted = |target: &str| target == wanted || target.split_once('.').is_some_and(|(_, target)| target == wanted);
    constraint.columns == plan.columns && constraint.target.as_deref().is_some_and(|target| is_wanted(&plain(target)))
}

/// Whether a constraint of a name that Strata makes up is none of the model's.
fn is_left(schema: &BoundSchema, plans: &[ConstraintPlan], constraint: &Present) -> bool {
    let is_wanted = |plan: &ConstraintPlan| plan.name == constraint.name || (plan.is_reference && is_as_planned(constraint, plan));
    is_made_up_constraint(schema, &constraint.name, constraint.is_reference) && !plans.iter().any(is_wanted)
}

async fn constraints(lease: &Lease, table: u32) -> Result<Vec<Present>, Failure> {
    const TEXT: &str = "SELECT c.conname::TEXT, c.contype = 'f', c.convalidated, \
        ARRAY(SELECT a.attname::TEXT FROM unnest(c.conkey) WITH ORDINALITY AS k (number, position) \
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.position), \
        CASE WHEN c.contype = 'f' THEN (SELECT n.nspname || '.' || r.relname \
            FROM pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace WHERE r.oid = c.confrelid) \
        || '(' || array_to_string(ARRAY(SELECT a.attname FROM unnest(c.confkey) WITH ORDINALITY AS k (number, position) \
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.position), ',') || ') ON DELETE ' || \
        CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'RESTRICT' ELSE 'OTHER' END END \
        FROM pg_catalog.pg_constraint AS c WHERE c.conrelid = $1::OID AND c.contype IN ('f', 'c') ORDER BY c.conname";
    let rows = lease.query(TEXT, &[&table]).await?;
    rows.iter()
        .map(|row| {
            let (name, is_reference, is_valid) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Present { name, is_reference, is_valid, columns: row.try_get(3)?, target: row.try_get(4)? })
        })
        .collect()
}
