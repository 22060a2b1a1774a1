//! Conditions of a model that a database cannot read.

use super::constraint::constraint_plans;
use super::dialect::Dialect;
use super::index::index_plans;
use crate::schema::BoundSchema;

/// Says of a statement that the database refused at a place within a model's condition which one that is, and that it is the condition which is to be mended.
/// `None` where it is no condition that was refused.
///
/// `place` is counted in bytes from the beginning of `statement`; without it every condition of the statement may be the one. `said` are the database's words.
///
/// ```
/// use store_core::sql::{Dialect, create_statements, explain_refused_condition};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Order {
///     #[schema(primary_key)]
///     id: i64,
///     #[schema(check = "amount >")]
///     amount: i64,
/// }
///
/// let schema = BoundSchema::standalone(Order::definition());
/// let statement = &create_statements(Dialect::Postgres, &schema)[0];
/// let place = statement.find(">)").map(|place| place + 1);
/// let explanation = explain_refused_condition(Dialect::Postgres, &schema, statement, place, "syntax error").unwrap();
/// assert!(explanation.starts_with("the check `amount >` of the table `order` is none that"), "{explanation}");
/// assert_eq!(explain_refused_condition(Dialect::Postgres, &schema, statement, Some(0), "syntax error"), None);
/// ```
pub fn explain_refused_condition(
    dialect: Dialect,
    schema: &BoundSchema,
    statement: &str,
    place: Option<usize>,
    said: &str,
) -> Option<String> {
    let is_refused = |part: &str| {
        let found = statement.find(part);
        // What is missing is missed at what follows.
        found.is_some_and(|begin| place.is_none_or(|place| (begin..=begin + part.len()).contains(&place)))
    };
    let checks = constraint_plans(dialect, schema).into_iter().zip(schema.definition().checks()).filter_map(|(plan, check)| {
        let part = format!("{} {}", dialect.quote(&plan.name), plan.definition);
        is_refused(&part).then(|| format!("the check `{}`", check.condition))
    });
    let indexes = index_plans(dialect, schema).into_iter().filter_map(|plan| {
        let condition = plan.condition?;
        let is_of_index = statement.contains(&format!(" {} ON ", dialect.quote(&plan.name)));
        let is_refused = is_of_index && is_refused(&format!(" WHERE {condition}"));
        is_refused.then(|| format!("the condition `{condition}` of the index `{}`", plan.name))
    });
    let refused: Vec<String> = checks.chain(indexes).collect();
    if refused.is_empty() {
        return None;
    }
    let (refused, table) = (refused.join(", or "), schema.table());
    Some(format!("{refused} of the table `{table}` is none that the database can read ({said}); mend the condition in the model"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{CheckDefinition, ColumnDefinition, IndexDefinition, Policies, SchemaDefinition};
    use crate::sql::create_statements;
    use crate::value::ColumnType;

    #[test]
    fn the_condition_is_told_by_the_place() {
        let columns = ["id", "a"].map(|name| ColumnDefinition::new(name, ColumnType::Integer)).to_vec();
        let index = IndexDefinition { columns: vec!["a"], condition: Some("a = = 1"), name: Some("some"), ..IndexDefinition::default() };
        let checks = vec![
            CheckDefinition { column: Some("a"), condition: "a > 1" },
            CheckDefinition { column: None, condition: "a > 1 AND" },
            CheckDefinition { column: None, condition: "a" },
        ];
        let definition = SchemaDefinition::new("t", columns, vec![index], Policies::default()).with_checks(checks);
        let schema = BoundSchema::standalone(Box::leak(Box::new(definition)));
        let statements = create_statements(Dialect::Sqlite, &schema);
        let explained = |statement: &str, place: Option<usize>| explain_refused_condition(Dialect::Sqlite, &schema, statement, place, "no");
        let told =
            |statement: &str, part: &str| explained(statement, statement.find(part).map(|place| place + part.len())).unwrap_or_default();
        assert!(told(&statements[0], "AND").starts_with("the check `a > 1 AND` of the table `t` is none that"));
        assert!(told(&statements[0], "CHECK (a").starts_with("the check `a > 1` of"));
        assert!(told(&statements[0], "CHECK (a)").starts_with("the check `a` of"));
        assert_eq!(explained(&statements[0], Some(3)), None);
        assert!(told(&statements[1], "= =").starts_with("the condition `a = = 1` of the index `some` of"));
        assert!(explained(&statements[0], None).unwrap().starts_with("the check `a > 1`, or the check `a > 1 AND`, or"));
        assert!(explained(&statements[1], None).unwrap().starts_with("the condition"));
    }
}
