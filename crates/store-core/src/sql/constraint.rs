//! References and checks from a schema.

use super::definition::key_text;
use super::dialect::Dialect;
use super::name::{fit, hashed, marked};
use crate::schema::{BoundSchema, OnDelete};

/// A constraint as it is made.
///
/// ```
/// use store_core::sql::{Dialect, constraint_plans};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Team {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: i64,
///     #[schema(references(Team::id, on_delete = "cascade"))]
///     team: i64,
/// }
///
/// let plan = &constraint_plans(Dialect::Postgres, &BoundSchema::standalone(Player::definition()))[0];
/// assert_eq!(plan.name, "player_team_fkey");
/// assert_eq!(plan.definition, r#"FOREIGN KEY ("team") REFERENCES "team" ("id") ON DELETE CASCADE"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintPlan {
    /// Its name, which changes with a check's condition.
    pub name: String,
    /// What stands behind `CONSTRAINT` and the name.
    pub definition: String,
    /// The columns that it is about; none for a check of the whole record.
    pub columns: Vec<&'static str>,
    /// Whether it is a reference to another table, or to the same one.
    pub is_reference: bool,
    /// `FROM …` and `WHERE …` of a query for the rows that break it.
    broken_by: String,
}

impl ConstraintPlan {
    /// Whether the statement that makes the table makes it too. PostgreSQL wants the table that is referred to first, so that references follow when all tables
    /// are there.
    pub fn is_made_with_table(&self, dialect: Dialect) -> bool {
        !self.is_reference || dialect == Dialect::Sqlite
    }

    /// The statement that adds it to a table of PostgreSQL, for the rows that are written from then on; with `validated` for all rows at once, while which
    /// nobody writes. SQLite adds no constraint to a table.
    pub fn add_statement(&self, schema: &BoundSchema, validated: bool) -> String {
        let dialect = Dialect::Postgres;
        format!(
            "ALTER TABLE {} ADD CONSTRAINT {} {}{}",
            dialect.quote_table(schema.table()),
            dialect.quote(&self.name),
            self.definition,
            if validated { "" } else { " NOT VALID" }
        )
    }

    /// The query for the text form of the key of a row that breaks it.
    ///
    /// ```
    /// use store_core::sql::{Dialect, constraint_plans};
    /// use store_core::{BoundSchema, Schema};
    /// # use store_derive::Schema;
    ///
    /// #[derive(Schema)]
    /// struct Player {
    ///     #[schema(primary_key)]
    ///     id: i64,
    ///     #[schema(check = "level > 0")]
    ///     level: i64,
    /// }
    ///
    /// let schema = BoundSchema::standalone(Player::definition());
    /// let query = constraint_plans(Dialect::Postgres, &schema)[0].broken_by(Dialect::Postgres, &schema);
    /// assert_eq!(query, r#"SELECT CAST("id"::TEXT AS TEXT) FROM "player" WHERE NOT (level > 0) LIMIT 1"#);
    /// ```
    pub fn broken_by(&self, dialect: Dialect, schema: &BoundSchema) -> String {
        format!("SELECT {} {} LIMIT 1", key_text(dialect, schema), self.broken_by)
    }
}

/// Every check and reference of a schema, the checks first.
pub fn constraint_plans(dialect: Dialect, schema: &BoundSchema) -> Vec<ConstraintPlan> {
    let definition = schema.definition();
    let (_, table) = Dialect::Postgres.split_table(schema.table());
    let list = |columns: &[&str]| columns.iter().map(|column| dialect.quote(column)).collect::<Vec<_>>().join(", ");
    let checks = definition.checks().iter().map(|check| {
        let stem = check.column.map_or_else(|| format!("{table}_check"), |column| format!("{table}_{column}_check"));
        ConstraintPlan {
            name: marked(&stem, check.condition),
            definition: format!("CHECK ({})", check.condition),
            columns: check.column.into_iter().collect(),
            is_reference: false,
            broken_by: format!("FROM {} WHERE NOT ({})", dialect.quote_table(schema.table()), check.condition),
        }
    });
    let references = schema.references().map(|(reference, target)| ConstraintPlan {
        name: fit(format!("{table}_{}_fkey", reference.columns.join("_"))),
        definition: format!(
            "FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {}",
            list(&reference.columns),
            dialect.quote_table(target),
            list(&reference.target_columns),
            match reference.on_delete {
                OnDelete::Restrict => "RESTRICT",
                OnDelete::Cascade => "CASCADE",
                OnDelete::SetNull => "SET NULL",
            }
        ),
        columns: reference.columns.clone(),
        is_reference: true,
        broken_by: {
            let columns = reference.columns.iter().map(|column| format!("own.{}", dialect.quote(column)));
            let given: Vec<String> = columns.clone().map(|column| format!("{column} IS NOT NULL AND ")).collect();
            let targets = reference.target_columns.iter().map(|column| dialect.quote(column));
            let same: Vec<String> = columns.zip(targets).map(|(column, target)| format!("other.{target} = {column}")).collect();
            format!(
                "FROM {} AS own WHERE {}NOT EXISTS (SELECT 1 FROM {} AS other WHERE {})",
                dialect.quote_table(schema.table()),
                given.concat(),
                dialect.quote_table(target),
                same.join(" AND ")
            )
        },
    });
    let mut plans: Vec<ConstraintPlan> = checks.collect();
    for mut plan in references {
        // A column may refer twice, and `a_b` and `c` are joined to the same name as `a` and `b_c`.
        if plans.iter().any(|present| present.name.eq_ignore_ascii_case(&plan.name)) {
            let (difference, _) = plan.definition.rsplit_once(" ON DELETE ").unwrap_or((&plan.definition, ""));
            plan.name = hashed(&plan.name, difference);
        }
        plans.push(plan);
    }
    plans
}

