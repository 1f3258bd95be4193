//! What the words of an attribute say, each read and checked by itself.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitStr, Path, Result, UnOp};

use crate::args::{Given, Word};
use crate::cache_key::{self, CacheKey};
use crate::contradictions;
use crate::diagnose::{Diagnostics, list};
use crate::duration::{self, Time};
use crate::function::{Function, ParameterKind};
use crate::run_name::{self, Template};
use crate::words::{self, Macro};

/// The most delays that a list may have.
const MOST_DELAYS: usize = 50;

/// The options of an attribute.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) krate: Option<Path>,
    pub(crate) associated: bool,
    pub(crate) name: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) run_name: Option<Template>,
    pub(crate) cache: Option<Cache>,
    pub(crate) cache_exclude: Vec<Path>,
    pub(crate) cache_includes: Vec<Path>,
    pub(crate) retries: Retries,
    pub(crate) retry_if: Option<Expr>,
    pub(crate) retry_after: Option<Expr>,
    pub(crate) delays: Vec<Time>,
    /// Durations by the word that says them.
    pub(crate) times: Vec<(&'static str, Time)>,
    /// Setters of the definition's options, in the order of the attribute.
    pub(crate) setters: Vec<TokenStream>,
    /// The limits whose slots a run needs, each with its weight.
    pub(crate) limits: Vec<(LitStr, TokenStream)>,
    pub(crate) rate_limit: Option<LitStr>,
    pub(crate) circuit_breaker: Option<LitStr>,
    /// The functions that are called for a state, by the word that names them.
    pub(crate) hooks: Vec<(Ident, Vec<Path>)>,
    /// Whether results are kept for a resumed flow: as far as their types can be, unless this says.
    pub(crate) persist: Option<bool>,
    /// Whether the body has an effect that must not be repeated.
    pub(crate) effect: bool,
}

/// What `cache` and `cache_key` say.
pub(crate) enum Cache {
    /// `cache = none`.
    None,
    Inputs,
    InputsAndRun,
    Custom(Box<CacheKey>),
}

/// What `retries` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Retries {
    #[default]
    Unsaid,
    Zero,
    Some,
}

impl Options {
    /// What there is left of the options when the attribute is wrong: where to print, and what callers can see.
    pub(crate) fn without_what_may_be_wrong(self) -> Self {
        Self {
            krate: self.krate,
            associated: self.associated,
            ..Self::default()
        }
    }

    /// How results are cached, if they are.
    pub(crate) fn cached(&self) -> Option<&Cache> {
        self.cache.as_ref().filter(|cache| !matches!(cache, Cache::None))
    }

    /// Why results must be stored, in the words of a message, if they must.
    pub(crate) fn stored_because(&self) -> Option<&'static str> {
        if self.cached().is_some() {
            Some("which is cached")
        } else if self.effect {
            Some("which has an effect")
        } else if self.persist == Some(true) {
            Some("whose results are to persist")
        } else {
            None
        }
    }

    /// The length of time that a word says in a literal.
    pub(crate) fn known_time(&self, word: &str) -> Option<Duration> {
        self.times.iter().find(|(name, _)| *name == word)?.1.known
    }
}

/// Where each word stands, in the order of the attribute.
#[derive(Default)]
pub(crate) struct Seen(Vec<(String, Span)>);

impl Seen {
    pub(crate) fn at(&self, word: &str) -> Option<Span> {
        self.0
            .iter()
            .find(|(seen, _)| seen == word)
            .map(|(_, span)| *span)
    }

    /// Where the later of two words stands, if both are there.
    pub(crate) fn later_of(&self, one: &str, other: &str) -> Option<Span> {
        self.at(one)?;
        self.at(other)?;
        self.0
            .iter()
            .rev()
            .find(|(seen, _)| seen == one || seen == other)
            .map(|(_, span)| *span)
    }
}

/// Reads the words of an attribute of `function`.
pub(crate) fn read(kind: Macro, words: &[Word], function: &Function, errors: &mut Diagnostics) -> Options {
    let mut options = Options::default();
    let mut seen = Seen::default();
    for word in words {
        let name = word.name.to_string();
        if let Some(refusal) = words::refusal(kind, &name) {
            errors.at(word.span(), refusal);
        } else if seen.at(&name).is_some() {
            errors.at(word.span(), format!("`{name}` is said twice: say it once"));
        } else {
            seen.0.push((name, word.span()));
            errors.take(options.word(word, function));
        }
    }
    contradictions::check(&options, &seen, function, errors);
    options
}

