//! The attribute `#[cached]` of gecaso.
//!
//! Called by the compiler for users of the `gecaso` crate, which re-exports the attribute. The way
//! of a function is the list of files: `ast` (what was written), `attr` (the attribute's words),
//! `valid` (every rule, one message each), `expand` (tokens), and `fallback` for what broke a rule.
//! Must not know how caches work: the expansion speaks to `gecaso::__private` alone.

mod ast;
mod attr;
mod duration;
mod expand;
mod fallback;
mod handle;
mod manifest;
mod parts;
mod types;
mod valid;
mod words;

use proc_macro::TokenStream;

/// Caches the results of a function, sync or async.
///
/// ```ignore
/// #[cached(LruStorage::new(16), ttl = 100)]
/// fn long_and_boring_function(time_to_sleep: u64) -> String { .. }
/// ```
///
/// The storage comes first and may be left out; `MemoryStorage::default()`, which is bounded,
/// stands in for it. It is evaluated once, at the first call, like every other expression here.
///
/// - `ttl = 100`, `ttl = "1h 30m"`, `ttl = expr`: how long an entry is fresh, in seconds, as text
///   or as a `Duration`; zero stores nothing.
/// - `key = (user.id, lang)`: what tells calls apart, instead of all arguments.
/// - `skip(conn)`: arguments that do not; `self` too.
/// - `name = "users"`, `version = 3`: who the entries belong to.
/// - `cache_if = |value| !value.is_empty()`: stores a value only if this holds.
/// - `cache_err`, `cache_none`: stores `Err` and `None` as well.
/// - `max_wait = 5`: how long to wait for another caller's body before running one's own; as `ttl`.
/// - `handle = other`: the name of the handle, if a type or a module has the function's own;
///   `handle = false`: no handle, and a method is not found by `gecaso::handle`.
/// - `in_impl`: for a function in an `impl` that says neither `self` nor `Self`.
/// - `crate = path`: where gecaso is, if not where Cargo.toml says.
///
/// # Keys
///
/// Every argument that is not skipped is a part of the key and must be equal: `Hash + Eq + Clone`,
/// by value or borrowed (`&str`, `&[T]`, `&Path`, `Option<&str>`); floats count by their bits. A
/// method's receiver is an argument. A hit builds no key and allocates nothing. Instantiations of a
/// generic function have entries of their own; `impl AsRef<X>` is keyed as `X`, and free functions
/// share entries whatever the argument's own type.
///
/// # The handle
///
/// A free function gets a handle of its own name: `f::invalidate(1)`, `f::clear()`,
/// `f::insert(1, value)`, `f::refresh(1)`, `f::peek(1)`, `f::key(1)`, `f::uncached(1)`,
/// `f::stats()`. Arguments that are no part of the key are left out where no body runs. Methods:
/// see `gecaso::handle`.
///
/// # What is stored
///
/// `Ok` of a `Result` and `Some` of an `Option`, also behind a type alias; anything else whole.
///
/// # Other attributes
///
/// Attributes below this one stay on the function and see every call; those above, such as
/// `#[tracing::instrument]`, have wrapped the body and see misses only.
#[proc_macro_attribute]
pub fn cached(words: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(words.into(), item.into()).into()
}
