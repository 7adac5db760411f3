//! What was written: the decorated item, taken apart as far as the macro needs.
//!
//! Called by `driver`. The body stays a token group, so that syntax which `syn` does not know yet
//! passes through. Must not judge: that is for `valid`.

use proc_macro2::{Group, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Ident, Signature, Token, Visibility};

/// A function with its body.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(tokens);
        }
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

/// What the attribute stands on.
pub(crate) enum Written {
    Function(Box<Item>),
    /// A function without a body: a declaration in a trait.
    Declaration(Span),
    /// Anything else, by its keyword.
    Other(String, Span),
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis: Visibility = input.parse()?;
        if let Some((keyword, span)) = other_keyword(input) {
            input.parse::<TokenStream>()?;
            return Ok(Self::Other(keyword, span));
        }
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            input.parse::<TokenStream>()?;
            return Ok(Self::Declaration(sig.ident.span()));
        }
        let body = input.parse()?;
        Ok(Self::Function(Box::new(Item { attrs, vis, sig, body })))
    }
}

/// The keyword of an item that is no function.
fn other_keyword(input: ParseStream<'_>) -> Option<(String, Span)> {
    let ahead = input.fork();
    let mut last = None;
    // `unsafe impl`, `const X`, `auto trait`, `extern crate`: the telling word comes second.
    for _ in 0..3 {
        let word = ahead.call(Ident::parse_any).ok()?;
        match word.to_string().as_str() {
            "fn" => return None,
            "struct" | "enum" | "union" | "trait" | "impl" | "mod" | "type" | "static" | "use" => {
                return Some((word.to_string(), word.span()));
            }
            _ => last = last.or(Some((word.to_string(), word.span()))),
        }
        if ahead.peek(syn::LitStr) {
            ahead.parse::<syn::LitStr>().ok()?;
        }
        if !ahead.peek(Ident::peek_any) {
            break;
        }
    }
    last.filter(|(word, _)| word == "const")
}
