//! The user's own cache key: a closure over parameters by their names.

use proc_macro2::Ident;
use syn::{Error, Expr, Pat, PatType, Result, ReturnType, Type};

use crate::diagnose::list;
use crate::hygiene::plain;

/// A `cache_key = |…| …`.
pub(crate) struct CacheKey {
    pub(crate) reads: Vec<Read>,
    pub(crate) output: ReturnType,
    /// What computes the key, with the parameters bound to references.
    pub(crate) body: Expr,
}

/// A parameter that the key reads.
pub(crate) struct Read {
    pub(crate) name: Ident,
    /// The type that the closure gives it, if it does.
    pub(crate) ty: Option<Type>,
}

/// Reads the key and checks the names of the closure's parameters.
pub(crate) fn parse(value: &Expr, parameters: &[String]) -> Result<CacheKey> {
    let Expr::Closure(closure) = value else {
        let example = parameters.first().map_or("", String::as_str);
        return Err(Error::new_spanned(
            value,
            format!(
                "a cache key is a closure over parameters of the task by their names, like `|{example}| …`"
            ),
        ));
    };
    if let Some(token) = &closure.asyncness {
        return Err(Error::new_spanned(
            token,
            "a cache key is computed at once: its closure cannot be async",
        ));
    }
    let reads = closure
        .inputs
        .iter()
        .map(|input| read(input, parameters))
        .collect::<Result<_>>()?;
    Ok(CacheKey {
        reads,
        output: closure.output.clone(),
        body: (*closure.body).clone(),
    })
}

fn read(input: &Pat, parameters: &[String]) -> Result<Read> {
    let (pattern, ty) = match input {
        Pat::Type(PatType { pat, ty, .. }) => (&**pat, Some((**ty).clone())),
        other => (other, None),
    };
    match pattern {
        Pat::Ident(pattern) if parameters.contains(&plain(&pattern.ident)) => Ok(Read {
            name: pattern.ident.clone(),
            ty,
        }),
        other => {
            let known = list(parameters.iter().map(String::as_str));
            Err(Error::new_spanned(
                other,
                format!(
                    "a cache key's closure takes parameters of the task by their names; parameters: {known}"
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn a_closure_reads_parameters_by_name() {
        let known = ["source".to_owned(), "n".to_owned()];
        assert_eq!(
            parse(&parse_quote!(|n| n + 1), &known).ok().unwrap().reads.len(),
            1
        );
        assert!(
            parse(&parse_quote!(|n: &u8| n + 1), &known).ok().unwrap().reads[0]
                .ty
                .is_some()
        );
    }

    #[test]
    fn anything_else_is_refused_with_the_parameters() {
        let known = ["source".to_owned(), "n".to_owned()];
        let error = |value: &Expr| parse(value, &known).err().unwrap().to_string();
        assert!(error(&parse_quote!(|m| m + 1)).contains("`source`, `n`"));
        assert!(error(&parse_quote!(my_key)).contains("`|source| …`"));
        assert!(error(&parse_quote!(async |n| n)).contains("at once"));
    }
}
