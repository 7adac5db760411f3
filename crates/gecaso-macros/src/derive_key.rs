//! `#[derive(Key)]`: every field takes part, in the order and with the names it was declared with.
//!
//! Called by `lib`. Names `gecaso::__private` and nothing else of gecaso; emits one `impl`. Must
//! not know what the encoding looks like: that is the encoder's.

use crate::manifest;
use crate::valid::complaint;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, Variant, parse_quote};

/// The whole of the derive.
pub(crate) fn derive(tokens: TokenStream) -> TokenStream {
    let expanded = syn::parse2(tokens).and_then(|input: DeriveInput| {
        attributes(&input)?;
        expand(input)
    });
    expanded.unwrap_or_else(syn::Error::into_compile_error)
}

/// Refuses every attribute of ours, all of them at once.
fn attributes(input: &DeriveInput) -> syn::Result<()> {
    let is_ours = |attr: &&Attribute| attr.path().is_ident("key");
    let of_fields = |fields: &Fields| -> Vec<Attribute> {
        fields.iter().flat_map(|field| field.attrs.clone()).collect()
    };
    let mut all = input.attrs.clone();
    match &input.data {
        Data::Struct(data) => all.extend(of_fields(&data.fields)),
        Data::Enum(data) => {
            for variant in &data.variants {
                all.extend(variant.attrs.clone());
                all.extend(of_fields(&variant.fields));
            }
        }
        Data::Union(_) => {}
    }
    let refusals = all.iter().filter(is_ours).map(|attr| {
        complaint(
            attr.span(),
            "`#[derive(Key)]` has no attributes: a field that is left out would give different \
             values the same entry",
            "leave it out of the type, pass the argument with `skip`, or implement `Key` by hand",
        )
    });
    let together = refusals.reduce(|mut all, one| {
        all.combine(one);
        all
    });
    together.map_or(Ok(()), Err)
}

fn expand(mut input: DeriveInput) -> syn::Result<TokenStream> {
    let krate = manifest::krate();
    let private = quote!(#krate::__private);
    let name = &input.ident;
    let text = name.unraw().to_string();
    let to = Ident::new("to", Span::mixed_site());
    let body = match &input.data {
        Data::Struct(data) => {
            let fields = data.fields.members().zip(&data.fields).map(|(member, field)| {
                let (key, ty) = (key(&member), &field.ty);
                // A reference to a reference: the last field may have no size of its own.
                let value = quote_spanned!(Span::call_site().located_at(ty.span())=>
                    &&self.#member);
                quote!((#key, #value))
            });
            quote!(#to.structure(#text, &[#(#fields),*]);)
        }
        Data::Enum(data) if data.variants.is_empty() => quote!(match *self {}),
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|variant| arm(&text, variant, &to));
            quote!(match self { #(#arms)* })
        }
        Data::Union(data) => {
            return Err(complaint(
                data.union_token.span(),
                "a `union` cannot be part of a key: nobody can tell which of its fields holds",
                "use an `enum`",
            ));
        }
    };
    for parameter in input.generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#private::Key));
    }
    let (generics, arguments, clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics #private::Key for #name #arguments #clause {
            fn encode(&self, #to: &mut #private::KeyEncoder) {
                #body
            }
        }
    })
}

fn arm(name: &str, variant: &Variant, to: &Ident) -> TokenStream {
    let (ident, text) = (&variant.ident, variant.ident.unraw().to_string());
    let members: Vec<_> = variant.fields.members().collect();
    let bound = |index| format_ident!("field_{}", index, span = Span::mixed_site());
    let pattern = members.iter().enumerate().map(|(index, member)| {
        let bound = bound(index);
        quote!(#member: #bound)
    });
    let fields = variant.fields.iter().zip(&members).enumerate().map(|(index, (field, member))| {
        let (key, mut value) = (key(member), bound(index));
        value.set_span(Span::mixed_site().located_at(field.ty.span()));
        quote!((#key, #value))
    });
    quote! {
        Self::#ident { #(#pattern),* } => #to.variant(#name, #text, &[#(#fields),*]),
    }
}

/// What a field is called in a key.
fn key(member: &syn::Member) -> String {
    match member {
        syn::Member::Named(name) => name.unraw().to_string(),
        syn::Member::Unnamed(index) => index.index.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_code_names_the_private_module_and_nothing_else_of_the_crate() {
        for input in ["struct S<T>(T, u8);", "enum E { A, B(u8), C { r#fn: u8 } }", "enum Never {}"]
        {
            let expanded = super::derive(input.parse().expect("tokens")).to_string();
            let mut named = expanded.split(":: gecaso ::").skip(1).peekable();
            assert!(named.peek().is_some(), "{expanded}");
            assert!(named.all(|rest| rest.starts_with(" __private ::")), "{expanded}");
        }
    }
}
