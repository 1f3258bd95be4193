//! Functions taken apart: what their parts are, and what they cannot have.

use syn::parse_quote;

use super::*;

fn parsed(kind: Macro, item: ItemFn) -> (Function, String) {
    let mut errors = Diagnostics::default();
    let function = parse(kind, item, &mut errors);
    (function, errors.into_tokens().to_string())
}

fn refuses(item: ItemFn, reason: &str) -> Shape {
    let (function, errors) = parsed(Macro::Task, item);
    assert!(errors.contains(reason), "{errors}");
    function.shape
}

#[test]
fn parameters_borrow_own_or_are_resources() {
    let item = parse_quote!(
        async fn f<'a>(
            &self,
            a: &'a str,
            mut b: Vec<u8>,
            #[resource] c: &Pool,
            r#type: u8,
        ) -> io::Result<u8> {
            Ok(1)
        }
    );
    let (function, errors) = parsed(Macro::Task, item);
    assert_eq!(errors, "");
    assert_eq!(function.input_names(), ["self", "a", "b", "type"]);
    let borrowed: Vec<_> = function
        .parameters
        .iter()
        .map(|parameter| parameter.borrowed)
        .collect();
    assert_eq!(borrowed, [true, true, false, true, false]);
    assert!(function.fallible && function.is_async && function.is_method());
}

#[test]
fn only_a_return_type_that_ends_in_result_can_fail() {
    for (item, fallible) in [
        (
            parse_quote!(
                fn f() -> Result<u8, E> {
                    Ok(1)
                }
            ),
            true,
        ),
        (
            parse_quote!(
                fn f() -> anyhow::Result<u8> {
                    Ok(1)
                }
            ),
            true,
        ),
        (
            parse_quote!(
                fn f() -> ResultSet {
                    x
                }
            ),
            false,
        ),
        (
            parse_quote!(
                fn f() {}
            ),
            false,
        ),
    ] {
        assert_eq!(parsed(Macro::Task, item).0.fallible, fallible);
    }
}

#[test]
fn what_cannot_be_a_parameter_is_refused_and_leaves_a_stub() {
    assert_eq!(
        refuses(
            parse_quote!(
                async fn f((a, b): (u8, u8)) {}
            ),
            "take it apart"
        ),
        Shape::Stub
    );
    assert_eq!(
        refuses(
            parse_quote!(
                async fn f(a: impl Display) {}
            ),
            "generic parameter"
        ),
        Shape::Stub
    );
    assert_eq!(
        refuses(
            parse_quote!(
                async fn f(a: &mut u8) {}
            ),
            "return the new one"
        ),
        Shape::Stub
    );
    assert_eq!(
        refuses(
            parse_quote!(
                async fn f(&mut self) {}
            ),
            "`&mut self`"
        ),
        Shape::Stub
    );
    assert_eq!(
        refuses(
            parse_quote!(
                async fn f(a: Option<&str>) {}
            ),
            "are owned"
        ),
        Shape::Stub
    );
    assert_eq!(
        refuses(
            parse_quote!(
                unsafe fn f() {}
            ),
            "unsafe"
        ),
        Shape::Stub
    );
}

#[test]
fn what_cannot_be_returned_is_refused_and_leaves_the_function() {
    assert_eq!(
        refuses(
            parse_quote!(
                async fn f(a: &str) -> &str {
                    a
                }
            ),
            "outlive the inputs"
        ),
        Shape::Original
    );
    assert_eq!(
        refuses(
            parse_quote!(
                async fn f() -> impl Display {
                    1
                }
            ),
            "name its type"
        ),
        Shape::Original
    );
}

#[test]
fn thirteen_inputs_are_too_many_and_resources_are_not_counted() {
    let twelve =
        "a0: u8, a1: u8, a2: u8, a3: u8, a4: u8, a5: u8, a6: u8, a7: u8, a8: u8, a9: u8, a10: u8, a11: u8";
    let item =
        |last: &str| syn::parse_str::<ItemFn>(&format!("async fn f({twelve}, {last}: u8) {{}}")).unwrap();
    assert_eq!(
        refuses(item("a12"), "at most 12 inputs, and this one takes 13"),
        Shape::Stub
    );
    assert_eq!(parsed(Macro::Task, item("#[resource] a12")).1, "");
}

#[test]
fn a_nested_item_may_mention_its_own_self() {
    let free: ItemFn = parse_quote!(
        fn f() {
            struct A;
            impl A {
                fn new() -> Self {
                    Self
                }
            }
        }
    );
    assert!(!is_method(&free));
    assert!(is_method(&parse_quote!(
        fn f() -> u8 {
            Self::N
        }
    )));
    assert!(is_method(&parse_quote!(
        fn f() -> String {
            format!("{}", Self::N)
        }
    )));
}

#[test]
fn a_flow_is_async() {
    let (function, errors) = parsed(
        Macro::Flow,
        parse_quote!(
            fn f() {}
        ),
    );
    assert!(errors.contains("`async fn`"), "{errors}");
    assert!(function.is_async);
    assert_eq!(function.shape, Shape::Sound);
}
