//! `#[derive(Schema)]`: attributes become a model, the model is checked, the checked model becomes code.

mod attribute;
mod check;
mod expand;
mod field_type;
mod model;
mod version;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::context::Context;
use crate::runtime::Runtime;

pub(crate) use model::Versions;

/// The code for one struct, or its errors.
pub(crate) fn derive(input: &DeriveInput, runtime: &Runtime) -> Result<TokenStream, TokenStream> {
    let context = Context::new();
    let model = attribute::read(&context, input, runtime);
    if let Some(model) = &model {
        check::check(&context, model);
    }
    if let Err(mut errors) = context.finish() {
        // Generics are among the errors, and a stub would have to repeat them.
        errors.extend(model.as_ref().filter(|_| input.generics.params.is_empty()).map(expand::expand_stub));
        return Err(errors);
    }
    Ok(model.as_ref().map(expand::expand).unwrap_or_default())
}
