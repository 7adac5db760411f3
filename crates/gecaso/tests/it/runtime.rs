//! Every runtime that tests run on, behind one face: run to the end, spawn, abort.
//!
//! Pollster has no tasks: there a task is a thread.

use std::future::Future;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// Tokio with two worker threads.
    TokioThreads,
    /// Tokio on the calling thread alone.
    TokioCurrent,
    Smol,
    Pollster,
}

pub(crate) const ALL: [Runtime; 4] =
    [Runtime::TokioThreads, Runtime::TokioCurrent, Runtime::Smol, Runtime::Pollster];

/// A spawned future.
pub(crate) enum Task<T> {
    Tokio(tokio::task::JoinHandle<T>),
    Smol(smol::Task<T>),
    Thread(std::thread::JoinHandle<T>),
}

impl Runtime {
    /// Runs a future to its end, inside the runtime.
    pub(crate) fn run<F: Future>(self, future: F) -> F::Output {
        match self {
            Runtime::TokioThreads => tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .build()
                .unwrap()
                .block_on(future),
            Runtime::TokioCurrent => {
                tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
            }
            Runtime::Smol => smol::block_on(future),
            Runtime::Pollster => pollster::block_on(future),
        }
    }

    /// Spawns a future; call it inside [`run`](Self::run).
    pub(crate) fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match self {
            Runtime::TokioThreads | Runtime::TokioCurrent => Task::Tokio(tokio::spawn(future)),
            Runtime::Smol => Task::Smol(smol::spawn(future)),
            Runtime::Pollster => {
                Task::Thread(std::thread::spawn(move || pollster::block_on(future)))
            }
        }
    }

    /// How many tasks are many: threads are dear.
    pub(crate) fn many(self) -> usize {
        if self == Runtime::Pollster { 64 } else { 1_000 }
    }
}

impl<T> Task<T> {
    /// What the future returned.
    pub(crate) async fn join(self) -> T {
        match self {
            Task::Tokio(task) => task.await.unwrap(),
            Task::Smol(task) => task.await,
            Task::Thread(thread) => thread.join().unwrap(),
        }
    }

    /// Cancels the task, and waits until its future is dropped. Threads cannot.
    pub(crate) async fn abort(self) {
        match self {
            Task::Tokio(task) => {
                task.abort();
                let _ = task.await;
            }
            Task::Smol(task) => {
                task.cancel().await;
            }
            Task::Thread(_) => panic!("a thread cannot be cancelled"),
        }
    }
}
