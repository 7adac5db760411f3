//! From a plan to tokens: what methods and free functions share, and the whole of a method.
//!
//! Called by `driver`, and by `handle` for a free function. Names of our own are hygienic
//! (`mixed_site`) where they are variables and begin with `__gecaso` where they are items; std is
//! named by absolute paths, gecaso as `__private` alone. Must not check anything: that is for
//! `valid`.

use crate::ast::Item;
use crate::attr::{HandleName, Lifetime, Words};
use crate::parts::{self, Look, Part};
use crate::types;
use crate::valid::{Argument, Flow, Plan, parameters};
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, FnArg, ReturnType, Signature, parse_quote};

/// How many arguments a method may have to be found by `gecaso::handle`, its receiver included:
/// what `__private::method` is written out for.
const MOST_ARGUMENTS: usize = 8;

/// What every part of an expansion can see.
pub(crate) struct Expansion<'a> {
    pub(crate) item: &'a Item,
    pub(crate) words: &'a Words,
    pub(crate) plan: &'a Plan,
    /// The path of `gecaso::__private`: nothing else of gecaso is named.
    pub(crate) private: TokenStream,
}

/// How the path of a call begins.
#[derive(Clone, Copy)]
pub(crate) enum Begin {
    Look,
    /// After a [`first_look`](Expansion::first_look): there is a variable `unfound`.
    LookAgain,
    /// Without a look: a refresh.
    Run,
}

/// A variable of ours: no name of the user's is the same, nor that of the function itself, which
/// is looked up as ours are.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(&format!("gecaso_{name}"), Span::mixed_site())
}

