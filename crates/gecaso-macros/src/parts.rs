//! How arguments become the parts of a key: the tokens that view them.
//!
//! Called by `valid`, which has its complaints, and by `expand` and `handle`. Must not know what a
//! key is for.

use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Ident, Index, Type};

/// One part of a key.
pub(crate) struct Part {
    /// Which of the owners it belongs to.
    pub(crate) owner: usize,
    pub(crate) look: Look,
    pub(crate) span: Span,
}

/// How a part is looked at.
pub(crate) enum Look {
    /// A reference to it.
    View(TokenStream),
    /// An `Option<&T>`.
    Option(TokenStream),
    /// A `&[&T]`.
    Slice(TokenStream),
    /// A value of the word `key`, to be bound by this name.
    Computed(Ident, Box<Expr>),
}

/// Whose parts they are: what messages call it.
pub(crate) struct Owner {
    pub(crate) label: String,
    pub(crate) note: String,
}

/// Adds the parts of an argument at `place`. The error is where its type borrows.
pub(crate) fn of_argument(
    owner: usize,
    span: Span,
    place: &TokenStream,
    ty: &Type,
    parts: &mut Vec<Part>,
) -> Result<(), Span> {
    let bare = types::bare(ty);
    let whole = || (bare, Look::View(quote_spanned!(span=> &#place)));
    // What is stored of it, which must not borrow, and how it is looked at.
    let (stored, look) = match bare {
        // Alone it is refused before; inside of a tuple it would be changed by the body alone.
        Type::Reference(reference) if reference.mutability.is_some() => {
            return Err(reference.span());
        }
        Type::Reference(reference) => {
            let slice = match types::bare(&reference.elem) {
                Type::Slice(slice) => referent(&slice.elem),
                _ => None,
            };
            let Some(inner) = slice else {
                let place = quote_spanned!(span=> (*#place));
                return of_argument(owner, span, &place, &reference.elem, parts);
            };
            (inner, Look::Slice(quote_spanned!(span=> #place)))
        }
        Type::Tuple(tuple) if !tuple.elems.is_empty() => {
            for (index, elem) in tuple.elems.iter().enumerate() {
                let index = Index { index: index as u32, span };
                of_argument(owner, span, &quote_spanned!(span=> #place.#index), elem, parts)?;
            }
            return Ok(());
        }
        Type::Array(array) => match referent(&array.elem) {
            Some(inner) => (inner, Look::Slice(quote_spanned!(span=> &#place[..]))),
            None => whole(),
        },
        Type::ImplTrait(bounds) => match types::as_ref_target(bounds) {
            Some(target) => {
                let view = quote_spanned! {span=>
                    ::core::convert::AsRef::<#target>::as_ref(&#place)
                };
                (target, Look::View(view))
            }
            None => whole(),
        },
        Type::Path(path) => {
            if let Some(inner) = types::argument_of(path, "Option").and_then(referent) {
                (inner, Look::Option(quote_spanned!(span=> #place)))
            } else if let Some(inner) = types::argument_of(path, "Vec").and_then(referent) {
                (inner, Look::Slice(quote_spanned!(span=> &#place[..])))
            } else if let Some(inner) = types::argument_of(path, "Cow") {
                (inner, Look::View(quote_spanned!(span=> &*#place)))
            } else {
                whole()
            }
        }
        _ => whole(),
    };
    if let Some(borrow) = types::borrow(stored) {
        return Err(borrow);
    }
    parts.push(Part { owner, look, span });
    Ok(())
}

/// Adds one computed part.
pub(crate) fn of_expression(owner: usize, expr: &Expr, parts: &mut Vec<Part>) {
    let name = format_ident!("__gecaso_key{}", parts.len(), span = Span::mixed_site());
    let look = Look::Computed(name, Box::new(expr.clone()));
    parts.push(Part { owner, look, span: expr.span() });
}

/// The `T` of a shared `&T`.
fn referent(ty: &Type) -> Option<&Type> {
    match types::bare(ty) {
        Type::Reference(reference) if reference.mutability.is_none() => Some(&reference.elem),
        _ => None,
    }
}

/// The statements that come before [`list`].
pub(crate) fn bindings(parts: &[Part], private: &TokenStream) -> TokenStream {
    let bind = parts.iter().filter_map(|part| match &part.look {
        Look::Computed(name, expr) => {
            Some(quote_spanned!(part.span=> let #name = #private::arg::Peel(#expr);))
        }
        _ => None,
    });
    quote!(#(#bind)*)
}

/// The query: a list of parts.
pub(crate) fn list(parts: &[Part], private: &TokenStream) -> TokenStream {
    parts.iter().rev().fold(quote!(#private::arg::Nil), |rest, part| {
        let look = match &part.look {
            Look::View(place) => quote!(Look(#place)),
            Look::Option(place) => quote!(LookOption(#place)),
            Look::Slice(place) => quote!(LookSlice(#place)),
            Look::Computed(name, _) => quote!(Look(#name.gecaso_peel())),
        };
        quote!(#private::arg::Cons((&&&#private::arg::#look).gecaso_part(), #rest))
    })
}

/// The traits that [`list`] and [`checks`] need in scope.
pub(crate) fn imports(private: &TokenStream) -> TokenStream {
    quote! {
        #[allow(unused_imports)]
        use #private::arg::{LookByBits as _, LookByEq as _, LookInVain as _, PeelValue as _};
    }
}

/// Statements that ask for each part to be one: whose error is the one a user is to see.
pub(crate) fn checks(parts: &[Part]) -> TokenStream {
    let checks = parts.iter().map(|part| {
        let (what, place) = match &part.look {
            Look::View(place) => ("view", place.clone()),
            Look::Option(place) => ("option", place.clone()),
            Look::Slice(place) => ("slice", place.clone()),
            Look::Computed(name, _) => ("view", quote!(#name.gecaso_peel())),
        };
        let viewer = format_ident!("__gecaso_{}{}", what, part.owner);
        let site = Span::mixed_site().located_at(part.span);
        quote_spanned!(site=> #viewer(#place);)
    });
    quote!(#(#checks)*)
}

/// Per owner, the trait whose absence is reported, and the functions that ask for it.
///
/// The trait is local because only a local trait can name the argument in its message.
pub(crate) fn items(parts: &[Part], owners: &[Owner], private: &TokenStream) -> TokenStream {
    let items = owners.iter().enumerate().map(|(index, owner)| {
        let mine = || parts.iter().filter(|part| part.owner == index);
        let bound = format_ident!("__GecasoPart{}", index);
        let message = format!("{} cannot be part of a cache key", owner.label);
        let note = &owner.note;
        let has = |test: fn(&Look) -> bool| mine().any(|part| test(&part.look));
        let view = has(|look| matches!(look, Look::View(_) | Look::Computed(..)));
        let option = has(|look| matches!(look, Look::Option(_)));
        let slice = has(|look| matches!(look, Look::Slice(_)));
        let mut functions = TokenStream::new();
        for (wanted, what, from) in [
            (view, "view", quote!(&T)),
            (option, "option", quote!(::core::option::Option<&T>)),
            (slice, "slice", quote!(&[&T])),
        ] {
            if wanted {
                let name = format_ident!("__gecaso_{}{}", what, index);
                functions.extend(quote! {
                    #[allow(dead_code, clippy::all, clippy::pedantic)]
                    fn #name<T: ?::core::marker::Sized + #bound<M>, M>(_: #from) {}
                });
            }
        }
        if functions.is_empty() {
            return functions;
        }
        quote! {
            #[diagnostic::on_unimplemented(
                message = #message,
                label = "`{Self}` is not `Hash + Eq + Clone + Send + Sync + 'static`",
                note = #note
            )]
            #[allow(dead_code, clippy::all, clippy::pedantic)]
            trait #bound<M>: #private::arg::Arg<M> {}
            #[diagnostic::do_not_recommend]
            #[allow(dead_code, clippy::all, clippy::pedantic)]
            impl<T: ?::core::marker::Sized + #private::arg::Arg<M>, M> #bound<M> for T {}
            #functions
        }
    });
    quote!(#(#items)*)
}
