//! The annotated function, taken apart and checked. What is wrong with it is marked, so that something can still be printed.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, FnArg, Item, ItemFn, Pat, PatType, Receiver, ReceiverKind, ReturnType, Safety, Type,
    TypeReference,
};

use crate::diagnose::Diagnostics;
use crate::hygiene::plain;
use crate::lifetimes;
use crate::words::Macro;

/// The most inputs that a call can have.
const MOST_INPUTS: usize = 12;

/// A parameter of the function.
pub(crate) struct Parameter {
    /// Its name; `self` for a receiver.
    pub(crate) name: Ident,
    pub(crate) kind: ParameterKind,
    /// The type that the body is given, without the reference if it borrows.
    pub(crate) ty: Type,
    pub(crate) borrowed: bool,
    /// Nothing can be passed for it.
    pub(crate) broken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterKind {
    Input,
    Receiver,
    Resource,
}

impl Parameter {
    /// The name as people write it.
    pub(crate) fn text(&self) -> String {
        plain(&self.name)
    }
}

/// How much of the function can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All of it.
    Sound,
    /// A function of the same name that callers can name, so that they do not fail as well.
    Stub,
    /// Only the function as it was written.
    Original,
}

/// The function, taken apart.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) is_async: bool,
    /// The return type is named like one that can fail.
    pub(crate) fallible: bool,
    pub(crate) output: Type,
    pub(crate) shape: Shape,
}

impl Function {
    /// The parameters that a call binds, in order: the receiver first.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| parameter.kind != ParameterKind::Resource)
    }

    /// The names of parameters that take inputs.
    pub(crate) fn input_names(&self) -> Vec<String> {
        self.inputs().map(Parameter::text).collect()
    }

    /// Whether it stands in an `impl` block, as far as its signature and body show.
    pub(crate) fn is_method(&self) -> bool {
        is_method(&self.item)
    }
}

/// Refuses a function that stands by itself and is named like a type of the language: what stands beside it under its name would be taken for that type.
/// Whether it did.
pub(crate) fn refuse_name_of_a_type(item: &ItemFn, errors: &mut Diagnostics) -> bool {
    const TYPES: [&str; 19] = [
        "bool", "char", "str", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
        "usize", "f16", "f32", "f64", "f128",
    ];
    let ident = &item.sig.ident;
    let name = plain(ident);
    let is_type = TYPES.contains(&name.as_str());
    if is_type {
        errors.at(
            ident.span(),
            format!("what belongs to a function has its name, and would hide the type `{name}` from the code around it: name the function otherwise"),
        );
    }
    is_type
}

/// Whether a function has a receiver or mentions `Self`.
pub(crate) fn is_method(item: &ItemFn) -> bool {
    let mut search = SearchSelf {
        found: item.sig.receiver().is_some(),
    };
    search.visit_signature(&item.sig);
    search.visit_block(&item.block);
    search.found
}

/// Takes the function apart, and reports what a task or flow cannot have.
pub(crate) fn parse(kind: Macro, mut item: ItemFn, errors: &mut Diagnostics) -> Function {
    let mut shape = check_qualifiers(kind, &item, errors);
    let mut parameters = Vec::new();
    for (index, input) in item.sig.inputs.iter_mut().enumerate() {
        let parameter = match input {
            FnArg::Receiver(receiver) => receiver_of(kind, receiver, errors),
            FnArg::Typed(typed) => parameter_of(kind, index, typed, errors),
        };
        if parameter.broken {
            shape = shape.max(Shape::Stub);
        }
        parameters.push(parameter);
    }
    let inputs = parameters
        .iter()
        .filter(|parameter| parameter.kind != ParameterKind::Resource);
    if let Some(extra) = inputs.clone().nth(MOST_INPUTS) {
        let (count, what) = (inputs.count(), kind.name());
        errors.at(
            extra.name.span(),
            format!("a {what} takes at most {MOST_INPUTS} inputs, and this one takes {count}: put some of them in a struct"),
        );
        shape = shape.max(Shape::Stub);
    }
    let (output, sound) = output_of(kind, &item, errors);
    if !sound {
        shape = Shape::Original;
    }
    let fallible = is_called_result(&output);
    // A flow that is not async has been reported, and is printed as if it were.
    let is_async = item.sig.asyncness.is_some() || kind == Macro::Flow;
    if is_async && item.sig.asyncness.is_none() {
        item.sig.asyncness = Some(syn::Token![async](item.sig.fn_token.span));
    }
    Function {
        item,
        parameters,
        is_async,
        fallible,
        output,
        shape,
    }
}

