//! Indexes from a schema.

use super::dialect::Dialect;
use super::name::{fit, hashed, marked};
use crate::schema::{BoundSchema, IndexDefinition, IndexKind};

/// An index as it is made: those of single fields and those of the struct.
///
/// ```
/// use store_core::sql::{Dialect, IndexPlan, index_plans};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(unique)]
///     username: String,
/// }
///
/// let plan = IndexPlan { name: "player_username_key".into(), columns: vec!["username"], unique: true, ..IndexPlan::default() };
/// assert_eq!(index_plans(Dialect::Postgres, &BoundSchema::standalone(Player::definition())), [plan]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexPlan {
    /// Its name in the database.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<&'static str>,
    /// Whether it is unique.
    pub unique: bool,
    /// How it finds rows.
    pub kind: IndexKind,
    /// Columns that it holds beside those that it finds by.
    pub include: Vec<&'static str>,
    /// SQL that says which rows it holds; `None` for all.
    pub condition: Option<&'static str>,
}

impl IndexPlan {
    /// Whether a B-tree over `columns` and all rows does what this index is for. A unique one needs the same columns in any order; another one begins with this
    /// one's. Nothing but an index of its own name does for one of another kind, with columns beside, or of some rows.
    pub fn is_served_by(&self, columns: &[String], unique: bool) -> bool {
        if !self.is_plain() {
            return false;
        }
        if self.unique {
            return unique
                && columns.len() == self.columns.len()
                && self.columns.iter().all(|wanted| columns.iter().any(|column| column == wanted));
        }
        columns.len() >= self.columns.len() && columns.iter().zip(&self.columns).all(|(column, wanted)| column == wanted)
    }

    /// Whether it is a B-tree over columns and all rows, and nothing more.
    pub fn is_plain(&self) -> bool {
        self.kind == IndexKind::BTree && self.include.is_empty() && self.condition.is_none()
    }

    /// The statement that makes it if nothing has its name; `beside_writers`, which PostgreSQL alone knows, in no transaction and without blocking them.
    pub fn create_statement(&self, dialect: Dialect, schema: &BoundSchema, beside_writers: bool) -> String {
        let list = |columns: &[&str]| columns.iter().map(|column| dialect.quote(column)).collect::<Vec<_>>().join(", ");
        let (method, class) = match self.kind {
            IndexKind::BTree => ("", ""),
            IndexKind::GinTrigram => (" USING gin", " gin_trgm_ops"),
        };
        let columns: Vec<String> = self.columns.iter().map(|column| format!("{}{class}", dialect.quote(column))).collect();
        let mut sql = format!(
            "CREATE {}INDEX {}IF NOT EXISTS {} ON {}{method} ({})",
            if self.unique { "UNIQUE " } else { "" },
            if beside_writers { "CONCURRENTLY " } else { "" },
            dialect.quote(&self.name),
            dialect.quote_table(schema.table()),
            columns.join(", ")
        );
        if !self.include.is_empty() {
            sql.push_str(&format!(" INCLUDE ({})", list(&self.include)));
        }
        if let Some(condition) = self.condition {
            sql.push_str(&format!(" WHERE {condition}"));
        }
        sql
    }

    fn of(dialect: Dialect, schema: &BoundSchema, index: &IndexDefinition) -> Self {
        let mut plan = IndexPlan {
            name: String::new(),
            columns: index.columns.clone(),
            unique: index.unique,
            kind: index.kind,
            include: index.include.clone(),
            condition: index.condition,
        };
        plan.name = match index.name {
            Some(given) => fit(given.to_owned()),
            None => plan.made_up_name(dialect, schema),
        };
        plan
    }

    /// A name that says what the index is for. It changes with the condition, so that an index with another one is told from this.
    fn made_up_name(&self, dialect: Dialect, schema: &BoundSchema) -> String {
        let suffix = match self.kind {
            _ if self.unique => "key",
            IndexKind::BTree => "idx",
            IndexKind::GinTrigram => "trgm",
        };
        // An index lies in the same schema of the database as its table.
        let (_, table) = dialect.split_table(schema.table());
        let name = format!("{table}_{}_{suffix}", self.columns.join("_"));
        if self.include.is_empty() && self.condition.is_none() {
            return fit(name);
        }
        marked(&name, &format!("{:?} {:?}", self.include, self.condition))
    }

    /// The same for SQLite, which has B-trees alone: what it is to hold beside follows the columns, unless these are to be unique. `None` where no B-tree is of use.
    fn for_sqlite(mut self) -> Option<Self> {
        if self.kind == IndexKind::GinTrigram {
            return None;
        }
        let beside = std::mem::take(&mut self.include);
        if !self.unique {
            self.columns.extend(beside);
        }
        Some(self)
    }
}

