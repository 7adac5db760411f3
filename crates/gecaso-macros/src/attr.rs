//! The words of the attribute: an optional storage, then `word = value`, `word(..)` and flags.
//!
//! Called by `driver`. Checks each word alone; what words mean together is for `valid`.

use crate::duration::Length;
use crate::words;
use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Lit, LitBool, LitStr, Path, Token, parenthesized};

/// What the handle of a free function is called.
pub(crate) enum HandleName {
    Other(Ident),
    None,
}

/// How long an entry is fresh.
pub(crate) enum Lifetime {
    /// The same for all.
    Usual(Length),
    /// A closure works it out from the value.
    OfValue(Expr),
}

impl Lifetime {
    fn new(word: &str, expr: Expr) -> syn::Result<Self> {
        match expr {
            Expr::Closure(_) => Ok(Self::OfValue(expr)),
            expr => Length::new(word, expr).map(Self::Usual),
        }
    }
}

/// The attribute, understood.
#[derive(Default)]
pub(crate) struct Words {
    pub(crate) storage: Option<Expr>,
    pub(crate) ttl: Option<Lifetime>,
    pub(crate) tti: Option<Lifetime>,
    pub(crate) weigher: Option<Expr>,
    pub(crate) max_wait: Option<Length>,
    pub(crate) key: Option<(Span, Expr)>,
    pub(crate) skip: Option<(Span, Vec<Ident>)>,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<u32>,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) cache_err: Option<Span>,
    pub(crate) cache_none: Option<Span>,
    pub(crate) handle: Option<HandleName>,
    pub(crate) params: Vec<(Ident, Expr)>,
    pub(crate) hash_key: Option<LitBool>,
    pub(crate) deadline: Option<Length>,
    pub(crate) fail_closed: Option<Span>,
    pub(crate) in_impl: bool,
    pub(crate) krate: Option<Path>,
    /// What was wrong, word by word.
    pub(crate) errors: Vec<syn::Error>,
}

impl Words {
    /// Whether a whole `Result` or `Option` is to be stored.
    pub(crate) fn whole(&self) -> bool {
        self.cache_err.is_some() || self.cache_none.is_some()
    }

    pub(crate) fn skips(&self, name: &str) -> bool {
        self.skip.iter().any(|(_, names)| names.iter().any(|skipped| skipped == name))
    }
}

impl Parse for Words {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut words = Self::default();
        let mut seen: Vec<String> = Vec::new();
        let mut first = true;
        while !input.is_empty() {
            if let Err(error) = words.one(input, first, &mut seen) {
                words.errors.push(error);
                // The next comma starts afresh: an error in one word does not hide another's.
                while !input.is_empty() && !input.peek(Token![,]) {
                    input.parse::<proc_macro2::TokenTree>()?;
                }
            }
            first = false;
            if !input.is_empty()
                && let Err(error) = input.parse::<Token![,]>()
            {
                words.errors.push(error);
                break;
            }
        }
        // Whatever is left stands behind an error that was reported.
        input.parse::<proc_macro2::TokenStream>()?;
        Ok(words)
    }
}

enum Shape {
    Assigned,
    Called,
    Alone,
    Positional,
}

fn shape(input: ParseStream<'_>) -> Shape {
    let ahead = input.fork();
    let Ok(word) = ahead.call(Ident::parse_any) else { return Shape::Positional };
    if ahead.peek(Token![=]) && !ahead.peek(Token![==]) {
        return Shape::Assigned;
    }
    let name = word.to_string();
    if ahead.peek(syn::token::Paren) && words::resembles(&name) {
        return Shape::Called;
    }
    if (ahead.is_empty() || ahead.peek(Token![,])) && words::resembles(&name) {
        return Shape::Alone;
    }
    Shape::Positional
}

impl Words {
    fn one(
        &mut self,
        input: ParseStream<'_>,
        first: bool,
        seen: &mut Vec<String>,
    ) -> syn::Result<()> {
        let shape = shape(input);
        if let Shape::Positional = shape {
            let storage: Expr = input.parse()?;
            if !first {
                return Err(syn::Error::new(
                    storage.span(),
                    "the storage comes first, before every word, and once\n\n\
                     write `#[cached(LruStorage::new(16), ttl = 100)]`",
                ));
            }
            self.storage = Some(storage);
            return Ok(());
        }
        let word = input.call(Ident::parse_any)?;
        let name = word.to_string();
        let Some(usage) = words::usage(&name) else {
            if let Shape::Assigned = shape {
                // Its value may have commas that do not begin a word: `|key, value| ..`.
                input.parse::<Token![=]>()?;
                drop(input.parse::<Expr>());
            }
            return Err(syn::Error::new(word.span(), words::unknown(&name)));
        };
        let shape_fits = match name.as_str() {
            "skip" | "params" => matches!(shape, Shape::Called),
            "cache_err" | "cache_none" | "in_impl" | "fail_closed" => matches!(shape, Shape::Alone),
            _ => matches!(shape, Shape::Assigned),
        };
        if !shape_fits {
            let message = format!("`{name}` is written differently\n\nwrite `{usage}`");
            return Err(syn::Error::new(word.span(), message));
        }
        if seen.contains(&name) {
            let message = format!("`{name}` is there twice\n\nkeep one of them");
            return Err(syn::Error::new(word.span(), message));
        }
        seen.push(name.clone());
        if let Shape::Assigned = shape {
            input.parse::<Token![=]>()?;
            if input.is_empty() || input.peek(Token![,]) {
                let message = format!("`{name}` has no value\n\nwrite `{usage}`");
                return Err(syn::Error::new(word.span(), message));
            }
        }
        self.value(&word, &name, usage, input)
    }

