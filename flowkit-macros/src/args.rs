//! Reads an attribute into words and what is given with each, without judging either.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Path, Result, Token, parenthesized};

/// One word of an attribute.
pub(crate) struct Word {
    pub(crate) name: Ident,
    pub(crate) given: Given,
}

/// What is given with a word.
pub(crate) enum Given {
    Nothing,
    Value(Expr),
    List(TokenStream),
    /// `crate = path`: a path that may begin with `crate`, which is no expression to look at.
    Path(Path),
}

impl Parse for Word {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = Ident::parse_any(input)?;
        let given = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            if name == "crate" {
                Given::Path(input.call(Path::parse_mod_style)?)
            } else {
                Given::Value(input.parse()?)
            }
        } else if input.peek(syn::token::Paren) {
            let content;
            parenthesized!(content in input);
            Given::List(content.parse()?)
        } else {
            Given::Nothing
        };
        Ok(Self { name, given })
    }
}

/// The words of an attribute.
pub(crate) fn parse(attribute: TokenStream) -> Result<Vec<Word>> {
    words.parse2(attribute)
}

fn words(input: ParseStream<'_>) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    while !input.is_empty() {
        if !input.peek(syn::Ident::peek_any) {
            return Err(input.error(
                "an attribute holds words and what they say, like `retries = 3`, separated by commas",
            ));
        }
        let word: Word = input.parse()?;
        if input.peek(Token![:]) {
            return Err(input.error(format!("what a word says follows after `=`: `{} = …`", word.name)));
        }
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(input.error("words are separated by commas"));
        }
        words.push(word);
        input.parse::<Option<Token![,]>>()?;
    }
    Ok(words)
}

impl Word {
    pub(crate) fn span(&self) -> Span {
        self.name.span()
    }

    fn wrong(&self, expected: &str) -> Error {
        Error::new(self.span(), format!("`{}` is written `{expected}`", self.name))
    }

    /// The word alone.
    pub(crate) fn nothing(&self) -> Result<()> {
        match &self.given {
            Given::Nothing => Ok(()),
            _ => Err(Error::new(
                self.span(),
                format!("`{0}` stands alone: write `{0}`, or leave it out", self.name),
            )),
        }
    }

    /// `word = value`.
    pub(crate) fn value(&self, example: &str) -> Result<&Expr> {
        match &self.given {
            Given::Value(value) => Ok(value),
            _ => Err(self.wrong(&format!("{} = {example}", self.name))),
        }
    }

    /// `word = "text"`.
    pub(crate) fn text(&self) -> Result<LitStr> {
        match self.value("\"…\"")? {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => Ok(text.clone()),
            other => Err(Error::new_spanned(
                other,
                format!("`{}` takes a string literal", self.name),
            )),
        }
    }

    /// `word = path`.
    pub(crate) fn path(&self) -> Result<Path> {
        match &self.given {
            Given::Path(path) => Ok(path.clone()),
            _ => Err(self.wrong(&format!("{} = path::to::it", self.name))),
        }
    }

    /// `word("a", "b")`, or `word = ["a", "b"]`.
    pub(crate) fn texts(&self) -> Result<Vec<LitStr>> {
        let items: Vec<Expr> = match &self.given {
            Given::List(items) => Punctuated::<Expr, Token![,]>::parse_terminated
                .parse2(items.clone())?
                .into_iter()
                .collect(),
            Given::Value(Expr::Array(array)) => array.elems.iter().cloned().collect(),
            _ => return Err(self.wrong(&format!("{}(\"a\", \"b\")", self.name))),
        };
        let text = |item: Expr| match item {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => Ok(text),
            other => Err(Error::new_spanned(
                other,
                format!("`{}` takes string literals", self.name),
            )),
        };
        items.into_iter().map(text).collect()
    }

