//! Where the emitted code finds Strata.

mod manifest;

use std::path::Path;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::argument::Argument;
use crate::context::Context;

/// The facade first: a crate that depends on both uses the one it was told of in the guide.
const PACKAGES: [&str; 2] = ["strata", "store-core"];

/// The name of the module within emitted code.
const ALIAS: &str = "__strata";

/// The path of the module that emitted code names: `::strata::__private`.
#[derive(Debug, Clone)]
pub(crate) struct Runtime(TokenStream);

impl Runtime {
    /// The one that the crate being compiled depends on, by its manifest; `::strata` if the manifest does not tell.
    pub(crate) fn of_environment() -> Self {
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
        if PACKAGES.contains(&package.as_str()) {
            // Its tests, examples and doctests know the package by its own name.
            return Self::of_crate(&package);
        }
        let dependency = std::env::var_os("CARGO_MANIFEST_DIR")
            .and_then(|directory| std::fs::read_to_string(Path::new(&directory).join("Cargo.toml")).ok())
            .and_then(|manifest| manifest::dependency(&manifest, &PACKAGES));
        Self::of_crate(dependency.as_deref().unwrap_or(PACKAGES[0]))
    }

    /// The one that `crate = "…"` names.
    pub(crate) fn of_argument(context: &Context, argument: &Argument) -> Option<Self> {
        let text = argument.text(context, "crate = \"::my_crate::strata\"")?;
        match text.parse_with(syn::Path::parse_mod_style) {
            Ok(path) => Some(Runtime(quote!(#path::__private))),
            Err(_) => {
                context.error(text.span(), "`crate` takes the path of Strata: `crate = \"::my_crate::strata\"`");
                None
            }
        }
    }

    pub(crate) fn of_crate(name: &str) -> Self {
        let name = Ident::new(&name.replace('-', "_"), Span::call_site());
        Runtime(quote!(::#name::__private))
    }

    /// Puts code into an anonymous constant in which [`path`](Self::path) leads to the module.
    ///
    /// Nothing depends on what is in scope where the macro is used: paths begin at the module. Nothing clashes with it: what the code adds to the
    /// scope begins with `__`, or is there without a name.
    pub(crate) fn scope(&self, code: &TokenStream) -> TokenStream {
        let (module, alias) = (&self.0, self.path());
        quote! {
            const _: () = {
                use #module as #alias;
                #code
            };
        }
    }

    pub(crate) fn path(&self) -> Ident {
        Ident::new(ALIAS, Span::call_site())
    }

    /// The path at a position in the user's code, so that what fails behind it is reported there.
    pub(crate) fn path_at(&self, position: Span) -> Ident {
        Ident::new(ALIAS, at(position))
    }
}

/// A position in the user's code for tokens of the macro's own.
pub(crate) fn at(position: Span) -> Span {
    Span::call_site().located_at(position)
}
