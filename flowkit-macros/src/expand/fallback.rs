//! What stands in for a function that cannot be a task or flow, so that its callers do not fail as well.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{FnArg, ItemFn};

use super::Expansion;
use crate::function;

/// Only the function as it was written.
pub(super) fn original(mut item: ItemFn) -> TokenStream {
    strip(&mut item);
    item.into_token_stream()
}

/// Takes off what only `#[task]` and `#[flow]` understand.
fn strip(item: &mut ItemFn) {
    for input in &mut item.sig.inputs {
        if let FnArg::Typed(typed) = input {
            function::take_resource(&mut typed.attrs);
        }
    }
}

impl Expansion {
    /// A shim that cannot run, and the function as it was written, so that errors in it show too.
    pub(super) fn print_stub(&self, original: &ItemFn) -> TokenStream {
        let head = self.shim_head();
        let mut body = original.clone();
        strip(&mut body);
        body.attrs.retain(|attribute| !attribute.path().is_ident("doc"));
        body.sig.ident = if self.is_associated() {
            self.hidden_ident()
        } else {
            format_ident!("unorchestrated")
        };
        let beside = if self.is_associated() {
            quote!(#[allow(dead_code)] #body)
        } else {
            self.companion_of(&body.into_token_stream())
        };
        quote! {
            #[allow(unused_variables, clippy::empty_loop)]
            #head { loop {} }
            #beside
        }
    }
}
