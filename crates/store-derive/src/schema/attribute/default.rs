//! `default = …`.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Lit, UnOp};

use crate::argument::Argument;
use crate::context::Context;
use crate::schema::model::{DefaultLiteral, DefaultValue};

const EXAMPLE: &str = "default = 1";

/// Reads the literal; whether it fits the field's type is for the compiler to say.
pub(super) fn read(context: &Context, argument: &Argument) -> Option<DefaultLiteral> {
    let expression = argument.value(context, EXAMPLE)?;
    match literal(expression) {
        Ok(value) => Some(DefaultLiteral { value, tokens: expression.to_token_stream(), span: expression.span() }),
        Err((span, reason)) => {
            context.error(span, reason);
            None
        }
    }
}

pub(super) fn literal(expression: &Expr) -> Result<DefaultValue, (Span, String)> {
    let (sign, positive) = match expression {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => (-1, &*unary.expr),
        other => (1, other),
    };
    match positive {
        Expr::Lit(ExprLit { lit: Lit::Bool(value), .. }) if sign == 1 => Ok(DefaultValue::Bool(value.value)),
        Expr::Lit(ExprLit { lit: Lit::Str(value), .. }) if value.value().contains('\0') => {
            Err((value.span(), String::from("the default holds the character NUL, which no database takes in text; leave it out")))
        }
        Expr::Lit(ExprLit { lit: Lit::Str(value), .. }) if sign == 1 => Ok(DefaultValue::Text(value.value())),
        Expr::Lit(ExprLit { lit: Lit::Int(value), .. }) => {
            let number = value.base10_parse::<i128>().ok().and_then(|number| i64::try_from(number * sign).ok());
            number
                .map(DefaultValue::Integer)
                .ok_or_else(|| (value.span(), format!("a default lies between {} and {}, as columns do", i64::MIN, i64::MAX)))
        }
        Expr::Lit(ExprLit { lit: Lit::Float(value), .. }) => match value.base10_parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(DefaultValue::Double(if sign == 1 { number } else { -number })),
            _ => Err((value.span(), String::from("the number is too large for a floating-point column"))),
        },
        other => Err((
            other.span(),
            String::from(
                "`default` takes a literal: `default = true`, `default = -1`, `default = 0.5` or `default = \"viewer\"`; compute anything else in Rust before `set`",
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn literals_are_read() {
        let cases: [(Expr, DefaultValue); 8] = [
            (parse_quote!(true), DefaultValue::Bool(true)),
            (parse_quote!(7), DefaultValue::Integer(7)),
            (parse_quote!(-1_000i32), DefaultValue::Integer(-1_000)),
            (parse_quote!(0xff), DefaultValue::Integer(255)),
            (parse_quote!(-9223372036854775808), DefaultValue::Integer(i64::MIN)),
            (parse_quote!(0.5), DefaultValue::Double(0.5)),
            (parse_quote!(-2.5e3f32), DefaultValue::Double(-2_500.0)),
            (parse_quote!("it's"), DefaultValue::Text("it's".to_owned())),
        ];
        for (expression, expected) in cases {
            assert_eq!(literal(&expression).map_err(|(_, reason)| reason), Ok(expected));
        }
    }

    #[test]
    fn other_expressions_are_refused() {
        let cases: [Expr; 9] = [
            parse_quote!(9223372036854775808),
            parse_quote!(-9223372036854775809),
            parse_quote!(1e999),
            parse_quote!('c'),
            parse_quote!(b"bytes"),
            parse_quote!(-true),
            parse_quote!(1 + 1),
            parse_quote!(None),
            parse_quote!(now()),
        ];
        for expression in cases {
            assert!(literal(&expression).is_err(), "{}", expression.to_token_stream());
        }
    }
}
