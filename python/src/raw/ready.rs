//! What a hit of an asynchronous function returns: something to await that is done already.
//!
//! It speaks the whole protocol of a coroutine, and never touches a loop.

use super::arguments::Borrowed;
use super::object::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::{addr_of_mut, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

#[repr(C)]
struct Ready {
    base: ffi::PyObject,
    /// Null once it has been awaited.
    value: Borrowed,
}

/// The type, made once by `register`.
static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

/// Something to await whose value is known.
///
/// # Safety
///
/// The interpreter's lock is held, and `register` has run.
#[inline]
pub(crate) unsafe fn make(value: Object) -> Borrowed {
    // SAFETY: the caller's; the type's instances are `Ready`s.
    unsafe {
        let ready = ffi::PyType_GenericAlloc(TYPE.load(Ordering::Relaxed), 0).cast::<Ready>();
        if !ready.is_null() {
            (*ready).value = value.into_ptr();
        }
        ready.cast()
    }
}

unsafe fn take(ready: Borrowed) -> Borrowed {
    // SAFETY: the caller's: an instance of our type.
    unsafe { std::mem::replace(&mut (*ready.cast::<Ready>()).value, null_mut()) }
}

unsafe fn reused() -> Borrowed {
    // SAFETY: the lock is held.
    unsafe {
        let text = c"cannot reuse already awaited coroutine";
        ffi::PyErr_SetString(ffi::PyExc_RuntimeError, text.as_ptr());
        null_mut()
    }
}

unsafe extern "C" fn itself(ready: Borrowed) -> Borrowed {
    // SAFETY: called by CPython.
    unsafe {
        ffi::Py_INCREF(ready);
        ready
    }
}

unsafe extern "C" fn send_slot(
    ready: Borrowed,
    _sent: Borrowed,
    result: *mut Borrowed,
) -> ffi::PySendResult {
    // SAFETY: called by CPython.
    unsafe {
        let value = take(ready);
        if value.is_null() {
            *result = reused();
            return ffi::PySendResult::PYGEN_ERROR;
        }
        *result = value;
        ffi::PySendResult::PYGEN_RETURN
    }
}

/// Ends as a coroutine does: with `StopIteration`, which carries the value.
unsafe fn stop(value: Borrowed) -> Borrowed {
    // SAFETY: `value` is ours. A tuple or an exception would be taken for arguments: it is wrapped.
    unsafe {
        let stop = ffi::PyObject_CallFunctionObjArgs(
            ffi::PyExc_StopIteration,
            value,
            null_mut::<ffi::PyObject>(),
        );
        ffi::Py_DECREF(value);
        if !stop.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, stop);
            ffi::Py_DECREF(stop);
        }
        null_mut()
    }
}

unsafe extern "C" fn next(ready: Borrowed) -> Borrowed {
    // SAFETY: called by CPython.
    unsafe {
        let value = take(ready);
        if value.is_null() { reused() } else { stop(value) }
    }
}

unsafe extern "C" fn send(ready: Borrowed, sent: Borrowed) -> Borrowed {
    // SAFETY: called by CPython.
    unsafe {
        let has_value = !(*ready.cast::<Ready>()).value.is_null();
        if has_value && sent != ffi::Py_None() {
            let text = c"can't send non-None value to a just-started coroutine";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, text.as_ptr());
            return null_mut();
        }
        next(ready)
    }
}

/// `throw(exception)`, or `throw(type, value, traceback)`: raises it; nothing is left to be done.
unsafe extern "C" fn throw(ready: Borrowed, args: *mut Borrowed, count: isize) -> Borrowed {
    // SAFETY: called by CPython with so many arguments.
    unsafe {
        let value = take(ready);
        ffi::Py_XDECREF(value);
        if !(1..=3).contains(&count) {
            let text = c"throw() takes one to three arguments";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, text.as_ptr());
            return null_mut();
        }
        let first = *args;
        let second = if count > 1 { *args.add(1) } else { ffi::Py_None() };
        if ffi::PyExceptionInstance_Check(first) != 0 {
            ffi::PyErr_SetObject(ffi::Py_TYPE(first).cast(), first);
        } else if ffi::PyExceptionClass_Check(first) != 0 {
            let value = if second == ffi::Py_None() { null_mut() } else { second };
            ffi::PyErr_SetObject(first, value);
        } else {
            let text = c"exceptions must be classes or instances deriving from BaseException";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, text.as_ptr());
        }
        null_mut()
    }
}

unsafe extern "C" fn close(ready: Borrowed, _: Borrowed) -> Borrowed {
    // SAFETY: called by CPython.
    unsafe {
        ffi::Py_XDECREF(take(ready));
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}

unsafe extern "C" fn running(_: Borrowed, _: *mut c_void) -> Borrowed {
    // SAFETY: called by CPython.
    unsafe {
        let no = ffi::Py_False();
        ffi::Py_INCREF(no);
        no
    }
}

unsafe extern "C" fn dealloc(ready: Borrowed) {
    // SAFETY: called by CPython, with the last reference.
    unsafe {
        let type_ = ffi::Py_TYPE(ready);
        ffi::PyObject_GC_UnTrack(ready.cast());
        ffi::Py_XDECREF(take(ready));
        ffi::PyObject_GC_Del(ready.cast());
        ffi::Py_DECREF(type_.cast());
    }
}

unsafe extern "C" fn traverse(ready: Borrowed, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: called by CPython.
    unsafe {
        let visited = match (*ready.cast::<Ready>()).value {
            value if value.is_null() => 0,
            value => visit(value, arg),
        };
        if visited != 0 {
            return visited;
        }
        visit(ffi::Py_TYPE(ready).cast(), arg)
    }
}

unsafe extern "C" fn clear(ready: Borrowed) -> c_int {
    // SAFETY: called by CPython.
    unsafe { ffi::Py_XDECREF(take(ready)) };
    0
}

/// Makes the type.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // The interpreter keeps pointers to these for as long as it runs.
    let method = |name: &'static std::ffi::CStr, method, flags| ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: method,
        ml_flags: flags,
        ml_doc: std::ptr::null(),
    };
    let one = |function| ffi::PyMethodDefPointer { PyCFunction: function };
    // SAFETY: plain data, of which all zeros are valid.
    let (no_method, no_getter) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let methods: &'static mut [ffi::PyMethodDef; 4] = Box::leak(Box::new([
        method(c"send", one(send), ffi::METH_O),
        method(c"throw", ffi::PyMethodDefPointer { PyCFunctionFast: throw }, ffi::METH_FASTCALL),
        method(c"close", one(close), ffi::METH_NOARGS),
        no_method,
    ]));
    let getters: &'static mut [ffi::PyGetSetDef; 2] = Box::leak(Box::new([
        ffi::PyGetSetDef {
            name: c"cr_running".as_ptr(),
            get: Some(running),
            set: None,
            doc: std::ptr::null(),
            closure: null_mut(),
        },
        no_getter,
    ]));
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_am_send, send_slot as *mut c_void),
        slot(ffi::Py_tp_iter, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, getters.as_mut_ptr().cast()),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(0, null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"gecaso._gecaso.ready".as_ptr().cast::<c_char>(),
        basicsize: size_of::<Ready>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_GC
            | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is complete; what it points to lives on, or is copied.
    let type_ = unsafe {
        let type_ = ffi::PyType_FromSpec(addr_of_mut!(spec));
        Bound::from_owned_ptr_or_err(module.py(), type_)?
    };
    module.add("ready", &type_)?;
    TYPE.store(type_.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}
