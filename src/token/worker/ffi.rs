//! The calls that cryptoki cannot make, and so the only `unsafe` code around modules (PKCS#11 v3.1, sections 5.5, 5.7,
//! 5.13 and 5.18).
//!
//! cryptoki begins and makes a signature in one, with no place for a login between; it has no number for
//! `CKM_AES_KEY_WRAP_KWP`, asks twice for every wrap without cutting the answer to its length, has no attribute that
//! holds a template, reads no description of a token whose clock shows another format than the standard's, and lists no
//! mechanism that it has no name for. The pointers that go out point into vectors and attributes that outlive the call;
//! what comes back is copied before anything is freed.
#![expect(
    unsafe_code,
    reason = "C_Sign, C_WrapKey, C_UnwrapKey, C_CreateObject and two that describe are called through the module's list"
)]

use cryptoki::{
    context::Function,
    error::{Error, Result, Rv, RvError},
    object::{Attribute, ObjectHandle},
    session::Session,
    slot::Slot,
};
use cryptoki_sys::{CK_ATTRIBUTE, CK_FUNCTION_LIST, CK_MECHANISM, CK_TOKEN_INFO, CK_ULONG, CKA_UNWRAP_TEMPLATE};
use std::{path::Path, ptr};

/// The function list of a module that cryptoki has loaded and initialised.
pub(super) struct Module {
    functions: CK_FUNCTION_LIST,
    /// Keeps the code loaded that the list points to.
    _library: cryptoki_sys::Pkcs11,
}

impl Module {
    /// Looks the function list up in a module; the loader gives the copy that cryptoki has loaded already.
    pub(super) fn load(path: &Path) -> Result<Self> {
        // SAFETY: loading runs the module's initialisers. The module is the one that cryptoki loads too, so nothing
        // runs here that does not run anyway.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.map_err(Error::LibraryLoading)?;
        if library.C_GetFunctionList.is_err() {
            return Err(Error::MissingSymbol("C_GetFunctionList"));
        }
        let mut list = ptr::null_mut();
        // SAFETY: the symbol was found, and `list` is a valid place for one pointer.
        let rv = unsafe { library.C_GetFunctionList(&raw mut list) };
        Rv::from(rv).into_result(Function::GetFunctionList)?;
        // SAFETY: after CKR_OK the pointer is null or leads to the module's static list (section 5.4), which is copied.
        let functions = *unsafe { list.as_ref() }.ok_or(Error::NullFunctionPointer)?;
        Ok(Self { functions, _library: library })
    }

    /// What the token in a slot says of itself.
    pub(super) fn token_info(&self, slot: Slot) -> Result<CK_TOKEN_INFO> {
        let call = self.functions.C_GetTokenInfo.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: the module fills the structure, which is a live local.
        let rv = unsafe { call(slot.id(), &raw mut info) };
        Rv::from(rv).into_result(Function::GetTokenInfo)?;
        Ok(info)
    }

    /// Numbers of all mechanisms in a slot; cryptoki leaves those out that it has no name for.
    pub(super) fn mechanisms(&self, slot: Slot) -> Result<Vec<u64>> {
        let call = self.functions.C_GetMechanismList.ok_or(Error::NullFunctionPointer)?;
        let mut count = 0;
        // SAFETY: without a place for a list the module only counts.
        let rv = unsafe { call(slot.id(), ptr::null_mut(), &raw mut count) };
        Rv::from(rv).into_result(Function::GetMechanismList)?;
        count = count.min(MOST_MECHANISMS);
        let mut list = vec![0; usize::try_from(count)?];
        // SAFETY: `list` has room for the `count` numbers that the call is told of.
        let rv = unsafe { call(slot.id(), list.as_mut_ptr(), &raw mut count) };
        Rv::from(rv).into_result(Function::GetMechanismList)?;
        list.truncate(usize::try_from(count)?);
        Ok(list)
    }

    /// Signs by the key and mechanism that `C_SignInit` was given in this session, in one call.
    pub(super) fn sign(&self, session: &Session, data: &[u8]) -> Result<Vec<u8>> {
        let call = self.functions.C_Sign.ok_or(Error::NullFunctionPointer)?;
        let mut signature = vec![0; LONGEST_SIGNATURE_BYTES];
        let mut length = CK_ULONG::try_from(signature.len())?;
        // SAFETY: the module reads `data`, and writes at most the `length` bytes that `signature` has.
        let rv = unsafe {
            call(
                session.handle(),
                data.as_ptr().cast_mut(),
                CK_ULONG::try_from(data.len())?,
                signature.as_mut_ptr(),
                &raw mut length,
            )
        };
        Rv::from(rv).into_result(Function::Sign)?;
        signature.truncate(usize::try_from(length)?);
        Ok(signature)
    }

