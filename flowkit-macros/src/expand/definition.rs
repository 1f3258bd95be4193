//! The constant that describes the function: its names, and what the attribute says.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta};

use super::Expansion;
use super::plain::counted;
use crate::hygiene::{hidden, plain};
use crate::model::Cache;

impl Expansion {
    pub(super) fn definition(&self) -> TokenStream {
        let fk = self.fk();
        let (name, maker, declared) = (self.name(), self.maker(), self.declared());
        let setters = &self.options.setters;
        let description = self.description();
        let tags = &self.options.tags;
        let parameters = self.function.input_names();
        let fingerprint = &self.fingerprint;
        let version = self
            .options
            .version
            .as_ref()
            .map(|version| quote!(.with_version(#version)));
        let cache = self.options.cached().map(|cache| {
            let policy = match cache {
                Cache::InputsAndRun => quote!(inputs_and_run),
                Cache::Custom(_) | Cache::Inputs | Cache::None => quote!(inputs),
            };
            quote!(.with_cache(#fk::CachePolicy::#policy()))
        });
        let includes = (!self.options.cache_includes.is_empty()).then(|| {
            let hasher = hidden("hasher");
            let counted = counted(&fk, &hasher, &self.options.cache_includes);
            quote!(.with_includes(|#hasher: &mut #fk::KeyHasher| { #counted ::core::result::Result::Ok(()) }))
        });
        let hooks = self.hooks();
        let effect = self.options.effect.then(|| quote!(.with_effect()));
        quote! {
            #fk::Definition::#maker(#name, #fk::place!(), #fk::TaskOptions::declared(#declared) #(#setters)*)
                .with_description(#description)
                .with_tags(&[#(#tags),*])
                .with_parameters(&[#(#parameters),*])
                .with_fingerprint(#fingerprint)
                #version #cache #includes #hooks #effect
        }
    }

    /// What runs are called.
    pub(super) fn name(&self) -> String {
        self.options
            .name
            .as_ref()
            .map_or_else(|| plain(self.ident()), LitStr::value)
    }

    /// The options that constants cannot replace later, since they are dropped.
    fn declared(&self) -> TokenStream {
        let fk = self.fk();
        let mut declared = quote!(#fk::Declared::new());
        if !self.options.delays.is_empty() {
            let delays = self.options.delays.iter().map(|delay| &delay.tokens);
            declared = quote!(#declared.retry_delay(const { &[#(#delays),*] }));
        }
        if !self.options.limits.is_empty() {
            let limits = self
                .options
                .limits
                .iter()
                .map(|(name, weight)| quote!((#name, #weight)));
            declared = quote!(#declared.limits(const { &[#(#limits),*] }));
        }
        if let Some(name) = &self.options.rate_limit {
            declared = quote!(#declared.rate_limit(#name));
        }
        if let Some(name) = &self.options.circuit_breaker {
            declared = quote!(#declared.circuit_breaker(#name));
        }
        declared
    }

    fn hooks(&self) -> Option<TokenStream> {
        let fk = self.fk();
        let run = hidden("run");
        let by_word = self.options.hooks.iter().map(
            |(word, functions)| quote!(.#word(const { &[#(|#run: #fk::HookRun| #fk::call_hook(#functions, #run)),*] })),
        );
        let by_word: Vec<_> = by_word.collect();
        (!by_word.is_empty()).then(|| quote!(.with_hooks(#fk::Hooks::new() #(#by_word)*)))
    }

    /// What the attribute says, or the doc comment.
    fn description(&self) -> String {
        match &self.options.description {
            Some(description) => description.value(),
            None => doc_comment(&self.function.item.attrs),
        }
    }
}

/// The text of a doc comment.
fn doc_comment(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(line), ..
            }) => {
                let line = line.value();
                Some(line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
            }
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
