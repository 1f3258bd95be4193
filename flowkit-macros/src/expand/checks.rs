//! What is asked of the compiler where the attribute demands it, with our own words if the answer is no.
//!
//! Each question is a trait that stands in the shim and has one blanket impl. The shim goes through it, so that a wrong type
//! fails there and nowhere else, at the type as the user wrote it.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

use super::Expansion;
use super::key::{cached_input, is_bytes};
use crate::function::{Parameter, ParameterKind};
use crate::hygiene::{at, ends, hidden_type};
use crate::model::{Cache, Retries};

impl Expansion {
    pub(super) fn checks(&self) -> TokenStream {
        let receiver = self.receiver_check();
        let error = match self.function.fallible {
            true => self.error_check(),
            false => self.value_check(),
        };
        let repeat = (self.options.retries == Retries::Some).then(|| self.repeat_checks());
        let because = self.options.stored_because();
        let inputs = match self.options.cached() {
            Some(Cache::Custom(_)) => None,
            _ => because.map(|because| self.input_checks(because)),
        };
        let output = because.map(|because| self.output_check(because));
        quote!(#receiver #error #repeat #inputs #output)
    }

    fn what(&self) -> String {
        format!("the {} `{}`", self.kind.name(), self.ident())
    }

    /// The error can be passed on, whoever returned it.
    fn error_check(&self) -> TokenStream {
        let fk = self.fk();
        let check = hidden_type("Error");
        let message = format!(
            "{} fails with `{{Self}}`, which is not an error that can be passed on",
            self.what()
        );
        let note = "implement `std::error::Error` for it, and let it be `Send + Sync + 'static`; `String` and `flowkit::Result<T>` will do too";
        let (body, call) = match (&self.options.retry_if, &self.options.retry_after) {
            (_, Some(_)) => (
                quote! {
                    fn end_or_wait<R: #fk::Fallible<Error = Self>>(
                        returned: R,
                        retry_if: impl ::core::ops::FnOnce(&Self) -> bool,
                        retry_after: impl ::core::ops::FnOnce(&Self) -> ::core::option::Option<::core::time::Duration>,
                    ) -> ::core::result::Result<R::Value, #fk::Failure>
                },
                quote!(#fk::outcome_after(returned, retry_if, retry_after)),
            ),
            (Some(_), None) => (
                quote! {
                    fn end_or_retry<R: #fk::Fallible<Error = Self>>(
                        returned: R,
                        retry_if: impl ::core::ops::FnOnce(&Self) -> bool,
                    ) -> ::core::result::Result<R::Value, #fk::Failure>
                },
                quote!(#fk::outcome_if(returned, retry_if)),
            ),
            (None, None) => (
                quote! {
                    fn end<R: #fk::Fallible<Error = Self>>(returned: R) -> ::core::result::Result<R::Value, #fk::Failure>
                },
                quote!(#fk::outcome(returned)),
            ),
        };
        quote! {
            #[diagnostic::on_unimplemented(
                message = #message,
                label = "does not convert into `Box<dyn Error + Send + Sync>`",
                note = #note
            )]
            trait #check: ::core::marker::Sized {
                #body;
            }
            #[diagnostic::do_not_recommend]
            impl<E: ::core::convert::Into<#fk::BoxError>> #check for E {
                #body {
                    #call
                }
            }
        }
    }

    /// What is not called `Result` is none, so that no error passes for a value.
    fn value_check(&self) -> TokenStream {
        let (fk, output) = (self.fk(), &self.function.output);
        let (first, last) = ends(output);
        let (open, is) = (quote_spanned!(at(first)=> &<), Ident::new("IS", at(last)));
        quote! {
            {
                use #fk::MayBeValue as _;
                #fk::unfailing(#open #fk::Returned<#output>>::#is);
            }
        }
    }

    /// Every attempt can be given a value of its own.
    fn repeat_checks(&self) -> TokenStream {
        let what = self.what();
        let owned = self.function.inputs().filter(|parameter| !parameter.borrowed);
        let checks = owned.map(|parameter| {
            let (name, ty, check) = (parameter.text(), &parameter.ty, repeatable(parameter));
            let message = format!(
                "parameter `{name}` of {what} is taken by value, and with `retries` every attempt needs a value of its own: `{{Self}}` is not `Clone`"
            );
            let note = match parameter.kind {
                ParameterKind::Receiver => "take `&self`, or derive `Clone`".to_owned(),
                _ => format!("let the parameter borrow, as `{name}: &{}`, or derive `Clone`", plain_type(ty)),
            };
            quote! {
                #[diagnostic::on_unimplemented(message = #message, label = "not `Clone`", note = #note)]
                #[allow(non_camel_case_types)]
                trait #check {
                    const IS: () = ();
                }
                #[diagnostic::do_not_recommend]
                impl<T: ::core::clone::Clone> #check for T {}
                let () = <#ty as #check>::IS;
            }
        });
        quote!(#(#checks)*)
    }

    /// Every parameter that is part of the key can be hashed.
    fn input_checks(&self, because: &str) -> TokenStream {
        let inputs = self
            .function
            .inputs()
            .filter(|parameter| !is_bytes(parameter) && !self.is_excluded(parameter));
        let checks = inputs.map(|parameter| self.input_check(parameter, because));
        quote!(#(#checks)*)
    }

    fn input_check(&self, parameter: &Parameter, because: &str) -> TokenStream {
        let fk = self.fk();
        let (name, check) = (parameter.text(), cached_input(parameter));
        let message = format!(
            "parameter `{name}` of {}, {because}, cannot be part of the key: `{{Self}}` is not `serde::Serialize`",
            self.what()
        );
        let note = if names_secret(&parameter.ty) {
            "a secret that is not outermost has no key: write `Secret<Option<_>>` or `Secret<Vec<_>>`"
                .to_owned()
        } else if self.options.cached().is_some() {
            format!(
                "derive `serde::Serialize`, or leave the parameter out of the key with `cache_exclude({name})`"
            )
        } else {
            "derive `serde::Serialize`: a resumed flow knows a call by its inputs".to_owned()
        };
        // The key of a cached task goes through the check; where there is none, it is only asked.
        let ty = self.hashed_type(parameter);
        let asked = self
            .options
            .cached()
            .is_none()
            .then(|| quote!(let _ = <#ty as #check>::add_to_key;));
        let signature = quote! {
            fn add_to_key(&self, hasher: &mut #fk::KeyHasher) -> ::core::result::Result<(), #fk::KeyError>
        };
        quote! {
            #[diagnostic::on_unimplemented(message = #message, label = "not `serde::Serialize`", note = #note)]
            #[allow(non_camel_case_types)]
            trait #check {
                #signature;
            }
            #[diagnostic::do_not_recommend]
            impl<T: #fk::KeyInput> #check for T {
                #signature {
                    #fk::KeyInput::add_to_key(self, #name, hasher)
                }
            }
            #asked
        }
    }

    /// The output can be stored and restored.
    fn output_check(&self, because: &str) -> TokenStream {
        let fk = self.fk();
        let check = hidden_type("CachedOutput");
        let message = format!(
            "the output of {}, {because}, cannot be restored: `{{Self}}` is not both `serde::Serialize` and `serde::Deserialize`",
            self.what()
        );
        let note = if names_secret(&self.function.output) {
            "a secret is never written down: return what holds none, or do without the cache"
        } else {
            "derive `serde::Serialize` and `serde::Deserialize` for it; a type that borrows cannot be restored"
        };
        quote! {
            #[diagnostic::on_unimplemented(message = #message, label = "cannot be restored", note = #note)]
            trait #check: ::core::marker::Sized {
                fn restorable<I>(shim: #fk::Shim<I, Self>) -> #fk::Shim<I, Self>;
            }
            #[diagnostic::do_not_recommend]
            impl<T: #fk::serde::Serialize + #fk::serde::de::DeserializeOwned> #check for T {
                fn restorable<I>(shim: #fk::Shim<I, Self>) -> #fk::Shim<I, Self> {
                    shim.restorable()
                }
            }
        }
    }
}

/// Whether a type is written with a `Secret` in it.
fn names_secret(ty: &impl ToTokens) -> bool {
    fn named(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == "Secret",
            TokenTree::Group(group) => named(group.stream()),
            _ => false,
        })
    }
    named(ty.to_token_stream())
}

fn repeatable(parameter: &Parameter) -> Ident {
    hidden_type(&format!("Repeatable_{}", parameter.text()))
}

/// A type as people write it, for a message: tokens print with spaces around everything.
fn plain_type(ty: &impl ToTokens) -> String {
    let text = ty.to_token_stream().to_string();
    [
        (" :: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        ("> ,", ">,"),
        (" ,", ","),
        ("& ", "&"),
        ("( ", "("),
        (" )", ")"),
    ]
    .iter()
    .fold(text, |text, (spaced, plain)| text.replace(spaced, plain))
}