    /// `word = value`, `word = [value, value]` or `word(value, value)`.
    pub(crate) fn items(&self, example: &str) -> Result<Vec<Expr>> {
        match &self.given {
            Given::List(items) => Ok(Punctuated::<Expr, Token![,]>::parse_terminated
                .parse2(items.clone())?
                .into_iter()
                .collect()),
            Given::Value(Expr::Array(array)) => Ok(array.elems.iter().cloned().collect()),
            Given::Value(value) => Ok(vec![value.clone()]),
            _ => Err(self.wrong(&format!("{} = {example}", self.name))),
        }
    }

    /// `word = function`, `word = [a, b]` or `word(a, b)`.
    pub(crate) fn functions(&self) -> Result<Vec<Path>> {
        let function = |item: Expr| match item {
            Expr::Path(function) => Ok(function.path),
            other => Err(Error::new_spanned(
                other,
                format!("`{}` takes the names of functions", self.name),
            )),
        };
        let functions: Vec<Path> = self
            .items("notify")?
            .into_iter()
            .map(function)
            .collect::<Result<_>>()?;
        if functions.is_empty() {
            return Err(self.wrong(&format!("{} = notify", self.name)));
        }
        Ok(functions)
    }

    /// `word(a, b::c)`; `self` is a path too.
    pub(crate) fn paths(&self, example: &str) -> Result<Vec<Path>> {
        let Given::List(items) = &self.given else {
            return Err(self.wrong(&format!("{}({example})", self.name)));
        };
        let list = |input: ParseStream<'_>| {
            Punctuated::<Path, Token![,]>::parse_terminated_with(input, Path::parse_mod_style)
        };
        let paths = list.parse2(items.clone())?;
        if paths.is_empty() {
            return Err(self.wrong(&format!("{}({example})", self.name)));
        }
        Ok(paths.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn error_of(attribute: TokenStream) -> String {
        parse(attribute).err().unwrap().to_string()
    }

    #[test]
    fn words_stand_alone_or_have_a_value_or_a_list() {
        let words = parse(quote!(cache, retries = 3, tags("a", "b"), crate = crate::engine,)).unwrap();
        let names: Vec<_> = words.iter().map(|word| word.name.to_string()).collect();
        assert_eq!(names, ["cache", "retries", "tags", "crate"]);
        assert!(matches!(words[0].given, Given::Nothing));
        assert!(words[1].value("3").is_ok());
        assert_eq!(words[2].texts().unwrap().len(), 2);
        assert!(words[3].path().is_ok());
    }

    #[test]
    fn an_array_is_a_list_of_texts_too() {
        assert_eq!(
            parse(quote!(tags = ["a", "b"])).unwrap()[0]
                .texts()
                .unwrap()
                .len(),
            2
        );
        assert!(parse(quote!(tags("a", 1))).unwrap()[0].texts().is_err());
    }

    #[test]
    fn what_is_no_list_of_words_is_refused_with_an_example() {
        assert!(error_of(quote!("extract")).contains("`retries = 3`"));
        assert!(error_of(quote!(retries: 3)).contains("`retries = …`"));
        assert!(error_of(quote!(retries = 3 cache)).contains("separated by commas"));
    }

    #[test]
    fn a_word_in_the_wrong_form_is_answered_with_the_right_one() {
        let words = parse(quote!(
            cache_exclude = client,
            timeout("1s"),
            cache_durable = true,
            crate(x)
        ))
        .unwrap();
        assert!(
            words[0]
                .paths("client")
                .err()
                .unwrap()
                .to_string()
                .contains("`cache_exclude(client)`")
        );
        assert!(
            words[1]
                .value("\"30s\"")
                .err()
                .unwrap()
                .to_string()
                .contains("`timeout = \"30s\"`")
        );
        assert!(
            words[2]
                .nothing()
                .err()
                .unwrap()
                .to_string()
                .contains("stands alone")
        );
        assert!(
            words[3]
                .path()
                .err()
                .unwrap()
                .to_string()
                .contains("`crate = path::to::it`")
        );
    }
}
