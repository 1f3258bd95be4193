//! The enum of the function's name: its definition, and the function as it was written.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Meta, Visibility};

use super::Expansion;
use super::key::probe_of;
use super::plain::fingerprint_function;
use crate::words::Macro;

impl Expansion {
    pub(super) fn companion(&self) -> TokenStream {
        let vis = &self.function.item.vis;
        let companion = self.companion_of(&self.body(vis, &format_ident!("unorchestrated")));
        let registration = self.registration();
        quote!(#companion #registration)
    }

    /// The companion that holds this body.
    pub(super) fn companion_of(&self, body: &TokenStream) -> TokenStream {
        let fk = self.fk();
        let (ident, vis, name) = (self.ident(), &self.function.item.vis, self.name());
        let definition = self.definition();
        let fingerprint = self.fingerprint_function();
        let conditions: Vec<_> = self
            .function
            .item
            .attrs
            .iter()
            .filter(|attribute| is_condition(attribute))
            .collect();
        let what = self.kind.name();
        let enum_doc = format!("What belongs to the {what} `{ident}` beside the call of it.");
        let name_doc = format!("The name of the {what} `{ident}`.");
        let definition_doc = format!("The definition of the {what} `{ident}`.");
        let body_doc = format!("The function `{ident}` as it is written, without flowkit: for unit tests.");
        quote! {
            #(#conditions)*
            #[doc = #enum_doc]
            #[allow(non_camel_case_types, dead_code, missing_debug_implementations, unreachable_pub, clippy::empty_enums)]
            #vis enum #ident {}

            #(#conditions)*
            #[allow(dead_code, unreachable_pub)]
            impl #ident {
                #[doc = #name_doc]
                #vis const NAME: &'static str = #name;

                #[doc = #definition_doc]
                #vis const DEFINITION: &'static #fk::Definition = &#definition;

                #[doc = #body_doc]
                #body

                #fingerprint
            }
        }
    }

    /// Registers a flow that can be called by its name: a function of its own, without type parameters.
    fn registration(&self) -> Option<TokenStream> {
        let generics = &self.function.item.sig.generics;
        if self.kind != Macro::Flow
            || !generics.params.is_empty()
            || self.function.inputs().any(|parameter| parameter.broken)
        {
            return None;
        }
        let (fk, ident, output) = (self.fk(), self.ident(), self.value_type());
        let probe = probe_of(&self.function.output.to_token_stream());
        let inputs = self.function.inputs().map(|parameter| {
            let (name, ty) = (parameter.text(), self.stored_type(parameter));
            let probe = probe_of(&ty);
            quote!((#name, #probe #ty))
        });
        let conditions = self
            .function
            .item
            .attrs
            .iter()
            .filter(|attribute| is_condition(attribute));
        Some(quote!(#(#conditions)* #fk::register_flow! { #ident, #probe #output, #(#inputs)* }))
    }

    /// The function as it was written, under another name and with the attributes that concern its body.
    pub(super) fn body(&self, vis: &Visibility, name: &Ident) -> TokenStream {
        let mut item = self.function.item.clone();
        item.attrs.retain(|attribute| !is_public_face(attribute));
        item.vis = vis.clone();
        item.sig.ident = name.clone();
        item.into_token_stream()
    }

    fn fingerprint_function(&self) -> TokenStream {
        let code = match &self.options.version {
            Some(version) => quote!("version", #version),
            None => {
                let fingerprint = &self.fingerprint;
                quote!("fingerprint", #fingerprint)
            }
        };
        fingerprint_function(
            &self.fk(),
            &self.function.item.vis,
            self.ident(),
            &code,
            &self.options.cache_includes,
        )
    }
}

/// Attributes that belong to what callers see, and not to the body.
pub(super) fn is_public_face(attribute: &Attribute) -> bool {
    ["doc", "must_use", "deprecated"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

/// What the user allows in the function is allowed in the shim too, which has its name and its parameters.
pub(super) fn allowance(attribute: &Attribute) -> Option<Attribute> {
    let mut attribute = attribute.clone();
    match &mut attribute.meta {
        Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => {
            list.path = Ident::new("allow", list.path.span()).into();
            Some(attribute)
        }
        _ => None,
    }
}

/// Attributes that decide whether there is a function at all.
pub(super) fn is_condition(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
}
