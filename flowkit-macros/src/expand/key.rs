//! What is computed from the inputs before the body runs: their part of the cache key, and the name of the run.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericParam, Index};

use super::Expansion;
use crate::cache_key::CacheKey;
use crate::function::{Parameter, ParameterKind};
use crate::hygiene::{hidden, hidden_type};
use crate::model::Cache;
use crate::words::Macro;

impl Expansion {
    /// What the attribute asks for beside the body.
    pub(super) fn asked(&self) -> TokenStream {
        let fk = self.fk();
        let run_name = self.run_name();
        let key = self.key();
        let owned = self.function.inputs().filter(|parameter| !parameter.borrowed);
        let repeatable = owned.map(|parameter| {
            let ty = &parameter.ty;
            quote!(&& #fk::clone_fn!(#ty).is_some())
        });
        let memo = self.memo();
        let output = self.value_type();
        let probe = probe_of(&self.function.output.to_token_stream());
        let unkept = (self.options.persist == Some(false)).then(|| quote!(.unkept()));
        let asked = quote!(#fk::Shim::new() #run_name #key #memo .repeatable(true #(#repeatable)*) #unkept);
        if self.kind == Macro::Flow {
            let inputs_type = self.inputs_type();
            let inputs = self.function.inputs().enumerate().map(|(index, parameter)| {
                let (field, name, ty) = (Index::from(index), parameter.text(), self.stored_type(parameter));
                let probe = probe_of(&ty);
                quote!((#field, #name, #probe #ty))
            });
            return quote!(#fk::show_inputs!(#asked, #inputs_type, #probe #output, #(#inputs)*));
        }
        if self.options.stored_because().is_none() {
            return match self.options.persist {
                Some(false) => asked,
                _ => quote!(#asked.codec(#fk::codec!(#probe, #output))),
            };
        }
        let (value, check) = (self.value_type(), hidden_type("CachedOutput"));
        quote!(<#value as #check>::restorable(#asked))
    }

    fn run_name(&self) -> Option<TokenStream> {
        let template = self.options.run_name.as_ref()?;
        let inputs = hidden("inputs");
        let inputs_type = self.inputs_type();
        let text = &template.text;
        let arguments = template.fields.iter().filter_map(|field| {
            let (index, parameter) = self.input(field)?;
            // `format!` takes keywords for names, and no raw ones.
            let name = Ident::new(field, parameter.name.span());
            let value = self.peek(&inputs, &index, parameter);
            Some(quote!(#name = #value?))
        });
        Some(quote! {
            .run_name(|#inputs: &#inputs_type| ::core::option::Option::Some(::std::format!(#text, #(#arguments),*)))
        })
    }

    /// How all inputs make a key and the output is cloned, as far as their types can.
    fn memo(&self) -> TokenStream {
        let fk = self.fk();
        let (inputs, hasher, hash, value) = (
            hidden("inputs"),
            hidden("hasher"),
            hidden("hash"),
            hidden("value"),
        );
        let (inputs_type, output) = (self.inputs_type(), self.value_type());
        let types = self
            .types_in_key(false)
            .map(|types| quote!(#hasher.section("types", ::core::any::type_name::<#types>());));
        let constants = self.constants_in_key(&hasher);
        let parts = self.function.inputs().enumerate().map(|(index, parameter)| {
            let (field, name, ty) = (Index::from(index), parameter.text(), self.stored_type(parameter));
            if is_bytes(parameter) {
                return quote!(#inputs.#field.hash_bytes(#name, #hasher)?;);
            }
            quote! {
                let ::core::option::Option::Some(#hash) = #fk::hash_fn!(#ty) else {
                    return ::core::result::Result::Ok(false);
                };
                if let ::core::option::Option::Some(#value) = #inputs.#field.peek() {
                    #hash(#value, #name, #hasher)?;
                }
            }
        });
        quote! {
            .memo(
                |#inputs: &#inputs_type, #hasher: &mut #fk::KeyHasher| {
                    #types #constants #(#parts)* ::core::result::Result::Ok(true)
                },
                {
                    use #fk::{CloneNo as _, CloneYes as _};
                    (&#fk::Probe::<#output>::NEW).clone_fn()
                },
            )
        }
    }

    fn input(&self, name: &str) -> Option<(Index, &Parameter)> {
        let (index, parameter) = self
            .function
            .inputs()
            .enumerate()
            .find(|(_, parameter)| parameter.text() == name)?;
        Some((Index::from(index), parameter))
    }

    /// A reference to an input as the body would see it, if it is there.
    fn peek(&self, inputs: &Ident, index: &Index, parameter: &Parameter) -> TokenStream {
        let (fk, ty, value) = (self.fk(), &parameter.ty, hidden("value"));
        if parameter.borrowed && parameter.kind == ParameterKind::Input {
            quote!(#inputs.#index.peek().map(|#value| <#ty as #fk::Lend>::lend(#value)))
        } else {
            quote!(#inputs.#index.peek())
        }
    }

    fn key(&self) -> Option<TokenStream> {
        let fk = self.fk();
        let (inputs, hasher) = (hidden("inputs"), hidden("hasher"));
        let inputs_type = self.inputs_type();
        let (types, parts) = match self.options.cached()? {
            Cache::Custom(key) => (self.types_in_key(false), self.custom_key(&inputs, &hasher, key)),
            _ => {
                let inputs_and_places = self.function.inputs().enumerate();
                let parts = inputs_and_places
                    .filter_map(|(index, parameter)| self.key_part(&inputs, &hasher, index, parameter));
                (
                    self.types_in_key(true),
                    quote!(#(#parts)* ::core::result::Result::Ok(true)),
                )
            }
        };
        let types = types.map(|types| quote!(#hasher.section("types", ::core::any::type_name::<#types>());));
        let constants = self.constants_in_key(&hasher);
        Some(quote! {
            .key(|#inputs: &#inputs_type, #hasher: &mut #fk::KeyHasher| { #types #constants #parts })
        })
    }

    fn custom_key(&self, inputs: &Ident, hasher: &Ident, key: &CacheKey) -> TokenStream {
        let fk = self.fk();
        let bindings = key.reads.iter().filter_map(|read| {
            let (index, parameter) = self.input(&crate::hygiene::plain(&read.name))?;
            let value = self.peek(inputs, &index, parameter);
            let name = &read.name;
            let typed = read.ty.as_ref().map(|ty| quote!(let #name: #ty = #name;));
            Some(quote! {
                let ::core::option::Option::Some(#name) = #value else {
                    return ::core::result::Result::Ok(false);
                };
                #typed
            })
        });
        let (output, body) = (&key.output, &key.body);
        // A block, so that a body with a return type is one; a closure, so that `return` in it returns from it.
        let body = if matches!(output, syn::ReturnType::Default) {
            body.to_token_stream()
        } else {
            quote!({ #body })
        };
        quote!(#(#bindings)* #fk::user_key!(#hasher, (|| #output #body)()))
    }

    fn key_part(
        &self,
        inputs: &Ident,
        hasher: &Ident,
        index: usize,
        parameter: &Parameter,
    ) -> Option<TokenStream> {
        if self.is_excluded(parameter) {
            return None;
        }
        let (field, name) = (Index::from(index), parameter.text());
        if is_bytes(parameter) {
            return Some(quote!(#inputs.#field.hash_bytes(#name, #hasher)?;));
        }
        let (ty, check, value) = (
            self.hashed_type(parameter),
            cached_input(parameter),
            hidden("value"),
        );
        Some(quote! {
            if let ::core::option::Option::Some(#value) = #inputs.#field.peek() {
                <#ty as #check>::add_to_key(#value, #hasher)?;
            }
        })
    }

    /// The type that is hashed for a parameter: the value itself, also where a receiver is a pointer to it.
    pub(super) fn hashed_type(&self, parameter: &Parameter) -> TokenStream {
        if parameter.kind == ParameterKind::Receiver {
            quote!(Self)
        } else {
            self.stored_type(parameter)
        }
    }

    pub(super) fn is_excluded(&self, parameter: &Parameter) -> bool {
        self.options
            .cache_exclude
            .iter()
            .any(|path| path.is_ident(&parameter.name))
    }

    /// What tells this function from others of its name: where it stands if that is inside of another function, and its type arguments.
    fn types_in_key(&self, with_place: bool) -> Option<TokenStream> {
        let ident = self.ident();
        let place = match (self.is_associated(), with_place) {
            (true, _) => Some(quote!(Self)),
            (false, true) => Some(ident.to_token_stream()),
            (false, false) => None,
        };
        let arguments = self
            .function
            .item
            .sig
            .generics
            .type_params()
            .map(|parameter| parameter.ident.to_token_stream());
        let types: Vec<_> = place.into_iter().chain(arguments).collect();
        (!types.is_empty()).then(|| quote!((#(#types,)*)))
    }

    fn constants_in_key(&self, hasher: &Ident) -> TokenStream {
        let fk = self.fk();
        let constants =
            self.function
                .item
                .sig
                .generics
                .params
                .iter()
                .filter_map(|parameter| match parameter {
                    GenericParam::Const(parameter) => {
                        let (ident, name) = (&parameter.ident, parameter.ident.to_string());
                        Some(quote!(#fk::KeyHasher::value(#hasher, #name, &#ident)?;))
                    }
                    _ => None,
                });
        quote!(#(#constants)*)
    }
}

/// What asks of a type whether it can be stored: nothing does of one that borrows, since the answer would depend on for how long.
pub(super) fn probe_of(ty: &TokenStream) -> Ident {
    fn borrows(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Punct(punct) => punct.as_char() == '&',
            TokenTree::Group(group) => borrows(group.stream()),
            _ => false,
        })
    }
    let name = if borrows(ty.clone()) { "NoProbe" } else { "Probe" };
    Ident::new(name, proc_macro2::Span::call_site())
}

/// The trait that stands for "this parameter can be part of the key".
pub(super) fn cached_input(parameter: &Parameter) -> Ident {
    hidden_type(&format!("CachedInput_{}", parameter.text()))
}

/// Whether a parameter is `Vec<u8>` or `&[u8]`, which the key takes whole instead of byte by byte.
pub(super) fn is_bytes(parameter: &Parameter) -> bool {
    let text = parameter.ty.to_token_stream().to_string();
    match parameter.borrowed {
        true => matches!(text.as_str(), "[u8]" | "Vec < u8 >"),
        false => text == "Vec < u8 >",
    }
}
