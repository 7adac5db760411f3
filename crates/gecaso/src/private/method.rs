//! The registry behind [`handle`](crate::handle): caches of methods, found by the method itself.
//!
//! An attribute inside an `impl` can add no items, so a method has no handle of its own name. At
//! its first call a method tells the registry how a key comes from its arguments. Called by
//! generated code and by users through `handle`; never on a hit. Must not know any storage.

#![allow(unsafe_code)] // `register` is unsafe to call; what makes it so is in `erased`.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::arg::Parts;
use super::erased::{Given, KeyFn, Place, give};
use super::probe::Token;
use super::slot::AnyCache;
use crate::key::{NearKey, Query};
use crate::outcome::{Outcome, Value};
use crate::{Cache, Error, Receipt, Stats};

/// What can be asked of a registered method.
trait Registered: Send + Sync {
    fn invalidate(&self, args: Given<'_>) -> Option<Receipt>;
    /// The return type, by the id of the type and by its name.
    fn returns(&self) -> (TypeId, &'static str);
    fn peek(&self, args: Given<'_>, into: Place<'_>);
    /// The type that is stored, by its id and by its name.
    fn stores(&self) -> (TypeId, &'static str);
    fn with(&self, args: Given<'_>, read: &mut dyn FnMut(&dyn Any));
    fn insert(&self, args: Given<'_>, value: Place<'_>, ttl: Option<Duration>) -> Option<Receipt>;
    fn clear(&self) -> Receipt;
    fn stats(&self) -> Stats;
}

/// The methods called so far, by the `TypeId` of their fn item. More than one under one id (an
/// inherent method that hides a trait's) share what is asked of it.
static METHODS: RwLock<BTreeMap<TypeId, Vec<Arc<dyn Registered>>>> = RwLock::new(BTreeMap::new());

/// Methods that no fn item stands for with certainty, by their path: those with `impl Trait`
/// arguments, and those that an inherent method of the same name hides from themselves. Arguments
/// cannot find an entry there, so whatever is asked of them concerns all of their entries.
static BY_PATH: RwLock<BTreeMap<&'static str, Vec<&'static dyn AnyCache>>> =
    RwLock::new(BTreeMap::new());

/// The path of the function that a closure was made in.
fn path_of<C>() -> &'static str {
    let mut path = type_name::<C>();
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    path
}

/// Takes a returned value out of its place: `None` if it is of another type, `Some(None)` if it is
/// not to be stored.
type Take<V> = fn(Place<'_>, fn(&V) -> bool) -> Option<Option<V>>;

/// One method. Only types without lifetimes are stored: the return type is known to the two
/// functions alone.
struct Entry<K: NearKey, V: Value> {
    cache: &'static Cache<K, V>,
    key: KeyFn<Keyed<K>>,
    /// Puts a value into the place of an `Option<R>`, as the method would have returned it.
    give_back: fn(V, Place<'_>),
    /// Takes what the method would have returned; `None`: it is of another type.
    take: Take<V>,
    keep: fn(&V) -> bool,
    returns: (TypeId, &'static str),
}

/// A key from the registry, with what its own query says of `Query::is_plain`: all queries of a
/// cache must agree on that.
pub struct Keyed<K> {
    key: K,
    is_plain: bool,
}

impl<K> fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed")
    }
}

impl<K: NearKey + Hash> Keyed<K> {
    fn peek<V: Value>(&self, cache: &Cache<K, V>) -> Option<V> {
        match self.is_plain {
            true => cache.peek_query(&Whole::<_, true>(&self.key)),
            false => cache.peek_query(&Whole::<_, false>(&self.key)),
        }
    }

    fn with<V: Value>(&self, cache: &Cache<K, V>, read: impl FnOnce(&V)) {
        match self.is_plain {
            true => cache.with_query(&Whole::<_, true>(&self.key), read),
            false => cache.with_query(&Whole::<_, false>(&self.key), read),
        };
    }

    fn put<V: Value>(
        &self,
        cache: &Cache<K, V>,
        value: Option<V>,
        ttl: Option<Duration>,
    ) -> Receipt {
        match self.is_plain {
            true => super::put(cache, &Whole::<_, true>(&self.key), value, ttl),
            false => super::put(cache, &Whole::<_, false>(&self.key), value, ttl),
        }
    }
}

/// A key as a query: a handle has no views, only what the method's own expansion made of them.
struct Whole<'a, K, const PLAIN: bool>(&'a K);

impl<K: NearKey + Hash, const PLAIN: bool> Query<K> for Whole<'_, K, PLAIN> {
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
    fn matches(&self, key: &K) -> bool {
        self.0 == key
    }
    fn to_key(&self) -> K {
        self.0.clone()
    }
    fn is_plain() -> bool {
        PLAIN
    }
}

impl<K: NearKey + Hash, V: Value> Registered for Entry<K, V> {
    fn invalidate(&self, args: Given<'_>) -> Option<Receipt> {
        let key = self.key.call(args)?;
        Some(key.put(self.cache, None, None))
    }

    fn returns(&self) -> (TypeId, &'static str) {
        self.returns
    }

    fn peek(&self, args: Given<'_>, into: Place<'_>) {
        if let Some(value) = self.key.call(args).and_then(|key| key.peek(self.cache)) {
            (self.give_back)(value, into);
        }
    }

    fn stores(&self) -> (TypeId, &'static str) {
        (TypeId::of::<V>(), type_name::<V>())
    }

    fn with(&self, args: Given<'_>, read: &mut dyn FnMut(&dyn Any)) {
        if let Some(key) = self.key.call(args) {
            key.with(self.cache, |value| read(value));
        }
    }

    fn insert(&self, args: Given<'_>, value: Place<'_>, ttl: Option<Duration>) -> Option<Receipt> {
        let value = (self.take)(value, self.keep)?;
        let key = self.key.call(args)?;
        Some(key.put(self.cache, value, ttl))
    }

    fn clear(&self) -> Receipt {
        self.cache.clear()
    }

    fn stats(&self) -> Stats {
        self.cache.stats()
    }
}

fn give_back<O: Outcome<M>, M>(value: O::Value, into: Place<'_>) {
    // SAFETY: the place is for an `R: 'static` that is `O` up to lifetimes. What is put there is
    // made of a value alone, which is `'static`, so it is an `R` as well.
    if let Some(place) = unsafe { into.of::<O>() } {
        *place = Some(O::from_value(value));
    }
}

fn take<O: Outcome<M>, M>(
    from: Place<'_>,
    keep: fn(&O::Value) -> bool,
) -> Option<Option<O::Value>> {
    // SAFETY: the place is for an `R: 'static` that is `O` up to lifetimes: what it holds lives as
    // long as any `O` may ask.
    let returned = unsafe { from.of::<O>() }?.take()?;
    Some(super::storable(returned, keep))
}

/// Makes a function known to `handle`, at its first call.
///
/// # Safety
///
/// `key` must accept `Args` whatever its lifetimes are. The expansion builds it from the very
/// tokens that view the arguments in the function's body, where lifetimes are the caller's choice.
pub unsafe fn register<F, Args, Out, K, O, M>(
    _: F,
    _: PhantomData<fn() -> Out>,
    key: impl Fn(Args) -> Keyed<K> + Copy,
    cache: &'static Cache<K, O::Value>,
    keep: fn(&O::Value) -> bool,
    _: Token<O, M>,
) where
    // Tells an `impl Trait<A>` from an `impl Trait<B>`: the name of a method alone does not.
    F: Function<Args, Out>,
    K: NearKey + Hash,
    O: Outcome<M>,
{
    let entry = Entry {
        cache,
        // SAFETY: the caller's promise.
        key: unsafe { KeyFn::new(key) },
        give_back: give_back::<O, M>,
        take: take::<O, M>,
        keep,
        returns: (typeid::of::<O>(), type_name::<O>()),
    };
    let mut methods = METHODS.write().unwrap_or_else(PoisonError::into_inner);
    methods.entry(typeid::of::<F>()).or_default().push(Arc::new(entry));
}

/// As [`register`], for a method, which names itself `Self::method`.
///
/// An inherent method of the same name hides a trait's from that: then `method` is a stranger, with
/// demands of its own on the lifetimes of its arguments, and the cache is filed by its path.
///
/// # Safety
///
/// As [`register`], if `method` is the function that `key` was made in.
pub unsafe fn register_method<F, Args, Out, K, O, M, C>(
    method: F,
    out: PhantomData<fn() -> Out>,
    key: C,
    cache: &'static Cache<K, O::Value>,
    keep: fn(&O::Value) -> bool,
    token: Token<O, M>,
) where
    F: Function<Args, Out>,
    K: NearKey + Hash,
    O: Outcome<M>,
    C: Fn(Args) -> Keyed<K> + Copy,
{
    if path_of::<C>() == type_name::<F>() {
        // SAFETY: the caller's promise.
        unsafe { register(method, out, key, cache, keep, token) }
    } else {
        register_path(&key, cache);
    }
}

/// Makes a method known to `handle` by its path alone: the one that the closure was made in.
pub fn register_path<C, K: NearKey, V: Value>(_: &C, cache: &'static Cache<K, V>) {
    let mut paths = BY_PATH.write().unwrap_or_else(PoisonError::into_inner);
    paths.entry(path_of::<C>()).or_default().push(cache);
}

/// The key of a query; its type is the query's.
pub fn key_of<Q: Parts>(query: &Q) -> Q::Key {
    query.to_key()
}

/// The key of a query, for the registry.
pub fn keyed<Q: Parts>(query: &Q) -> Keyed<Q::Key> {
    Keyed { key: query.to_key(), is_plain: Q::is_plain() }
}

/// A function that takes the arguments `Args`, a tuple.
pub trait Function<Args, Out> {}

/// The handle of a method decorated with `#[cached]`, made by [`handle`](crate::handle).
///
/// Its functions take the method's own arguments, the receiver first.
pub struct Handle<F, Args, Out>(PhantomData<fn(F, Args) -> Out>);

impl<F, Args, Out> fmt::Debug for Handle<F, Args, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", type_name::<F>())
    }
}

