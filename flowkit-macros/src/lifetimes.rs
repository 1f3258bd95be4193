//! Finds what a type borrows: lifetimes that are neither `'static` nor bound inside the type itself.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{BoundLifetimes, Ident, Lifetime, ParenthesizedGenericArguments, Type, TypeFnPtr, TypeReference};

/// The first place where the type borrows from elsewhere.
pub(crate) fn borrowed(ty: &Type) -> Option<Span> {
    let mut search = Search {
        bound: Vec::new(),
        elision_is_local: false,
        found: None,
    };
    search.visit_type(ty);
    search.found
}

struct Search {
    /// Names that a `for<…>` gives.
    bound: Vec<Ident>,
    /// In `fn(&T)` and `Fn(&T)`, a missing lifetime is one of the function's own.
    elision_is_local: bool,
    found: Option<Span>,
}

impl Search {
    fn report(&mut self, span: Span) {
        self.found.get_or_insert(span);
    }

    fn inside_a_function_type(&mut self, walk: impl FnOnce(&mut Self)) {
        let outside = std::mem::replace(&mut self.elision_is_local, true);
        walk(self);
        self.elision_is_local = outside;
    }
}

impl<'ast> Visit<'ast> for Search {
    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        let name = &lifetime.ident;
        let is_local = if name == "_" {
            self.elision_is_local
        } else {
            self.bound.contains(name)
        };
        if name != "static" && !is_local {
            self.report(lifetime.span());
        }
    }

    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if reference.lifetime.is_none() && !self.elision_is_local {
            self.report(reference.and_token.span);
        }
        visit::visit_type_reference(self, reference);
    }

    fn visit_bound_lifetimes(&mut self, bound: &'ast BoundLifetimes) {
        let names = bound.lifetimes.iter().filter_map(|parameter| match parameter {
            syn::GenericParam::Lifetime(parameter) => Some(parameter.lifetime.ident.clone()),
            _ => None,
        });
        self.bound.extend(names);
    }

    fn visit_type_fn_ptr(&mut self, function: &'ast TypeFnPtr) {
        self.inside_a_function_type(|search| visit::visit_type_fn_ptr(search, function));
    }

    fn visit_parenthesized_generic_arguments(&mut self, arguments: &'ast ParenthesizedGenericArguments) {
        self.inside_a_function_type(|search| visit::visit_parenthesized_generic_arguments(search, arguments));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn borrows(ty: &str) -> bool {
        borrowed(&syn::parse_str(ty).unwrap()).is_some()
    }

    #[test]
    fn references_and_lifetimes_inside_a_type_are_found() {
        for ty in [
            "Option<&str>",
            "Vec<&'a u8>",
            "Cow<'_, str>",
            "(u8, &[u8])",
            "Box<dyn Fn() + 'a>",
            "[&'a u8; 3]",
        ] {
            assert!(borrows(ty), "{ty}");
        }
    }

    #[test]
    fn what_lives_for_ever_or_is_bound_inside_is_no_borrow() {
        for ty in [
            "Option<&'static str>",
            "fn(&str) -> &str",
            "Box<dyn Fn(&str) -> &str + Send>",
            "Arc<dyn for<'a> Read<'a>>",
            "for<'a> fn(&'a str) -> Cow<'a, str>",
            "Cow<'static, str>",
        ] {
            assert!(!borrows(ty), "{ty}");
        }
    }
}
