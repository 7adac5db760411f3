//! From what the compiler hands over to what it gets back: one function for each way the `cfg`s of
//! arguments may turn out, and for each of them either its expansion or what is left of it.
//!
//! Called by `lib`; calls everything else. Must not emit anything of its own but `compile_error!`
//! and `cfg`.

use crate::ast::{Item, Written};
use crate::attr::Words;
use crate::expand::Expansion;
use crate::handle::Handle;
use crate::valid::{self, complaint};
use crate::{fallback, manifest};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, Pat, PatIdent, PatType, parse_quote};

/// The whole of the macro.
pub(crate) fn cached(words: TokenStream, tokens: TokenStream) -> TokenStream {
    let wrong = |error: syn::Error| {
        let error = error.into_compile_error();
        quote!(#error #tokens)
    };
    match syn::parse2::<Written>(tokens.clone()) {
        Err(error) => wrong(error),
        Ok(Written::Declaration(span)) => wrong(complaint(
            span,
            "a declaration has no body whose result could be cached",
            "put `#[cached]` on the function in each `impl`, or give it a body here",
        )),
        Ok(Written::Other(keyword, span)) => {
            let way_out = match keyword.as_str() {
                "impl" | "trait" | "mod" => "put it on the functions inside",
                _ => "put it on the function whose results are to be cached",
            };
            wrong(complaint(
                span,
                &format!("`#[cached]` belongs on a function, not on a `{keyword}`"),
                way_out,
            ))
        }
        Ok(Written::Function(item)) => by_configuration(&words, *item),
    }
}

/// A `cfg` on an argument is decided after us, so each outcome gets a function of its own.
fn by_configuration(words: &TokenStream, item: Item) -> TokenStream {
    let variants = variants(item, Vec::new());
    let expanded = variants.into_iter().map(|(item, gone)| {
        let words = syn::parse2::<Words>(words.clone()).map(|mut words| {
            if let Some((_, names)) = &mut words.skip {
                names.retain(|name| !gone.contains(name));
                if names.is_empty() {
                    words.skip = None;
                }
            }
            words
        });
        one(item, words)
    });
    quote!(#(#expanded)*)
}

fn attrs_of(input: &FnArg) -> &[Attribute] {
    match input {
        FnArg::Receiver(receiver) => &receiver.attrs,
        FnArg::Typed(typed) => &typed.attrs,
    }
}

/// The function with its first conditional argument and without it, and so on for the others; each
/// with the names of the arguments that are gone.
fn variants(item: Item, gone: Vec<Ident>) -> Vec<(Item, Vec<Ident>)> {
    let is_cfg = |attr: &Attribute| attr.path().is_ident("cfg");
    let conditional = item.sig.inputs.iter().enumerate().find_map(|(at, input)| {
        let position = attrs_of(input).iter().position(is_cfg)?;
        Some((at, position, attrs_of(input)[position].parse_args::<TokenStream>().ok()?))
    });
    let Some((at, position, condition)) = conditional else { return vec![(item, gone)] };
    let (mut with, mut without, mut gone_without) = (item.clone(), item, gone.clone());
    match &mut with.sig.inputs[at] {
        FnArg::Receiver(receiver) => drop(receiver.attrs.remove(position)),
        FnArg::Typed(typed) => drop(typed.attrs.remove(position)),
    }
    with.attrs.insert(0, parse_quote!(#[cfg(#condition)]));
    without.attrs.insert(0, parse_quote!(#[cfg(not(#condition))]));
    if let FnArg::Typed(PatType { pat, .. }) = &without.sig.inputs[at]
        && let Pat::Ident(PatIdent { ident, .. }) = &**pat
    {
        gone_without.push(ident.clone());
    }
    let inputs = without.sig.inputs.into_iter().enumerate();
    without.sig.inputs = inputs.filter(|(index, _)| *index != at).map(|(_, input)| input).collect();
    let mut all = variants(with, gone);
    all.extend(variants(without, gone_without));
    all
}

fn one(item: Item, words: syn::Result<Words>) -> TokenStream {
    let mut words = match words {
        Ok(words) => words,
        Err(error) => Words { errors: vec![error], ..Words::default() },
    };
    let krate = match &words.krate {
        Some(path) => path.to_token_stream(),
        None => manifest::krate(),
    };
    let private = quote!(#krate::__private);
    let mut errors = std::mem::take(&mut words.errors);
    match valid::plan(&item, &words) {
        Ok(plan) if errors.is_empty() => {
            let expansion = Expansion { item: &item, words: &words, plan: &plan, private };
            if plan.is_method { expansion.method() } else { Handle(expansion).expand() }
        }
        plan => {
            errors.extend(plan.err().unwrap_or_default());
            fallback::expand(&item, &words, &private, &errors)
        }
    }
}

#[cfg(test)]
mod tests {
    fn expanded(words: &str, function: &str) -> String {
        let tokens = |text: &str| text.parse().expect("tokens");
        super::cached(tokens(words), tokens(function)).to_string()
    }

    #[test]
    fn generated_code_names_the_private_module_and_nothing_else_of_the_crate() {
        let words = "ttl = 5, cache_if = |n| *n > 0, max_wait = \"1s\"";
        for (words, function) in [
            ("", "fn f() -> u32 { 1 }"),
            (words, "async fn f<T: Eq>(t: T, text: &str) -> Option<u32> { None }"),
            (words, "fn f(n: u32) -> Pin<Box<dyn Future<Output = u32>>> { g(n) }"),
            (words, "fn f(&self, n: &[&str]) -> u32 { 1 }"),
            (words, "async fn f(self, as_str: impl AsRef<str>) -> u32 { 1 }"),
            ("key = n + 1", "fn f(n: u32) -> u32 { n }"),
            ("wrong = 1", "fn f(n: u32) -> u32 { n }"),
        ] {
            let expanded = expanded(words, function);
            let mut named = expanded.split(":: gecaso ::").skip(1).peekable();
            assert!(named.peek().is_some(), "{expanded}");
            assert!(named.all(|rest| rest.starts_with(" __private ::")), "{expanded}");
        }
    }

    #[test]
    fn name_and_version_are_handed_on() {
        let expanded = expanded("name = \"people\", version = 3", "fn f(n: u32) -> u32 { n }");
        assert!(expanded.contains("name : \"people\" , version : 3u32"), "{expanded}");
    }
}
