//! One reference to a Python object, as the core keeps it: in keys and as values.

use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::mem;
use std::ptr::NonNull;

/// An owned reference. As small as a pointer, and cloned by one addition.
pub(crate) struct Object(NonNull<ffi::PyObject>);

// SAFETY: the count is only changed with the interpreter's lock held (see `clone` and `drop`), and
// what is behind the pointer is only used through a token of PyO3 or in this folder.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    /// Takes another reference to what is borrowed.
    ///
    /// # Safety
    ///
    /// A valid object, and the interpreter's lock is held.
    #[inline]
    pub(crate) unsafe fn from_borrowed(object: *mut ffi::PyObject) -> Self {
        // SAFETY: the caller's.
        unsafe {
            ffi::Py_INCREF(object);
            Object(NonNull::new_unchecked(object))
        }
    }

    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// A valid object, whose reference is the caller's to give away.
    #[inline]
    pub(crate) unsafe fn from_owned(object: *mut ffi::PyObject) -> Self {
        // SAFETY: the caller's.
        Object(unsafe { NonNull::new_unchecked(object) })
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// Gives the reference away.
    #[inline]
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        let object = self.0.as_ptr();
        mem::forget(self);
        object
    }

    /// The object, to be used with PyO3.
    #[inline]
    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: the pointer is valid as long as `self` is.
        unsafe { Bound::from_borrowed_ptr(py, self.as_ptr()) }
    }
}

impl From<Bound<'_, PyAny>> for Object {
    fn from(object: Bound<'_, PyAny>) -> Self {
        // SAFETY: `into_ptr` gives a reference away.
        unsafe { Object::from_owned(object.into_ptr()) }
    }
}

impl Clone for Object {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: the core clones keys and values where it was called from Python, and lets go of
        // the interpreter's lock in one place only: where a thread parks.
        unsafe {
            debug_assert!(ffi::PyGILState_Check() == 1, "cloned without the interpreter's lock");
            Object::from_borrowed(self.as_ptr())
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the reference is ours. The lock is held where it is given back: what keeps
        // objects is dropped by Python's own objects, or by the core where it was called from
        // Python. What other threads may drop has one of PyO3's references instead.
        unsafe {
            debug_assert!(ffi::PyGILState_Check() == 1, "dropped without the interpreter's lock");
            ffi::Py_DECREF(self.as_ptr());
        }
    }
}

/// Shows the collector a reference.
pub(crate) fn visit(visit: &PyVisit<'_>, object: &Object) -> Result<(), PyTraverseError> {
    // SAFETY: a `Py` is a pointer as an `Object` is; it is only looked at, and not dropped.
    let object = unsafe { &*std::ptr::from_ref(object).cast::<Py<PyAny>>() };
    visit.call(object)
}

unsafe extern "C" {
    /// Of CPython's C API, and not yet among PyO3's bindings.
    fn PyMethod_New(
        function: *mut ffi::PyObject,
        instance: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// What a callable is as an attribute: itself of a class, a bound method of an instance.
pub(crate) fn method<'py>(
    callable: &Bound<'py, PyAny>,
    instance: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(instance) = instance.filter(|instance| !instance.is_none()) else {
        return Ok(callable.clone());
    };
    // SAFETY: both are valid, and the lock is held; the method is ours.
    unsafe {
        let method = PyMethod_New(callable.as_ptr(), instance.as_ptr());
        Bound::from_owned_ptr_or_err(callable.py(), method)
    }
}
