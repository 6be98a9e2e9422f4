//! The token itself: module, slot, description, sessions, login, and the rebuild of all that.

use super::{
    Backend,
    fault::{Failure, NO_MECHANISM, rv_name},
    index::Index,
    info::TokenInfo,
};
use crate::base::secret::Secret;
use crate::token::{
    address::{Device, TokenAddress, TokenDescription},
    error::TokenError,
    message::OpenToken,
    worker::{ffi::Module, lock},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    session::{Session, UserType},
    slot::Slot,
    types::RawAuthPin,
};
use std::{
    fs::File,
    path::Path,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// One token of a loaded module.
pub(super) struct Token {
    address: TokenAddress,
    pub(super) context: Pkcs11,
    pub(super) module: Module,
    pub(super) slot: Slot,
    /// It was seen to make no pair whose every usage is named.
    usage_open: AtomicBool,
    /// Locked for life, so that no second worker of this instance opens a token beside this one.
    _lock: File,
}

/// A login that lasts: closing the last session of a process logs out, so this one stays open.
pub(super) struct Login {
    pub(super) _session: Session,
    /// The PIN that the token has taken; none once it has refused it.
    pub(super) pin: Option<Secret>,
}

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// `CKU_SO`.
    SecurityOfficer,
    /// `CKU_USER`.
    User,
}

impl Backend {
    /// Waits for the lock, loads the module and finds the token by its label.
    pub(in crate::token::worker) fn open(open: &OpenToken) -> Result<Self, TokenError> {
        let token = Token::open(open)?;
        Ok(Self {
            token,
            login: Mutex::default(),
            index: RwLock::default(),
            adopted: Mutex::default(),
            objects: RwLock::default(),
            generation: AtomicU64::new(0),
            session_keks: Mutex::default(),
        })
    }

    /// What the token says of itself.
    pub(super) fn describe(&self) -> Result<TokenDescription, TokenError> {
        let info = self.token.info().map_err(|failure| *failure.error)?;
        Ok(TokenDescription {
            label: info.label(),
            manufacturer: info.manufacturer(),
            model: info.model(),
            serial: info.serial(),
            firmware: info.firmware(),
            pin_count_low: info.user_pin().count_low,
            so_pin_count_low: info.so_pin().count_low,
        })
    }

    /// Logs the user in, for all sessions of the process, and fills the index.
    pub(super) fn log_in(&self, session: &Session, pin: &Secret) -> Result<(), Failure> {
        let mut login = self.login();
        let lasting = self.token.open_session()?;
        let taken = self.token.log_in(&lasting, Who::User, pin)?;
        // "Already logged in" says nothing about this PIN; the earlier one is known to be good.
        let pin = match (taken, login.take().and_then(|earlier| earlier.pin)) {
            (Taken::Already, earlier) => earlier,
            (Taken::Now, _) => Some(pin.duplicate()),
        };
        *login = Some(Login { _session: lasting, pin });
        drop(login);
        self.refresh(session).map(|_| ())
    }

    /// Whether the user was logged in; a session fault may have undone it since.
    pub(super) fn is_logged_in(&self) -> bool {
        self.login().is_some()
    }

    /// Makes sessions, login and index anew, once for all threads that saw the same fault.
    pub(super) fn rebuild(&self, seen: u64) -> Result<(), Failure> {
        let mut login = self.login();
        if self.generation.load(Ordering::Acquire) != seen {
            return Ok(());
        }
        let Some(current) = login.as_mut() else {
            return Err(self.token.refused("login", "the token", "CKR_USER_NOT_LOGGED_IN"));
        };
        // Their session is of the old generation; a restore by shares has to bring them again.
        self.close_session_keks();
        let session = self.token.open_session()?;
        let lost = || self.token.refused("login", "the token", "the PIN is not kept any more");
        let pin = current.pin.take().ok_or_else(lost)?;
        // A PIN that the token refuses now is dropped here and never sent again.
        self.token.log_in(&session, Who::User, &pin)?;
        current.pin = Some(pin);
        current._session = session;
        let reader = self.token.open_session()?;
        self.refresh(&reader)?;
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Reads all objects again; how many keys there are.
    pub(super) fn refresh(&self, session: &Session) -> Result<usize, Failure> {
        let _searching = self.searching();
        let mut index = Index::read(&self.token, session)?;
        self.resolve_adopted(session, &mut index)?;
        let count = index.count();
        *self.index_mut() = index;
        Ok(count)
    }
}

/// How a login came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Another session had logged in; the PIN was not looked at.
    Already,
    /// The token has taken this PIN.
    Now,
}

impl Token {
    fn open(open: &OpenToken) -> Result<Self, TokenError> {
        let address = open.address.clone();
        let lock = lock::take(open)?;
        let context = load(&address)?;
        let module = Module::load(module_of(&address)?).map_err(unusable(&address))?;
        let slot = find_slot(&context, &module, &address)?;
        Ok(Self { address, context, module, slot, usage_open: AtomicBool::new(false), _lock: lock })
    }

    /// The token's label, as errors name it.
    pub(super) fn name(&self) -> String {
        self.address.label.clone()
    }

    /// That PKCS#11 knows no attestation.
    pub(super) fn unattested(&self) -> Failure {
        TokenError::NotCapable {
            token: self.name(),
            operation: "attest keys".to_owned(),
            cause: "PKCS#11 has no such function; a YubiKey that is named by its serial number has".to_owned(),
        }
        .into()
    }

    /// Whether it was seen to make no pair whose every usage is named.
    pub(super) fn leaves_usage_open(&self) -> bool {
        self.usage_open.load(Ordering::Acquire)
    }

