//! What is printed, as text: where attributes, lifetimes and bounds go, and that a wrong attribute still leaves a function.

use syn::{ImplItem, Item};

use super::*;

fn printed(kind: Macro, attribute: TokenStream, item: &TokenStream) -> Vec<Item> {
    let tokens = expand(kind, attribute, item);
    syn::parse2::<syn::File>(tokens).unwrap().items
}

fn task(attribute: TokenStream, item: &TokenStream) -> Vec<Item> {
    printed(Macro::Task, attribute, item)
}

fn shim(items: &[Item]) -> &ItemFn {
    let function = items.iter().find_map(|item| match item {
        Item::Fn(function) => Some(function),
        _ => None,
    });
    function.unwrap()
}

fn text(tokens: &impl quote::ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

/// The items of the companion by name, as text.
fn companion(items: &[Item], wanted: &str) -> String {
    let found = items.iter().find_map(|item| {
        let Item::Impl(block) = item else { return None };
        block.items.iter().find(|item| match item {
            ImplItem::Const(constant) => constant.ident == wanted,
            ImplItem::Fn(function) => function.sig.ident == wanted,
            _ => false,
        })
    });
    text(found.unwrap())
}

fn errors(items: &[Item]) -> usize {
    items
        .iter()
        .filter(|item| matches!(item, Item::Macro(call) if text(call).contains("compile_error")))
        .count()
}

#[test]
fn a_function_becomes_a_shim_an_enum_and_what_belongs_to_it() {
    let items = task(
        quote!(),
        &quote!(
            pub(crate) async fn f(a: &str, b: u8) -> io::Result<u8> {
                Ok(b)
            }
        ),
    );
    assert_eq!(items.len(), 3);
    let head = text(&shim(&items).sig);
    assert!(head.contains("impl :: flowkit :: __private :: IntoInput < < str as :: flowkit :: __private :: Lend > :: Owned >"), "{head}");
    assert!(
        head.contains("TaskCall < < io :: Result < u8 > as :: flowkit :: __private :: Fallible > :: Value >"),
        "{head}"
    );
    assert!(matches!(&items[1], Item::Enum(companion) if companion.variants.is_empty()));
    assert!(companion(&items, "NAME").contains("\"f\""));
    assert!(
        companion(&items, "unorchestrated")
            .contains("pub (crate) async fn unorchestrated (a : & str , b : u8)")
    );
}

#[test]
fn attributes_go_to_callers_or_to_the_body_and_conditions_to_all() {
    let items = task(
        quote!(),
        &quote!(
            /// Doc.
            #[must_use = "x"]
            #[inline]
            #[cfg(unix)]
            async fn f() {}
        ),
    );
    let (face, body) = (text(shim(&items)), companion(&items, "unorchestrated"));
    assert!(
        face.contains("must_use") && face.contains("Doc.") && !face.contains("inline"),
        "{face}"
    );
    assert!(body.contains("inline") && !body.contains("must_use"), "{body}");
    assert_eq!(
        items
            .iter()
            .filter(|item| text(item).contains("# [cfg (unix)]"))
            .count(),
        3
    );
}

#[test]
fn what_is_allowed_or_expected_in_the_function_is_allowed_in_the_shim() {
    let items = task(
        quote!(),
        &quote!(
            #[allow(non_snake_case)]
            #[expect(unused, reason = "x")]
            async fn F() {}
        ),
    );
    let (face, body) = (text(shim(&items)), companion(&items, "unorchestrated"));
    assert!(
        face.contains("# [allow (non_snake_case)]") && face.contains("# [allow (unused , reason = \"x\")]"),
        "{face}"
    );
    assert!(
        body.contains("# [allow (non_snake_case)]") && body.contains("# [expect (unused"),
        "{body}"
    );
}

#[test]
fn lifetimes_leave_the_shim_and_stay_on_the_body() {
    let items = task(
        quote!(),
        &quote!(
            async fn f<'a, T: Show + 'a>(a: &'a str, b: &'a T)
            where
                T: 'a,
                &'static T: Show,
            {
            }
        ),
    );
    let head = text(&shim(&items).sig);
    assert!(!head.contains("'a"), "{head}");
    assert!(
        head.contains("T : Show + :: core :: marker :: Send + :: core :: marker :: Sync + 'static"),
        "{head}"
    );
    assert!(companion(&items, "unorchestrated").contains("< 'a , T : Show + 'a > (a : & 'a str"));
}

#[test]
fn bounds_join_those_that_a_where_clause_has() {
    let items = task(
        quote!(),
        &quote!(
            async fn f<T>(a: T)
            where
                T: Show,
            {
            }
        ),
    );
    let head = text(&shim(&items).sig);
    assert!(head.contains("fn f < T >"), "{head}");
    assert!(
        head.contains("where T : Show + :: core :: marker :: Send"),
        "{head}"
    );
}

#[test]
fn the_definition_says_what_the_attribute_says() {
    let items = task(
        quote!(
            name = "x",
            tags("a"),
            version = "2",
            retries = 3,
            retry_delay = ["1s", LONG],
            timeout = "1m",
            cache = inputs + run
        ),
        &quote!(
            async fn f(a: u8, #[resource] b: &Pool) -> Result<u8> {
                Ok(a)
            }
        ),
    );
    let definition = companion(&items, "DEFINITION");
    for part in [
        "Definition :: task (\"x\" ,",
        ". retries (3)",
        ". timeout (:: core :: time :: Duration :: new (60u64 , 0u32))",
        ". retry_delay (const { & [:: core :: time :: Duration :: new (1u64 , 0u32) ,",
        ". with_tags (& [\"a\"])",
        ". with_parameters (& [\"a\"])",
        ". with_version (\"2\")",
        "CachePolicy :: inputs_and_run ()",
    ] {
        assert!(definition.contains(part), "{part}: {definition}");
    }
    assert!(companion(&items, "fingerprint").contains("section (\"version\" , \"2\")"));
}

#[test]
fn only_what_the_attribute_asks_for_is_printed() {
    let plain = text(shim(&task(
        quote!(),
        &quote!(
            async fn f(a: u8) -> u8 {
                a
            }
        ),
    )));
    for absent in [
        "on_unimplemented",
        ". key (",
        ". run_name (",
        "restorable",
        "add_to_key",
    ] {
        assert!(!plain.contains(absent), "{absent}: {plain}");
    }
    let cached = text(shim(&task(
        quote!(cache),
        &quote!(
            async fn f(a: u8, b: &[u8]) -> u8 {
                a
            }
        ),
    )));
    assert!(
        cached.contains("add_to_key")
            && cached.contains("hash_bytes (\"b\"")
            && cached.contains("restorable"),
        "{cached}"
    );
    let excluded = text(shim(&task(
        quote!(cache, cache_exclude(a)),
        &quote!(
            async fn f(a: u8) -> u8 {
                a
            }
        ),
    )));
    assert!(!excluded.contains("add_to_key"), "{excluded}");
}

#[test]
fn a_method_has_its_body_and_definition_beside_and_in_it() {
    let tokens = expand(
        Macro::Task,
        quote!(),
        &quote!(
            pub async fn f(&self, a: u8) -> u8 {
                a
            }
        ),
    );
    let block: syn::ItemImpl = syn::parse2(quote!(impl X { #tokens })).unwrap();
    assert_eq!(block.items.len(), 2);
    let printed = text(&block);
    assert!(printed.contains("pub fn f (& self , a : impl"), "{printed}");
    assert!(
        printed.contains("async fn __flowkit_f (& self , a : u8) -> u8"),
        "{printed}"
    );
    assert!(
        printed.contains("const { & :: flowkit :: __private :: Definition :: task"),
        "{printed}"
    );
}

#[test]
fn a_flow_makes_a_flow_call() {
    let items = printed(
        Macro::Flow,
        quote!(),
        &quote!(
            async fn f() {}
        ),
    );
    assert!(text(shim(&items)).contains("FlowCall < () >"));
    assert!(companion(&items, "DEFINITION").contains("Definition :: flow"));
}

#[test]
fn another_path_replaces_flowkit_everywhere() {
    let items = task(
        quote!(crate = a::b, cache, cache_includes(g, T)),
        &quote!(
            async fn f(a: u8) -> Result<u8> {
                Ok(a)
            }
        ),
    );
    let all: String = items.iter().map(text).collect();
    assert!(
        all.contains("a :: b :: __private") && !all.contains("flowkit :: __private"),
        "{all}"
    );
}

#[test]
fn a_wrong_attribute_still_leaves_the_shim() {
    let items = task(
        quote!(timeuot = "1s", cache_durable),
        &quote!(
            async fn f(a: u8) -> u8 {
                a
            }
        ),
    );
    assert_eq!(errors(&items), 2);
    assert!(text(&shim(&items).sig).contains("TaskCall < u8 >"));
    assert!(companion(&items, "unorchestrated").contains("async fn"));
}

#[test]
fn a_parameter_that_cannot_be_leaves_a_stub_that_callers_can_name() {
    let items = task(
        quote!(),
        &quote!(
            async fn f((a, b): (u8, u8), c: u8, #[resource] d: &Pool) -> u8 {
                a
            }
        ),
    );
    assert_eq!(errors(&items), 1);
    let stub = shim(&items);
    assert_eq!(stub.sig.inputs.len(), 2, "resources are no arguments");
    assert!(
        text(stub).contains("impl :: core :: marker :: Sized") && text(stub).contains("loop { }"),
        "{}",
        text(stub)
    );
    assert!(companion(&items, "unorchestrated").contains("(a , b) : (u8 , u8)"));
}

#[test]
fn a_return_type_that_cannot_be_leaves_the_function() {
    let items = task(
        quote!(),
        &quote!(
            async fn f(#[resource] a: &str) -> &str {
                a
            }
        ),
    );
    assert_eq!((items.len(), errors(&items)), (2, 1));
    assert_eq!(text(shim(&items)), "async fn f (a : & str) -> & str { a }");
}

#[test]
fn what_is_no_function_is_left_as_it_is() {
    for item in [
        quote!(
            struct A;
        ),
        quote!(
            async fn f(&self);
        ),
    ] {
        let tokens = expand(Macro::Task, quote!(), &item).to_string();
        assert!(
            tokens.contains("compile_error") && tokens.ends_with(&item.to_string()),
            "{tokens}"
        );
    }
}

#[test]
fn a_plain_function_is_left_as_it_is_and_can_be_counted() {
    let tokens = expand_fingerprint(
        quote!(cache_includes(g, TABLE)),
        &quote!(
            pub fn f<T: Show>(a: T) -> u8 {
                1
            }
        ),
    );
    let items = syn::parse2::<syn::File>(tokens).unwrap().items;
    assert_eq!(text(&items[0]), "pub fn f < T : Show > (a : T) -> u8 { 1 }");
    let counting = companion(&items, "fingerprint");
    assert!(
        counting.contains("g :: fingerprint") && counting.contains("\"TABLE\" , & TABLE"),
        "{counting}"
    );
    assert!(companion(&items, "INCLUDES_END").contains("g :: INCLUDES_END"));
}

#[test]
fn nothing_stands_beside_a_function_that_is_named_like_a_type_of_the_language() {
    let function = quote!(
        async fn r#f64() -> u8 {
            1
        }
    );
    let items = task(quote!(), &function);
    assert_eq!(errors(&items), 1);
    assert!(!items.iter().any(|item| matches!(item, Item::Enum(_))));
    let method = quote!(
        async fn f64(&self) -> u8 {
            1
        }
    );
    for (attribute, function) in [(quote!(associated), &function), (quote!(), &method)] {
        let tokens = expand(Macro::Task, attribute, function);
        assert!(!text(&tokens).contains("compile_error"), "{tokens}");
    }
}
