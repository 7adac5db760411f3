//! What a handle does with entries without running the body.
//!
//! Called by `handle`; `fallback` asks it what `with` shows. Must not know how a cache does it:
//! that is behind `__private`.

use super::Handle;
use crate::attr::Words;
use crate::expand::local;
use crate::types;
use crate::valid::{Argument, Flow, parameters};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use std::slice::from_ref;
use syn::visit_mut::VisitMut;
use syn::{FnArg, GenericParam, Signature, Type, TypeImplTrait, WherePredicate, parse_quote};

/// The arguments that are given where no body runs.
const IN_KEY: fn(&Argument) -> bool = |argument| argument.in_key;

/// What is stored of a return type, where only a type can stand; and what a function that says it
/// must demand.
///
/// Which kind of result it is, a constant tells, whatever its name. No constant may depend on the
/// parameters of a generic function: there the name has to do, and who looks checks it.
pub(crate) fn stored(
    returns: &Type,
    words: &Words,
    parameters: &[&Ident],
    private: &TokenStream,
) -> (TokenStream, Option<WherePredicate>) {
    let tokens = returns.to_token_stream();
    let is_generic =
        parameters.iter().any(|name| types::mentions(tokens.clone(), &name.to_string()));
    if words.whole() || is_generic && !types::is_partial_by_name(returns) {
        (tokens, None)
    } else if is_generic {
        let stored = quote!(<#returns as #private::probe::Partly>::Stored);
        (stored, Some(parse_quote!(#returns: #private::probe::Partly)))
    } else {
        let is_partial = quote! {{
            #[allow(unused_imports)]
            use #private::probe::WholeElse as _;
            #private::probe::Probe::<#returns>::IS_PARTIAL
        }};
        let seen = quote!(#private::probe::Seen<#returns, #is_partial>);
        (quote!(<#seen as #private::probe::Shown>::Stored), None)
    }
}

impl Handle<'_> {
    /// Opens the cache of a function that has one alone, and whose types can be told without its
    /// arguments.
    fn open(&self) -> Option<TokenStream> {
        let Handle(it) = self;
        let is_alone = it.item.sig.generics.params.is_empty();
        (is_alone && self.itself().is_some() && !it.names_an_argument()).then(|| {
            let (token, keep) = (local("token"), local("keep"));
            let (type_token, predicate, private) = (it.token(), it.keep(), &it.private);
            let open = it.open(&self.instance(), &self.path(), self.itself());
            quote! {
                let #token = #type_token;
                let #keep = #private::keep(#token, #predicate);
                #open;
            }
        })
    }

    /// What the handle does without running the body.
    pub(super) fn others(&self) -> TokenStream {
        let Handle(it) = self;
        let (private, vis) = (&it.private, &it.item.vis);
        let (view, token, keep) = (local("view"), local("token"), local("keep"));
        let (cache, this) = (self.cache(), local("this"));
        let (bindings, type_token, predicate) = (it.view(&view), it.token(), it.keep());
        let open = self.open();
        let receipt = quote!(#private::Receipt);
        let invalidate = self.signature("invalidate", false, IN_KEY, &[], &receipt);
        let returns = &it.plan.returns;
        let maybe = quote!(::core::option::Option<#returns>);
        let peek = self.signature("peek", false, IN_KEY, &[], &maybe);
        let peek_async = (it.plan.flow != Flow::Sync).then(|| {
            let peek = self.signature("peek_async", true, IN_KEY, &[], &maybe);
            quote! {
                /// As `peek`, awaited.
                #vis #peek {
                    let #this = {
                        let #token = #type_token;
                        #[allow(unused_variables)]
                        let #keep = #private::keep(#token, #predicate);
                        #bindings
                        #private::peek_async(#cache, &#view, #token)
                    };
                    #this.await
                }
            }
        });
        let key = self.key();
        let check = self.signature("__gecaso_check", false, IN_KEY, &[], &quote!(()));
        let checks = it.checks();
        let (insert, with) = (self.insert(), self.with());
        quote! {
            #check { #checks }

            /// Removes the entry of these arguments.
            #vis #invalidate {
                let #token = #type_token;
                #[allow(unused_variables)]
                let #keep = #private::keep(#token, #predicate);
                #bindings
                #private::invalidate(#cache, &#view)
            }

            #insert

            /// What a call with these arguments would find, neither counted nor refreshed.
            #vis #peek {
                let #token = #type_token;
                #[allow(unused_variables)]
                let #keep = #private::keep(#token, #predicate);
                #bindings
                #private::peek(#cache, &#view, #token)
            }

            #peek_async

            #with

            /// The key of a call with these arguments.
            #vis #key {
                #bindings
                #private::method::key_of(&#view)
            }

            /// Removes every entry of this function, of all its instantiations that this process
            /// has used.
            #vis fn clear() -> #private::Receipt {
                #open
                __GECASO_SLOTS.clear()
            }

            /// How the cache of this function has done, all its instantiations together.
            #vis fn stats() -> #private::Stats {
                __GECASO_SLOTS.stats()
            }
        }
    }

    /// `insert` and `insert_with_ttl`, and what both do: the cache is opened in one place.
    fn insert(&self) -> TokenStream {
        let Handle(it) = self;
        let (private, vis, returns) = (&it.private, &it.item.vis, &it.plan.returns);
        let (view, token, keep) = (local("view"), local("token"), local("keep"));
        let (value, ttl, this) = (local("value"), local("ttl"), local("this"));
        let (bindings, type_token, predicate) = (it.view(&view), it.token(), it.keep());
        let (cache, turbofish) = (self.cache(), it.turbofish());
        let receipt = quote!(#private::Receipt);
        let given: FnArg = parse_quote!(#value: #returns);
        let insert = self.signature("insert", false, IN_KEY, from_ref(&given), &receipt);
        let for_ttl = [given.clone(), parse_quote!(#ttl: #private::Duration)];
        let insert_with_ttl = self.signature("insert_with_ttl", false, IN_KEY, &for_ttl, &receipt);
        let either = [given, parse_quote!(#ttl: ::core::option::Option<#private::Duration>)];
        let put = self.signature("__gecaso_put", false, IN_KEY, &either, &receipt);
        let names = it.plan.arguments.iter().filter(|argument| IN_KEY(argument));
        let names: Vec<_> = names.map(|argument| &argument.name).collect();
        quote! {
            /// Stores `value` as if a call had returned it; what a call would not store removes the
            /// entry instead.
            #vis #insert {
                Self::__gecaso_put #turbofish(#(#names,)* #value, ::core::option::Option::None)
            }

            /// As `insert`, with a time to live of its own instead of the function's. Zero removes
            /// the entry; `Duration::MAX` stores it for ever.
            #vis #insert_with_ttl {
                let #ttl = ::core::option::Option::Some(#ttl);
                Self::__gecaso_put #turbofish(#(#names,)* #value, #ttl)
            }

            #put {
                let #token = #type_token;
                let #keep = #private::keep(#token, #predicate);
                #bindings
                let #this = #cache;
                #private::insert(#this, &#view, #value, #ttl, #keep, #token)
            }
        }
    }

    /// `with`. The type of what the closure returns comes after the function's own parameters.
    fn with(&self) -> TokenStream {
        let Handle(it) = self;
        let (private, vis, returns) = (&it.private, &it.item.vis, &it.plan.returns);
        let (view, token, keep) = (local("view"), local("token"), local("keep"));
        let (bindings, type_token, predicate) = (it.view(&view), it.token(), it.keep());
        let (cache, read) = (self.cache(), local("read"));
        let (stored, demand) = stored(returns, it.words, &parameters(it.item), private);
        let reader = parse_quote! {
            #read: impl ::core::ops::FnOnce(&#stored) -> __GecasoRead
        };
        let answer = quote!(::core::option::Option<__GecasoRead>);
        let mut with = self.signature("with", false, IN_KEY, &[reader], &answer);
        with.generics.params.push(parse_quote!(__GecasoRead));
        if let Some(demand) = demand {
            with.generics.make_where_clause().predicates.push(demand);
        }
        quote! {
            /// What the closure makes of the stored value, if there is one that is fresh: without
            /// cloning it, for values whose clone is dear, or is an `Arc`'s whose count many
            /// threads change. Of a `Result` it sees what the `Ok` holds, of an `Option` what the
            /// `Some` holds. Counts as a hit or a miss; the body does not run.
            #vis #with {
                let #token = #type_token;
                #[allow(unused_variables)]
                let #keep = #private::keep(#token, #predicate);
                #bindings
                #private::with(#cache, &#view, #read, #token)
            }
        }
    }

    /// `key` returns a type that borrows nothing, which has to be said parameter by parameter; so
    /// `impl Trait` arguments get names.
    fn key(&self) -> Signature {
        struct Name(Vec<GenericParam>);
        impl VisitMut for Name {
            fn visit_type_mut(&mut self, node: &mut Type) {
                if let Type::ImplTrait(TypeImplTrait { bounds, .. }) = node {
                    let name = format_ident!("__Gecaso{}", self.0.len());
                    self.0.push(parse_quote!(#name: #bounds));
                    *node = parse_quote!(#name);
                } else {
                    syn::visit_mut::visit_type_mut(self, node);
                }
            }
        }
        let mut sig = self.signature("key", false, IN_KEY, &[], &quote!(()));
        let mut name = Name(Vec::new());
        for input in &mut sig.inputs {
            name.visit_fn_arg_mut(input);
        }
        sig.generics.params.extend(name.0);
        let captured = sig.generics.params.iter().filter_map(|param| match param {
            GenericParam::Type(param) => Some(&param.ident),
            GenericParam::Const(param) => Some(&param.ident),
            GenericParam::Lifetime(_) => None,
        });
        sig.output = parse_quote! {
            -> impl ::core::cmp::Eq
                + ::core::hash::Hash
                + ::core::clone::Clone
                + ::core::marker::Send
                + ::core::marker::Sync
                + 'static
                + use<#(#captured),*>
        };
        sig
    }
}
