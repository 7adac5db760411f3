//! A free function and its handle: an uninhabited enum of the same name, with inherent functions.
//!
//! Called by `driver`; `fallback` takes the handle's name and shape from here. The body goes into
//! the handle's `uncached`, and the function calls in. Must not know how a call goes, nor what a
//! key is made of: those tokens are of `expand` and `parts`.

use crate::attr::HandleName;
use crate::expand::{Expansion, local};
use crate::parts;
use crate::types;
use crate::valid::{Argument, Flow, parameters};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::visit_mut::VisitMut;
use syn::{Attribute, FnArg, GenericParam, Signature, Type, TypeImplTrait, parse_quote};

pub(crate) struct Handle<'a>(pub(crate) Expansion<'a>);

/// The name of a function's handle, and whether users may see it.
pub(crate) fn name(function: &Ident, word: Option<&HandleName>) -> (Ident, bool) {
    match word {
        Some(HandleName::Other(name)) => (name.clone(), true),
        Some(HandleName::None) => (format_ident!("__gecaso_handle_of_{}", function), false),
        None => (function.clone(), true),
    }
}

/// The enum itself.
pub(crate) fn declaration(
    name: &Ident,
    visible: bool,
    function: &Ident,
    vis: &syn::Visibility,
    cfgs: &[&Attribute],
) -> TokenStream {
    let doc = format!(
        "The handle of [`{function}()`](fn@{function}): its cache, by the arguments of a call."
    );
    let hidden = (!visible).then(|| quote!(#[doc(hidden)]));
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #hidden
        #[allow(
            non_camel_case_types, dead_code, unreachable_pub, missing_debug_implementations,
            missing_copy_implementations, clippy::all, clippy::pedantic
        )]
        #vis enum #name {}
    }
}