    /// Wraps a key by a mechanism without parameters, in one call where the answer fits into 4 KiB.
    pub(super) fn wrap_key(
        &self,
        session: &Session,
        mechanism: u64,
        kek: ObjectHandle,
        key: ObjectHandle,
    ) -> Result<Vec<u8>> {
        let call = self.functions.C_WrapKey.ok_or(Error::NullFunctionPointer)?;
        let mut mechanism = without_parameters(mechanism);
        let mut length = FIRST_TRY_BYTES;
        loop {
            let room = usize::try_from(length)?;
            let mut wrapped = vec![0; room];
            // SAFETY: `wrapped` has the `length` bytes that the call is told of; mechanism and length are live locals.
            let rv = unsafe {
                call(
                    session.handle(),
                    &raw mut mechanism,
                    kek.handle(),
                    key.handle(),
                    wrapped.as_mut_ptr(),
                    &raw mut length,
                )
            };
            match Rv::from(rv) {
                Rv::Error(RvError::BufferTooSmall) if length <= LONGEST_BYTES && usize::try_from(length)? > room => {}
                rv => {
                    rv.into_result(Function::WrapKey)?;
                    wrapped.truncate(usize::try_from(length)?);
                    return Ok(wrapped);
                }
            }
        }
    }

    /// Unwraps a key by a mechanism without parameters.
    pub(super) fn unwrap_key(
        &self,
        session: &Session,
        mechanism: u64,
        kek: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle> {
        let call = self.functions.C_UnwrapKey.ok_or(Error::NullFunctionPointer)?;
        let mut mechanism = without_parameters(mechanism);
        let mut attributes: Vec<CK_ATTRIBUTE> = template.iter().map(Into::into).collect();
        let mut handle = 0;
        // SAFETY: the module reads `wrapped` and the attributes, which point into `template`, and writes one handle;
        // both lengths are those of the slices.
        let rv = unsafe {
            call(
                session.handle(),
                &raw mut mechanism,
                kek.handle(),
                wrapped.as_ptr().cast_mut(),
                CK_ULONG::try_from(wrapped.len())?,
                attributes.as_mut_ptr(),
                CK_ULONG::try_from(attributes.len())?,
                &raw mut handle,
            )
        };
        Rv::from(rv).into_result(Function::UnwrapKey)?;
        // SAFETY: the module has just given the handle.
        Ok(unsafe { ObjectHandle::new_from_raw(handle) })
    }

    /// Creates a key with UNWRAP_TEMPLATE; without that attribute if the template for it is empty.
    pub(super) fn create_unwrapping_key(
        &self,
        session: &Session,
        template: &[Attribute],
        unwrap_template: &[Attribute],
    ) -> Result<ObjectHandle> {
        let call = self.functions.C_CreateObject.ok_or(Error::NullFunctionPointer)?;
        let mut nested: Vec<CK_ATTRIBUTE> = unwrap_template.iter().map(Into::into).collect();
        let mut attributes = Vec::with_capacity(template.len() + 1);
        if !nested.is_empty() {
            attributes.push(CK_ATTRIBUTE {
                type_: CKA_UNWRAP_TEMPLATE,
                pValue: nested.as_mut_ptr().cast(),
                ulValueLen: CK_ULONG::try_from(size_of_val(nested.as_slice()))?,
            });
        }
        attributes.extend(template.iter().map(CK_ATTRIBUTE::from));
        let mut handle = 0;
        // SAFETY: the attributes point into `template`, `nested` and through it into `unwrap_template`, all of which
        // outlive the call; the module copies them, and writes one handle.
        let rv = unsafe {
            call(session.handle(), attributes.as_mut_ptr(), CK_ULONG::try_from(attributes.len())?, &raw mut handle)
        };
        Rv::from(rv).into_result(Function::CreateObject)?;
        // SAFETY: the module has just given the handle.
        Ok(unsafe { ObjectHandle::new_from_raw(handle) })
    }
}

const fn without_parameters(mechanism: u64) -> CK_MECHANISM {
    CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 }
}

/// An RSA-4096 signature has 512.
const LONGEST_SIGNATURE_BYTES: usize = 1_024;
/// An RSA-4096 key is 2,384 bytes when it is wrapped.
const FIRST_TRY_BYTES: CK_ULONG = 4_096;
/// The standard has about 500.
const MOST_MECHANISMS: CK_ULONG = 65_536;
/// No module may make us allocate more.
const LONGEST_BYTES: CK_ULONG = 1 << 20;
