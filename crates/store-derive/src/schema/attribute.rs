//! Reading a struct and its `#[schema(…)]` attributes.

mod default;
mod field;
mod index;
mod partition;
mod policy;
mod reference;

use proc_macro2::Ident;
use syn::{DeriveInput, LitStr};

use super::model::{Check, Index, Model, Partition, Policies, Reference, TruthPolicy, Versions};
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::runtime::Runtime;
use crate::{input, name, suggestion};

const STRUCT_ARGUMENTS: [&str; 17] = [
    "name",
    "table",
    "l1",
    "l2",
    "l3",
    "negative_ttl",
    "write_mode",
    "cache_only",
    "index",
    "partition_by",
    "references",
    "check",
    "version",
    "upgrade_from",
    "upgrade_policy",
    "upgrade_incomplete",
    "crate",
];

/// The model that the struct describes; `None` if it is no struct with named fields.
pub(super) fn read(context: &Context, input: &DeriveInput, runtime: &Runtime) -> Option<Model> {
    let arguments = StructArguments::read(context, input);
    let fields = input::named_fields(context, input, "Schema")?;
    let name = match &arguments.name {
        Some(given) => {
            check_text(context, given, name::check);
            given.value()
        }
        None => {
            let derived = name::snake_case(&input::plain_name(&input.ident));
            if let Err(reason) = name::check(&derived) {
                context.error(input.ident.span(), format!("{reason}, with `#[schema(name = \"…\")]`"));
            }
            derived
        }
    };
    let errors = context.count();
    let mut of_fields = field::OfTable::default();
    let fields = fields.iter().map(|(ident, given)| field::read(context, &input.ident, ident, given, &mut of_fields)).collect();
    Some(Model {
        ident: input.ident.clone(),
        visibility: input.vis.clone(),
        runtime: arguments.runtime.unwrap_or_else(|| runtime.clone()),
        name,
        name_span: arguments.name.as_ref().map_or_else(|| input.ident.span(), LitStr::span),
        fields,
        has_unreadable_tags: context.count() > errors,
        indexes: arguments.indexes.into_iter().chain(of_fields.indexes).collect(),
        partition: arguments.partition,
        references: arguments.references.into_iter().chain(of_fields.references).collect(),
        checks: arguments.checks.into_iter().chain(of_fields.checks).collect(),
        policies: arguments.policies,
        version: arguments.version,
    })
}

/// Checks a string at its literal.
fn check_text(context: &Context, text: &LitStr, check: fn(&str) -> Result<(), String>) {
    if let Err(reason) = check(&text.value()) {
        context.error(text.span(), reason);
    }
}

/// Reads `check = "…"`.
fn read_check(context: &Context, argument: &Argument, column: Option<String>) -> Option<Check> {
    let text = argument.text(context, "check = \"level > 0\"")?;
    check_text(context, &text, name::check_condition);
    Some(Check { span: argument.span(), column, condition: text.value(), condition_span: text.span() })
}

/// What stands on the struct.
#[derive(Default)]
struct StructArguments {
    name: Option<LitStr>,
    runtime: Option<Runtime>,
    indexes: Vec<Index>,
    partition: Option<Partition>,
    references: Vec<Reference>,
    checks: Vec<Check>,
    policies: Policies,
    version: Versions,
}

impl StructArguments {
    fn read(context: &Context, input: &DeriveInput) -> Self {
        let mut read = StructArguments::default();
        let mut policies = Policies::default();
        let mut table = None;
        for argument in Argument::of_attributes(context, &input.attrs, "schema") {
            let name = &argument.name;
            match name.to_string().as_str() {
                "name" => {
                    if let Some(text) = argument.text(context, "name = \"players\"") {
                        set_once(context, &mut read.name, name, text);
                    }
                }
                "crate" => {
                    if let Some(runtime) = Runtime::of_argument(context, &argument) {
                        set_once(context, &mut read.runtime, name, runtime);
                    }
                }
                "table" => {
                    if let Some(text) = argument.text(context, "table = \"game.players\"") {
                        check_text(context, &text, name::check_table);
                        set_once(context, &mut table, name, (text.value(), argument.span()));
                    }
                }
                "partition_by" => {
                    if let Some(partition) = partition::read(context, &argument) {
                        set_once(context, &mut read.partition, name, partition);
                    }
                }
                "references" => read.references.extend(reference::read(context, &argument, &input.ident)),
                "check" => read.checks.extend(read_check(context, &argument, None)),
                "index" => read.indexes.extend(index::read(context, &argument)),
                "l1" => {
                    if let Some(policy) = policy::near(context, &argument) {
                        set_once(context, &mut policies.l1, name, policy);
                    }
                }
                "l2" => {
                    if let Some(policy) = policy::shared(context, &argument) {
                        set_once(context, &mut policies.l2, name, policy);
                    }
                }
                "l3" => {
                    if let Some(policy) = policy::truth(context, &argument) {
                        set_once(context, &mut policies.l3, name, policy);
                    }
                }
                "negative_ttl" => {
                    if let Some(milliseconds) = policy::negative_ttl(context, &argument) {
                        set_once(context, &mut policies.negative_ttl, name, milliseconds);
                    }
                }
                "write_mode" => {
                    if let Some(mode) = policy::write_mode(context, &argument) {
                        set_once(context, &mut policies.write_mode, name, mode);
                    }
                }
                "cache_only" => {
                    argument.flag(context);
                    set_once(context, &mut policies.cache_only, name, name.span());
                }
                "version" | "upgrade_from" => read.version.read(context, &argument, "PlayerV1"),
                "upgrade_policy" => {
                    if let Some(policy) = policy::upgrade_policy(context, &argument) {
                        set_once(context, &mut policies.upgrade_policy, name, policy);
                    }
                }
                "upgrade_incomplete" => {
                    argument.flag(context);
                    set_once(context, &mut policies.upgrade_incomplete, name, name.span());
                }
                other => unknown(context, name, other),
            }
        }
        if let Some((name, span)) = table {
            match &mut policies.l3 {
                Some(truth) if truth.table.is_some() => context.error(span, "`l3(table = …)` names the table already; remove one of them"),
                Some(truth) => truth.table = Some(name),
                None => policies.l3 = Some(TruthPolicy { span, table: Some(name) }),
            }
        }
        read.policies = policies;
        read
    }
}

fn unknown(context: &Context, name: &Ident, found: &str) {
    if field::is_tag(found) {
        context.error(name.span(), format!("`{found}` belongs on a field, not on the struct"));
    } else {
        context.error(name.span(), suggestion::unknown("argument", found, &STRUCT_ARGUMENTS));
    }
}
