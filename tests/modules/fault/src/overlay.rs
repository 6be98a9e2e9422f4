//! The functions that keyward calls, each in the frame of [`around`](crate::control::around).

use crate::{
    control::around,
    handles::{self, object, session},
    real,
};
use cryptoki_sys::*;

/// `FUNCTION(arguments) => (what the real one is given) { what is done after CKR_OK };`
macro_rules! overlay {
    ($($name:ident($($argument:ident: $type:ty),*) => ($($given:expr),*) $({ $($done:tt)* })?;)*) => {
        $(
            #[expect(non_snake_case, reason = "the standard's name")]
            unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
                around(stringify!($name), || {
                    let function = real().and_then(|real| real.$name).ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
                    // SAFETY: the caller's own arguments, with the real module's handles.
                    let rv = unsafe { function($($given),*) };
                    if rv != CKR_OK {
                        return Err(rv);
                    }
                    $({ $($done)* })?
                    Ok(())
                })
            }
        )*

        /// Puts our functions into a list.
        pub(crate) fn overlay(list: &mut CK_FUNCTION_LIST) {
            $(list.$name = Some($name);)*
        }
    };
}

overlay! {
    C_Initialize(arguments: CK_VOID_PTR) => (arguments);
    C_Finalize(reserved: CK_VOID_PTR) => (reserved);
    C_GetInfo(info: CK_INFO_PTR) => (info);
    C_GetSlotList(present: CK_BBOOL, list: CK_SLOT_ID_PTR, count: CK_ULONG_PTR) => (present, list, count);
    C_GetSlotInfo(slot: CK_SLOT_ID, info: CK_SLOT_INFO_PTR) => (slot, info);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: CK_TOKEN_INFO_PTR) => (slot, info);
    C_GetMechanismList(slot: CK_SLOT_ID, list: CK_MECHANISM_TYPE_PTR, count: CK_ULONG_PTR) => (slot, list, count);
    C_GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: CK_MECHANISM_INFO_PTR) => (slot, kind, info);
    C_InitToken(slot: CK_SLOT_ID, pin: CK_UTF8CHAR_PTR, length: CK_ULONG, label: CK_UTF8CHAR_PTR) =>
        (slot, pin, length, label);
    C_InitPIN(by: CK_SESSION_HANDLE, pin: CK_UTF8CHAR_PTR, length: CK_ULONG) => (session(by)?, pin, length);
    C_SetPIN(by: CK_SESSION_HANDLE, old: CK_UTF8CHAR_PTR, old_length: CK_ULONG, new: CK_UTF8CHAR_PTR, length: CK_ULONG) =>
        (session(by)?, old, old_length, new, length);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, own: CK_VOID_PTR, notify: CK_NOTIFY, made: CK_SESSION_HANDLE_PTR) =>
        (slot, flags, own, notify, made) { unsafe { *made = handles::opened(*made, slot) } };
    C_CloseSession(by: CK_SESSION_HANDLE) => (session(by)?) { handles::closed(by) };
    C_CloseAllSessions(slot: CK_SLOT_ID) => (slot) { handles::closed_all(slot) };
    C_GetSessionInfo(by: CK_SESSION_HANDLE, info: CK_SESSION_INFO_PTR) => (session(by)?, info);
    C_Login(by: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: CK_UTF8CHAR_PTR, length: CK_ULONG) =>
        (session(by)?, user, pin, length);
    C_Logout(by: CK_SESSION_HANDLE) => (session(by)?);
    C_CreateObject(by: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG, made: CK_OBJECT_HANDLE_PTR) =>
        (session(by)?, template, count, made) { show(made) };
    C_CopyObject(
        by: CK_SESSION_HANDLE, of: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        made: CK_OBJECT_HANDLE_PTR
    ) => (session(by)?, object(of)?, template, count, made) { show(made) };
    C_DestroyObject(by: CK_SESSION_HANDLE, of: CK_OBJECT_HANDLE) => (session(by)?, object(of)?);
    C_GetAttributeValue(by: CK_SESSION_HANDLE, of: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG) =>
        (session(by)?, object(of)?, template, count);
    C_SetAttributeValue(by: CK_SESSION_HANDLE, of: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG) =>
        (session(by)?, object(of)?, template, count);
    C_FindObjectsInit(by: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG) =>
        (session(by)?, template, count);
    C_FindObjects(by: CK_SESSION_HANDLE, found: CK_OBJECT_HANDLE_PTR, room: CK_ULONG, count: CK_ULONG_PTR) =>
        (session(by)?, found, room, count) { (0..unsafe { *count } as usize).for_each(|place| show(unsafe { found.add(place) })) };
    C_FindObjectsFinal(by: CK_SESSION_HANDLE) => (session(by)?);
    C_EncryptInit(by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) =>
        (session(by)?, how, object(key)?);
    C_Encrypt(by: CK_SESSION_HANDLE, data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, room: CK_ULONG_PTR) =>
        (session(by)?, data, length, out, room);
    C_DecryptInit(by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) =>
        (session(by)?, how, object(key)?);
    C_Decrypt(by: CK_SESSION_HANDLE, data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, room: CK_ULONG_PTR) =>
        (session(by)?, data, length, out, room);
    C_SignInit(by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) =>
        (session(by)?, how, object(key)?);
    C_Sign(by: CK_SESSION_HANDLE, data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, room: CK_ULONG_PTR) =>
        (session(by)?, data, length, out, room);
    C_VerifyInit(by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) =>
        (session(by)?, how, object(key)?);
    C_Verify(by: CK_SESSION_HANDLE, data: CK_BYTE_PTR, length: CK_ULONG, signed: CK_BYTE_PTR, bytes: CK_ULONG) =>
        (session(by)?, data, length, signed, bytes);
    C_GenerateKey(
        by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        made: CK_OBJECT_HANDLE_PTR
    ) => (session(by)?, how, template, count, made) { show(made) };
    C_GenerateKeyPair(
        by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, public: CK_ATTRIBUTE_PTR, publics: CK_ULONG,
        private: CK_ATTRIBUTE_PTR, privates: CK_ULONG, first: CK_OBJECT_HANDLE_PTR, second: CK_OBJECT_HANDLE_PTR
    ) => (session(by)?, how, public, publics, private, privates, first, second) { show(first); show(second) };
    C_WrapKey(
        by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, under: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, out: CK_BYTE_PTR,
        room: CK_ULONG_PTR
    ) => (session(by)?, how, object(under)?, object(key)?, out, room);
    C_UnwrapKey(
        by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, under: CK_OBJECT_HANDLE, wrapped: CK_BYTE_PTR, length: CK_ULONG,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, made: CK_OBJECT_HANDLE_PTR
    ) => (session(by)?, how, object(under)?, wrapped, length, template, count, made) { show(made) };
    C_DeriveKey(
        by: CK_SESSION_HANDLE, how: CK_MECHANISM_PTR, base: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR,
        count: CK_ULONG, made: CK_OBJECT_HANDLE_PTR
    ) => (session(by)?, how, object(base)?, template, count, made) { show(made) };
    C_SeedRandom(by: CK_SESSION_HANDLE, seed: CK_BYTE_PTR, length: CK_ULONG) => (session(by)?, seed, length);
    C_GenerateRandom(by: CK_SESSION_HANDLE, out: CK_BYTE_PTR, length: CK_ULONG) => (session(by)?, out, length);
}

/// Puts the caller's number where the real module has put its own.
fn show(made: CK_OBJECT_HANDLE_PTR) {
    // SAFETY: after CKR_OK the caller's place holds the handle that the real module has given.
    unsafe { *made = handles::show(*made) }
}

/// Closes every session of a slot in the real module.
pub(crate) fn close_all(slot: CK_SLOT_ID) {
    if let Some(close) = real().and_then(|real| real.C_CloseAllSessions) {
        // SAFETY: the call takes a number.
        unsafe { close(slot) };
    }
}
