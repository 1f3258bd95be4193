//! What takes the companion's place in an `impl` block, where no item can stand beside the shim.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::Visibility;

use super::Expansion;
use crate::function::Parameter;
use crate::hygiene::{hidden_type, plain};

impl Expansion {
    /// The function as it was written, under a hidden name.
    pub(super) fn hidden_body(&self) -> TokenStream {
        let hidden = self.hidden_ident();
        let body = self.body(&Visibility::Inherited, &hidden);
        quote!(#[doc(hidden)] #body)
    }

    pub(super) fn hidden_ident(&self) -> Ident {
        format_ident!("__flowkit_{}", plain(self.ident()))
    }

    /// The definition, as the shim names it.
    pub(super) fn definition_for_shim(&self) -> TokenStream {
        if self.is_associated() {
            let definition = self.definition();
            quote!(const { &#definition })
        } else {
            let ident = self.ident();
            quote!(#ident::DEFINITION)
        }
    }

    /// `&self` becomes an input by being cloned.
    pub(super) fn bind_borrowed_receiver(&self, parameter: &Parameter) -> TokenStream {
        let (fk, ty, check) = (self.fk(), &parameter.ty, hidden_type("Receiver"));
        quote!(#fk::Input::value(<#ty as #check>::clone_receiver(self)))
    }

    /// `&self` can be cloned.
    pub(super) fn receiver_check(&self) -> Option<TokenStream> {
        self.borrowed_receiver()?;
        let (check, ident) = (hidden_type("Receiver"), self.ident());
        let message = format!(
            "the {} `{ident}` borrows `self`, and its call keeps a clone: `{{Self}}` is not `Clone`",
            self.kind.name()
        );
        Some(quote! {
            #[diagnostic::on_unimplemented(
                message = #message,
                label = "not `Clone`",
                note = "derive `Clone`, or take `self: Arc<Self>`"
            )]
            trait #check {
                fn clone_receiver(&self) -> Self;
            }
            #[diagnostic::do_not_recommend]
            impl<T: ::core::clone::Clone> #check for T {
                fn clone_receiver(&self) -> Self {
                    ::core::clone::Clone::clone(self)
                }
            }
        })
    }

    fn borrowed_receiver(&self) -> Option<&Parameter> {
        let receiver = self.function.parameters.first()?;
        (receiver.name == "self" && receiver.borrowed).then_some(receiver)
    }
}
