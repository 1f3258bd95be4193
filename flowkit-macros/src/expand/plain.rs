//! `#[fingerprint]`, and what it shares with tasks: a function by which the cache keys of others count the code.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{ItemFn, Path, Visibility};

use super::companion::is_condition;
use super::private_path;
use crate::diagnose::Diagnostics;
use crate::hygiene::hidden;
use crate::words::{self, Macro};
use crate::{args, fingerprint, function};

/// The function unchanged, and the enum that counts its code.
pub(super) fn print(attribute: TokenStream, function: &ItemFn) -> TokenStream {
    let mut errors = Diagnostics::default();
    let mut includes = Vec::new();
    let mut krate = None;
    for word in errors.take(args::parse(attribute)).unwrap_or_default() {
        let name = word.name.to_string();
        if let Some(refusal) = words::refusal(Macro::Fingerprint, &name) {
            errors.at(word.span(), refusal);
        } else if name == "crate" {
            krate = errors.take(word.path());
        } else {
            includes = errors.take(word.paths("helper, TABLE")).unwrap_or_default();
        }
    }
    let (ident, vis) = (&function.sig.ident, &function.vis);
    if function::is_method(function) {
        errors.at(
            ident.span(),
            "`#[fingerprint]` cannot count a method: move the code to a function, and annotate that",
        );
        let errors = errors.into_tokens();
        return quote!(#errors #function);
    }
    if function::refuse_name_of_a_type(function, &mut errors) {
        let errors = errors.into_tokens();
        return quote!(#errors #function);
    }
    let fk = private_path(krate.as_ref());
    let digest = fingerprint::of(function);
    let counting = fingerprint_function(&fk, vis, ident, &quote!("fingerprint", #digest), &includes);
    let doc = format!("The code of `{ident}`, for the cache keys of tasks that include it.");
    let conditions: Vec<_> = function
        .attrs
        .iter()
        .filter(|attribute| is_condition(attribute))
        .collect();
    let errors = errors.into_tokens();
    quote! {
        #errors
        #function
        #(#conditions)*
        #[doc = #doc]
        #[allow(non_camel_case_types, dead_code, missing_debug_implementations, unreachable_pub, clippy::empty_enums)]
        #vis enum #ident {}
        #(#conditions)*
        #[allow(dead_code, unreachable_pub)]
        impl #ident {
            #counting
        }
    }
}

/// The function by which others count this one's code, and a constant that cannot be computed if it counts itself.
pub(super) fn fingerprint_function(
    fk: &TokenStream,
    vis: &Visibility,
    ident: &Ident,
    code: &TokenStream,
    includes: &[Path],
) -> TokenStream {
    let hasher = hidden("hasher");
    let counted = counted(fk, &hasher, includes);
    let functions = includes.iter().filter(|path| !is_constant(path));
    let name = ident.to_string();
    quote! {
        #[doc(hidden)]
        #vis const INCLUDES_END: () = {
            #(#functions::INCLUDES_END;)*
        };

        #[doc(hidden)]
        #vis fn fingerprint(#hasher: &mut #fk::KeyHasher) -> ::core::result::Result<(), #fk::KeyError> {
            let () = Self::INCLUDES_END;
            #hasher.section("includes", #name);
            #hasher.section(#code);
            #counted
            ::core::result::Result::Ok(())
        }
    }
}

/// Counts functions by their code and constants by their value.
pub(super) fn counted(fk: &TokenStream, hasher: &Ident, includes: &[Path]) -> TokenStream {
    let each = includes.iter().map(|path| {
        if is_constant(path) {
            let name = path.to_token_stream().to_string();
            quote!(#fk::KeyHasher::value(#hasher, #name, &#path)?;)
        } else {
            quote!(#path::fingerprint(#hasher)?;)
        }
    });
    quote!(#(#each)*)
}

/// Whether a name is written like a constant's.
fn is_constant(path: &Path) -> bool {
    let last = path
        .segments
        .last()
        .map(|segment| segment.ident.to_string())
        .unwrap_or_default();
    last.chars().any(char::is_uppercase) && !last.chars().any(char::is_lowercase)
}
