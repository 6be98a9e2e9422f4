//! A PKCS#11 module that forwards every call to another one, and fails, hangs or crashes on command.
//!
//! `PKCS11_FAULT_MODULE` names the real module, `PKCS11_FAULT_FILE` the control file, which is read again whenever it
//! is another file or has changed ([`control`] says what can stand in it). What the caller sees of sessions and objects
//! are numbers of our own ([`handles`]): the lowest free ones, as a device gives them that knows nothing of the numbers
//! before its reset. For tests only: it trusts its caller.

#![expect(clippy::disallowed_methods, reason = "a module has no other settings than its process's environment")]

mod control;
mod handles;
mod overlay;
mod random;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR, CK_RV, CKR_GENERAL_ERROR, CKR_OK, Pkcs11};
use std::{env, ptr, sync::OnceLock};

/// The real module, for as long as the process lives.
struct Real {
    functions: CK_FUNCTION_LIST,
    _library: Pkcs11,
}

/// The real module's functions; none if it cannot be loaded.
fn real() -> Option<&'static CK_FUNCTION_LIST> {
    static REAL: OnceLock<Option<Real>> = OnceLock::new();
    REAL.get_or_init(load).as_ref().map(|real| &real.functions)
}

fn load() -> Option<Real> {
    let path = env::var_os("PKCS11_FAULT_MODULE")?;
    // SAFETY: the test names a PKCS#11 module, whose initialisers do what they do for every program.
    let library = unsafe { Pkcs11::new(path) }.ok()?;
    library.C_GetFunctionList.as_ref().ok()?;
    let mut list = ptr::null_mut();
    // SAFETY: the symbol was found, and `list` is a place for one pointer.
    let rv = unsafe { library.C_GetFunctionList(&raw mut list) };
    // SAFETY: after CKR_OK the pointer is null or leads to the module's own list, which stays.
    let functions = *unsafe { list.as_ref() }.filter(|_| rv == CKR_OK)?;
    Some(Real { functions, _library: library })
}

/// The one symbol that a program looks for.
///
/// # Safety
/// As PKCS#11 v3.1, section 5.4.4: `list` is null or a place for one pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    static LIST: OnceLock<CK_FUNCTION_LIST> = OnceLock::new();
    let (Some(real), false) = (real(), list.is_null()) else { return CKR_GENERAL_ERROR };
    if let Err(rv) = control::before_load() {
        return rv;
    }
    let ours = LIST.get_or_init(|| {
        let mut ours = *real;
        overlay::overlay(&mut ours);
        ours
    });
    // SAFETY: the caller gives a place for one pointer; nobody writes through it, a list is read only.
    unsafe { *list = ptr::from_ref(ours).cast_mut() };
    CKR_OK
}
