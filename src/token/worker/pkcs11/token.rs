//! The token itself: module, slot, description, sessions, login, and the rebuild of all that.

use super::{
    Backend,
    fault::{Failure, NO_MECHANISM, rv_name},
    index::Index,
    info::TokenInfo,
    sessions::Sessions,
};
use crate::base::secret::Secret;
use crate::token::{
    address::{Device, TokenAddress, TokenDescription},
    error::TokenError,
    message::OpenToken,
    pin::RefusedPin,
    worker::{ffi::Module, lock},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11},
    error::{Error, RvError},
    session::{Session, SessionState, UserType},
    slot::Slot,
    types::RawAuthPin,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
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
    /// The user PIN that the token has taken; none before, and once it has refused it.
    kept: Mutex<Option<Secret>>,
    /// Where a refused PIN is remembered.
    state_directory: PathBuf,
    /// Locked for life, so that no second worker of this instance opens a token beside this one.
    _lock: File,
}

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// `CKU_CONTEXT_SPECIFIC`: the user, for one operation.
    Once,
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
            generation: RwLock::new(0),
            sessions: Sessions::default(),
            session_keks: Mutex::default(),
            in_vain: AtomicU32::new(0),
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
        // "Already logged in" says nothing about this PIN; the earlier one is known to be good.
        if self.token.log_in(&lasting, Who::User, pin)? == Taken::Now {
            self.token.keep(pin.duplicate());
        }
        *login = Some(lasting);
        drop(login);
        self.refresh(session).map(|_| ())
    }

    /// Whether the user was logged in; a session fault may have undone it since.
    pub(super) fn is_logged_in(&self) -> bool {
        self.login().is_some()
    }

    /// A light sign of life of everything that a module may drop: token, login, sessions that wait.
    pub(super) fn keep_alive(&self) -> Result<(), Failure> {
        let touch = || {
            self.token.context.get_token_info(self.token.slot)?;
            if let Some(login) = self.login().as_ref() {
                check_login(login)?;
            }
            self.sessions.touch_idle()
        };
        touch().map_err(self.token.refusal("keep alive", "the token", NO_MECHANISM))
    }

    /// Makes sessions, login and index anew, once for all threads that saw the same fault.
    pub(super) fn rebuild(&self, seen: u64) -> Result<(), Failure> {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        if *generation != seen {
            return Ok(());
        }
        *generation += 1;
        // A fault seldom comes alone, and a second try costs less than a new process.
        self.renew().or_else(|_| self.renew()).inspect_err(|_| {
            // Until the process ends nobody may meet new objects by old numbers: nothing is done without a login.
            *self.login() = None;
        })
    }

    fn renew(&self) -> Result<(), Failure> {
        let mut login = self.login();
        // Their session is of the old generation; a restore by shares has to bring them again.
        self.close_session_keks();
        self.sessions.close_idle();
        *login = None;
        *self.index_mut() = Index::default();
        let session = self.token.open_session()?;
        self.token.log_in_again(&session, Who::User)?;
        let login = login.insert(session);
        self.refresh(login).map(|_| ())
    }

    /// Reads all objects again; how many keys there are.
    pub(super) fn refresh(&self, session: &Session) -> Result<usize, Failure> {
        let _searching = self.searching();
        let mut index = Index::read(&self.token, session)?;
        self.resolve_adopted(session, &mut index)?;
        // Where the login is lost a token shows its public objects, and no error.
        check_login(session).map_err(self.token.refusal("find objects", "the token", NO_MECHANISM))?;
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
        let state_directory = open.lock_file.parent().unwrap_or(Path::new("")).to_owned();
        let (kept, usage_open) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { address, context, module, slot, usage_open, kept, state_directory, _lock: lock })
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
        self.new_session().map_err(self.refusal("open session", "the token", NO_MECHANISM))
    }

    /// The same with the module's own error.
    pub(super) fn new_session(&self) -> Result<Session, Error> {
        self.context.open_rw_session(self.slot)
    }

    /// Gives the PIN for the operation that has begun in this session: its key asks for it each time
    /// (`CKA_ALWAYS_AUTHENTICATE`).
    pub(super) fn authenticate(&self, session: &Session) -> Result<(), Failure> {
        self.log_in_again(session, Who::Once)
    }

    /// Logs in by the PIN that the token has taken before. One that it refuses now is never sent again, neither from
    /// here nor by another process.
    fn log_in_again(&self, session: &Session, who: Who) -> Result<(), Failure> {
        let mut kept = self.kept();
        let Some(pin) = kept.as_ref() else {
            let (token, source_name) = (self.name(), who.pin_name().to_owned());
            return Err(
                TokenError::PinRefused { token, source_name, rv: "as before; not sent again".to_owned() }.into()
            );
        };
        let taken = self.log_in(session, who, pin).map(|_| ());
        if let Err(failure) = &taken
            && matches!(*failure.error, TokenError::PinRefused { .. })
        {
            RefusedPin::of_user(&self.state_directory).keep_in_mind(pin);
            *kept = None;
        }
        taken
    }

    fn keep(&self, pin: Secret) {
        *self.kept() = Some(pin);
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Option<Secret>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs in, unless the token says that its last try is at stake.
    pub(super) fn log_in(&self, session: &Session, who: Who, pin: &Secret) -> Result<Taken, Failure> {
        let user = match who {
            Who::Once => UserType::ContextSpecific,
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
            Who::Once | Who::User => info.user_pin(),
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
            Self::Once | Self::User => "",
        }
    }
}

