//! A storage without its type, and one operation on it as a future that owns all it needs.
//!
//! Called by `object`. Here alone are the methods of users' storages called.

use super::Storage;
use crate::error::{BoxError, Result};
use crate::params::Params;
use crate::reentry::{self, Chain};
use crate::runner::Job;
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A [`Storage`] of whatever type.
pub(super) trait Erased: Send + Sync {
    fn get(self: Arc<Self>, key: Arc<str>) -> Job<Result<Option<Vec<u8>>>>;
    fn set(
        self: Arc<Self>,
        key: Arc<str>,
        value: Arc<[u8]>,
        params: Arc<Params>,
    ) -> Job<Result<()>>;
    fn remove(self: Arc<Self>, keys: Vec<Arc<str>>) -> Job<Result<()>>;
}

impl<S: Storage> Erased for S {
    fn get(self: Arc<Self>, key: Arc<str>) -> Job<Result<Option<Vec<u8>>>> {
        Box::pin(async move { Storage::get(&*self, &key).await })
    }

    fn set(
        self: Arc<Self>,
        key: Arc<str>,
        value: Arc<[u8]>,
        params: Arc<Params>,
    ) -> Job<Result<()>> {
        Box::pin(async move { Storage::set(&*self, &key, &value, &params).await })
    }

    fn remove(self: Arc<Self>, keys: Vec<Arc<str>>) -> Job<Result<()>> {
        Box::pin(async move {
            let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
            Storage::remove(&*self, &keys).await
        })
    }
}

/// An operation under way. It belongs to the flight that it is done for, so a storage that calls
/// cached functions itself cannot wait for its own caller; and a storage that panics has failed,
/// and that is all.
pub(super) struct Operation<T> {
    /// `None` while it is dropped.
    job: Option<Job<Result<T>>>,
    chain: Option<Chain>,
}

impl<T> Operation<T> {
    pub(super) fn new(job: Job<Result<T>>, chain: Option<Chain>) -> Self {
        Operation { job: Some(job), chain }
    }
}

impl<T> Future for Operation<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let _inside = self.chain.clone().map(reentry::enter);
        let job = self.job.as_mut().expect("taken out by the drop alone");
        let polled = catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(said(&*panic))))
    }
}

/// What the drop of a user's future does is a part of the operation, too: it may call cached
/// functions, or panic.
impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        let _inside = self.chain.clone().map(reentry::enter);
        let job = self.job.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
    }
}

/// A panic as an error.
fn said(panic: &(dyn Any + Send)) -> BoxError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(|text| &**text));
    let text = text.unwrap_or("something that is no text");
    // What tokio says to a client that is used outside of it.
    let hint = match text.contains("no reactor running") && cfg!(not(feature = "tokio")) {
        true => " (this client needs tokio: enable gecaso's feature `tokio`)",
        false => "",
    };
    format!("the storage panicked: {text}{hint}").into()
}