/// The handle of a method decorated with `#[cached]`, found by the method itself.
///
/// It has `invalidate`, `insert`, `insert_with_ttl`, `peek` and `with`, which take the method's own
/// arguments, the receiver first and skipped ones included; and `clear` and `stats`. It has not
/// what the handle of a free function has besides: `refresh` and `uncached`, since the body lies
/// inside of the method, behind the look-up; and `key`, since the type of a key is known inside
/// alone. `invalidate` and a call do what `refresh` would, but that other callers wait for that
/// call.
///
/// It takes methods of up to eight arguments, the receiver included. Methods with more, or with
/// `handle = false`, are cached, but not found here. Of a method with arguments of type `impl
/// Trait`, and of one that has the name of an inherent method of its type, `invalidate` removes all
/// entries (for each type of argument its own), and the others cannot find any.
///
/// Until the method was called once nothing is cached: there is nothing to remove and nothing to
/// see, and `insert` says so in its receipt. A function without the attribute looks the same.
///
/// ```
/// # use gecaso::cached;
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Report { id: u32 }
///
/// impl Report {
///     #[cached]
///     fn render(&self, width: u32) -> String { format!("{:>1$}", self.id, width as usize) }
/// }
///
/// let report = Report { id: 7 };
/// report.render(3);
/// assert_eq!(gecaso::handle(Report::render).peek(&report, 3), Some("  7".to_string()));
/// let length = gecaso::handle(Report::render).with(&report, 3, |text: &String| text.len());
/// assert_eq!(length, Some(3)); // nothing was cloned
/// gecaso::handle(Report::render).invalidate(&report, 3);
/// assert_eq!(gecaso::handle(Report::render).peek::<String>(&report, 3), None);
/// ```
pub fn handle<F: Function<Args, Out>, Args, Out>(_: F) -> Handle<F, Args, Out> {
    Handle(PhantomData)
}

