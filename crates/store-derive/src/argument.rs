//! Reading the arguments of one attribute.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Token};

use crate::context::Context;

/// One argument: `unique`, `name = "players"` or `l1(ttl = "60s")`.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    value: Given,
}

enum Given {
    Nothing,
    Value(Expr),
    Array(TokenStream),
    List(TokenStream),
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        // Keywords too: `crate`, `default`.
        let name = Ident::parse_any(input)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            if input.peek(syn::token::Bracket) {
                let content;
                syn::bracketed!(content in input);
                Given::Array(content.parse()?)
            } else {
                Given::Value(input.parse()?)
            }
        } else if input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in input);
            Given::List(content.parse()?)
        } else {
            Given::Nothing
        };
        Ok(Argument { name, value })
    }
}

impl Argument {
    /// The argument of every attribute of that name, in order.
    pub(crate) fn of_attributes(context: &Context, attributes: &[Attribute], attribute: &str) -> Vec<Argument> {
        let mut arguments = Vec::new();
        for found in attributes.iter().filter(|found| found.path().is_ident(attribute)) {
            match &found.meta {
                Meta::List(list) => arguments.extend(parse_list(context, list.tokens.clone())),
                other => context.error(other.span(), format!("`{attribute}` takes its arguments in parentheses: `#[{attribute}(…)]`")),
            }
        }
        arguments
    }

    pub(crate) fn span(&self) -> Span {
        self.name.span()
    }

    /// Checks that there is no value, as in `unique`.
    pub(crate) fn flag(&self, context: &Context) {
        match &self.value {
            Given::Nothing => {}
            Given::Value(value) => context.error(value.span(), format!("`{0}` takes no value; write `{0}` alone", self.name)),
            Given::Array(_) | Given::List(_) => {
                context.error(self.span(), format!("`{0}` takes no arguments; write `{0}` alone", self.name))
            }
        }
    }

    /// The value, as in `default = 1`.
    pub(crate) fn value(&self, context: &Context, example: &str) -> Option<&Expr> {
        match &self.value {
            Given::Value(value) => Some(without_group(value)),
            _ => {
                context.error(self.span(), format!("`{}` needs a value: `{example}`", self.name));
                None
            }
        }
    }

    /// The string, as in `name = "players"`.
    pub(crate) fn text(&self, context: &Context, example: &str) -> Option<LitStr> {
        match self.value(context, example)? {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.clone()),
            other => {
                context.error(other.span(), format!("`{}` takes a string: `{example}`", self.name));
                None
            }
        }
    }

    /// The path, as in `of = City`.
    pub(crate) fn path(&self, context: &Context, example: &str) -> Option<Path> {
        match self.value(context, example)? {
            Expr::Path(path) if path.qself.is_none() => Some(path.path.clone()),
            other => {
                context.error(other.span(), format!("`{}` takes the path of a model: `{example}`", self.name));
                None
            }
        }
    }

    /// The whole number, as in `max_entries = 50_000`.
    pub(crate) fn number(&self, context: &Context, example: &str) -> Option<(u64, Span)> {
        let value = self.value(context, example)?;
        if let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = value
            && let Ok(parsed) = number.base10_parse::<u64>()
        {
            return Some((parsed, number.span()));
        }
        context.error(value.span(), format!("`{}` takes a whole number up to {}: `{example}`", self.name, u64::MAX));
        None
    }

    /// The nested arguments, as in `l1(ttl = "60s")`.
    pub(crate) fn list(&self, context: &Context, example: &str) -> Option<Vec<Argument>> {
        if let Given::List(tokens) = &self.value {
            return Some(parse_list(context, tokens.clone()));
        }
        context.error(self.span(), format!("`{}` takes its arguments in parentheses: `{example}`", self.name));
        None
    }

    /// Whether there are nested arguments.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, Given::List(_))
    }

    /// A path and the arguments behind it, as in `references(Team::id, on_delete = "cascade")`.
    pub(crate) fn path_and_list(&self, context: &Context, example: &str) -> Option<(Path, Vec<Argument>)> {
        let parser = |input: ParseStream<'_>| {
            let path: Path = input.parse()?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
            Ok((path, Punctuated::<Argument, Token![,]>::parse_terminated(input)?))
        };
        let parsed = match &self.value {
            Given::List(tokens) => parser.parse2(tokens.clone()),
            _ => Err(syn::Error::new(self.span(), "no path")),
        };
        match parsed {
            Ok((path, arguments)) => Some((path, arguments.into_iter().collect())),
            Err(error) => {
                context.error(error.span(), format!("`{}` takes a column of a model: `{example}`", self.name));
                None
            }
        }
    }

    /// The nested paths, as in `target(Team::region, Team::id)`.
    pub(crate) fn paths(&self, context: &Context, example: &str) -> Option<Vec<Path>> {
        self.items(context, example, "columns of a model", Path::parse)
    }

    /// The nested values, as in `values = ["eu", "us"]`.
    pub(crate) fn values(&self, context: &Context, example: &str) -> Option<Vec<Expr>> {
        self.items(context, example, "values", Expr::parse)
    }

    /// The nested names, as in `columns(user_id, created_at)` or `columns = [user_id, created_at]`.
    pub(crate) fn names(&self, context: &Context, example: &str) -> Option<Vec<Ident>> {
        self.items(context, example, "names of fields", Ident::parse_any)
    }

    fn items<T>(&self, context: &Context, example: &str, what: &str, parse: fn(ParseStream<'_>) -> syn::Result<T>) -> Option<Vec<T>> {
        let parser = |input: ParseStream<'_>| Punctuated::<T, Token![,]>::parse_terminated_with(input, parse);
        let items = match &self.value {
            Given::Array(tokens) | Given::List(tokens) => parser.parse2(tokens.clone()),
            _ => Err(syn::Error::new(self.span(), "no items")),
        };
        match items {
            Ok(items) => Some(items.into_iter().collect()),
            Err(error) => {
                context.error(error.span(), format!("`{}` takes {what}: `{example}`", self.name));
                None
            }
        }
    }
}

fn parse_list(context: &Context, tokens: TokenStream) -> Vec<Argument> {
    match Punctuated::<Argument, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(arguments) => arguments.into_iter().collect(),
        Err(error) => {
            context.syntax(error);
            Vec::new()
        }
    }
}

/// The expression inside the invisible parentheses that `macro_rules!` puts around a fragment.
fn without_group(expression: &Expr) -> &Expr {
    match expression {
        Expr::Group(group) => without_group(&group.expr),
        other => other,
    }
}

/// Sets an option once; a second value is an error.
pub(crate) fn set_once<T>(context: &Context, slot: &mut Option<T>, name: &Ident, value: T) {
    if slot.is_some() {
        context.error(name.span(), given_twice(name));
    } else {
        *slot = Some(value);
    }
}

/// The message for an argument that is there already.
pub(crate) fn given_twice(name: &Ident) -> String {
    format!("`{name}` is given twice; remove one of them")
}
