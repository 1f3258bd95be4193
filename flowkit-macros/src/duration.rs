//! Durations as people write them: `"500ms"`, `"1h 30m"`, checked when the program is compiled.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, Result};

use crate::hygiene::hidden;

/// A duration: a literal that is known now, or an expression that is a constant.
pub(crate) struct Time {
    pub(crate) span: Span,
    /// What a literal says.
    pub(crate) known: Option<Duration>,
    pub(crate) tokens: TokenStream,
}

/// Reads a duration.
pub(crate) fn parse(expr: &Expr) -> Result<Time> {
    let span = expr.span();
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text), ..
        }) => {
            let known = humantime::parse_duration(&text.value()).map_err(|error| {
                Error::new(
                    span,
                    format!("not a duration: {error}; write it like \"500ms\", \"30s\" or \"1h 30m\""),
                )
            })?;
            let (seconds, nanos) = (known.as_secs(), known.subsec_nanos());
            Ok(Time {
                span,
                known: Some(known),
                tokens: quote!(::core::time::Duration::new(#seconds, #nanos)),
            })
        }
        Expr::Lit(_) => Err(Error::new(
            span,
            "a duration is a string with a unit, like \"500ms\", \"30s\" or \"1h 30m\", or a constant of type `Duration`",
        )),
        other => {
            let time = hidden("time");
            let tokens = quote_spanned!(span=> { let #time: ::core::time::Duration = #other; #time });
            Ok(Time {
                span,
                known: None,
                tokens,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn known(expr: &Expr) -> Option<Duration> {
        parse(expr).ok()?.known
    }

    #[test]
    fn literals_are_read_at_compile_time() {
        assert_eq!(known(&parse_quote!("500ms")), Some(Duration::from_millis(500)));
        assert_eq!(known(&parse_quote!("1h 30m")), Some(Duration::from_secs(5400)));
    }

    #[test]
    fn what_has_no_unit_is_refused_with_an_example() {
        let error = parse(&parse_quote!("10")).err().unwrap().to_string();
        assert!(error.contains("\"500ms\""), "{error}");
        assert!(parse(&parse_quote!("10 parsecs")).is_err());
        assert!(parse(&parse_quote!(10)).is_err());
    }

    #[test]
    fn a_constant_is_left_to_the_compiler() {
        assert!(parse(&parse_quote!(TIMEOUT)).ok().unwrap().known.is_none());
    }
}
