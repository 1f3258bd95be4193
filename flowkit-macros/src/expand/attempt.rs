//! How an attempt begins, and what its outcome is.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::Index;

use super::Expansion;
use crate::function::{Parameter, ParameterKind};
use crate::hygiene::{at, ends, hidden, hidden_type};

impl Expansion {
    /// The closure that begins an attempt: it takes the inputs, and returns the future of the body.
    pub(super) fn start(&self) -> TokenStream {
        let fk = self.fk();
        let (inputs, attempt) = (hidden("inputs"), hidden("attempt"));
        let inputs_type = self.inputs_type();
        let taken = self.take_inputs(&inputs, &attempt);
        let arguments = self
            .function
            .parameters
            .iter()
            .map(|parameter| self.argument(parameter));
        let body = self.body_path();
        let call = quote!(#body(#(#arguments),*));
        let begun = if self.function.is_async {
            let outcome = self.outcome(&quote!(#call.await));
            quote!(async move { #outcome })
        } else {
            let outcome = self.outcome(&call);
            quote!(#attempt.blocking(move || { #outcome }))
        };
        quote! {
            |#inputs: &mut #inputs_type, #attempt: &#fk::Attempt<'_>| {
                #taken
                ::core::result::Result::Ok(#begun)
            }
        }
    }

    fn take_inputs(&self, inputs: &Ident, attempt: &Ident) -> TokenStream {
        let mut index = 0;
        let each = self.function.parameters.iter().map(|parameter| {
            if parameter.kind == ParameterKind::Resource {
                return self.take_resource(attempt, parameter);
            }
            let (fk, local, ty, name) = (self.fk(), local(parameter), &parameter.ty, parameter.text());
            let field = Index::from(index);
            index += 1;
            if parameter.borrowed {
                quote!(let #local = #attempt.lend(&mut #inputs.#field)?;)
            } else {
                quote!(let #local = #attempt.take(#name, &mut #inputs.#field, #fk::clone_fn!(#ty))?;)
            }
        });
        quote!(#(#each)*)
    }

    fn take_resource(&self, attempt: &Ident, parameter: &Parameter) -> TokenStream {
        let (local, ty, name) = (local(parameter), &parameter.ty, parameter.text());
        let take = if parameter.borrowed {
            quote!(resource)
        } else {
            quote!(resource_cloned)
        };
        quote!(let #local = #attempt.#take::<#ty>(#name)?;)
    }

    /// What the body is given for a parameter.
    fn argument(&self, parameter: &Parameter) -> TokenStream {
        let (fk, local, ty) = (self.fk(), local(parameter), &parameter.ty);
        match (parameter.borrowed, parameter.kind) {
            (false, _) => quote!(#local),
            (true, ParameterKind::Input) => quote!(<#ty as #fk::Lend>::lend(&#local)),
            (true, _) => quote!(&*#local),
        }
    }

    /// What came of an attempt that returned this.
    fn outcome(&self, returned: &TokenStream) -> TokenStream {
        let fk = self.fk();
        if !self.function.fallible {
            return quote!(::core::result::Result::Ok::<_, #fk::Failure>(#returned));
        }
        let (error, check) = (self.part_of_output("Error"), hidden_type("Error"));
        let (_, last) = ends(&self.function.output);
        let method = |name: &str| Ident::new(name, at(last));
        match (&self.options.retry_if, &self.options.retry_after) {
            (None, None) => {
                let end = method("end");
                quote!(<#error as #check>::#end(#returned))
            }
            (Some(predicate), None) => {
                let end = method("end_or_retry");
                quote!(<#error as #check>::#end(#returned, #predicate))
            }
            (predicate, Some(after)) => {
                let end = method("end_or_wait");
                let predicate = predicate
                    .as_ref()
                    .map_or_else(|| quote!(|_| true), ToTokens::to_token_stream);
                quote!(<#error as #check>::#end(#returned, #predicate, #after))
            }
        }
    }
}

/// The local that holds a parameter's value for an attempt.
fn local(parameter: &Parameter) -> Ident {
    hidden(&format!("in_{}", parameter.text()))
}
