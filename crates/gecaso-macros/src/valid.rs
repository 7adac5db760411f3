//! Every rule of `#[cached]`, one message each: what is wrong, where, and the way out.
//!
//! Called by `driver`; makes the plan that tokens are made from. Must not know what the function
//! becomes, and must not stop at the first broken rule.

use crate::ast::Item;
use crate::attr::{HandleName, Words};
use crate::parts::{self, Owner, Part};
use crate::types;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned;
use syn::{Expr, FnArg, GenericParam, Ident, Pat, PatIdent, ReturnType, Type};

/// How the function gives its result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Sync,
    Async,
    /// Not `async` itself: it returns `Pin<Box<dyn Future>>`, as under `#[async_trait]`.
    Boxed,
}

/// One argument, the receiver included.
pub(crate) struct Argument {
    /// Its name in what is emitted; `self` for the receiver.
    pub(crate) name: Ident,
    /// What it is taken apart with in the body, unless it is just a name.
    pub(crate) pattern: Option<Pat>,
    pub(crate) ty: Type,
    /// Whether the handle asks for it where no body runs.
    pub(crate) in_key: bool,
}

/// All that the expansion needs.
pub(crate) struct Plan {
    pub(crate) flow: Flow,
    pub(crate) is_method: bool,
    /// What the body returns or resolves to.
    pub(crate) returns: Type,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) parts: Vec<Part>,
    pub(crate) owners: Vec<Owner>,
    /// `let` statements the word `key` needs, for arguments that are patterns.
    pub(crate) opened: TokenStream,
}

/// Checks the function against every rule.
pub(crate) fn plan(item: &Item, words: &Words) -> Result<Plan, Vec<syn::Error>> {
    let mut errors = Vec::new();
    signature(item, &mut errors);
    let (flow, returns) = returned(item, words, &mut errors);
    let mut arguments = arguments(item, words);
    let is_method = is_method(item, words);
    if let Some((span, _)) = words.key.as_ref().filter(|_| words.skip.is_some()) {
        errors.push(complaint(
            *span,
            "`key` and `skip` contradict each other: `key` alone says what tells calls apart",
            "leave out `skip`",
        ));
    }
    skipped(words, &arguments, &mut errors);
    let (mut parts, mut owners, mut opened) = (Vec::new(), Vec::new(), TokenStream::new());
    match &words.key {
        Some((span, Expr::Lit(_))) => errors.push(complaint(
            *span,
            "`key` is the same for every call: all of them would share one entry",
            "say what tells calls apart, `key = (a, b)` or `key = format!(\"{a}:{b}\")`; a text alone \
             is not filled in",
        )),
        Some((_, expr)) => {
            opened = patterns(&arguments, expr);
            keyed(expr, &arguments, &mut parts, &mut owners, &mut errors);
        }
        None => {
            for argument in arguments.iter().filter(|argument| argument.in_key) {
                let owner = owners.len();
                owners.push(owner_of(argument));
                viewed(argument, owner, &mut parts, &mut errors);
            }
        }
    }
    for argument in &mut arguments {
        mutable(argument, words, &mut errors);
    }
    if let Some(HandleName::Other(name)) = words.handle.as_ref().filter(|_| is_method) {
        errors.push(complaint(
            name.span(),
            "a method has no handle of its own name",
            "use `gecaso::handle(Type::method)`",
        ));
    }
    if errors.is_empty() {
        Ok(Plan { flow, is_method, returns, arguments, parts, owners, opened })
    } else {
        Err(errors)
    }
}

/// Whether the function stands in an `impl` or a trait, as far as one can see from inside.
pub(crate) fn is_method(item: &Item, words: &Words) -> bool {
    item.sig.receiver().is_some()
        || words.in_impl
        || types::mentions(item.sig.to_token_stream(), "Self")
        || says_self(item.body.stream())
}

