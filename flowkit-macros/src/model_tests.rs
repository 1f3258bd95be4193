//! The words of an attribute, one by one and against each other.

use quote::quote;

use super::*;
use crate::{args, function};

fn read_with(kind: Macro, attribute: TokenStream, item: syn::ItemFn) -> (Options, String) {
    let mut errors = Diagnostics::default();
    let function = function::parse(kind, item, &mut errors);
    let words = args::parse(attribute).unwrap();
    let options = read(kind, &words, &function, &mut errors);
    (options, errors.into_tokens().to_string())
}

fn errors_of(attribute: TokenStream) -> String {
    let item = syn::parse_quote!(
        async fn f(source: &str, n: u32, #[resource] pool: &Pool) -> Result<u8, E> {
            Ok(1)
        }
    );
    read_with(Macro::Task, attribute, item).1
}

fn accepts(attribute: &TokenStream) {
    let errors = errors_of(attribute.clone());
    assert!(errors.is_empty(), "{attribute}: {errors}");
}

fn refuses(attribute: &TokenStream, reason: &str) {
    let errors = errors_of(attribute.clone());
    assert!(errors.contains(reason), "{attribute}: {errors}");
    assert_eq!(
        errors.matches("compile_error").count(),
        1,
        "{attribute}: {errors}"
    );
}

#[test]
fn every_word_can_be_said() {
    accepts(&quote!(
        name = "x",
        description = "d",
        tags("a", "b"),
        version = "1",
        run_name = "x-{source}-{n:03}"
    ));
    accepts(&quote!(
        cache,
        cache_expiration = "1h",
        cache_exclude(n),
        cache_includes(helper, a::TABLE),
        cache_durable
    ));
    accepts(&quote!(cache = inputs + run));
    accepts(&quote!(cache = none));
    accepts(&quote!(
        cache_key = |source| source.len(),
        cache_expiration = "1h"
    ));
    accepts(&quote!(
        retries = 3,
        retry_delay = "1s",
        retry_backoff = 2,
        retry_max_delay = "1m",
        retry_jitter = 0.2
    ));
    accepts(&quote!(
        retries = MANY,
        retry_delay = ["1s", LONG],
        retry_if = is_transient,
        retry_panics,
        retry_timeouts = false,
        retry_deadline = "5m"
    ));
    accepts(&quote!(
        retries = 0,
        timeout = "30s",
        total_timeout = "5m",
        crate = crate::engine
    ));
    accepts(&quote!(retries = 1, retry_delay = "0s"));
    accepts(&quote!());
}

#[test]
fn contradictions_of_the_cache_are_refused() {
    for word in [
        quote!(cache_expiration = "1h"),
        quote!(cache_exclude(n)),
        quote!(cache_includes(helper)),
        quote!(cache_durable),
    ] {
        refuses(&word, "add `cache`");
        refuses(&quote!(cache = none, #word), "says not to");
    }
    refuses(&quote!(cache = none, cache_key = |n| n), "says not to");
    refuses(&quote!(cache, cache_key = |n| n), "leave `cache` out");
    refuses(&quote!(cache_key = |n| n, cache = inputs), "leave `cache` out");
    refuses(
        &quote!(cache_key = |n| n, cache_exclude(source)),
        "nothing to exclude",
    );
}

#[test]
fn contradictions_of_retries_are_refused() {
    refuses(&quote!(retry_delay = "1s"), "add `retries`");
    refuses(&quote!(retry_if = is_transient), "add `retries`");
    refuses(&quote!(retry_timeouts = false), "add `retries`");
    refuses(&quote!(retries = 0, retry_delay = "1s"), "says not to");
    refuses(
        &quote!(retries = 1, retry_delay = ["1s", "2s"], retry_backoff = 2.0),
        "give one delay",
    );
    refuses(&quote!(retries = 1, retry_backoff = 2.0), "add `retry_delay`");
    refuses(
        &quote!(retries = 1, retry_delay = "1m", retry_max_delay = "1s"),
        "shorter",
    );
    refuses(
        &quote!(retries = 1, retry_delay = ["1s", "1m"], retry_max_delay = "2s"),
        "shorter",
    );
}

#[test]
fn contradictions_of_timeouts_are_refused() {
    refuses(&quote!(timeout = "1m", total_timeout = "1s"), "shorter");
    refuses(&quote!(timeout = "1m", timeout = "1s"), "said twice");
}

#[test]
fn a_predicate_over_errors_needs_errors() {
    let (_, errors) = read_with(
        Macro::Task,
        quote!(retries = 1, retry_if = f),
        syn::parse_quote!(
            async fn f() -> u8 {
                1
            }
        ),
    );
    assert!(errors.contains("cannot fail"), "{errors}");
}

#[test]
fn bad_values_are_refused_with_what_is_allowed() {
    refuses(&quote!(name = " "), "cannot be empty");
    refuses(&quote!(name = extract), "string literal");
    refuses(&quote!(retries = 1, retry_timeouts = "no"), "`true` or `false`");
    refuses(&quote!(retries = 1, retry_timeouts), "retry_timeouts = false");
    refuses(&quote!(tags("")), "cannot be empty");
    refuses(&quote!(retries = 1, retry_jitter = -0.1), "from 0 to 1");
    refuses(&quote!(retries = 1, retry_jitter = 1.5), "from 0 to 1");
    refuses(
        &quote!(retries = 1, retry_delay = "1s", retry_backoff = 0.5),
        "1 or more",
    );
    refuses(
        &quote!(retries = 1, retry_delay = "1s", retry_backoff = "2"),
        "is a number",
    );
    refuses(&quote!(retries = -1), "a whole number from 0");
    refuses(&quote!(retries = 1.5), "a whole number from 0");
    refuses(&quote!(retries = 5_000_000_000), "a whole number from 0");
    refuses(&quote!(retries = 1, retry_delay = 5), "a string with a unit");
    refuses(&quote!(retries = 1, retry_delay = []), "at least one");
    refuses(&quote!(timeout = "0s"), "cannot be zero");
    refuses(&quote!(timeout = "10"), "not a duration");
    refuses(&quote!(cache = output), "`cache = none` switches it off");
    refuses(&quote!(cache, cache_exclude(pool)), "never part of the key");
    refuses(&quote!(cache, cache_exclude(nobody)), "`source`, `n`");
    refuses(&quote!(cache, cache_exclude()), "`cache_exclude(client)`");
}

#[test]
fn fifty_delays_are_possible_and_one_more_is_not() {
    let delays = vec!["1s"; 50];
    accepts(&quote!(retries = 60, retry_delay = [#(#delays),*]));
    refuses(
        &quote!(retries = 60, retry_delay = [#(#delays),*, "2s"]),
        "51 delays are more than 50",
    );
}

#[test]
fn a_contradiction_is_reported_at_the_later_word() {
    let seen = |words: &[&str]| {
        Seen(
            words
                .iter()
                .map(|word| ((*word).to_owned(), Span::call_site()))
                .collect(),
        )
    };
    assert!(seen(&["a", "b"]).later_of("b", "a").is_some());
    assert!(seen(&["a"]).later_of("b", "a").is_none());
}

#[test]
fn where_the_attribute_is_wrong_callers_still_find_the_same_function() {
    let item = syn::parse_quote!(
        async fn f() {}
    );
    let (options, _) = read_with(Macro::Task, quote!(associated, crate = a::b, cache), item);
    let rest = options.without_what_may_be_wrong();
    assert!(rest.associated && rest.krate.is_some() && rest.cache.is_none());
}
