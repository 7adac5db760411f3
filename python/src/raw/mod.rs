//! Where Python's objects are bare pointers: the only folder with unsafe code in this crate.
//!
//! A hit must neither allocate nor go through a wrapper, and a callable of PyO3 alone costs as much
//! as `functools.lru_cache` before it has done anything. `object` owns one reference, `compare`
//! says which values are the same argument, `arguments` binds a call to a signature, `calling` is
//! how users' code is called, `entry` what CPython calls, `loose` the same of a function under
//! `lru_cache`, whose results are in `recent`, `ready` what an awaited hit returns, `resume` drives
//! coroutines, `context` is variables of theirs.
//!
//! Everything in here runs with the interpreter's lock held, which is what makes it sound that
//! `Object` is `Send` and `Sync`; where that could be otherwise, it is said.

pub(crate) mod arguments;
mod calling;
pub(crate) mod compare;
pub(crate) mod context;
pub(crate) mod entry;
pub(crate) mod loose;
pub(crate) mod object;
pub(crate) mod ready;
pub(crate) mod recent;
pub(crate) mod resume;