/// Whether a body says `Self` other than in types and impls that it declares: those have their own.
fn says_self(body: TokenStream) -> bool {
    let mut declares = false;
    body.into_iter().any(|token| match token {
        TokenTree::Ident(word) => {
            declares |= ["impl", "trait", "struct", "enum"].iter().any(|item| word == item);
            !declares && word == "Self"
        }
        TokenTree::Group(group) => {
            let inside = !declares && says_self(group.stream());
            declares &= group.delimiter() != Delimiter::Brace;
            inside
        }
        TokenTree::Punct(punct) => {
            declares &= punct.as_char() != ';';
            false
        }
        TokenTree::Literal(_) => false,
    })
}

/// An error with its way out.
pub(crate) fn complaint(span: Span, what: &str, way_out: &str) -> syn::Error {
    syn::Error::new(span, format!("{what}\n\n{way_out}"))
}

fn signature(item: &Item, errors: &mut Vec<syn::Error>) {
    let sig = &item.sig;
    if let Some(token) = &sig.constness {
        errors.push(complaint(
            token.span(),
            "a `const fn` cannot be cached: looking something up is nothing a constant can do",
            "leave out `const`, or cache a function that calls this one",
        ));
    }
    if let Some(token) = &sig.unsafety {
        errors.push(complaint(
            token.span(),
            "an `unsafe fn` cannot be cached: its callers' promises are made for each call",
            "cache a safe function that calls this one",
        ));
    }
    if let Some(abi) = &sig.abi {
        errors.push(complaint(
            abi.span(),
            "an `extern` function cannot be cached: foreign callers know of no waiting",
            "cache a Rust function that this one calls",
        ));
    }
    if let Some(variadic) = &sig.variadic {
        errors.push(complaint(
            variadic.span(),
            "a variadic function cannot be cached",
            "cache a function with named arguments that this one calls",
        ));
    }
}

