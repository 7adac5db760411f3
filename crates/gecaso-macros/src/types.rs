//! Questions about types as they are written: what they borrow, what they name.
//!
//! Called by `valid`, `parts`, `expand`, `handle` and `fallback`. Must not emit tokens.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    GenericArgument, Lifetime, ParenthesizedGenericArguments, PathArguments, Type, TypeBareFn,
    TypeImplTrait, TypeParamBound, TypePath, TypeReference,
};

/// The type inside of groups and parentheses.
pub(crate) fn bare(mut ty: &Type) -> &Type {
    loop {
        match ty {
            Type::Group(group) => ty = &group.elem,
            Type::Paren(paren) => ty = &paren.elem,
            _ => return ty,
        }
    }
}

/// Where a type borrows for less than `'static`, as far as one can see.
pub(crate) fn borrow(ty: &Type) -> Option<Span> {
    struct Find(Option<Span>);
    impl VisitMut for Find {
        fn visit_type_reference_mut(&mut self, node: &mut TypeReference) {
            if node.lifetime.is_none() {
                self.0.get_or_insert(node.and_token.span());
            }
            visit_mut::visit_type_reference_mut(self, node);
        }
        fn visit_lifetime_mut(&mut self, node: &mut Lifetime) {
            if node.ident != "static" {
                self.0.get_or_insert(node.span());
            }
        }
        // What a function pointer borrows is the business of its callers.
        fn visit_type_bare_fn_mut(&mut self, _: &mut TypeBareFn) {}
        fn visit_parenthesized_generic_arguments_mut(
            &mut self,
            _: &mut ParenthesizedGenericArguments,
        ) {
        }
    }
    let mut find = Find(None);
    find.visit_type_mut(&mut ty.clone());
    find.0
}

/// Where a type says `impl Trait`.
pub(crate) fn opaque(ty: &Type) -> Option<Span> {
    struct Find(Option<Span>);
    impl VisitMut for Find {
        fn visit_type_impl_trait_mut(&mut self, node: &mut TypeImplTrait) {
            self.0.get_or_insert(node.span());
        }
    }
    let mut find = Find(None);
    find.visit_type_mut(&mut ty.clone());
    find.0
}

/// The `X` of `impl AsRef<X>`, if that is all the body can ask the argument: by another trait it
/// may say more than by its `as_ref()`.
pub(crate) fn as_ref_target(ty: &TypeImplTrait) -> Option<&Type> {
    const SILENT: [&str; 6] = ["Sized", "Send", "Sync", "Copy", "Clone", "Unpin"];
    let mut target = None;
    for bound in &ty.bounds {
        let TypeParamBound::Trait(bound) = bound else { continue };
        let last = bound.path.segments.last()?;
        match &last.ident {
            name if name == "AsRef" => target = only_argument(&last.arguments),
            name if SILENT.iter().any(|silent| name == silent) => {}
            _ => return None,
        }
    }
    target
}

/// The `X` of `Name<X>`, if that is how the path ends.
pub(crate) fn argument_of<'t>(path: &'t TypePath, name: &str) -> Option<&'t Type> {
    let last = path.path.segments.last()?;
    (path.qself.is_none() && last.ident == name).then(|| only_argument(&last.arguments)).flatten()
}

/// The only type argument; lifetimes beside it do not count.
fn only_argument(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.next().filter(|_| types.next().is_none())
}

/// The `R` of `Pin<Box<dyn Future<Output = R> + ..>>`.
pub(crate) fn boxed_future_output(ty: &Type) -> Option<&Type> {
    let Type::Path(pin) = bare(ty) else { return None };
    let Type::Path(boxed) = bare(argument_of(pin, "Pin")?) else { return None };
    let Type::TraitObject(object) = bare(argument_of(boxed, "Box")?) else { return None };
    object.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&assoc.ty),
            _ => None,
        })
    })
}

/// Whether the type is a type parameter, or a projection of one: nothing is known about it here.
pub(crate) fn is_parameter(ty: &Type, parameters: &[String]) -> bool {
    let Type::Path(path) = bare(ty) else { return false };
    if let Some(qself) = &path.qself {
        return is_parameter(&qself.ty, parameters);
    }
    let Some(first) = path.path.segments.first() else { return false };
    let name = first.ident.to_string();
    if parameters.contains(&name) {
        return true;
    }
    // The parameters of an `impl` cannot be seen from a method: what they stand for is looked at
    // when the cache is opened.
    false
}

/// Whether a type is called `Result` or `Option`, be it an alias.
pub(crate) fn is_partial_by_name(ty: &Type) -> bool {
    let Type::Path(path) = bare(ty) else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Result" || last.ident == "Option")
}

/// Whether the tokens name `name`, be it inside of a format string.
pub(crate) fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Literal(literal) => {
            let text = literal.to_string();
            text.match_indices(&format!("{{{name}"))
                .any(|(at, found)| text[at + found.len()..].starts_with(['}', ':']))
        }
        TokenTree::Punct(_) => false,
    })
}