impl Handle<'_> {
    pub(crate) fn expand(&self) -> TokenStream {
        let Handle(it) = self;
        let (item, plan, private) = (it.item, it.plan, &it.private);
        let (handle, visible) = name(&item.sig.ident, it.words.handle.as_ref());
        let cfgs = it.cfgs();
        let declaration = declaration(&handle, visible, &item.sig.ident, &item.vis, &cfgs);
        let items = parts::items(&plan.parts, &plan.owners, private);
        let instantiation = self.instantiation();
        let (function, call) = (self.function(&handle), self.call(&handle));
        let (uncached, others) = (self.uncached(), self.others());
        quote! {
            #function
            #declaration
            #(#cfgs)*
            #[allow(non_local_definitions)]
            const _: () = {
                #items
                #instantiation
                static __GECASO_SLOTS: #private::slot::Slots = #private::slot::Slots::new();
                impl #handle { #uncached }
                #[allow(
                    dead_code, unreachable_pub, unused_lifetimes, private_interfaces,
                    private_bounds, clippy::all, clippy::pedantic, clippy::nursery
                )]
                impl #handle { #call #others }
            };
        }
    }

    /// The type that tells the instantiations of a generic function apart.
    fn instantiation(&self) -> TokenStream {
        let item = self.0.item;
        if parameters(item).is_empty() {
            return TokenStream::new();
        }
        let declared = item.sig.generics.params.iter().filter_map(|param| match param {
            GenericParam::Type(param) => {
                let name = &param.ident;
                Some(quote!(#name: ?::core::marker::Sized))
            }
            GenericParam::Const(param) => {
                let (name, ty) = (&param.ident, &param.ty);
                Some(quote!(const #name: #ty))
            }
            GenericParam::Lifetime(_) => None,
        });
        let types = item.sig.generics.type_params().map(|param| &param.ident);
        quote! {
            #[allow(dead_code, non_camel_case_types)]
            struct __GecasoInstance<#(#declared),*>(
                #(::core::marker::PhantomData<fn(::core::marker::PhantomData<#types>)>),*
            );
        }
    }

    /// The instantiation at hand, as a value.
    fn instance(&self) -> TokenStream {
        let (private, item) = (&self.0.private, self.0.item);
        let parameters = parameters(item);
        let named = match parameters.is_empty() {
            true => quote!(()),
            false => quote!(__GecasoInstance<#(#parameters),*>),
        };
        let unnamed = self.0.plan.arguments.iter().filter(|argument| {
            argument.in_key && types::opaque(&argument.ty).is_some() && !by_as_ref(&argument.ty)
        });
        let unnamed = unnamed.map(|argument| &argument.name);
        quote!(#private::slot::instance::<#named>() #(.and(&#unnamed))*)
    }

    fn names(&self) -> impl Iterator<Item = &Ident> {
        self.0.plan.arguments.iter().map(|argument| &argument.name)
    }

    /// The function as users call it.
    fn function(&self, handle: &Ident) -> TokenStream {
        let Handle(it) = self;
        let attrs = it.item.attrs.iter().map(|attr| {
            // What is expected is found in the body, which is elsewhere.
            match attr.path().is_ident("expect") {
                true => {
                    let lints = attr.meta.require_list().map(|list| &list.tokens).ok();
                    quote!(#[allow(#lints)])
                }
                false => attr.to_token_stream(),
            }
        });
        let (vis, sig, turbofish) = (&it.item.vis, it.outer(), it.turbofish());
        let names = self.names();
        let call = quote!(#handle::__gecaso_call #turbofish(#(#names),*));
        let call = match it.plan.flow {
            Flow::Sync => call,
            Flow::Async => quote!(#call.await),
            Flow::Boxed => quote!(::std::boxed::Box::pin(#call)),
        };
        quote! { #(#attrs)* #vis #sig { #call } }
    }

    /// The bare body.
    fn uncached(&self) -> TokenStream {
        let item = self.0.item;
        let lints = item.attrs.iter().filter(|attr| is_lint(attr));
        let (vis, body) = (&item.vis, &item.body);
        let mut sig = item.sig.clone();
        sig.ident = Ident::new("uncached", item.sig.ident.span());
        let doc = "Runs the body, past the cache.";
        // What is said of the signature is said where the user wrote it; and it cannot be `const`.
        let said = quote! {
            #[allow(clippy::too_many_arguments, clippy::missing_const_for_fn)]
        };
        quote! { #[doc = #doc] #said #(#lints)* #vis #sig #body }
    }

    /// A signature with some of the arguments.
    fn signature(
        &self,
        name: &str,
        asyncness: bool,
        wanted: impl Fn(&Argument) -> bool,
        more: Option<FnArg>,
        output: &TokenStream,
    ) -> Signature {
        let item = self.0.item;
        let name = Ident::new(name, Span::mixed_site().located_at(item.sig.ident.span()));
        let generics = &item.sig.generics;
        let (params, clause) = (&generics.params, &generics.where_clause);
        let wanted = self.0.plan.arguments.iter().filter(|argument| wanted(argument));
        let inputs = wanted.map(|Argument { name, ty, .. }| quote!(#name: #ty));
        let more = more.into_iter();
        let asyncness = asyncness.then(|| quote!(async));
        parse_quote!(#asyncness fn #name<#params>(#(#inputs,)* #(#more,)*) -> #output #clause)
    }

    /// The path of a call, and of a refresh.
    fn call(&self, handle: &Ident) -> TokenStream {
        let Handle(it) = self;
        let (vis, returns) = (&it.item.vis, it.plan.returns.to_token_stream());
        let is_async = it.plan.flow != Flow::Sync;
        let call = self.signature("__gecaso_call", is_async, |_| true, None, &returns);
        let refresh = self.signature("refresh", is_async, |_| true, None, &returns);
        let (names, turbofish) = (self.names(), it.turbofish());
        let body = quote!(#handle::uncached #turbofish(#(#names),*));
        let body = match it.plan.flow {
            Flow::Sync => quote!(move || #body),
            Flow::Async => body,
            Flow::Boxed => quote!(async move { #body.await }),
        };
        let cache = self.cache();
        let (path, again) = (it.path(&cache, &body, false), it.path(&cache, &body, true));
        quote! {
            #[doc(hidden)]
            #[inline]
            #vis #call { #path }

            /// Runs the body now and stores what it returns; callers get the old entry until then.
            #vis #refresh { #again }
        }
    }

    /// The function as a value, if it can be named.
    fn itself(&self) -> Option<TokenStream> {
        let Handle(it) = self;
        it.can_be_named().then(|| {
            let mut name = it.item.sig.ident.clone();
            name.set_span(Span::mixed_site().located_at(name.span()));
            let turbofish = it.turbofish();
            quote!(#name #turbofish)
        })
    }

    /// An expression for the function's own path: that of its handle.
    fn path(&self) -> TokenStream {
        let Handle(it) = self;
        let (name, _) = name(&it.item.sig.ident, it.words.handle.as_ref());
        quote!(::core::any::type_name::<#name>())
    }

    /// The cache, opened if need be.
    fn cache(&self) -> TokenStream {
        self.0.cache(&self.instance(), Some(&self.path()), self.itself())
    }

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
    fn others(&self) -> TokenStream {
        let Handle(it) = self;
        let (private, vis, returns) = (&it.private, &it.item.vis, &it.plan.returns);
        let (view, token, keep) = (local("view"), local("token"), local("keep"));
        let (value, cache, this) = (local("value"), self.cache(), local("this"));
        let (bindings, type_token, predicate) = (it.view(&view), it.token(), it.keep());
        let open = self.open();
        let in_key = |argument: &Argument| argument.in_key;
        let receipt = quote!(#private::Receipt);
        let invalidate = self.signature("invalidate", false, in_key, None, &receipt);
        let given: FnArg = parse_quote!(#value: #returns);
        let insert = self.signature("insert", false, in_key, Some(given), &receipt);
        let maybe = quote!(::core::option::Option<#returns>);
        let peek = self.signature("peek", false, in_key, None, &maybe);
        let peek_async = (it.plan.flow != Flow::Sync).then(|| {
            let peek = self.signature("peek_async", true, in_key, None, &maybe);
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
        let check = self.signature("__gecaso_check", false, in_key, None, &quote!(()));
        let checks = it.checks();
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

            /// Stores `value` as if a call had returned it; what a call would not store removes the
            /// entry instead.
            #vis #insert {
                let #token = #type_token;
                let #keep = #private::keep(#token, #predicate);
                #bindings
                let #this = #cache;
                #private::insert(#this, &#view, #value, #keep, #token)
            }

            /// What a call with these arguments would find, neither counted nor refreshed.
            #vis #peek {
                let #token = #type_token;
                #[allow(unused_variables)]
                let #keep = #private::keep(#token, #predicate);
                #bindings
                #private::peek(#cache, &#view, #token)
            }

            #peek_async

            /// The key of a call with these arguments.
            #vis #key {
                #bindings
                #private::method::key_of(&#view)
            }

            /// Removes every entry of this function, of all its instantiations that this process has
            /// used.
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
        let in_key = |argument: &Argument| argument.in_key;
        let mut sig = self.signature("key", false, in_key, None, &quote!(()));
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

fn is_lint(attr: &Attribute) -> bool {
    ["allow", "warn", "deny", "forbid", "expect"].iter().any(|lint| attr.path().is_ident(lint))
}

/// Whether the argument is keyed as the `X` of `impl AsRef<X>`: then its own type does not count.
fn by_as_ref(ty: &Type) -> bool {
    match types::bare(ty) {
        Type::Reference(reference) => by_as_ref(&reference.elem),
        Type::ImplTrait(bounds) => types::as_ref_target(bounds).is_some(),
        _ => false,
    }
}
