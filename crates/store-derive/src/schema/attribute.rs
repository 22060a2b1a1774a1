//! Reading a struct and its `#[schema(…)]` attributes.

mod default;
mod field;
mod index;
mod policy;

use proc_macro2::Ident;
use syn::{DeriveInput, LitStr};

use super::model::{Index, Model, Policies};
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::runtime::Runtime;
use crate::{input, name, suggestion};

const STRUCT_ARGUMENTS: [&str; 9] = ["name", "l1", "l2", "l3", "negative_ttl", "write_mode", "cache_only", "index", "crate"];

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
    let fields = fields.iter().map(|(ident, given)| field::read(context, &input.ident, ident, given)).collect();
    Some(Model {
        ident: input.ident.clone(),
        visibility: input.vis.clone(),
        runtime: arguments.runtime.unwrap_or_else(|| runtime.clone()),
        name,
        fields,
        has_unreadable_tags: context.count() > errors,
        indexes: arguments.indexes,
        policies: arguments.policies,
    })
}

/// Checks a string at its literal.
fn check_text(context: &Context, text: &LitStr, check: fn(&str) -> Result<(), String>) {
    if let Err(reason) = check(&text.value()) {
        context.error(text.span(), reason);
    }
}

/// What stands on the struct.
#[derive(Default)]
struct StructArguments {
    name: Option<LitStr>,
    runtime: Option<Runtime>,
    indexes: Vec<Index>,
    policies: Policies,
}

impl StructArguments {
    fn read(context: &Context, input: &DeriveInput) -> Self {
        let mut read = StructArguments::default();
        let mut policies = Policies::default();
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
                other => unknown(context, name, other),
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