/// Whether a table's constraint has a name that [`constraint_plans`] makes up for a reference or a check, so that the model had it once if it has it no more.
/// A name that was too long is not known again.
///
/// ```
/// use store_core::sql::is_made_up_constraint;
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// let schema = BoundSchema::standalone(Player::definition());
/// assert!(is_made_up_constraint(&schema, "player_team_fkey", true));
/// assert!(!is_made_up_constraint(&schema, "by_hand", true));
/// ```
pub fn is_made_up_constraint(schema: &BoundSchema, name: &str, is_reference: bool) -> bool {
    let (_, table) = Dialect::Postgres.split_table(schema.table());
    let Some(rest) = name.strip_prefix(table).and_then(|rest| rest.strip_prefix('_')) else { return false };
    let is_hash = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_reference {
        true => rest.ends_with("_fkey") || rest.rsplit_once("_fkey_").is_some_and(|(_, hash)| is_hash(hash, 16)),
        false => rest.rsplit_once("check_").is_some_and(|(stem, hash)| (stem.is_empty() || stem.ends_with('_')) && is_hash(hash, 8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ColumnDefinition, Policies, ReferenceDefinition, SchemaDefinition};
    use crate::value::ColumnType;

    fn target() -> &'static SchemaDefinition {
        let columns = vec![ColumnDefinition { is_key: true, ..ColumnDefinition::new("id", ColumnType::Integer) }];
        Box::leak(Box::new(SchemaDefinition::new("target", columns, vec![], Policies::default())))
    }

    #[test]
    fn each_reference_has_a_name_of_its_own() {
        let columns = ["id", "a", "b_c", "a_b", "c"].map(|name| ColumnDefinition::new(name, ColumnType::Integer)).to_vec();
        let reference = |columns: &[&'static str], target_columns: &[&'static str], on_delete| ReferenceDefinition {
            columns: columns.to_vec(),
            target,
            target_columns: target_columns.to_vec(),
            on_delete,
        };
        let names = |action| -> Vec<String> {
            let references = vec![
                reference(&["a", "b_c"], &["id", "id"], OnDelete::Cascade),
                reference(&["a_b", "c"], &["id", "id"], action),
                reference(&["a"], &["id"], OnDelete::Cascade),
                reference(&["a"], &["other"], action),
            ];
            let definition = SchemaDefinition::new("t", columns.clone(), vec![], Policies::default()).with_references(references);
            let schema = BoundSchema::standalone(Box::leak(Box::new(definition)));
            constraint_plans(Dialect::Postgres, &schema).into_iter().map(|plan| plan.name).collect()
        };
        let cascade = names(OnDelete::Cascade);
        let schema = BoundSchema::standalone(Box::leak(Box::new(SchemaDefinition::new("t", columns.clone(), vec![], Policies::default()))));
        assert!(cascade.iter().all(|name| is_made_up_constraint(&schema, name, true) && !is_made_up_constraint(&schema, name, false)));
        assert_eq!((&*cascade[0], &*cascade[2]), ("t_a_b_c_fkey", "t_a_fkey"));
        assert!(cascade[1].starts_with("t_a_b_c_fkey_") && cascade[3].starts_with("t_a_fkey_"), "{cascade:?}");
        assert_eq!(names(OnDelete::Restrict), cascade, "an action that changes is one of the same reference");
    }
}
