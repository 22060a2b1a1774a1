//! The collector of errors: a user sees all of them at once.

use std::cell::RefCell;
use std::fmt::Display;

use proc_macro2::{Span, TokenStream};

/// Collects errors until [`finish`](Self::finish) turns them into tokens.
///
/// Dropping one that was never finished panics: an error would have gone unreported.
pub(crate) struct Context {
    errors: RefCell<Option<Vec<syn::Error>>>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Context { errors: RefCell::new(Some(Vec::new())) }
    }

    /// Notes an error at a span. The message says what is wrong and how to fix it.
    pub(crate) fn error(&self, span: Span, message: impl Display) {
        self.syntax(syn::Error::new(span, message));
    }

    /// Notes an error of the parser.
    pub(crate) fn syntax(&self, error: syn::Error) {
        if let Some(errors) = self.errors.borrow_mut().as_mut() {
            errors.push(error);
        }
    }

    /// How many errors were noted so far.
    pub(crate) fn count(&self) -> usize {
        self.errors.borrow().as_ref().map_or(0, Vec::len)
    }

    /// Ends the collection.
    ///
    /// # Errors
    ///
    /// The errors as `compile_error!` invocations, if there are any.
    pub(crate) fn finish(self) -> Result<(), TokenStream> {
        let errors = self.errors.borrow_mut().take().unwrap_or_default();
        if errors.is_empty() { Ok(()) } else { Err(errors.iter().map(syn::Error::to_compile_error).collect()) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.errors.borrow().is_some() && !std::thread::panicking() {
            panic!("the errors of a derive macro were collected but not reported");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_come_out() {
        let context = Context::new();
        context.error(Span::call_site(), "first");
        context.error(Span::call_site(), "second");
        let tokens = context.finish().unwrap_err().to_string();
        assert!(tokens.contains("first") && tokens.contains("second"), "{tokens}");
        assert!(Context::new().finish().is_ok());
    }

    #[test]
    #[should_panic(expected = "not reported")]
    fn forgotten_errors_panic() {
        drop(Context::new());
    }
}
