//! Compares expansions with the files beside their inputs in `tests/expand`.
//!
//! After a change of what the macros emit, run with `STRATA_UPDATE_EXPANSIONS=1` and read the difference.

use std::error::Error;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::DeriveInput;

use crate::runtime::Runtime;
use crate::{projection, schema};

type Outcome = Result<(), Box<dyn Error>>;
type Derive = fn(&DeriveInput, &Runtime) -> Result<TokenStream, TokenStream>;

#[test]
fn a_plain_model() -> Outcome {
    compare("plain", schema::derive)
}

#[test]
fn a_model_with_every_attribute() -> Outcome {
    compare("every_attribute", schema::derive)
}

#[test]
fn a_model_with_encrypted_fields() -> Outcome {
    compare("encrypted", schema::derive)
}

#[test]
fn a_projection() -> Outcome {
    compare("projection", projection::derive)
}

fn compare(name: &str, derive: Derive) -> Outcome {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand");
    let input = std::fs::read_to_string(directory.join(format!("{name}.rs")))?;
    let expansion = derive(&syn::parse_str(&input)?, &Runtime::of_crate("strata")).map_err(|errors| errors.to_string())?;
    let found = lines(expansion, "");
    let golden = directory.join(format!("{name}.expanded.rs"));
    if std::env::var_os("STRATA_UPDATE_EXPANSIONS").is_some() {
        std::fs::write(&golden, &found)?;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(found == expected, "the expansion differs from {}; found:\n{found}", golden.display());
    Ok(())
}

/// One line for each statement, item and long argument.
fn lines(tokens: TokenStream, indent: &str) -> String {
    let mut output = String::new();
    let mut line = TokenStream::new();
    let mut angles = 0_usize;
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let ends = match &token {
            TokenTree::Punct(punct) => {
                match punct.as_char() {
                    '<' => angles += 1,
                    '>' => angles = angles.saturating_sub(1),
                    _ => {}
                }
                punct.as_char() == ';' || (punct.as_char() == ',' && angles == 0)
            }
            // An attribute.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => line.to_string() == "#",
            // The end of an item.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => match rest.peek() {
                Some(TokenTree::Punct(punct)) => punct.as_char() == '#',
                following => following.is_some(),
            },
            _ => false,
        };
        line.extend([token]);
        if ends || rest.peek().is_none() {
            output.push_str(&format!("{indent}{}\n", broken_up(std::mem::take(&mut line), indent)));
        }
    }
    output
}

/// One line, with its blocks and long lists below each other.
fn broken_up(tokens: TokenStream, indent: &str) -> String {
    let mut output = String::new();
    let mut short = TokenStream::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if is_long(&group) => {
                output.push_str(&tidy(std::mem::take(&mut short)));
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => (" {", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                output.push_str(&format!("{open}\n{}{indent}{close}", lines(group.stream(), &format!("{indent}    "))));
            }
            other => short.extend([other]),
        }
    }
    output + &tidy(short)
}

fn is_long(group: &Group) -> bool {
    let holds_statements = group.stream().into_iter().any(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';'));
    (group.delimiter() == Delimiter::Brace && holds_statements) || tidy(group.stream()).len() > 100
}

/// The spaces that the tokens' own text has too many.
fn tidy(tokens: TokenStream) -> String {
    let mut text = tokens.to_string();
    for (from, to) in [
        (":: ", "::"),
        (" ::", "::"),
        (" ;", ";"),
        (" ,", ","),
        (" :", ":"),
        (" . ", "."),
        ("& ", "&"),
        ("< ", "<"),
        (" <", "<"),
        (" >", ">"),
        (")->", ") ->"),
        (" (", "("),
        (":(", ": ("),
        ("=(", "= ("),
        ("# [", "#["),
        (" !", "!"),
        ("! [", "!["),
        ("(!", "(! "),
        (" ?", "?"),
        ("| __value |", "|__value|"),
        ("- 1", "-1"),
        ("use::", "use ::"),
        ("=<", "= <"),
        (".. _", ".._"),
        ("! _", "!_"),
    ] {
        text = text.replace(from, to);
    }
    text
}