impl<F, Args, Out> Handle<F, Args, Out> {
    fn entries() -> Vec<Arc<dyn Registered>> {
        let methods = METHODS.read().unwrap_or_else(PoisonError::into_inner);
        methods.get(&typeid::of::<F>()).cloned().unwrap_or_default()
    }

    fn by_path() -> Vec<&'static dyn AnyCache> {
        let paths = BY_PATH.read().unwrap_or_else(PoisonError::into_inner);
        paths.get(type_name::<F>()).cloned().unwrap_or_default()
    }

    /// Removes every entry of this method (for a generic one: of this instantiation).
    pub fn clear(&self) -> Receipt {
        let done = Self::entries().iter().fold(Receipt::ready(), |done, one| done.and(one.clear()));
        Self::by_path().iter().fold(done, |done, cache| done.and(cache.clear_all()))
    }

    /// How the method's cache has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let sum = Self::entries().iter().fold(Stats::default(), |sum, one| sum + one.stats());
        Self::by_path().iter().fold(sum, |sum, cache| sum + cache.figures())
    }

    fn invalidate_args(&self, args: Args) -> Receipt {
        match (&*Self::entries(), &*Self::by_path()) {
            ([], []) => Receipt::ready(),
            ([entry], []) => {
                give(args, |args| entry.invalidate(args)).unwrap_or_else(|| self.clear())
            }
            // Arguments can be moved into one key only, and by a path into none. Rather too much.
            _ => self.clear(),
        }
    }

    fn peek_args<R: 'static>(&self, args: Args) -> Option<R> {
        let mut value = None;
        if let ([entry], []) = (&*Self::entries(), &*Self::by_path()) {
            let (id, returns) = entry.returns();
            assert!(
                id == typeid::of::<R>(),
                "`{}` returns `{returns}`, and was peeked at for a `{}`",
                type_name::<F>(),
                type_name::<R>()
            );
            give(args, |args| entry.peek(args, Place::new(&mut value)));
        }
        value
    }

    fn with_args<V: 'static, R>(&self, args: Args, read: impl FnOnce(&V) -> R) -> Option<R> {
        let mut answer = None;
        if let ([entry], []) = (&*Self::entries(), &*Self::by_path()) {
            let (id, stores) = entry.stores();
            assert!(
                id == TypeId::of::<V>(),
                "`{}` stores a `{stores}`, and was to be read as a `{}`",
                type_name::<F>(),
                type_name::<V>()
            );
            let mut read = Some(read);
            let mut once = |value: &dyn Any| {
                let value = value.downcast_ref::<V>();
                answer = read.take().zip(value).map(|(read, value)| read(value));
            };
            give(args, |args| entry.with(args, &mut once));
        }
        answer
    }

    fn insert_args<R: 'static>(&self, args: Args, value: R, ttl: Option<Duration>) -> Receipt {
        let name = type_name::<F>();
        match (&*Self::entries(), &*Self::by_path()) {
            ([], []) => Receipt::failed(Error::new(format!(
                "`{name}` has no cache yet: call it once before the first `insert`"
            ))),
            ([entry], []) => {
                let mut value = Some(value);
                let done = give(args, |args| entry.insert(args, Place::new(&mut value), ttl));
                done.unwrap_or_else(|| {
                    Receipt::failed(Error::new(format!(
                        "`{name}` returns `{}`, and not a `{}`: nothing was inserted",
                        entry.returns().1,
                        type_name::<R>()
                    )))
                })
            }
            _ => Receipt::failed(Error::new(format!(
                "`{name}` stands for more than one cached method, or takes `impl Trait`: arguments \
                 do not tell which entry is meant, and nothing was inserted"
            ))),
        }
    }
}