fn check_login(session: &Session) -> Result<(), Error> {
    match session.get_session_info()?.session_state() {
        SessionState::RwUser => Ok(()),
        _ => Err(Error::Pkcs11(RvError::UserNotLoggedIn, Function::GetSessionInfo)),
    }
}

/// Loads and initialises the module.
pub(super) fn load(address: &TokenAddress) -> Result<Pkcs11, TokenError> {
    let context = Pkcs11::new(module_of(address)?).map_err(unusable(address))?;
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // A module that has done so by itself is as good as another.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(context),
        Err(error) if is_of_module(&error) => Err(unusable(address)(error)),
        Err(error) => {
            // The library is a PKCS#11 module, but what is behind it is away: SoftHSM's folder, a service, a device.
            let seen = format!("none: C_Initialize answered {}", rv_name(&error));
            Err(TokenError::TokenAbsent { label: address.label.clone(), device: address.device.clone(), seen })
        }
    }
}

/// Whether a module says by an error of `C_Initialize` that it cannot work in such a process.
fn is_of_module(error: &Error) -> bool {
    matches!(
        error,
        Error::NullFunctionPointer
            | Error::Pkcs11(
                RvError::ArgumentsBad
                    | RvError::CantLock
                    | RvError::FunctionNotSupported
                    | RvError::HostMemory
                    | RvError::NeedToCreateThreads,
                _
            )
    )
}

fn unusable(address: &TokenAddress) -> impl Fn(Error) -> TokenError {
    |error| {
        let cause = match &error {
            Error::Pkcs11(_, function) => format!("C_{function:?} answered {}", rv_name(&error)),
            _ => rv_name(&error),
        };
        TokenError::ModuleUnusable { module: address.device.to_string().into(), cause }
    }
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
    let (mut tokens, mut silent) = (Vec::new(), None);
    for slot in context.get_slots_with_token().map_err(unusable(address))? {
        match TokenInfo::read(module, slot) {
            Ok(info) if info.is_initialized() => tokens.push((slot, info.label(), info.serial())),
            Ok(_) => {}
            // The others may be well, and theirs may be the one.
            Err(error) => silent = Some(format!("one that does not answer: {}", rv_name(&error))),
        }
    }
    only(&tokens, address).copied().map_err(|error| match (error, silent) {
        (TokenError::TokenAbsent { label, device, seen }, Some(silent)) => {
            let seen = if seen.is_empty() { silent } else { format!("{seen}, {silent}") };
            TokenError::TokenAbsent { label, device, seen }
        }
        (error, _) => error,
    })
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
