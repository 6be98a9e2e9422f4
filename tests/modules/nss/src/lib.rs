//! NSS softokn as a module that other programs can load: `C_Initialize` hands it where its database is.
//!
//! softokn takes that from a field that the standard's `CK_C_INITIALIZE_ARGS` does not have, so no ordinary program
//! can give it. Read from the environment: `KEYWARD_TEST_NSS_MODULE` is the path of `libsoftokn3.so`,
//! `KEYWARD_TEST_NSS_PARAMETERS` are its parameters, such as `configdir='sql:DIR' flags=`.

#![expect(clippy::disallowed_methods, reason = "a module has no settings but its environment")]

use cryptoki_sys::{
    CK_C_INITIALIZE_ARGS, CK_FUNCTION_LIST, CK_RV, CKF_OS_LOCKING_OK, CKR_ARGUMENTS_BAD, CKR_GENERAL_ERROR, CKR_OK,
    Pkcs11,
};
use std::{
    ffi::{CString, c_char, c_void},
    ptr,
    sync::OnceLock,
};

/// `CK_C_INITIALIZE_ARGS` as NSS has it.
#[repr(C)]
struct Arguments {
    standard: CK_C_INITIALIZE_ARGS,
    reserved: *mut c_void,
}

/// softokn's function list, and the same with our `C_Initialize`.
struct Lists {
    softokn: CK_FUNCTION_LIST,
    ours: CK_FUNCTION_LIST,
    _library: Pkcs11,
}

static LISTS: OnceLock<Option<Lists>> = OnceLock::new();

/// PKCS#11 v3.1, section 5.4.4.
///
/// # Safety
/// `list` is null or a place for one pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    let Some(lists) = LISTS.get_or_init(load) else { return CKR_GENERAL_ERROR };
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: it is not null. Callers read the list only.
    unsafe { *list = ptr::from_ref(&lists.ours).cast_mut() };
    CKR_OK
}

fn load() -> Option<Lists> {
    let path = std::env::var_os("KEYWARD_TEST_NSS_MODULE")?;
    // SAFETY: softokn's initialisers are run, which is what whoever set the variable wants.
    let library = unsafe { Pkcs11::new(path) }.ok()?;
    let mut list = ptr::null_mut();
    // SAFETY: `list` is a place for one pointer.
    if unsafe { library.C_GetFunctionList(&raw mut list) } != CKR_OK {
        return None;
    }
    // SAFETY: after CKR_OK it leads to softokn's static list.
    let softokn = *unsafe { list.as_ref() }?;
    Some(Lists { softokn, ours: CK_FUNCTION_LIST { C_Initialize: Some(initialize), ..softokn }, _library: library })
}

unsafe extern "C" fn initialize(_: *mut c_void) -> CK_RV {
    let call = LISTS.get().and_then(Option::as_ref).and_then(|lists| lists.softokn.C_Initialize);
    let parameters = std::env::var("KEYWARD_TEST_NSS_PARAMETERS").ok().and_then(|text| CString::new(text).ok());
    let (Some(call), Some(parameters)) = (call, parameters) else { return CKR_GENERAL_ERROR };
    let text: *const c_char = parameters.as_ptr();
    let standard =
        CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, pReserved: text.cast_mut().cast(), ..Default::default() };
    let mut arguments = Arguments { standard, reserved: ptr::null_mut() };
    // SAFETY: softokn reads the structure and the text during the call only.
    unsafe { call((&raw mut arguments).cast()) }
}
