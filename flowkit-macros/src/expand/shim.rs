//! The function that callers call: it binds the inputs, and returns a call that has not begun.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    AttrStyle, Attribute, FnArg, GenericParam, Generics, ReceiverKind, Type, TypeParamBound, WherePredicate,
    parse_quote,
};

use super::Expansion;
use super::companion::{allowance, is_condition, is_public_face};
use crate::function::{Parameter, ParameterKind};
use crate::hygiene::{at, ends, moved_to, plain};
use crate::words::Macro;

impl Expansion {
    pub(super) fn shim(&self) -> TokenStream {
        let fk = self.fk();
        let head = self.shim_head();
        let definition = self.definition_for_shim();
        let checks = self.checks();
        // Messages about what inputs must be are shown at the parameters, and about the body's future at the function's name.
        let parameters = self.function.item.sig.paren_token.span.join();
        let tuple = quote_spanned!(at(parameters)=> _);
        let maker = self.maker();
        let maker = moved_to(self.ident().span(), quote!(#fk::#maker));
        let value = self.value_type();
        let inputs = self.function.inputs().map(|parameter| self.bind(parameter));
        let asked = self.asked();
        let start = self.start();
        quote! {
            #head {
                #checks
                #maker::<#value, #tuple, _, _>(#definition, (#(#inputs,)*), #asked, #start)
            }
        }
    }

    /// Everything before the body.
    pub(super) fn shim_head(&self) -> TokenStream {
        let fk = self.fk();
        let item = &self.function.item;
        let (vis, ident) = (&item.vis, self.ident());
        let attrs = item.attrs.iter().filter_map(|attribute| {
            if is_public_face(attribute) || is_condition(attribute) {
                // A doc comment inside of the body documents the function as well.
                return Some(Attribute {
                    style: AttrStyle::Outer,
                    ..attribute.clone()
                });
            }
            allowance(attribute)
        });
        let generics = self.shim_generics();
        let clause = &generics.where_clause;
        let parameters = self.shim_parameters();
        let value = self.value_type();
        let call = match self.kind {
            Macro::Flow => quote!(FlowCall),
            Macro::Task | Macro::Fingerprint => quote!(TaskCall),
        };
        quote! {
            #(#attrs)*
            #[allow(clippy::too_many_arguments, clippy::shadow_reuse, clippy::shadow_same, clippy::shadow_unrelated)]
            #vis fn #ident #generics (#(#parameters),*) -> #fk::#call<#value> #clause
        }
    }

    fn shim_parameters(&self) -> Vec<TokenStream> {
        let fk = self.fk();
        let receiver = self
            .function
            .item
            .sig
            .inputs
            .iter()
            .find_map(|input| match input {
                FnArg::Receiver(receiver) => {
                    let mut receiver = receiver.clone();
                    receiver.mutability = None;
                    match &mut receiver.kind {
                        ReceiverKind::Reference(_, lifetime, _) => *lifetime = None,
                        ReceiverKind::Typed(_, ty) => {
                            if let Type::Reference(reference) = &mut **ty {
                                reference.lifetime = None;
                            }
                        }
                        _ => {}
                    }
                    Some(receiver.to_token_stream())
                }
                FnArg::Typed(_) => None,
            });
        let inputs = self
            .function
            .inputs()
            .filter(|parameter| parameter.kind == ParameterKind::Input);
        let inputs = inputs.map(|parameter| {
            let (name, ty) = (&parameter.name, self.stored_type(parameter));
            if parameter.broken {
                return quote!(#name: impl ::core::marker::Sized);
            }
            quote!(#name: impl #fk::IntoInput<#ty>)
        });
        receiver.into_iter().chain(inputs).collect()
    }

    /// The type that an input is stored as.
    pub(super) fn stored_type(&self, parameter: &Parameter) -> TokenStream {
        let (fk, ty) = (self.fk(), &parameter.ty);
        if parameter.borrowed && parameter.kind == ParameterKind::Input {
            let (first, last) = ends(ty);
            let open = quote_spanned!(at(first)=> <);
            let close = quote_spanned!(at(last)=> Owned);
            quote!(#open #ty as #fk::Lend>::#close)
        } else {
            ty.to_token_stream()
        }
    }

    /// The type of the tuple of inputs.
    pub(super) fn inputs_type(&self) -> TokenStream {
        let fk = self.fk();
        let types = self.function.inputs().map(|parameter| {
            let ty = self.stored_type(parameter);
            quote!(#fk::Input<#ty>)
        });
        quote!((#(#types,)*))
    }

    /// What the body returns when all goes well.
    pub(super) fn value_type(&self) -> TokenStream {
        self.part_of_output("Value")
    }

    /// The value or the error of what the body returns; the whole of it, if it cannot fail.
    pub(super) fn part_of_output(&self, part: &str) -> TokenStream {
        let (fk, output) = (self.fk(), &self.function.output);
        if !self.function.fallible {
            return output.to_token_stream();
        }
        // The compiler's messages about the type are shown at the whole of what the user wrote.
        let (first, last) = ends(output);
        let open = quote_spanned!(at(first)=> <);
        let part = Ident::new(part, at(last));
        quote!(#open #output as #fk::Fallible>::#part)
    }

    fn bind(&self, parameter: &Parameter) -> TokenStream {
        let (fk, name) = (self.fk(), &parameter.name);
        match parameter.kind {
            ParameterKind::Receiver if parameter.borrowed => self.bind_borrowed_receiver(parameter),
            ParameterKind::Receiver => quote!(#fk::Input::value(#name)),
            _ => quote!(#fk::IntoInput::into_input(#name)),
        }
    }

    /// The generics of the shim: without lifetimes, since inputs are owned, and with what crossing threads asks for.
    fn shim_generics(&self) -> Generics {
        let mut generics = self.function.item.sig.generics.clone();
        let lifetimes: Vec<String> = generics
            .lifetimes()
            .map(|parameter| plain(&parameter.lifetime.ident))
            .collect();
        let is_kept = |bound: &TypeParamBound| match bound {
            TypeParamBound::Lifetime(lifetime) => !lifetimes.contains(&plain(&lifetime.ident)),
            _ => true,
        };
        let parameters = std::mem::take(&mut generics.params).into_iter();
        generics.params = parameters
            .filter(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
            .collect();
        for parameter in generics.type_params_mut() {
            parameter.bounds = std::mem::take(&mut parameter.bounds)
                .into_iter()
                .filter(is_kept)
                .collect();
        }
        if let Some(clause) = &mut generics.where_clause {
            let predicates = std::mem::take(&mut clause.predicates).into_iter();
            let kept = predicates.filter_map(|predicate| match predicate {
                WherePredicate::Type(mut predicate) => {
                    predicate.bounds = predicate.bounds.into_iter().filter(is_kept).collect();
                    Some(WherePredicate::Type(predicate))
                }
                WherePredicate::Lifetime(_) => None,
                other => Some(other),
            });
            clause.predicates = kept.collect();
        }
        cross_threads(&mut generics);
        generics
    }
}

/// Adds to each type parameter what inputs need, beside the bounds that it has already.
fn cross_threads(generics: &mut Generics) {
    let Generics {
        params, where_clause, ..
    } = generics;
    for parameter in params {
        let GenericParam::Type(parameter) = parameter else {
            continue;
        };
        let mut bounds = &mut parameter.bounds;
        if bounds.is_empty()
            && let Some(clause) = where_clause
        {
            let of_parameter = clause
                .predicates
                .iter_mut()
                .find_map(|predicate| match predicate {
                    WherePredicate::Type(predicate)
                        if is_parameter(&predicate.bounded_ty, &parameter.ident) =>
                    {
                        Some(&mut predicate.bounds)
                    }
                    _ => None,
                });
            bounds = of_parameter.unwrap_or(bounds);
        }
        bounds.push(parse_quote!(::core::marker::Send));
        bounds.push(parse_quote!(::core::marker::Sync));
        bounds.push(parse_quote!('static));
    }
}

fn is_parameter(ty: &Type, parameter: &Ident) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident(parameter))
}