fn returned(item: &Item, words: &Words, errors: &mut Vec<syn::Error>) -> (Flow, Type) {
    let sig = &item.sig;
    let ReturnType::Type(_, written) = &sig.output else {
        errors.push(nothing(sig.ident.span(), &sig.ident));
        return (Flow::Sync, Type::Verbatim(quote!(())));
    };
    let (flow, ty) = match (sig.asyncness.is_some(), types::boxed_future_output(written)) {
        (true, _) => (Flow::Async, &**written),
        (false, Some(output)) => (Flow::Boxed, output),
        (false, None) => (Flow::Sync, &**written),
    };
    let parameters: Vec<_> = sig.generics.type_params().map(|p| p.ident.to_string()).collect();
    if matches!(types::bare(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
        || matches!(types::bare(ty), Type::Never(_))
    {
        errors.push(nothing(ty.span(), &sig.ident));
    } else if let Some(span) = types::opaque(ty) {
        errors.push(complaint(
            span,
            "a result of type `impl Trait` cannot be cached: what it is must be known to store it",
            "name the type, or return a boxed or shared one such as `Arc<dyn Trait>`",
        ));
    } else if let Some(span) = types::borrow(ty) {
        errors.push(complaint(
            span,
            "a result that borrows cannot be cached: it would outlive what it borrows from",
            "return what owns: `String` for `&str`, `Vec<T>` for `&[T]`, or an `Arc` of either",
        ));
    } else if types::is_parameter(ty, &parameters) && !words.whole() {
        errors.push(complaint(
            ty.span(),
            &format!(
                "`{}` may turn out to be a `Result`, and nobody can tell here: would its `Err` be \
                 stored?",
                ty.to_token_stream()
            ),
            "add `cache_err` to store whatever is returned, or return `Result<T, E>`",
        ));
    }
    (flow, ty.clone())
}

fn nothing(span: Span, name: &Ident) -> syn::Error {
    complaint(
        span,
        &format!("`{name}` returns nothing that could be cached: a hit would just not run it"),
        "return a value; if running once per argument is what you want, say so with a `bool`",
    )
}

fn arguments(item: &Item, words: &Words) -> Vec<Argument> {
    let mut list = Vec::new();
    for (index, input) in item.sig.inputs.iter().enumerate() {
        let (name, pattern, ty) = match input {
            FnArg::Receiver(receiver) => {
                (Ident::new("self", receiver.self_token.span()), None, (*receiver.ty).clone())
            }
            FnArg::Typed(typed) => {
                let plain = plain(&typed.pat);
                let name = match plain {
                    Some(pat) => pat.ident.clone(),
                    None => {
                        let site = Span::mixed_site().located_at(typed.pat.span());
                        format_ident!("arg{}", index, span = site)
                    }
                };
                let as_is = plain.is_some_and(|pat| pat.mutability.is_none());
                let pattern = (!as_is).then(|| (*typed.pat).clone());
                (name, pattern, (*typed.ty).clone())
            }
        };
        let said = name.to_string();
        let in_key = match &words.key {
            None => !words.skips(&said),
            Some((_, expr)) => {
                let named = pattern.as_ref().map_or_else(|| vec![said.clone()], bound);
                named.iter().any(|name| types::mentions(expr.to_token_stream(), name))
            }
        };
        list.push(Argument { name, pattern, ty, in_key });
    }
    list
}

/// The names that a pattern may bind.
fn bound(pattern: &Pat) -> Vec<String> {
    struct Find(Vec<String>);
    impl syn::visit_mut::VisitMut for Find {
        fn visit_pat_ident_mut(&mut self, node: &mut PatIdent) {
            self.0.push(node.ident.to_string());
            syn::visit_mut::visit_pat_ident_mut(self, node);
        }
    }
    let mut find = Find(Vec::new());
    syn::visit_mut::VisitMut::visit_pat_mut(&mut find, &mut pattern.clone());
    find.0
}

/// Opens, by reference, the patterns whose names the word `key` uses.
fn patterns(arguments: &[Argument], expr: &Expr) -> TokenStream {
    struct Plain;
    impl syn::visit_mut::VisitMut for Plain {
        fn visit_pat_ident_mut(&mut self, node: &mut PatIdent) {
            node.mutability = None;
            node.by_ref = None;
            syn::visit_mut::visit_pat_ident_mut(self, node);
        }
    }
    let mut tokens = TokenStream::new();
    for argument in arguments {
        let Some(pattern) = argument.pattern.as_ref().filter(|pat| plain(pat).is_none()) else {
            continue;
        };
        let names = bound(pattern);
        if names.iter().any(|name| types::mentions(expr.to_token_stream(), name)) {
            let mut pattern = pattern.clone();
            syn::visit_mut::VisitMut::visit_pat_mut(&mut Plain, &mut pattern);
            let name = &argument.name;
            tokens.extend(quote!(#[allow(unused_variables)] let #pattern = &#name;));
        }
    }
    tokens
}

/// The pattern as a plain name, be it `mut`; `None` if it takes its argument apart.
fn plain(pattern: &Pat) -> Option<&PatIdent> {
    match pattern {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(pat),
        _ => None,
    }
}

fn skipped(words: &Words, arguments: &[Argument], errors: &mut Vec<syn::Error>) {
    let Some((_, names)) = &words.skip else { return };
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            errors.push(complaint(
                name.span(),
                &format!("`{name}` is skipped twice"),
                "name it once",
            ));
        } else if !arguments.iter().any(|argument| argument.name == *name) {
            let mut known: Vec<_> = arguments
                .iter()
                .filter(|one| one.pattern.as_ref().is_none_or(|pat| plain(pat).is_some()))
                .collect();
            known.dedup_by_key(|one| one.name.to_string());
            let known: Vec<_> = known.iter().map(|one| format!("`{}`", one.name)).collect();
            let way_out = match known.is_empty() {
                true => "leave out `skip`".to_string(),
                false => format!("it has {}", known.join(", ")),
            };
            errors.push(complaint(
                name.span(),
                &format!("the function has no argument `{name}` to skip"),
                &way_out,
            ));
        }
    }
}

fn span_of(argument: &Argument) -> Span {
    let span = match &argument.pattern {
        Some(pattern) => pattern.span(),
        None => argument.name.span(),
    };
    Span::mixed_site().located_at(span)
}

/// What messages call an argument, and how `skip` would name it.
fn label(argument: &Argument) -> (String, String) {
    match argument.pattern.as_ref().filter(|pattern| plain(pattern).is_none()) {
        Some(pattern) => {
            let text = pattern.to_token_stream().to_string();
            (format!("argument `{text}`"), "give it a name and add `skip(name)`".to_string())
        }
        None => (format!("argument `{}`", argument.name), format!("add `skip({})`", argument.name)),
    }
}

fn owner_of(argument: &Argument) -> Owner {
    let (label, skip) = label(argument);
    Owner { label, note: format!("{skip} or `key = ..`") }
}

fn viewed(argument: &Argument, owner: usize, parts: &mut Vec<Part>, errors: &mut Vec<syn::Error>) {
    if exclusive(&argument.ty) {
        return; // `mutable` has its message.
    }
    let name = &argument.name;
    let done = parts::of_argument(owner, span_of(argument), &quote!(#name), &argument.ty, parts);
    if let Err(span) = done {
        let (label, skip) = label(argument);
        errors.push(complaint(
            span,
            &format!("{label} borrows inside of its type, and a key must own what it is made of"),
            &format!("{skip}, or say with `key = ..` what tells it apart"),
        ));
    }
}

fn exclusive(ty: &Type) -> bool {
    matches!(types::bare(ty), Type::Reference(reference) if reference.mutability.is_some())
}

fn mutable(argument: &Argument, words: &Words, errors: &mut Vec<syn::Error>) {
    let skipped = words.skips(&argument.name.to_string());
    if exclusive(&argument.ty) && !skipped && (words.key.is_none() || argument.in_key) {
        let (label, skip) = label(argument);
        let label = if argument.name == "self" { "`self`".to_string() } else { label };
        errors.push(complaint(
            argument.ty.span(),
            &format!("{label} is `&mut`: on a hit nothing would change it"),
            &format!("take it by value or by `&`; or, if a hit may leave it as it is, {skip}"),
        ));
    }
}

/// The parts of the word `key`: elements of a tuple, or the one expression.
fn keyed(
    expr: &Expr,
    arguments: &[Argument],
    parts: &mut Vec<Part>,
    owners: &mut Vec<Owner>,
    errors: &mut Vec<syn::Error>,
) {
    let elements: Vec<&Expr> = match expr {
        Expr::Tuple(tuple) => tuple.elems.iter().collect(),
        other => vec![other],
    };
    for element in elements {
        let owner = owners.len();
        let named = match element {
            Expr::Path(path) => path.path.get_ident(),
            _ => None,
        };
        let argument = arguments.iter().find(|argument| Some(&argument.name) == named);
        if let Some(argument) = argument {
            owners.push(Owner {
                label: label(argument).0,
                note: "make `key` of what can be compared: `Hash + Eq + Clone`".to_string(),
            });
            viewed(argument, owner, parts, errors);
        } else {
            let text = element.to_token_stream().to_string();
            owners.push(Owner {
                label: format!("`key = {text}`"),
                note: "make `key` of what can be compared: `Hash + Eq + Clone`".to_string(),
            });
            parts::of_expression(owner, element, parts);
        }
    }
}

/// The type and const parameters of a function, as arguments of a path.
pub(crate) fn parameters(item: &Item) -> Vec<&Ident> {
    fn name(param: &GenericParam) -> Option<&Ident> {
        match param {
            GenericParam::Type(param) => Some(&param.ident),
            GenericParam::Const(param) => Some(&param.ident),
            GenericParam::Lifetime(_) => None,
        }
    }
    item.sig.generics.params.iter().filter_map(name).collect()
}