macro_rules! arity {
    ($($arg:ident $Arg:ident)*) => {
        impl<F: Fn($($Arg),*) -> Out, $($Arg,)* Out> Function<($($Arg,)*), Out> for F {}

        #[allow(clippy::too_many_arguments)]
        impl<F, $($Arg,)* Out> Handle<F, ($($Arg,)*), Out> {
            /// Removes the entry of these arguments.
            pub fn invalidate(&self, $($arg: $Arg),*) -> Receipt {
                self.invalidate_args(($($arg,)*))
            }

            /// What a call with these arguments would find, neither counted nor refreshed. `R` is
            /// what the method returns (an async one: what it resolves to).
            ///
            /// # Panics
            ///
            /// If `R` is another type than the method's.
            #[must_use]
            pub fn peek<R: 'static>(&self, $($arg: $Arg),*) -> Option<R> {
                self.peek_args(($($arg,)*))
            }

            /// What `read` makes of the stored value, if it is fresh: without cloning it, as
            /// [`Cache::with`] does. Counts as a hit or a miss; the body does not run. `V` is what
            /// is stored: of a `Result` the type of the `Ok`, of an `Option` that of the `Some`.
            ///
            /// # Panics
            ///
            /// If `V` is another type than what the method stores, or if `read` panics.
            pub fn with<V: 'static, R>(
                &self,
                $($arg: $Arg,)*
                read: impl FnOnce(&V) -> R,
            ) -> Option<R> {
                self.with_args(($($arg,)*), read)
            }

            /// Stores `value` as if a call had returned it: what would not be stored removes the
            /// entry instead.
            pub fn insert<R: 'static>(&self, $($arg: $Arg,)* value: R) -> Receipt {
                self.insert_args(($($arg,)*), value, None)
            }

            /// As [`insert`](Self::insert), with a time to live of its own instead of the method's.
            pub fn insert_with_ttl<R: 'static>(
                &self,
                $($arg: $Arg,)*
                value: R,
                ttl: Duration,
            ) -> Receipt {
                self.insert_args(($($arg,)*), value, Some(ttl))
            }
        }
    };
}
arity!();
arity!(a A);
arity!(a A b B);
arity!(a A b B c C);
arity!(a A b B c C d D);
arity!(a A b B c C d D e E);
arity!(a A b B c C d D e E g G);
arity!(a A b B c C d D e E g G h H);
arity!(a A b B c C d D e E g G h H i I);
