//! `partition_by(range(created_at), every = "1 month")`, `partition_by(list(region), values = ["eu"])`, `partition_by(hash(id), partitions = 8)`.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Expr, LitStr};

use super::default::literal;
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::schema::model::{DefaultLiteral, DefaultValue, Partition, Partitioning, Period};
use crate::suggestion;

const RANGE: &str = "partition_by(range(created_at), every = \"1 month\")";
const LIST: &str = "partition_by(list(region), values = [\"eu\", \"us\"])";
const HASH: &str = "partition_by(hash(id), partitions = 8)";
const ARGUMENTS: [&str; 7] = ["range", "list", "hash", "every", "ahead", "values", "partitions"];

/// How many periods are made ahead where the model does not say.
const AHEAD: u32 = 3;

/// A statement names each partition, and each costs every query that does not say which it means.
const MOST_PARTITIONS: u64 = 1_000;

/// Reads how a table is divided.
pub(super) fn read(context: &Context, argument: &Argument) -> Option<Partition> {
    let (mut by, mut every, mut ahead, mut values, mut partitions) = (None, None, None, None, None);
    for part in argument.list(context, RANGE)? {
        match part.name.to_string().as_str() {
            "range" | "list" | "hash" => match part.names(context, RANGE)?.as_slice() {
                [column] => set_once(context, &mut by, &part.name, (part.name.to_string(), column.clone())),
                _ => context.error(part.span(), format!("`{0}` takes one column: `{0}(created_at)`", part.name)),
            },
            "every" => {
                let text = part.text(context, "every = \"1 month\"")?;
                set_once(context, &mut every, &part.name, period(context, &text)?);
            }
            "ahead" => {
                let count = count(context, &part, "ahead = 3")?;
                set_once(context, &mut ahead, &part.name, (count, part.span()));
            }
            "partitions" => {
                let count = count(context, &part, "partitions = 8")?;
                set_once(context, &mut partitions, &part.name, count);
            }
            "values" => {
                let given = part.values(context, "values = [\"eu\", \"us\"]")?;
                let given = given.iter().map(|value| value_of(context, value)).collect::<Option<Vec<_>>>()?;
                set_once(context, &mut values, &part.name, given);
            }
            other => {
                context.error(part.span(), suggestion::unknown("argument of `partition_by`", other, &ARGUMENTS));
                return None;
            }
        }
    }
    let span = argument.span();
    let refuse = |message: String| {
        context.error(span, message);
        None
    };
    let Some((strategy, column)) = by else {
        return refuse(format!("`partition_by` needs a column: `{RANGE}`, `{LIST}` or `{HASH}`"));
    };
    let ahead_span = ahead.as_ref().map(|(_, span): &(u32, Span)| *span);
    let partitioning = match (strategy.as_str(), every, values, partitions) {
        ("range", Some(every), None, None) => Partitioning::Range { every, ahead: ahead.map_or(AHEAD, |(ahead, _)| ahead) },
        ("list", None, Some(values), None) if !values.is_empty() => Partitioning::List { values },
        ("hash", None, None, Some(partitions)) => Partitioning::Hash { partitions },
        ("range", ..) => return refuse(format!("partitions of a range say how long each is, and nothing of the others: `{RANGE}`")),
        ("list", ..) => return refuse(format!("partitions of a list say the value of each, and nothing of the others: `{LIST}`")),
        _ => return refuse(format!("partitions by hash say how many there are, and nothing of the others: `{HASH}`")),
    };
    if let Some(span) = ahead_span.filter(|_| strategy != "range") {
        context.error(span, "partitions are made ahead for a range alone; remove `ahead`");
    }
    Some(Partition { span, column, partitioning })
}

fn value_of(context: &Context, value: &Expr) -> Option<DefaultLiteral> {
    match literal(value) {
        Ok(found) if !matches!(found, DefaultValue::Double(_)) => {
            Some(DefaultLiteral { value: found, tokens: value.to_token_stream(), span: value.span() })
        }
        _ => {
            context.error(value.span(), format!("a partition is of texts, integers or booleans, written out: `{LIST}`"));
            None
        }
    }
}

fn count(context: &Context, part: &Argument, example: &str) -> Option<u32> {
    let (number, span) = part.number(context, example)?;
    if !(1..=MOST_PARTITIONS).contains(&number) {
        context.error(span, format!("`{}` takes a number from 1 to {MOST_PARTITIONS}", part.name));
        return None;
    }
    u32::try_from(number).ok()
}

fn period(context: &Context, text: &LitStr) -> Option<Period> {
    let written = text.value();
    let (number, unit) = written.split_once(' ').unwrap_or(("", ""));
    let number = number.parse::<u32>().ok().filter(|number| (1..=1_000).contains(number));
    match (number, unit.strip_suffix('s').unwrap_or(unit)) {
        (Some(days), "day") => Some(Period::Days(days)),
        (Some(weeks), "week") => Some(Period::Days(weeks * 7)),
        (Some(months), "month") => Some(Period::Months(months)),
        (Some(years), "year") => Some(Period::Months(years * 12)),
        _ => {
            let message = format!(
                "`{written}` is not a period; write a number from 1 to 1000 and a unit: \"1 day\", \"2 weeks\", \"1 month\" or \"1 year\""
            );
            context.error(text.span(), message);
            None
        }
    }
}