    /// It was seen to make no pair whose every usage is named.
    pub(super) fn leave_usage_open(&self) {
        self.usage_open.store(true, Ordering::Release);
    }

    /// A new read-write session.
    pub(super) fn open_session(&self) -> Result<Session, Failure> {
        self.context.open_rw_session(self.slot).map_err(self.refusal("open session", "the token", NO_MECHANISM))
    }

    /// Logs in, unless the token says that its last try is at stake.
    pub(super) fn log_in(&self, session: &Session, who: Who, pin: &Secret) -> Result<Taken, Failure> {
        let user = match who {
            Who::SecurityOfficer => UserType::So,
            Who::User => UserType::User,
        };
        self.check_tries(&self.info()?, who)?;
        let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(user, &pin) {
            Ok(()) => Ok(Taken::Now),
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Taken::Already),
            Err(error) => Err(self.login_refusal(who, error)),
        }
    }

    /// Turns a PIN away where a wrong one would be the last.
    pub(super) fn check_tries(&self, info: &TokenInfo, who: Who) -> Result<(), Failure> {
        let state = match who {
            Who::SecurityOfficer => info.so_pin(),
            Who::User => info.user_pin(),
        };
        if state.locked {
            return Err(TokenError::PinLocked { token: self.name() }.into());
        }
        if state.final_try {
            return Err(TokenError::PinFinalTry { token: self.name() }.into());
        }
        Ok(())
    }

    pub(super) fn login_refusal(&self, who: Who, error: Error) -> Failure {
        let token = self.name();
        match error {
            Error::Pkcs11(RvError::PinLocked, _) => TokenError::PinLocked { token }.into(),
            Error::Pkcs11(
                RvError::PinExpired | RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            ) => TokenError::PinRefused { token, source_name: who.pin_name().to_owned(), rv: rv_name(&error) }.into(),
            other => self.refusal("login", "the token", NO_MECHANISM)(other),
        }
    }
}

impl Who {
    /// Names the PIN where the worker knows more than the pool, which knows where the user's PIN came from.
    const fn pin_name(self) -> &'static str {
        match self {
            Self::SecurityOfficer => crate::token::message::SO_PIN_SOURCE,
            Self::User => "",
        }
    }
}

/// Loads and initialises the module.
pub(super) fn load(address: &TokenAddress) -> Result<Pkcs11, TokenError> {
    let context = Pkcs11::new(module_of(address)?).map_err(unusable(address))?;
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(|error| {
        // The library is a PKCS#11 module, but what lies behind it is not there: SoftHSM's folder, a service, a device.
        let seen = format!("none: C_Initialize answered {}", rv_name(&error));
        TokenError::TokenAbsent { label: address.label.clone(), device: address.device.clone(), seen }
    })?;
    Ok(context)
}

fn unusable(address: &TokenAddress) -> impl Fn(Error) -> TokenError {
    |error| TokenError::ModuleUnusable { module: address.device.to_string().into(), cause: rv_name(&error) }
}

/// The module that leads to the token; only addresses that have one come here.
pub(super) fn module_of(address: &TokenAddress) -> Result<&Path, TokenError> {
    match &address.device {
        Device::Module(path) => Ok(path),
        other => Err(TokenError::Protocol { detail: format!("{other} is no PKCS#11 module") }),
    }
}

/// The slot of the only token that has the label; slot numbers change and are never stored.
fn find_slot(context: &Pkcs11, module: &Module, address: &TokenAddress) -> Result<Slot, TokenError> {
    let mut tokens = Vec::new();
    for slot in context.get_slots_with_token().map_err(unusable(address))? {
        // A slot that does not answer is not the one; the others may be well.
        match TokenInfo::read(module, slot) {
            Ok(info) if info.is_initialized() => tokens.push((slot, info.label(), info.serial())),
            _ => {}
        }
    }
    only(&tokens, address).copied()
}

/// The one of these tokens, with label and serial number, that the address names.
fn only<'a, T>(tokens: &'a [(T, String, String)], address: &TokenAddress) -> Result<&'a T, TokenError> {
    let (label, device) = (address.label.clone(), address.device.clone());
    let named: Vec<_> = tokens.iter().filter(|(_, seen, _)| *seen == label).collect();
    let list = |texts: Vec<&str>| texts.join(", ");
    match named.as_slice() {
        [(slot, _, _)] => Ok(slot),
        [] => {
            let seen = list(tokens.iter().map(|(_, seen, _)| seen.as_str()).collect());
            Err(TokenError::TokenAbsent { label, device, seen })
        }
        several => {
            let serials = list(several.iter().map(|(_, _, serial)| serial.as_str()).collect());
            Err(TokenError::TokenAmbiguous { label, module: device.to_string().into(), serials })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(slot: u8, label: &str, serial: &str) -> (u8, String, String) {
        (slot, label.to_owned(), serial.to_owned())
    }

    #[test]
    fn a_token_is_found_by_its_label_only_if_no_other_one_has_it() {
        let address = TokenAddress { device: "/usr/lib/p11.so".into(), label: "rig".to_owned() };
        let (first, second, other) = (token(1, "rig", "0a"), token(2, "rig", "0b"), token(3, "other", "0c"));

        assert_eq!(only(&[other.clone(), first.clone()], &address), Ok(&1));
        let ambiguous = only(&[first, other.clone(), second], &address).unwrap_err();
        assert!(ambiguous.to_string().contains("(serial numbers: 0a, 0b)"), "{ambiguous}");
        let absent = only(&[other], &address).unwrap_err();
        assert!(absent.to_string().contains("(tokens there: other)"), "{absent}");
    }
}
