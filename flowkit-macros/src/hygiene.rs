//! Names and spans of printed code, so that nothing the user calls anything can clash with it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;

/// A local or an item of the printed code.
pub(crate) fn hidden(name: &str) -> Ident {
    Ident::new(&format!("__flowkit_{name}"), Span::mixed_site())
}

/// A trait of the printed code, which the compiler's messages may mention.
pub(crate) fn hidden_type(name: &str) -> Ident {
    Ident::new(&format!("__Flowkit{name}"), Span::mixed_site())
}

/// The name as people write it: `type` for `r#type`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// Printed code that errors are shown at this place for.
pub(crate) fn at(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}

/// Where the tokens begin and where they end.
pub(crate) fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let tokens: TokenStream = tokens.to_token_stream();
    let mut spans = tokens.into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    (first, spans.last().unwrap_or(first))
}

/// The same tokens, with messages about them shown at this place.
pub(crate) fn moved_to(place: Span, tokens: TokenStream) -> TokenStream {
    let moved = tokens.into_iter().map(|mut token| {
        token.set_span(at(place));
        token
    });
    moved.collect()
}