/// Goes by the name, in brackets or out of them: a macro sees no types. A type that another macro was given comes in brackets that are not written.
fn is_called_result(output: &Type) -> bool {
    match output {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == "Result"),
        Type::Group(group) => is_called_result(&group.elem),
        Type::Paren(paren) => is_called_result(&paren.elem),
        _ => false,
    }
}

impl Shape {
    fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Original, _) | (_, Self::Original) => Self::Original,
            (Self::Stub, _) | (_, Self::Stub) => Self::Stub,
            (Self::Sound, Self::Sound) => Self::Sound,
        }
    }
}

fn check_qualifiers(kind: Macro, item: &ItemFn, errors: &mut Diagnostics) -> Shape {
    let sig = &item.sig;
    let what = kind.name();
    let mut shape = Shape::Sound;
    for attribute in &item.attrs {
        if attribute
            .path()
            .segments
            .last()
            .is_some_and(|last| last.ident == "task" || last.ident == "flow")
        {
            errors.at(
                attribute.path().span(),
                "a function is one task or one flow: annotate it once",
            );
            shape = Shape::Original;
        }
    }
    if kind == Macro::Flow && sig.asyncness.is_none() {
        errors.at(
            sig.fn_token.span,
            "a flow is async, since it awaits the tasks in it: write `async fn`",
        );
    }
    if let Some(token) = &sig.constness {
        errors.at(
            token.span,
            format!("a {what} runs when the program does: it cannot be a `const fn`"),
        );
        shape = Shape::Stub;
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.at(
            token.span,
            format!("a {what} cannot be an `unsafe fn`: call the unsafe function inside of a safe one"),
        );
        shape = Shape::Stub;
    }
    if let Some(abi) = &sig.abi {
        errors.at(
            abi.span(),
            format!("a {what} is called by flowkit only: it cannot have an ABI of its own"),
        );
        shape = Shape::Original;
    }
    if let Some(variadic) = &sig.variadic {
        errors.at(
            variadic.dots.span(),
            format!("a {what} has a fixed number of parameters: take a `Vec`"),
        );
        shape = Shape::Original;
    }
    shape
}

fn receiver_of(kind: Macro, receiver: &mut Receiver, errors: &mut Diagnostics) -> Parameter {
    let span = receiver.self_token.span;
    let what = kind.name();
    let own: Type = syn::parse_quote_spanned!(span=> Self);
    let mut broken = false;
    let (ty, borrowed) = match &receiver.kind {
        ReceiverKind::Reference(_, _, None) => (own, true),
        ReceiverKind::Reference(_, _, Some(token)) => {
            errors.at(
                token.span,
                format!("a {what} cannot take `&mut self`: it may run again, and beside others; take `&self` or `self`"),
            );
            broken = true;
            (own, true)
        }
        ReceiverKind::Typed(_, ty) => match &**ty {
            Type::Reference(reference) if reference.mutability.is_none() => ((*reference.elem).clone(), true),
            Type::Reference(reference) => {
                errors.at(
                    reference.and_token.span,
                    format!("a {what} cannot take `&mut self`: it may run again, and beside others; take `&self` or `self`"),
                );
                broken = true;
                ((*reference.elem).clone(), true)
            }
            other => (other.clone(), false),
        },
        _ => (own, false),
    };
    Parameter {
        name: Ident::new("self", span),
        kind: ParameterKind::Receiver,
        ty,
        borrowed,
        broken,
    }
}

