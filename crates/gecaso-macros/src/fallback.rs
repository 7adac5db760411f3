//! What is left of a function that broke a rule: itself, and a handle of the right shape, so that
//! its uses give no errors of their own.
//!
//! Called by `driver`. Must not check anything. Nothing here ever runs: the errors stand beside it.

use crate::ast::Item;
use crate::attr::Words;
use crate::{handle, types, valid};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, FnArg, ReturnType};

pub(crate) fn expand(
    item: &Item,
    words: &Words,
    private: &TokenStream,
    errors: &[syn::Error],
) -> TokenStream {
    let errors = errors.iter().map(syn::Error::to_compile_error);
    let handle = (!valid::is_method(item, words)).then(|| stub(item, words, private));
    quote!(#(#errors)* #item #handle)
}

fn stub(item: &Item, words: &Words, private: &TokenStream) -> TokenStream {
    let (name, visible) = handle::name(&item.sig.ident, words.handle.as_ref());
    let cfgs: Vec<&Attribute> =
        item.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    let declaration = handle::declaration(&name, visible, &item.sig.ident, &item.vis, &cfgs);
    let (vis, sig) = (&item.vis, &item.sig);
    let (params, clause) = (&sig.generics.params, &sig.generics.where_clause);
    let typed = || {
        sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        })
    };
    let all: Vec<_> = typed().map(|typed| &typed.ty).collect();
    let in_key: Vec<_> = typed()
        .filter(|typed| match &*typed.pat {
            syn::Pat::Ident(pat) => !words.skips(&pat.ident.to_string()),
            _ => true,
        })
        .map(|typed| &typed.ty)
        .collect();
    let asyncness = &sig.asyncness;
    let comma = (!params.is_empty() && !params.trailing_punct()).then(|| quote!(,));
    let peek_async = |ty: &syn::Type| {
        asyncness.is_some().then(|| {
            quote! {
                #vis async fn peek_async<#params>(
                    #(_: #in_key),*
                ) -> ::core::option::Option<#ty> #clause {
                    loop {}
                }
            }
        })
    };
    // An opaque or an elided type cannot be promised by a body that never returns.
    let with_result = match &sig.output {
        ReturnType::Type(_, ty) if types::opaque(ty).is_none() && types::borrow(ty).is_none() => {
            let peek_async = peek_async(ty);
            let (stored, demand) = handle::stored(ty, words, &valid::parameters(item), private);
            let bounds = clause.iter().flat_map(|clause| &clause.predicates).chain(&demand);
            let with_clause = quote!(where #(#bounds),*);
            quote! {
                #peek_async
                #vis #asyncness fn refresh<#params>(#(_: #all),*) -> #ty #clause { loop {} }
                #vis #asyncness fn uncached<#params>(#(_: #all),*) -> #ty #clause { loop {} }
                #vis fn peek<#params>(#(_: #in_key),*) -> ::core::option::Option<#ty> #clause {
                    loop {}
                }
                #vis fn insert<#params>(#(_: #in_key,)* _: #ty) -> #private::Receipt #clause {
                    loop {}
                }
                #vis fn insert_with_ttl<#params>(
                    #(_: #in_key,)* _: #ty, _: #private::Duration
                ) -> #private::Receipt #clause {
                    loop {}
                }
                #vis fn with<#params #comma __GecasoRead>(
                    #(_: #in_key,)* _: impl ::core::ops::FnOnce(&#stored) -> __GecasoRead
                ) -> ::core::option::Option<__GecasoRead> #with_clause {
                    loop {}
                }
            }
        }
        _ => TokenStream::new(),
    };
    quote! {
        #declaration
        #(#cfgs)*
        #[allow(non_local_definitions)]
        const _: () = {
            #[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
            impl #name {
                #vis fn invalidate<#params>(#(_: #in_key),*) -> #private::Receipt #clause {
                    loop {}
                }
                #vis fn clear() -> #private::Receipt { loop {} }
                #vis fn stats() -> #private::Stats { loop {} }
                #with_result
            }
        };
    }
}
