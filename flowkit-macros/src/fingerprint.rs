//! A digest of a function's code: its tokens, without comments, layout and attributes.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{FnArg, ItemFn};

/// Changes when the way tokens are fed does.
const FORMAT: &[u8] = b"flowkit code 1";

/// 32 hexadecimal digits that change when the function's signature or body does.
pub(crate) fn of(function: &ItemFn) -> String {
    let mut signature = function.sig.clone();
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) => receiver.attrs.clear(),
            FnArg::Typed(parameter) => parameter.attrs.clear(),
        }
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(FORMAT);
    feed(&mut hasher, signature.to_token_stream());
    feed(&mut hasher, function.block.to_token_stream());
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// A leaf is its kind, its length and its text; a group is its kind, what is in it, and an end.
fn feed(hasher: &mut blake3::Hasher, tokens: TokenStream) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(hash) if hash.as_char() == '#' => {
                let bang = tokens.next_if(|next| is_punct(next, '!')).is_some();
                if tokens.next_if(is_doc).is_none() {
                    leaf(hasher, b'p', "#");
                    if bang {
                        leaf(hasher, b'p', "!");
                    }
                }
            }
            TokenTree::Punct(punct) => {
                leaf(hasher, b'p', &punct.as_char().to_string());
                if punct.spacing() == Spacing::Joint
                    && let Some(TokenTree::Punct(next)) = tokens.peek()
                    && is_operator(punct.as_char(), next.as_char())
                {
                    hasher.update(b"+");
                }
            }
            TokenTree::Ident(ident) => leaf(hasher, b'i', &ident.to_string()),
            TokenTree::Literal(literal) => leaf(hasher, b'l', &literal.to_string()),
            TokenTree::Group(group) => {
                let kind: &[u8] = match group.delimiter() {
                    Delimiter::Parenthesis => b"(",
                    Delimiter::Brace => b"{",
                    Delimiter::Bracket => b"[",
                    // Invisible groups come and go with the macros that pass code on.
                    Delimiter::None => {
                        feed(hasher, group.stream());
                        continue;
                    }
                };
                hasher.update(kind);
                feed(hasher, group.stream());
                hasher.update(b"/");
            }
        }
    }
}

fn leaf(hasher: &mut blake3::Hasher, kind: u8, text: &str) {
    hasher.update(&[kind]);
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

/// Whether two characters written together mean something else than written apart. `=-` does not: there, layout is only layout.
fn is_operator(first: char, second: char) -> bool {
    match second {
        '=' => "=!<>+-*/%^&|.".contains(first),
        '>' => "-=>".contains(first),
        _ => first == second && "&|<:.".contains(first),
    }
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// `[doc = …]`, which is what a doc comment becomes.
fn is_doc(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else {
        return false;
    };
    group.delimiter() == Delimiter::Bracket
        && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(ident)) if ident == "doc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(text: &str) -> String {
        of(&syn::parse_str(text).unwrap())
    }

    #[test]
    fn layout_comments_and_attributes_do_not_count() {
        let plain = of_text("async fn f(a: u8) -> u8 { a + 1 }");
        let dressed = "/// Doc.\n#[inline]\npub async fn f( #[resource] a : u8 )->u8{\n //! inner\n // why\n /** x */ a+1 }";
        assert_eq!(of_text(dressed), plain);
    }

    #[test]
    fn layout_does_not_count_inside_macros_either() {
        assert_eq!(
            of_text("fn f() { m!(a=-1, b = &c) }"),
            of_text("fn f() { m!( a = - 1,b=&c ) }")
        );
    }

    #[test]
    fn code_counts() {
        let plain = of_text("fn f() -> u8 { 1 }");
        for other in [
            "fn f() -> u8 { 2 }",
            "fn f() -> u16 { 1 }",
            "fn g() -> u8 { 1 }",
            "async fn f() -> u8 { 1 }",
            "fn f() -> u8 { 1; }",
            "fn f() -> u8 { (1) }",
            "fn f() -> u8 { #[cold] 1 }",
        ] {
            assert_ne!(of_text(other), plain, "{other}");
        }
    }

    #[test]
    fn operators_differ_from_their_parts() {
        assert_ne!(of_text("fn f() { m!(a && b) }"), of_text("fn f() { m!(a & &b) }"));
        assert_ne!(
            of_text("fn f() { m!(a . . b) }"),
            of_text("fn f() { m!(a .. b) }")
        );
    }

    #[test]
    fn tokens_are_kept_apart() {
        assert_ne!(of_text("fn f() { m!(ab c) }"), of_text("fn f() { m!(a bc) }"));
        assert_ne!(
            of_text("fn f() { m!(a (b) c) }"),
            of_text("fn f() { m!(a (b c)) }")
        );
        assert_ne!(of_text("fn f() { m!((a)) }"), of_text("fn f() { m!([a]) }"));
        assert_ne!(of_text("fn f() { m!(\"a\") }"), of_text("fn f() { m!(a) }"));
    }

    #[test]
    fn the_digest_of_a_function_stays_the_same_between_releases() {
        assert_eq!(
            of_text("async fn double(n: u64) -> u64 { n * 2 }"),
            "d3e44a9326a2a5fdb3cf7450ddd3e3f8"
        );
    }
}