    fn value(
        &mut self,
        word: &Ident,
        name: &str,
        usage: &str,
        input: ParseStream<'_>,
    ) -> syn::Result<()> {
        let wrong = |span: Span, what: &str| {
            Err(syn::Error::new(span, format!("`{name}` takes {what}\n\nwrite `{usage}`")))
        };
        match name {
            "ttl" => self.ttl = Some(Lifetime::new(name, input.parse()?)?),
            "tti" => self.tti = Some(Lifetime::new(name, input.parse()?)?),
            "weigher" => self.weigher = Some(input.parse()?),
            "max_wait" => self.max_wait = Some(Length::new(name, input.parse()?)?),
            "deadline" => self.deadline = Some(Length::new(name, input.parse()?)?),
            "fail_closed" => self.fail_closed = Some(word.span()),
            "hash_key" => match input.parse::<Expr>()? {
                Expr::Lit(ExprLit { lit: Lit::Bool(lit), .. }) => self.hash_key = Some(lit),
                other => return wrong(other.span(), "`true` or `false`"),
            },
            "params" => {
                let given;
                parenthesized!(given in input);
                let span = given.span();
                let pair = |input: ParseStream<'_>| {
                    let name = input.call(Ident::parse_any)?;
                    input.parse::<Token![=]>()?;
                    Ok((name, input.parse::<Expr>()?))
                };
                let Ok(given) = Punctuated::<_, Token![,]>::parse_terminated_with(&given, pair)
                else {
                    return wrong(span, "names with their values");
                };
                if given.is_empty() {
                    return wrong(word.span(), "at least one name with its value");
                }
                for (name, value) in given {
                    if name == "ttl" {
                        return Err(syn::Error::new(
                            name.span(),
                            "`ttl` is a word of its own\n\nwrite `ttl = 100` beside `params`",
                        ));
                    }
                    if self.params.iter().any(|(other, _)| *other == name) {
                        let message = format!("the parameter `{name}` is given twice");
                        return Err(syn::Error::new(name.span(), message));
                    }
                    self.params.push((name, value));
                }
            }
            "key" => self.key = Some((word.span(), input.parse()?)),
            "cache_if" => self.cache_if = Some(input.parse()?),
            "cache_err" => self.cache_err = Some(word.span()),
            "cache_none" => self.cache_none = Some(word.span()),
            "in_impl" => self.in_impl = true,
            "crate" => {
                let Ok(path) = input.call(Path::parse_mod_style) else {
                    return wrong(input.span(), "a path");
                };
                self.krate = Some(path);
            }
            "name" => match input.parse::<Expr>()? {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => self.name = Some(text),
                other => return wrong(other.span(), "a text in quotes"),
            },
            "version" => match input.parse::<Expr>()? {
                Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => match int.base10_parse() {
                    Ok(version) => self.version = Some(version),
                    Err(_) => return wrong(int.span(), "a number from 0 to 4294967295"),
                },
                other => return wrong(other.span(), "a number from 0 to 4294967295"),
            },
            "handle" => match input.parse::<Expr>()? {
                Expr::Path(path) if path.path.get_ident().is_some() => {
                    self.handle = path.path.get_ident().cloned().map(HandleName::Other);
                }
                Expr::Lit(ExprLit { lit: Lit::Bool(lit), .. }) if !lit.value => {
                    self.handle = Some(HandleName::None);
                }
                other => return wrong(other.span(), "a name, or `false`"),
            },
            "skip" => {
                let names;
                parenthesized!(names in input);
                let span = names.span();
                let Ok(names) =
                    Punctuated::<Ident, Token![,]>::parse_terminated_with(&names, Ident::parse_any)
                else {
                    return wrong(span, "names of arguments");
                };
                if names.is_empty() {
                    return wrong(word.span(), "at least one name");
                }
                self.skip = Some((word.span(), names.into_iter().collect()));
            }
            _ => unreachable!("`{name}` is in the list of words, but nothing reads it"),
        }
        Ok(())
    }
}
