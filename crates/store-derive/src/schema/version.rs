//! `version` and `upgrade_from`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Model, Versions};
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::runtime::{Runtime, at};

impl Versions {
    /// Reads one of the two arguments. `older` is what an example calls the type of the version before.
    pub(crate) fn read(&mut self, context: &Context, argument: &Argument, older: &str) {
        if argument.name == "version" {
            match argument.number(context, "version = 2") {
                Some((number, span)) => match u32::try_from(number) {
                    Ok(number) => set_once(context, &mut self.version, &argument.name, (number, span)),
                    Err(_) => context.error(span, format!("a version is at most {}", u32::MAX)),
                },
                None => self.is_unreadable = true,
            }
        } else {
            match argument.path(context, &format!("upgrade_from = {older}")) {
                Some(path) => set_once(context, &mut self.older, &argument.name, (path, argument.span())),
                None => self.is_unreadable = true,
            }
        }
    }

    /// Checks them. `first` is the smallest version.
    pub(crate) fn check(&self, context: &Context, first: u32) {
        if self.is_unreadable {
            return;
        }
        match (self.version, &self.older) {
            (Some((0, span)), _) if first > 0 => {
                context.error(span, format!("versions count from {first}, which is what a model has that says none"))
            }
            (Some((version, span)), Some(_)) if version == first => {
                context.error(span, format!("no version comes before {first}; raise `version`, or remove `upgrade_from`"));
            }
            (None, Some((_, span))) => {
                let message = "an upgrade leads to a version, and this type has none; add `version = 2`, one more than the older type's";
                context.error(*span, message);
            }
            _ => {}
        }
    }

    /// The members of `Schema`.
    pub(super) fn expand_schema(&self, model: &Model) -> TokenStream {
        let runtime = model.runtime.path();
        let version = self.version.map(|(version, _)| quote!(const VERSION: #runtime::std::primitive::u32 = #version;));
        let upgrades = self.older.as_ref().map(|(older, _)| {
            let position = older.span();
            let runtime_there = model.runtime.path_at(position);
            let call = quote_spanned!(at(position)=> #runtime_there::upgrades::<Self, #older>());
            quote! {
                fn upgrades() -> #runtime::Upgrades<Self> {
                    #call
                }
            }
        });
        quote!(#version #upgrades)
    }

    /// Checks that the version before is smaller, so that no chain has a cycle.
    pub(crate) fn expand_order(&self, runtime: &Runtime, ident: &Ident, derive: &str) -> TokenStream {
        let Some((older, _)) = &self.older else { return TokenStream::new() };
        let position = older.span();
        let (runtime, derive) = (runtime.path_at(position), Ident::new(derive, at(position)));
        let message = format!(
            "`{}` must be of a smaller version than `{ident}`: give it the version that it had",
            older.to_token_stream().to_string().replace(' ', "")
        );
        quote_spanned! {at(position)=>
            const _: () = #runtime::require(<#older as #runtime::#derive>::VERSION < <#ident as #runtime::#derive>::VERSION, #message);
        }
    }
}
