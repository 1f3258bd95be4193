//! Prints what an annotated function becomes: a shim that binds inputs, and beside it what belongs to the function.
//!
//! | room | prints |
//! |---|---|
//! | `shim` | the function that callers call |
//! | `attempt` | how an attempt begins and what its outcome is |
//! | `key` | what cached inputs add to a key, and the name of a run |
//! | `checks` | what is asked of the compiler, in our own words if the answer is no |
//! | `definition` | the constant that describes the function |
//! | `companion` | the enum of the function's name |
//! | `method` | what takes the enum's place in an `impl` block |
//! | `fallback` | what stands in for a function that cannot be a task |

mod attempt;
mod checks;
mod companion;
mod definition;
mod fallback;
mod key;
mod method;
mod plain;
mod shim;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{GenericParam, ItemFn, Path};

use crate::diagnose::Diagnostics;
use crate::function::{self, Function, Shape};
use crate::model::{self, Options};
use crate::words::Macro;
use crate::{args, fingerprint};

/// What is printed from.
pub(crate) struct Expansion {
    kind: Macro,
    function: Function,
    options: Options,
    fingerprint: String,
}

/// Expands `#[task]` and `#[flow]`.
pub(crate) fn expand(kind: Macro, attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let original = match parse_function(kind, item) {
        Ok(function) => function,
        Err(error) => {
            let error = error.to_compile_error();
            return quote!(#error #item);
        }
    };
    let fingerprint = fingerprint::of(&original);
    let mut errors = Diagnostics::default();
    let mut function = function::parse(kind, original.clone(), &mut errors);
    let mut of_attribute = Diagnostics::default();
    let words = of_attribute.take(args::parse(attribute)).unwrap_or_default();
    let mut options = model::read(kind, &words, &function, &mut of_attribute);
    if !of_attribute.is_empty() {
        options = options.without_what_may_be_wrong();
    }
    if !options.associated
        && !function.is_method()
        && function::refuse_name_of_a_type(&function.item, &mut errors)
    {
        function.shape = Shape::Original;
    }
    let expansion = Expansion {
        kind,
        function,
        options,
        fingerprint,
    };
    let printed = match expansion.function.shape {
        Shape::Sound => expansion.print(),
        Shape::Stub => expansion.print_stub(&original),
        Shape::Original => fallback::original(original),
    };
    let (errors, of_attribute) = (errors.into_tokens(), of_attribute.into_tokens());
    quote!(#errors #of_attribute #printed)
}

/// Expands `#[fingerprint]`.
pub(crate) fn expand_fingerprint(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    match parse_function(Macro::Fingerprint, item) {
        Ok(function) => plain::print(attribute, &function),
        Err(error) => {
            let error = error.to_compile_error();
            quote!(#error #item)
        }
    }
}

fn parse_function(kind: Macro, item: &TokenStream) -> syn::Result<ItemFn> {
    let error = match syn::parse2(item.clone()) {
        Ok(function) => return Ok(function),
        Err(error) => error,
    };
    let place = item
        .clone()
        .into_iter()
        .next()
        .map_or_else(Span::call_site, |token| token.span());
    let what = kind.name();
    let message = if syn::parse2::<syn::TraitItemFn>(item.clone()).is_ok() {
        format!(
            "`#[{what}]` annotates a function that has a body: annotate one outside of the trait, and call it from there"
        )
    } else if syn::parse2::<syn::Item>(item.clone()).is_err() {
        return Err(error);
    } else if kind == Macro::Fingerprint {
        "`#[fingerprint]` annotates a function; a constant counts without, once `cache_includes(…)` names it"
            .to_owned()
    } else {
        format!("`#[{what}]` annotates a function: write it above an `async fn`")
    };
    Err(syn::Error::new(place, message))
}

impl Expansion {
    fn print(&self) -> TokenStream {
        let shim = self.shim();
        let companion = if self.is_associated() {
            self.hidden_body()
        } else {
            self.companion()
        };
        quote!(#shim #companion)
    }

    /// Whether the function stands in an `impl` block, where no item can stand beside it.
    fn is_associated(&self) -> bool {
        self.options.associated || self.function.is_method()
    }

    /// Where the runtime's side of the expansion is.
    fn fk(&self) -> TokenStream {
        private_path(self.options.krate.as_ref())
    }

    fn ident(&self) -> &Ident {
        &self.function.item.sig.ident
    }

    /// The function that makes a call, `task` or `flow`.
    fn maker(&self) -> TokenStream {
        match self.kind {
            Macro::Flow => quote!(flow),
            Macro::Task | Macro::Fingerprint => quote!(task),
        }
    }

    /// The function as it was written, under the name that the shim calls it by.
    fn body_path(&self) -> TokenStream {
        let generics = self.turbofish();
        if self.is_associated() {
            let hidden = self.hidden_ident();
            quote!(Self::#hidden #generics)
        } else {
            let ident = self.ident();
            quote!(#ident::unorchestrated #generics)
        }
    }

    /// The type and const parameters, named where the body is called.
    fn turbofish(&self) -> TokenStream {
        let parameters =
            self.function
                .item
                .sig
                .generics
                .params
                .iter()
                .filter_map(|parameter| match parameter {
                    GenericParam::Type(parameter) => Some(&parameter.ident),
                    GenericParam::Const(parameter) => Some(&parameter.ident),
                    GenericParam::Lifetime(_) => None,
                });
        let parameters: Vec<_> = parameters.collect();
        if parameters.is_empty() {
            TokenStream::new()
        } else {
            quote!(::<#(#parameters),*>)
        }
    }
}

/// The path of what attributes expand to.
fn private_path(krate: Option<&Path>) -> TokenStream {
    match krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::flowkit::__private),
    }
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