fn parameter_of(kind: Macro, index: usize, typed: &mut PatType, errors: &mut Diagnostics) -> Parameter {
    let mut found = Diagnostics::default();
    let is_resource = take_resource(&mut typed.attrs);
    if let Some(conditional) = typed
        .attrs
        .iter()
        .find(|attribute| attribute.path().is_ident("cfg"))
    {
        let what = kind.name();
        let message =
            format!("the parameters of a {what} are always the same: put the `cfg` on the whole function");
        found.at(conditional.span(), message);
    }
    let name = name_of(index, &typed.pat, &mut found);
    let (ty, borrowed) = type_of(kind, &typed.ty, &mut found);
    let broken = !found.is_empty();
    errors.append(found);
    let kind = if is_resource {
        ParameterKind::Resource
    } else {
        ParameterKind::Input
    };
    Parameter {
        name,
        kind,
        ty,
        borrowed,
        broken,
    }
}

fn name_of(index: usize, pattern: &Pat, errors: &mut Diagnostics) -> Ident {
    match pattern {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => pattern.ident.clone(),
        other => {
            let message =
                "a parameter needs a name of its own, by which runs record it: take it apart in the body";
            errors.at(other.span(), message);
            Ident::new(&format!("__flowkit_parameter_{index}"), other.span())
        }
    }
}

/// The type of a parameter without the reference, and whether there was one.
fn type_of(kind: Macro, ty: &Type, errors: &mut Diagnostics) -> (Type, bool) {
    let what = kind.name();
    let (ty, borrowed) = match ty {
        // What lives for ever is a value like any other: nothing is lent.
        Type::Reference(reference) if is_static(reference) => (ty, false),
        Type::Reference(reference) => {
            if let Some(token) = &reference.mutability {
                let message = format!(
                    "a {what} cannot write to its caller's value: take it by value and return the new one"
                );
                errors.at(token.span, message);
            }
            (&*reference.elem, true)
        }
        Type::ImplTrait(_) => {
            let message = "a parameter cannot be `impl Trait`: name its type by a generic parameter, as in `fn f<T: Trait>(value: T)`";
            errors.at(ty.span(), message);
            (ty, false)
        }
        other => (other, false),
    };
    if let Some(span) = lifetimes::borrowed(ty) {
        let message = format!(
            "the inputs of a {what} are owned, since they may cross threads and outlive the caller: \
             take an owned type here; only the whole parameter may be a reference, as in `&[String]`"
        );
        errors.at(span, message);
    }
    (ty.clone(), borrowed)
}

fn is_static(reference: &TypeReference) -> bool {
    let lifetime = reference.lifetime.as_ref();
    reference.mutability.is_none() && lifetime.is_some_and(|lifetime| lifetime.ident == "static")
}

/// Takes `#[resource]` off a parameter, and says whether it was there.
pub(crate) fn take_resource(attrs: &mut Vec<Attribute>) -> bool {
    let before = attrs.len();
    attrs.retain(|attribute| !attribute.path().is_ident("resource"));
    attrs.len() < before
}

/// The type of what the body returns, and whether it can be stored.
fn output_of(kind: Macro, item: &ItemFn, errors: &mut Diagnostics) -> (Type, bool) {
    let what = kind.name();
    let ReturnType::Type(_, ty) = &item.sig.output else {
        return (syn::parse_quote_spanned!(item.sig.ident.span()=> ()), true);
    };
    let problem = match &**ty {
        Type::ImplTrait(_) => Some((
            ty.span(),
            format!("a {what} cannot return `impl Trait`: its value is stored and shared, so name its type"),
        )),
        other => lifetimes::borrowed(other).map(|span| {
            (
                span,
                format!(
                    "what a {what} returns is owned, since it may outlive the inputs: return an owned type"
                ),
            )
        }),
    };
    let sound = problem.is_none();
    if let Some((span, message)) = problem {
        errors.at(span, message);
    }
    ((**ty).clone(), sound)
}

/// Looks for `Self`, except in nested items, which have their own.
struct SearchSelf {
    found: bool,
}

impl<'ast> Visit<'ast> for SearchSelf {
    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_ident(&mut self, ident: &'ast Ident) {
        self.found |= ident == "Self";
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.found |= tokens_mention_self(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn tokens_mention_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "Self",
        TokenTree::Group(group) => tokens_mention_self(group.stream()),
        _ => false,
    })
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