impl Expansion<'_> {
    /// The attributes that must hold wherever the item's parts go.
    pub(crate) fn cfgs(&self) -> Vec<&Attribute> {
        self.item.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
    }

    /// The function's signature, patterns replaced by names.
    pub(crate) fn outer(&self) -> Signature {
        let mut sig = self.item.sig.clone();
        for (input, argument) in sig.inputs.iter_mut().zip(&self.plan.arguments) {
            if let FnArg::Typed(typed) = input {
                let name = &argument.name;
                *typed.pat = parse_quote!(#name);
            }
        }
        sig
    }

    /// The marker of the return type.
    pub(crate) fn token(&self) -> TokenStream {
        let (private, returns) = (&self.private, &self.plan.returns);
        let ask = match self.words.whole() {
            true => quote!(gecaso_whole),
            false => quote!(gecaso_token),
        };
        quote! {{
            #[allow(unused_imports)]
            use #private::probe::{Partial as _, Plain as _, ResultShared as _, Vain as _};
            (&&&&#private::probe::Probe::<#returns>::NEW).#ask()
        }}
    }

    /// Statements that ask for whatever a key or a result must be, once: the rest of the expansion
    /// makes do with anything, so that there is one error for each mistake.
    pub(crate) fn checks(&self) -> TokenStream {
        let (private, returns) = (&self.private, &self.plan.returns);
        let imports = parts::imports(private);
        let bindings = parts::bindings(&self.plan.parts, private);
        let (checks, opened) = (parts::checks(&self.plan.parts), &self.plan.opened);
        let site = Span::mixed_site().located_at(returns.span());
        let stored = match self.words.whole() {
            true => quote_spanned!(site=> ::core::marker::PhantomData::<#returns>),
            false => quote_spanned! {site=>
                (&&#private::probe::Probe::<#returns>::NEW).gecaso_stored()
            },
        };
        quote_spanned! {site=>
            #imports
            #[allow(unused_imports)]
            use #private::probe::{StoredAsAWhole as _, StoredPartially as _};
            #private::probe::is_value(#stored);
            #opened
            #bindings
            #checks
        }
    }

    /// The predicate, as an `fn` pointer.
    pub(crate) fn keep(&self) -> TokenStream {
        match &self.words.cache_if {
            Some(expr) => expr.to_token_stream(),
            None => {
                let private = &self.private;
                quote!(#private::all)
            }
        }
    }

    /// The `Words` of the run time.
    ///
    /// `path` is an expression for a free function's own path.
    fn run_time_words(&self, path: Option<&TokenStream>) -> TokenStream {
        let Self { words, private, .. } = self;
        let storage = match &words.storage {
            Some(storage) => storage.to_token_stream(),
            None => quote!(<#private::MemoryStorage as ::core::default::Default>::default()),
        };
        let name = match &words.name {
            Some(name) => name.to_token_stream(),
            None => {
                let name = self.item.sig.ident.to_string();
                quote!(::core::concat!(::core::module_path!(), "::", #name))
            }
        };
        let version = words.version.unwrap_or(0);
        let length = |length: &Option<crate::duration::Length>| match length {
            Some(length) => {
                let closure = length.closure(private);
                quote!(::core::option::Option::Some(#closure))
            }
            None => quote!(::core::option::Option::None),
        };
        let max_wait = length(&words.max_wait);
        let (ttl, ttl_of) = self.lifetime(words.ttl.as_ref());
        let (tti, tti_of) = self.lifetime(words.tti.as_ref());
        let weigher = self.by_value(words.weigher.as_ref());
        let (whole, is_named) = (words.whole(), words.name.is_some());
        let path = match path {
            Some(path) => quote!(::core::option::Option::Some(|| #path)),
            None => quote!(::core::option::Option::None),
        };
        let far = self.far_words();
        quote! {
            #private::Words {
                storage: || #storage,
                name: #name,
                version: #version,
                ttl: #ttl,
                ttl_of: #ttl_of,
                tti: #tti,
                tti_of: #tti_of,
                weigher: #weigher,
                max_wait: #max_wait,
                whole: #whole,
                is_named: #is_named,
                path: #path,
                far: || #far,
            }
        }
    }

    /// A lifetime that is the same for all, or one that a closure says.
    fn lifetime(&self, word: Option<&Lifetime>) -> (TokenStream, TokenStream) {
        let private = &self.private;
        match word {
            Some(Lifetime::Usual(length)) => {
                let closure = length.closure(private);
                let usual = quote!(::core::option::Option::Some(#closure));
                (usual, quote!(::core::option::Option::None))
            }
            Some(Lifetime::OfValue(closure)) => {
                (quote!(::core::option::Option::None), self.by_value(Some(closure)))
            }
            None => (quote!(::core::option::Option::None), quote!(::core::option::Option::None)),
        }
    }

    /// A closure over the value, as an `fn` pointer.
    fn by_value(&self, closure: Option<&Expr>) -> TokenStream {
        let (private, token) = (&self.private, local("token"));
        match closure {
            Some(closure) => {
                let site = Span::mixed_site().located_at(closure.span());
                quote_spanned! {site=>
                    ::core::option::Option::Some(#private::by_value(#token, #closure))
                }
            }
            None => quote!(::core::option::Option::None),
        }
    }

    /// What far storages are told.
    fn far_words(&self) -> TokenStream {
        let Self { words, private, .. } = self;
        let params = words.params.iter().map(|(name, value)| {
            let name = name.unraw().to_string();
            quote_spanned!(value.span()=> .param(#name, #value))
        });
        let hash_key = words.hash_key.iter().map(|hash_key| {
            let site = Span::mixed_site().located_at(hash_key.span());
            quote_spanned!(site=> .hash_key(#hash_key))
        });
        let deadline = words.deadline.iter().map(|deadline| {
            let closure = deadline.closure(private);
            quote!(.deadline((#closure)()))
        });
        quote! {
            <#private::FarWords as ::core::default::Default>::default()
                #(#params)* #(#hash_key)* #(#deadline)*
        }
    }

    /// What a call answers whose far storage cannot be asked.
    fn refuse(&self) -> TokenStream {
        match self.words.fail_closed {
            Some(word) => {
                let (private, returns) = (&self.private, &self.plan.returns);
                let site = Span::mixed_site().located_at(word);
                quote_spanned!(site=> ::core::option::Option::Some(#private::refuse::<#returns>))
            }
            None => quote!(::core::option::Option::None),
        }
    }

    /// `let` statements for the instantiation's query; the query itself is `#view`.
    pub(crate) fn view(&self, view: &Ident) -> TokenStream {
        let bindings = parts::bindings(&self.plan.parts, &self.private);
        let list = parts::list(&self.plan.parts, &self.private);
        let (opened, imports) = (&self.plan.opened, parts::imports(&self.private));
        quote!(#imports #opened #bindings let #view = #list;)
    }

    /// The cache of this instantiation, opened if need be; `itself` names the function as a value.
    pub(crate) fn cache(
        &self,
        instance: &TokenStream,
        path: Option<&TokenStream>,
        itself: Option<TokenStream>,
    ) -> TokenStream {
        let words = self.run_time_words(path);
        let (view, token) = (local("view"), local("token"));
        let (opened, get) = (self.opened(itself), self.get());
        quote!(#get(#instance, &#view, #token, || #words, #opened))
    }

    /// Asks the slots for the cache: at the storage, where its errors belong.
    fn get(&self) -> TokenStream {
        let storage = self.words.storage.as_ref();
        let span = storage.map_or_else(Span::mixed_site, |storage| storage.span());
        let site = Span::mixed_site().located_at(span);
        quote_spanned!(site=> __GECASO_SLOTS.get)
    }

    /// Opens the cache where there are no arguments, of a function without parameters.
    pub(crate) fn open(
        &self,
        instance: &TokenStream,
        path: &TokenStream,
        itself: Option<TokenStream>,
    ) -> TokenStream {
        let (words, private) = (self.run_time_words(Some(path)), &self.private);
        let token = local("token");
        let (opened, key, get) = (self.opened(itself), self.key_of_arguments(), self.get());
        let by = quote!(#private::slot::ByArguments::of(#key));
        quote!(#get(#instance, #by, #token, || #words, #opened))
    }

    /// Whether a word's expression names an argument. It must not: that is reported where there are
    /// arguments.
    pub(crate) fn names_an_argument(&self) -> bool {
        fn names(tokens: TokenStream, arguments: &[Argument]) -> bool {
            tokens.into_iter().any(|token| match token {
                TokenTree::Ident(ident) => arguments.iter().any(|one| one.name == ident),
                TokenTree::Group(group) => names(group.stream(), arguments),
                _ => false,
            })
        }
        names(self.run_time_words(None), &self.plan.arguments)
    }

    /// What is told of a cache that has been opened.
    fn opened(&self, itself: Option<TokenStream>) -> TokenStream {
        let (token, keep) = (local("token"), local("keep"));
        match itself {
            Some(itself) => self.registration(&itself, &token, &keep),
            // Found by its path alone, unless it asked not to be found.
            None if self.plan.is_method && !matches!(self.words.handle, Some(HandleName::None)) => {
                let (private, cache) = (&self.private, local("cache"));
                quote!(|#cache| #private::method::register_path(&|| (), #cache))
            }
            None => quote!(|_| ()),
        }
    }

    /// A closure that makes a key of the arguments, given as a tuple.
    fn key_of_arguments(&self) -> TokenStream {
        let private = &self.private;
        let (view, receiver) = (local("view"), local("receiver"));
        let names = self.plan.arguments.iter().map(|argument| match argument.name == "self" {
            true => receiver.clone(),
            false => argument.name.clone(),
        });
        let types = self.plan.arguments.iter().map(|argument| &argument.ty);
        let bindings = without_self(self.view(&view), &receiver);
        let key = local("key");
        quote! {{
            #[allow(unused_variables, unused_mut)]
            let #key = |(#(#names,)*): (#(#types,)*)| {
                #bindings
                #private::method::keyed(&#view)
            };
            #key
        }}
    }

    /// Tells `gecaso::handle` how a key comes from the arguments.
    fn registration(&self, itself: &TokenStream, token: &Ident, keep: &Ident) -> TokenStream {
        let private = &self.private;
        let (key, cache) = (local("key"), local("cache"));
        let out = match (self.plan.flow, &self.item.sig.output) {
            (Flow::Sync, ReturnType::Type(_, ty)) => ty.to_token_stream(),
            _ => quote!(_),
        };
        let register = match self.plan.is_method {
            true => quote!(register_method),
            false => quote!(register),
        };
        let key_of_arguments = self.key_of_arguments();
        quote! {
            |#cache| {
                let #key = #key_of_arguments;
                // SAFETY: the closure views its arguments with the very tokens that view them in
                // the function's body, where their lifetimes are the callers' choice.
                unsafe {
                    #private::method::#register(
                        #itself,
                        ::core::marker::PhantomData::<fn() -> #out>,
                        #key,
                        #cache,
                        #keep,
                        #token,
                    )
                }
            }
        }
    }

    /// Whether the function can be named as a value, with its parameters and nothing else.
    pub(crate) fn can_be_named(&self) -> bool {
        let named = !matches!(self.words.handle, Some(HandleName::None) if self.plan.is_method);
        named
            && self.plan.arguments.len() <= MOST_ARGUMENTS
            && self.plan.arguments.iter().all(|argument| types::opaque(&argument.ty).is_none())
    }

    /// `::<T, N>`, if there are any.
    pub(crate) fn turbofish(&self) -> TokenStream {
        let parameters = parameters(self.item);
        if parameters.is_empty() { TokenStream::new() } else { quote!(::<#(#parameters),*>) }
    }

    /// Whether arguments may be looked at twice: that runs no code of the user's, unless a type of
    /// the user's is named `Vec` or `Cow`.
    pub(crate) fn may_look_twice(&self) -> bool {
        let computed = |part: &Part| matches!(part.look, Look::Computed(..));
        let opaque = |argument: &Argument| types::opaque(&argument.ty).is_some();
        !self.plan.parts.iter().any(computed) && !self.plan.arguments.iter().any(opaque)
    }

    /// Whether entries usually end.
    fn may_end(&self) -> bool {
        self.words.ttl.is_some() || self.words.tti.is_some()
    }

    /// An expression that returns what the first look finds; else it says why there is nothing.
    pub(crate) fn first_look(&self, instance: &TokenStream) -> TokenStream {
        let private = &self.private;
        let (view, token, this) = (local("view"), local("token"), local("this"));
        let (found, unfound) = (local("found"), local("unfound"));
        let (type_token, bindings) = (self.token(), self.view(&view));
        let may_end = self.may_end();
        quote! {{
            let #token = #type_token;
            #bindings
            match __GECASO_SLOTS.last(#instance, &#view, #token) {
                ::core::option::Option::Some(#this) => {
                    match #private::look(#this, &#view, #may_end, #token) {
                        ::core::result::Result::Ok(#found) => return #found,
                        ::core::result::Result::Err(#unfound) => #unfound,
                    }
                }
                ::core::option::Option::None => #private::Unfound::Unseen,
            }
        }}
    }

    /// The path of a call: look, and on a miss run `body` (a closure, or a future).
    pub(crate) fn path(
        &self,
        cache: &TokenStream,
        body: &TokenStream,
        begin: Begin,
    ) -> TokenStream {
        let private = &self.private;
        let (view, token, keep) = (local("view"), local("token"), local("keep"));
        let (this, missed, found) = (local("this"), local("missed"), local("found"));
        let (type_token, predicate, bindings) = (self.token(), self.keep(), self.view(&view));
        let find = match begin {
            Begin::Look => {
                let may_end = self.may_end();
                Some(quote!(find(#this, &#view, #may_end, #token)))
            }
            Begin::LookAgain => {
                let unfound = local("unfound");
                Some(quote!(find_longer(#this, &#view, #unfound, #token)))
            }
            Begin::Run => None,
        };
        let look = match find {
            None => quote!(#private::missed(#this, &#view)),
            Some(find) => quote! {
                match #private::#find {
                    ::core::result::Result::Ok(#found) => return #found,
                    ::core::result::Result::Err(#missed) => #missed,
                }
            },
        };
        let refresh = matches!(begin, Begin::Run);
        let (load, wait) = match (self.plan.flow, refresh) {
            (Flow::Sync, false) => (quote!(load), None),
            (Flow::Sync, true) => (quote!(reload), None),
            (_, false) => (quote!(load_async), Some(quote!(.await))),
            (_, true) => (quote!(reload_async), Some(quote!(.await))),
        };
        let refuse = (!refresh).then(|| self.refuse());
        let refuse = refuse.iter();
        quote! {
            let #token = #type_token;
            let #keep = #private::keep(#token, #predicate);
            let (#this, #missed) = {
                #bindings
                let #this = #cache;
                let #missed = #look;
                (#this, #missed)
            };
            #private::#load(#this, #missed, #keep, #body, #token #(, #refuse)*) #wait
        }
    }

    /// A method: everything inside of its body, since nothing can be put beside it.
    pub(crate) fn method(&self) -> TokenStream {
        let (private, item, plan) = (&self.private, self.item, self.plan);
        let items = parts::items(&plan.parts, &plan.owners, private);
        let instance = quote!(#private::slot::instance_of(&|| ()));
        let itself = self.can_be_named().then(|| {
            let mut name = item.sig.ident.clone();
            name.set_span(Span::mixed_site().located_at(name.span()));
            let turbofish = self.turbofish();
            quote!(Self::#name #turbofish)
        });
        let cache = self.cache(&instance, None, itself);
        let (returns, content) = (&plan.returns, item.body.stream());
        let taken_apart = plan.arguments.iter().filter_map(|Argument { name, pattern, .. }| {
            pattern.as_ref().map(|pattern| quote!(let #pattern = #name;))
        });
        let result = local("result");
        let output = match &item.sig.output {
            ReturnType::Type(_, ty) => ty.to_token_stream(),
            ReturnType::Default => quote!(()),
        };
        let body = match plan.flow {
            Flow::Sync => quote!(move || -> #returns { #(#taken_apart)* #content }),
            // The first statement tells the block's type, for `?` and `return` in the body.
            Flow::Async => quote! {
                async move {
                    if let ::core::option::Option::Some(#result) =
                        ::core::option::Option::None::<#returns>
                    {
                        return #result;
                    }
                    #(#taken_apart)*
                    #[allow(unreachable_code, clippy::let_unit_value)]
                    let #result: #returns = { #content };
                    #[allow(unreachable_code)]
                    #result
                }
            },
            Flow::Boxed => quote! {
                async move { (move || -> #output { #(#taken_apart)* #content })().await }
            },
        };
        let (checks, path) = (self.checks(), self.path(&cache, &body, Begin::Look));
        let path = quote! {
            // Never called: it only has to compile.
            #[allow(clippy::all, clippy::pedantic)]
            { let _ = || { #checks }; }
            #path
        };
        let path = match plan.flow {
            Flow::Boxed => quote!(::std::boxed::Box::pin(async move { #path })),
            _ => path,
        };
        let (attrs, vis, sig) = (&item.attrs, &item.vis, self.outer());
        quote! {
            #(#attrs)*
            #vis #sig {
                #items
                static __GECASO_SLOTS: #private::slot::Slots = #private::slot::Slots::new();
                #path
            }
        }
    }
}

/// The tokens with every `self` replaced.
fn without_self(tokens: TokenStream, by: &Ident) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if ident == "self" => {
                let mut by = by.clone();
                by.set_span(by.span().located_at(ident.span()));
                TokenTree::Ident(by)
            }
            TokenTree::Group(group) => {
                let inner = without_self(group.stream(), by);
                let mut new = Group::new(group.delimiter(), inner);
                new.set_span(group.span());
                TokenTree::Group(new)
            }
            other => other,
        })
        .collect()
}
