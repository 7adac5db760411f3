//! A free function and its handle: an uninhabited enum of the same name, with inherent functions.
//!
//! Called by `driver`; `fallback` takes the handle's name and shape from here. The body goes into
//! the handle's `uncached`, and the function calls in; `entries` has what runs no body. Must not
//! know how a call goes, nor what a key is made of: those tokens are of `expand` and `parts`.

mod entries;

pub(crate) use entries::stored;

use crate::attr::HandleName;
use crate::expand::{Begin, Expansion, local};
use crate::parts;
use crate::types;
use crate::valid::{Argument, Flow, parameters};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, FnArg, GenericParam, Signature, Type, parse_quote};

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
        more: &[FnArg],
        output: &TokenStream,
    ) -> Signature {
        let item = self.0.item;
        let name = Ident::new(name, Span::mixed_site().located_at(item.sig.ident.span()));
        let generics = &item.sig.generics;
        let (params, clause) = (&generics.params, &generics.where_clause);
        let wanted = self.0.plan.arguments.iter().filter(|argument| wanted(argument));
        let inputs = wanted.map(|Argument { name, ty, .. }| quote!(#name: #ty));
        let asyncness = asyncness.then(|| quote!(async));
        parse_quote!(#asyncness fn #name<#params>(#(#inputs,)* #(#more,)*) -> #output #clause)
    }

    /// The path of a call, and of a refresh.
    fn call(&self, handle: &Ident) -> TokenStream {
        let Handle(it) = self;
        let (vis, returns) = (&it.item.vis, it.plan.returns.to_token_stream());
        let is_async = it.plan.flow != Flow::Sync;
        let call = self.signature("__gecaso_call", is_async, |_| true, &[], &returns);
        let refresh = self.signature("refresh", is_async, |_| true, &[], &returns);
        let (names, turbofish) = (self.names(), it.turbofish());
        let body = quote!(#handle::uncached #turbofish(#(#names),*));
        let body = match it.plan.flow {
            Flow::Sync => quote!(move || #body),
            Flow::Async => body,
            Flow::Boxed => quote!(async move { #body.await }),
        };
        let cache = self.cache();
        let again = it.path(&cache, &body, Begin::Run);
        let call = match is_async || !it.may_look_twice() {
            true => {
                let path = it.path(&cache, &body, Begin::Look);
                quote!(#[doc(hidden)] #[inline] #vis #call { #path })
            }
            // What a hit does not need is another function: so it saves no registers.
            false => {
                let look = it.first_look(&self.instance());
                let path = it.path(&cache, &body, Begin::LookAgain);
                let (unfound, private) = (local("unfound"), &it.private);
                let more: FnArg = parse_quote!(#unfound: #private::Unfound);
                let longer =
                    self.signature("__gecaso_call_longer", false, |_| true, &[more], &returns);
                let names = self.names();
                quote! {
                    #[doc(hidden)]
                    #[inline]
                    #vis #call {
                        let #unfound = #look;
                        Self::__gecaso_call_longer #turbofish(#(#names,)* #unfound)
                    }

                    #[inline(never)]
                    #longer { #path }
                }
            }
        };
        quote! {
            #call

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
