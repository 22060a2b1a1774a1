//! A field's type as far as its spelling tells.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{GenericArgument, PathArguments, Type};

/// The type of a field, taken apart.
pub(crate) struct FieldType {
    /// The type that the column has: what `Deferred` holds, else the field's.
    pub(crate) stored: TokenStream,
    /// Whether the field is `Deferred<…>`.
    pub(crate) is_deferred: bool,
    /// Whether the column's type is spelled `Option<…>`.
    pub(crate) is_option: bool,
    /// The column's type without `Option`.
    pub(crate) inner: TokenStream,
    /// Where `stored` stands.
    pub(crate) span: Span,
    /// Where the field's type begins.
    pub(crate) field_span: Span,
    /// Whether the column's type is a reference.
    pub(crate) is_reference: bool,
}

impl FieldType {
    /// Takes the type of a field of `model` apart. `Self` becomes the model's name, because generated code uses the type outside of its impl.
    pub(crate) fn new(field_type: &Type, model: &Ident) -> Self {
        let deferred = argument_of(field_type, "Deferred");
        let stored = deferred.unwrap_or(field_type);
        let inner = argument_of(stored, "Option");
        FieldType {
            stored: without_self(stored.to_token_stream(), model),
            is_deferred: deferred.is_some(),
            is_option: inner.is_some(),
            inner: without_self(inner.unwrap_or(stored).to_token_stream(), model),
            span: stored.span(),
            field_span: field_type.span(),
            is_reference: matches!(inner.unwrap_or(stored), Type::Reference(_)),
        }
    }
}

impl FieldType {
    /// Whether the column's type is spelled as one of the unsigned integers.
    pub(crate) fn is_unsigned(&self) -> bool {
        ["u8", "u16", "u32", "u64", "usize"].contains(&&*self.inner.to_string())
    }
}

/// The `F` of `path::to::Wrapper<F>`.
fn argument_of<'a>(candidate: &'a Type, wrapper: &str) -> Option<&'a Type> {
    match candidate {
        // What `macro_rules!` and parentheses put around a type.
        Type::Group(group) => argument_of(&group.elem, wrapper),
        Type::Paren(paren) => argument_of(&paren.elem, wrapper),
        Type::Path(path) if path.qself.is_none() => {
            let last = path.path.segments.last().filter(|last| last.ident == wrapper)?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            match arguments.args.first() {
                Some(GenericArgument::Type(argument)) if arguments.args.len() == 1 => Some(argument),
                _ => None,
            }
        }
        _ => None,
    }
}

fn without_self(tokens: TokenStream, model: &Ident) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if ident == "Self" => {
                let mut name = model.clone();
                name.set_span(ident.span());
                TokenTree::Ident(name)
            }
            TokenTree::Group(group) => {
                let mut replaced = Group::new(group.delimiter(), without_self(group.stream(), model));
                replaced.set_span(group.span());
                TokenTree::Group(replaced)
            }
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn taken_apart(tokens: TokenStream) -> (String, String, bool, bool) {
        let parsed: Type = syn::parse2(tokens).unwrap();
        let found = FieldType::new(&parsed, &Ident::new("City", Span::call_site()));
        (found.stored.to_string(), found.inner.to_string(), found.is_deferred, found.is_option)
    }

    #[test]
    fn wrappers_are_told_by_the_last_segment() {
        for (given, stored, inner, is_deferred, is_option) in [
            (quote!(i64), "i64", "i64", false, false),
            (quote!(Option<i64>), "Option < i64 >", "i64", false, true),
            (quote!(::std::option::Option<i64>), ":: std :: option :: Option < i64 >", "i64", false, true),
            (quote!(strata::Deferred<Option<i64>>), "Option < i64 >", "i64", true, true),
            (quote!((Deferred<String>)), "String", "String", true, false),
            (quote!(Option<Deferred<i64>>), "Option < Deferred < i64 > >", "Deferred < i64 >", false, true),
            (quote!(Vec<Option<Self>>), "Vec < Option < City > >", "Vec < Option < City > >", false, false),
        ] {
            assert_eq!(taken_apart(given), (stored.to_owned(), inner.to_owned(), is_deferred, is_option));
        }
    }
}