/// Every index of a schema beyond the primary key.
pub fn index_plans(dialect: Dialect, schema: &BoundSchema) -> Vec<IndexPlan> {
    let definition = schema.definition();
    let of_columns = definition.columns().iter().filter(|column| column.unique || column.indexed);
    let of_columns =
        of_columns.map(|column| IndexDefinition { columns: vec![column.name], unique: column.unique, ..IndexDefinition::default() });
    let mut plans: Vec<IndexPlan> = Vec::new();
    for index in of_columns.chain(definition.indexes().iter().cloned()) {
        let plan = IndexPlan::of(dialect, schema, &index);
        let plan = if dialect == Dialect::Sqlite { plan.for_sqlite() } else { Some(plan) };
        let Some(mut plan) = plan.filter(|plan| !plans.contains(plan)) else { continue };
        // `a_b` and `c` are joined to the same name as `a` and `b_c`.
        if plans.iter().any(|present| present.name.eq_ignore_ascii_case(&plan.name)) {
            plan.name = hashed(&plan.name, &format!("{:?}", plan.columns));
        }
        plans.push(plan);
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ColumnDefinition, Policies, SchemaDefinition};
    use crate::value::ColumnType;

    fn schema(indexes: Vec<IndexDefinition>) -> BoundSchema {
        let columns = ["id", "a", "b_c", "a_b", "c"].map(|name| ColumnDefinition::new(name, ColumnType::Text)).to_vec();
        BoundSchema::standalone(Box::leak(Box::new(SchemaDefinition::new("t", columns, indexes, Policies::default()))))
    }

    #[test]
    fn different_indexes_of_a_table_have_different_names() {
        let indexes = [["a", "b_c"], ["a_b", "c"], ["a", "b_c"]];
        let indexes = indexes.map(|columns| IndexDefinition { columns: columns.to_vec(), unique: true, ..IndexDefinition::default() });
        let plans = index_plans(Dialect::Postgres, &schema(indexes.to_vec()));
        assert_eq!(plans.len(), 2, "{plans:?}");
        assert_eq!(plans[0].name, "t_a_b_c_key");
        assert!(plans[1].name.starts_with("t_a_b_c_key_"), "{plans:?}");
    }

    #[test]
    fn each_kind_is_what_the_database_has_for_it() {
        let of_a = || IndexDefinition { columns: vec!["a"], name: Some("i"), ..IndexDefinition::default() };
        for (index, postgres, sqlite) in [
            (
                IndexDefinition { kind: IndexKind::GinTrigram, ..of_a() },
                r#"CREATE INDEX IF NOT EXISTS "i" ON "game"."t" USING gin ("a" gin_trgm_ops)"#,
                None,
            ),
            (
                IndexDefinition { include: vec!["c"], condition: Some("c <> ''"), ..of_a() },
                r#"CREATE INDEX IF NOT EXISTS "i" ON "game"."t" ("a") INCLUDE ("c") WHERE c <> ''"#,
                Some(r#"CREATE INDEX IF NOT EXISTS "i" ON "game.t" ("a", "c") WHERE c <> ''"#),
            ),
            (
                IndexDefinition { include: vec!["c"], unique: true, ..of_a() },
                r#"CREATE UNIQUE INDEX IF NOT EXISTS "i" ON "game"."t" ("a") INCLUDE ("c")"#,
                Some(r#"CREATE UNIQUE INDEX IF NOT EXISTS "i" ON "game.t" ("a")"#),
            ),
        ] {
            let schema = schema(vec![index]).with_names("game.t", "t");
            let made = |dialect| index_plans(dialect, &schema).first().map(|plan| plan.create_statement(dialect, &schema, false));
            assert_eq!(made(Dialect::Postgres).as_deref(), Some(postgres));
            assert_eq!(made(Dialect::Sqlite).as_deref(), sqlite);
        }
    }

    #[test]
    fn a_name_tells_one_condition_from_the_next() {
        let some = |condition| IndexDefinition { columns: vec!["a"], condition: Some(condition), ..IndexDefinition::default() };
        let plans = index_plans(Dialect::Sqlite, &schema(vec![some("c = 'x'"), some("c = 'y'")]));
        assert!(plans.iter().all(|plan| plan.name.starts_with("t_a_idx_")) && plans[0].name != plans[1].name, "{plans:?}");
        assert!(!plans[0].is_served_by(&["a".to_owned()], false));
    }
}