impl Options {
    fn word(&mut self, word: &Word, function: &Function) -> Result<()> {
        match word.name.to_string().as_str() {
            "crate" => self.krate = Some(word.path()?),
            "associated" => {
                word.nothing()?;
                self.associated = true;
            }
            "name" => self.name = Some(not_empty(word.text()?, "a name cannot be empty")?),
            "description" => self.description = Some(word.text()?),
            "tags" => self.tags = tags(word)?,
            "version" => self.version = Some(not_empty(word.text()?, "a version cannot be empty")?),
            "run_name" => self.run_name = Some(run_name::parse(word.text()?, &function.input_names())?),
            "cache" => self.cache(word)?,
            "cache_key" => {
                let key = cache_key::parse(word.value("|input| …")?, &function.input_names())?;
                self.set_cache(Cache::Custom(Box::new(key)));
            }
            "cache_exclude" => self.exclude(word, function)?,
            "cache_includes" => self.cache_includes = word.paths("helper, TABLE")?,
            "persist" => self.persist = Some(persist(word)?),
            "effect" => {
                word.nothing()?;
                self.effect = true;
            }
            "cache_durable" | "retry_panics" => self.flag(word)?,
            "retry_timeouts" => self.choice(word, "false")?,
            "retries" => self.retries(word)?,
            "retry_delay" => self.delays(word)?,
            "retry_backoff" => self.number(word, "2.0", 1.0, f64::INFINITY)?,
            "retry_jitter" => self.number(word, "0.2", 0.0, 1.0)?,
            "retry_if" => self.retry_if = Some(word.value("is_transient")?.clone()),
            "retry_after" => self.retry_after = Some(word.value("wait_asked_for")?.clone()),
            "cache_expiration" => self.time(word, "cache_expiration", "leave it out for no end")?,
            "retry_max_delay" => {
                self.time(word, "retry_max_delay", "leave `retry_delay` out for no delay")?;
            }
            "retry_deadline" => self.time(word, "retry_deadline", "leave `retries` out for no retry")?,
            "limit" => self.limits = limits(word)?,
            "rate_limit" => self.rate_limit = Some(not_empty(word.text()?, "a rate limit has a name")?),
            "circuit_breaker" => {
                self.circuit_breaker = Some(not_empty(word.text()?, "a circuit breaker has a name")?);
            }
            "on_running" | "on_success" | "on_failure" | "on_cancellation" | "on_crash" | "on_commit"
            | "on_rollback" => {
                self.hooks.push((word.name.clone(), word.functions()?));
            }
            "timeout" => self.time(word, "timeout", "leave it out for no limit")?,
            "total_timeout" => self.time(word, "total_timeout", "leave it out for no limit")?,
            _ => {}
        }
        Ok(())
    }

    fn cache(&mut self, word: &Word) -> Result<()> {
        let said = match &word.given {
            Given::Nothing => Cache::Inputs,
            _ => {
                let value = word.value("inputs")?;
                match value.to_token_stream().to_string().as_str() {
                    "inputs" => Cache::Inputs,
                    "inputs + run" | "run + inputs" => Cache::InputsAndRun,
                    "none" => Cache::None,
                    _ => {
                        return Err(Error::new_spanned(
                            value,
                            "a key holds `inputs`, or `inputs + run`; `cache` alone means `cache = inputs`, and `cache = none` switches it off",
                        ));
                    }
                }
            }
        };
        self.set_cache(said);
        Ok(())
    }

    /// Two that are said are a contradiction, which is found later; until then `none` wins, and then the user's own key.
    fn set_cache(&mut self, said: Cache) {
        let keep = match (&self.cache, &said) {
            (Some(Cache::None), _) => true,
            (Some(Cache::Custom(_)), said) => !matches!(said, Cache::None),
            _ => false,
        };
        if !keep {
            self.cache = Some(said);
        }
    }

    fn exclude(&mut self, word: &Word, function: &Function) -> Result<()> {
        let names = function.input_names();
        for path in word.paths("client")? {
            let parameter = function
                .parameters
                .iter()
                .find(|parameter| path.is_ident(&parameter.name));
            let Some(parameter) = parameter else {
                let known = list(names.iter().map(String::as_str));
                let message = format!(
                    "no parameter is called `{}`; parameters: {known}",
                    path.to_token_stream()
                );
                return Err(Error::new(path.span(), message));
            };
            if parameter.kind == ParameterKind::Resource {
                let message = "a `#[resource]` is never part of the key: there is nothing to exclude";
                return Err(Error::new(path.span(), message));
            }
            self.cache_exclude.push(path);
        }
        Ok(())
    }

