//! The attribute `#[cached]` of gecaso, and `#[derive(Key)]`, which is `derive_key` alone.
//!
//! Called by the compiler for users of the `gecaso` crate, which re-exports both. `driver` leads a
//! function through the files: `ast` (what was written), `attr` (the attribute's words), `valid`
//! (every rule, one message each), then `expand` (tokens) with `handle` (those of a free function),
//! or `fallback` for what broke a rule. Must not know how caches work: the expansion speaks to
//! `gecaso::__private` alone.

mod ast;
mod attr;
mod derive_key;
mod driver;
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
/// ```text
/// #[cached(LruStorage::new(16), ttl = 100)]
/// fn long_and_boring_function(time_to_sleep: u64) -> String { .. }
/// ```
///
/// The storage comes first and may be left out; `MemoryStorage::default()`, which is bounded,
/// stands in for it. It is evaluated once, at the first call, like every other expression here.
///
/// - `ttl = 100`: how long an entry is fresh, in seconds; or as text, `ttl = "1h 30m"`, or as any
///   expression of type `Duration`. Zero stores nothing. `ttl = |token: &Token| token.lives` works
///   it out for each entry, from what is stored.
/// - `tti = 100`: how long an entry is fresh that nobody asks for, written as `ttl` is; each hit
///   begins it anew. With `ttl`, whichever ends first counts.
/// - `weigher = |value| value.len()`: what an entry weighs, worked out from what is stored, for a
///   storage that is bounded by weight: `LruStorage::weighted(1 << 20)`.
/// - `key = (a, b)`: what tells calls apart, instead of all arguments: `key = (user.id, lang)`.
/// - `skip(conn)`: arguments that do not tell calls apart; `skip(self)` too.
/// - `name = "users"`: who the entries belong to, in messages; otherwise the function's path.
/// - `version = 3`: of what is stored; otherwise 0.
/// - `cache_if = |value| !value.is_empty()`: stores a value only if this holds. It sees what would
///   be stored: of a `Result` the `Ok`.
/// - `cache_err`: stores `Err` as well.
/// - `cache_none`: stores `None` as well.
/// - `handle = other_name`: the name of the handle, if a type or a module has the function's own.
///   `handle = false`: no handle, and a method is not found by `gecaso::handle`.
/// - `max_wait = 5`: how long to wait for another caller's body before running one's own, written
///   as `ttl` is; otherwise 30 seconds.
/// - `params(region = "eu")`: extra parameters that a storage outside of the process is told with
///   every set: texts, numbers, `bool`s, bytes.
/// - `hash_key = false`: readable keys there, up to 200 symbols, instead of 65 symbols always.
/// - `deadline = "50ms"`: how long a call waits for such a storage, written as `ttl` is; otherwise
///   what the storage says, which is 100 ms by default. Then the body runs.
/// - `fail_closed`: a call whose storage cannot be asked does not run the body; it returns an `Err`
///   that is made of a `gecaso::Error`.
/// - `in_impl`: for a function in an `impl` that says neither `self` nor `Self`.
/// - `crate = path`: where gecaso is, if not where Cargo.toml says: `crate = my_library::gecaso`.
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
/// `f::insert(1, value)`, `f::insert_with_ttl(1, value, ttl)`, `f::refresh(1)`, `f::peek(1)` (of an
/// `async fn` also `f::peek_async(1)`), `f::with(1, |value| ..)`, `f::key(1)`, `f::uncached(1)`,
/// `f::stats()`. Arguments that are no part of the key are left out where no body runs.
///
/// `f::with(1, |value| ..)` reads the stored value where it is, as `Cache::with` does: it is for
/// values whose clone is dear, or is an `Arc`'s whose count many threads change. It counts as a hit
/// or a miss and runs no body; over a storage outside of the process it parks the thread, of an
/// `async fn` too. The closure sees what is stored, of a `Result` what the `Ok` holds. Of a generic
/// function its answer is the last parameter: `f::with::<u8, _>(..)`; and if that returns a
/// `Result` that is called otherwise, as `Answer<T>`, `with` panics.
///
/// In an `impl` an attribute can add nothing beside the method, so the handle of a method is found
/// by the method itself: `gecaso::handle(Report::render).invalidate(&report, 5)`. It has
/// `invalidate`, `clear`, `insert`, `insert_with_ttl`, `peek`, `with` and `stats`; it has not `refresh` and `uncached`, since
/// the body lies inside of the method, behind the look-up, and not `key`, whose type has no name
/// there. `invalidate` and a call do what `refresh` would.
///
/// # What is stored
///
/// `Ok` of a `Result` and `Some` of an `Option`, also behind a type alias; anything else whole.
///
/// # Panics
///
/// A call panics if the cache is not open yet and the storage expression, or that of `ttl` or
/// `max_wait`, calls the function itself; if there is a `weigher` and the storage is not bounded by
/// weight, or the other way round; if there is a `tti` and the storage is outside of the process;
/// or if the return type is a type parameter that stands for a `Result` or an `Option`, and neither
/// `cache_err` nor `cache_none` says what to do. (Two storage expressions that call each other's
/// functions from two threads wait for each other, as two `LazyLock`s do.) A panic of the body
/// reaches the caller that runs it; another one of those who wait runs its own.
///
/// # Other attributes
///
/// Attributes below this one stay on the function and see every call; those above, such as
/// `#[tracing::instrument]`, have wrapped the body and see misses only.
#[proc_macro_attribute]
pub fn cached(words: TokenStream, item: TokenStream) -> TokenStream {
    driver::cached(words.into(), item.into()).into()
}

/// Derives `gecaso::Key`: what a type must be to be part of a key outside of this process.
///
/// ```text
/// #[derive(Clone, PartialEq, Eq, Hash, Key)]
/// struct Point { x: i64, y: i64 }
/// ```
///
/// Every field takes part, with its name, and so do the names of the type and of the variant:
/// renaming one makes other keys of it, as a new `version` would. There are no attributes, since a
/// field that is left out would give different values the same entry. The type parameters of a
/// generic type must be `Key` themselves. A `union` is refused.
#[proc_macro_derive(Key, attributes(key))]
pub fn derive_key(item: TokenStream) -> TokenStream {
    derive_key::derive(item.into()).into()
}