    fn flag(&mut self, word: &Word) -> Result<()> {
        word.nothing()?;
        let setter = &word.name;
        self.setters.push(quote!(.#setter(true)));
        Ok(())
    }

    /// `word = true` or `word = false`.
    fn choice(&mut self, word: &Word, example: &str) -> Result<()> {
        let value = word.value(example)?;
        let setter = &word.name;
        if matches!(value, Expr::Lit(literal) if !matches!(literal.lit, Lit::Bool(_))) {
            return Err(Error::new_spanned(
                value,
                format!("`{setter}` is `true` or `false`"),
            ));
        }
        let span = value.span();
        self.setters.push(quote_spanned!(span=> .#setter(#value)));
        Ok(())
    }

    fn retries(&mut self, word: &Word) -> Result<()> {
        self.retries = Retries::Some;
        let value = word.value("3")?;
        let refused = || {
            Error::new_spanned(
                value,
                "`retries` is how many attempts may follow the first: a whole number from 0",
            )
        };
        let number = match value {
            Expr::Lit(ExprLit {
                lit: Lit::Int(number),
                ..
            }) => Some(number.base10_parse::<u32>().map_err(|_| refused())?),
            Expr::Lit(_) | Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => return Err(refused()),
            _ => None,
        };
        if number == Some(0) {
            self.retries = Retries::Zero;
        }
        let setter = &word.name;
        self.setters.push(quote!(.#setter(#value)));
        Ok(())
    }

    fn delays(&mut self, word: &Word) -> Result<()> {
        let value = word.value("\"1s\"")?;
        let Expr::Array(list) = value else {
            self.delays = vec![duration::parse(value)?];
            return Ok(());
        };
        let count = list.elems.len();
        if count == 0 {
            return Err(Error::new_spanned(value, "a list of delays has at least one"));
        }
        if count > MOST_DELAYS {
            return Err(Error::new(
                word.span(),
                format!(
                    "{count} delays are more than {MOST_DELAYS}, the most that are possible; the last one repeats, and `retry_backoff` makes one grow"
                ),
            ));
        }
        self.delays = list.elems.iter().map(duration::parse).collect::<Result<_>>()?;
        Ok(())
    }

    fn number(&mut self, word: &Word, example: &str, least: f64, most: f64) -> Result<()> {
        let value = word.value(example)?;
        let setter = &word.name;
        let range = if most.is_finite() {
            format!("from {least} to {most}")
        } else {
            format!("{least} or more")
        };
        match literal_number(value) {
            Some(number) if (least..=most).contains(&number) => {
                let span = value.span();
                self.setters.push(quote_spanned!(span=> .#setter(#number)));
            }
            Some(_) => {
                return Err(Error::new_spanned(
                    value,
                    format!("`{setter}` is a number, {range}"),
                ));
            }
            None if matches!(value, Expr::Lit(_)) => {
                return Err(Error::new_spanned(
                    value,
                    format!("`{setter}` is a number, {range}, like `{example}`"),
                ));
            }
            None => self.setters.push(quote!(.#setter(#value))),
        }
        Ok(())
    }

    fn time(&mut self, word: &Word, name: &'static str, instead: &str) -> Result<()> {
        let time = duration::parse(word.value("\"30s\"")?)?;
        if time.known == Some(Duration::ZERO) {
            return Err(Error::new(
                time.span,
                format!("`{name}` cannot be zero: {instead}"),
            ));
        }
        let (setter, tokens) = (&word.name, &time.tokens);
        self.setters.push(quote!(.#setter(#tokens)));
        self.times.push((name, time));
        Ok(())
    }
}

fn not_empty(text: LitStr, message: &str) -> Result<LitStr> {
    if text.value().trim().is_empty() {
        return Err(Error::new(text.span(), message));
    }
    Ok(text)
}

/// `limit = "db"`, `limit = ["db", "api"]` or `limit("db", 2, "api")`: a number is the weight of the name before it.
fn limits(word: &Word) -> Result<Vec<(LitStr, TokenStream)>> {
    let mut limits: Vec<(LitStr, TokenStream)> = Vec::new();
    let mut weighted = true;
    for item in word.items("\"db\"")? {
        match (&item, limits.last_mut()) {
            (
                Expr::Lit(ExprLit {
                    lit: Lit::Str(name), ..
                }),
                _,
            ) => {
                let name = not_empty(name.clone(), "a limit has a name")?;
                if limits.iter().any(|(other, _)| other.value() == name.value()) {
                    return Err(Error::new(
                        name.span(),
                        "this limit is named already: a number behind its name takes more slots of it",
                    ));
                }
                limits.push((name, quote!(1)));
                weighted = false;
            }
            (
                Expr::Lit(ExprLit {
                    lit: Lit::Int(weight),
                    ..
                }),
                Some((_, slots)),
            ) if !weighted => {
                if weight.base10_parse::<u32>().is_ok_and(|weight| weight > 0) {
                    *slots = item.to_token_stream();
                    weighted = true;
                } else {
                    return Err(Error::new_spanned(item, "a run takes at least 1 slot"));
                }
            }
            _ => {
                return Err(Error::new_spanned(
                    item,
                    "`limit` takes names of limits, each with the number of slots behind it if that is not 1: `limit(\"db\", 2)`",
                ));
            }
        }
    }
    Ok(limits)
}

fn tags(word: &Word) -> Result<Vec<LitStr>> {
    word.texts()?
        .into_iter()
        .map(|tag| not_empty(tag, "a tag cannot be empty"))
        .collect()
}

/// The value of a number that is written out, negative ones too.
fn literal_number(value: &Expr) -> Option<f64> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Float(number),
            ..
        }) => number.base10_parse().ok(),
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => number.base10_parse().ok(),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => literal_number(expr).map(|number| -number),
        _ => None,
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;

/// `persist`, `persist = true` or `persist = false`.
fn persist(word: &Word) -> Result<bool> {
    if matches!(word.given, Given::Nothing) {
        return Ok(true);
    }
    match word.value("false")? {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Bool(said) => Ok(said.value),
            other => Err(Error::new_spanned(other, "`persist` is `true` or `false`")),
        },
        other => Err(Error::new_spanned(other, "`persist` is `true` or `false`")),
    }
}
