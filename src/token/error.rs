//! What can go wrong with a token; crosses the process border as it is.

use super::address::Device;
use crate::base::{
    custody::KekPurpose,
    fault::{Entry, Fault},
    ids::KeyId,
    piv::PivSlot,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Why a token did not do what was asked. Names operation, object, mechanism and CKR code where there are any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TokenError {
    /// The object at this CKA_ID has another public key than the inventory says.
    #[error("key {key} in token `{token}` has another public key than the one recorded for it; it was not used")]
    AnotherKey {
        /// The key.
        key: KeyId,
        /// The token's label.
        token: String,
    },
    /// The wrapped key does not open under this KEK: another KEK, or changed bytes.
    #[error(
        "the wrapped copy of key {key} does not open under the {kek} KEK ({rv}): it was made under another KEK, or it was changed"
    )]
    BlobUnreadable {
        /// The key.
        key: KeyId,
        /// Which KEK was tried.
        kek: KekPurpose,
        /// What the token answered.
        rv: String,
    },
    /// The queue in front of the token is full.
    #[error("the queue of token `{token}` is full ({waiting} requests wait)")]
    Busy {
        /// The token's label.
        token: String,
        /// Requests that wait.
        waiting: usize,
    },
    /// The content key of an inventory does not open under this KEK.
    #[error(
        "the content key of the inventory does not open under the {kek} KEK ({rv}): it was made under another KEK, or it was changed"
    )]
    ContentKeyUnreadable {
        /// Which KEK was tried.
        kek: KekPurpose,
        /// What the token answered.
        rv: String,
    },
    /// The answer did not come in time.
    #[error("token `{token}` did not answer {operation} within {limit_ms} ms")]
    Deadline {
        /// The token's label.
        token: String,
        /// The operation.
        operation: String,
        /// The limit.
        limit_ms: u64,
    },
    /// No such KEK in the token.
    #[error("the {purpose} KEK with id {id} is not in token `{token}`")]
    KekMissing {
        /// What the KEK is for.
        purpose: String,
        /// Its id.
        id: String,
        /// The token's label.
        token: String,
    },
    /// The management key of a PIV application is not at hand, or not the right one.
    #[error("token `{token}` cannot {operation} without its management key: {cause}")]
    ManagementKey {
        /// The token's label.
        token: String,
        /// The operation.
        operation: String,
        /// What is wrong with the key.
        cause: String,
    },
    /// The module cannot be loaded or initialised.
    #[error("the PKCS#11 module {} cannot be used: {cause}", module.display())]
    ModuleUnusable {
        /// Path of the module.
        module: PathBuf,
        /// The loader's or the module's answer.
        cause: String,
    },
    /// The token cannot do this with such a key.
    #[error("token `{token}` cannot {operation}: {cause}")]
    NotCapable {
        /// The token's label.
        token: String,
        /// The operation and the kind of key.
        operation: String,
        /// The missing mechanism, or the CKR code of the trial.
        cause: String,
    },
    /// The key object is not in the token.
    #[error("key {key} is not in token `{token}`")]
    ObjectMissing {
        /// The key.
        key: KeyId,
        /// The token's label.
        token: String,
    },
    /// One try is left, and it is not ours to burn.
    #[error("token `{token}` has one try left for its PIN; it was not sent")]
    PinFinalTry {
        /// The token's label.
        token: String,
    },
    /// The token is locked.
    #[error("the PIN of token `{token}` is locked after wrong tries")]
    PinLocked {
        /// The token's label.
        token: String,
    },
    /// The token refused the PIN.
    #[error("token `{token}` refused the PIN from {source_name} ({rv}); it will not be tried again until it changes")]
    PinRefused {
        /// The token's label.
        token: String,
        /// Where the PIN came from.
        source_name: String,
        /// CKR code.
        rv: String,
    },
    /// So many wrong PINs were sent that no other one is, for a while.
    #[error("token `{token}` refused {tries} PINs in a row; none is sent to it for {minutes} minutes")]
    PinTries {
        /// The token's label.
        token: String,
        /// How many.
        tries: usize,
        /// Until the next one may be sent.
        minutes: u64,
    },
    /// The PIN source gave nothing usable.
    #[error("the PIN of token `{token}` cannot be read from {source_name}: {cause}")]
    PinUnreadable {
        /// The token's label.
        token: String,
        /// Where it should come from.
        source_name: String,
        /// What is wrong.
        cause: String,
    },
    /// The new PIN cannot be put into its file.
    #[error("the new PIN of token `{token}` cannot be put into {source_name}: {cause}")]
    PinUnstorable {
        /// The token's label.
        token: String,
        /// Where it should go.
        source_name: String,
        /// The system's answer.
        cause: String,
    },
    /// The token takes no such PIN as its new one.
    #[error("token `{token}` takes no such PIN ({cause}); it keeps the old one")]
    PinUnsuitable {
        /// The token's label.
        token: String,
        /// Its limits, or its CKR code.
        cause: String,
    },
    /// The key unwrapped, but it is not the key that it should be.
    #[error("key {key} does not prove itself: {cause}")]
    ProofFailed {
        /// The key.
        key: KeyId,
        /// What did not hold.
        cause: String,
    },
    /// Child and parent do not understand each other.
    #[error("the token worker answered out of turn: {detail}")]
    Protocol {
        /// What was seen.
        detail: String,
    },
    /// The request was in flight at two deaths of the worker.
    #[error("{operation} was under way at two deaths of the worker of token `{token}` and is not tried again")]
    Quarantined {
        /// The token's label.
        token: String,
        /// The operation.
        operation: String,
    },
    /// The module refused.
    #[error("token `{token}` refused {operation} on {object} ({mechanism}): {rv}")]
    Refused {
        /// The token's label.
        token: String,
        /// The operation.
        operation: String,
        /// What it was to act on.
        object: String,
        /// Mechanism, or `no mechanism`.
        mechanism: String,
        /// CKR code.
        rv: String,
    },
    /// The PIN was not given yet, or was taken away.
    #[error("token `{token}` is sealed: nobody has given its PIN")]
    Sealed {
        /// The token's label.
        token: String,
    },
    /// The slot has a key, which is never written over.
    #[error("slot {slot} of token `{token}` holds {holder} already; empty slots: {}", if free.is_empty() { "none" } else { free.as_str() })]
    SlotTaken {
        /// The token's label.
        token: String,
        /// The slot.
        slot: PivSlot,
        /// What is in it.
        holder: String,
        /// The empty slots.
        free: String,
    },
    /// More than one token has the label.
    #[error("there is more than one token `{label}` in the slots of {} (serial numbers: {serials}); none was used", module.display())]
    TokenAmbiguous {
        /// Label looked for.
        label: String,
        /// Path of the module.
        module: PathBuf,
        /// Serial numbers of the tokens that have it.
        serials: String,
    },
    /// The token is not in any slot of the module.
    #[error("token `{label}` is not {} (tokens there: {})", device.place(), if seen.is_empty() { "none" } else { seen.as_str() })]
    TokenAbsent {
        /// Label looked for.
        label: String,
        /// What should lead to it.
        device: Device,
        /// Labels that are there.
        seen: String,
    },
    /// Nobody touched the device in time.
    #[error("token `{token}` was not touched in time for {operation} with key {key}")]
    TouchMissed {
        /// The key.
        key: KeyId,
        /// The token's label.
        token: String,
        /// The operation.
        operation: String,
    },
    /// An object that was there before is weaker than its policy, and was left alone.
    #[error("key {key} is in the token already, but weaker than its policy ({attribute}); it was left as it is")]
    WeakerInToken {
        /// The key.
        key: KeyId,
        /// The attribute that does not hold.
        attribute: String,
    },
    /// An object came out weaker than its policy and was destroyed.
    #[error("key {key} came out weaker than its policy ({attribute}) and was destroyed at once")]
    WeakerThanPolicy {
        /// The key.
        key: KeyId,
        /// The attribute that does not hold.
        attribute: String,
    },
    /// The worker died while the request was with it, and the request may have changed the token.
    #[error("the worker of token `{token}` ended while {operation} was under way")]
    WorkerLost {
        /// The token's label.
        token: String,
        /// The operation.
        operation: String,
    },
    /// The worker cannot be started.
    #[error("the worker of token `{token}` cannot be started: {cause}")]
    WorkerUnstartable {
        /// The token's label.
        token: String,
        /// The system's answer.
        cause: String,
    },
}

crate::catalogue! {
    ANOTHER_KEY = Conflict, "key-mismatch", "the key in the token is not the recorded one", "nothing was signed; compare `keyward key show KEY` with the token (`keyward doctor`), and restore the key from a backup if the object was replaced";
    KEK_DIFFERS = Conflict, "kek-differs", "the copies are under another KEK", "give the share file of the ceremony whose KCVs the archive's manifest names (`--share-file F`), or bring its KEKs into this token with `keyward ceremony recover`; if the KCVs match, the archive was changed: take another copy";
    BUSY = Unavailable, "token-busy", "the token's queue is full", "try again after the time in Retry-After; if it happens often, send fewer requests at once or raise the number of sessions";
    DEADLINE = Unavailable, "token-timeout", "the token did not answer in time", "the worker is restarted by itself; try again, and look at the device or its network link if it happens again";
    KEK_MISSING = Conflict, "kek-missing", "the token has no such KEK", "bring the KEK back from its shares with `keyward ceremony recover`, or make keys with `--policy token-only`";
    MANAGEMENT_KEY = Locked, "management-key", "the management key of the YubiKey is missing or wrong", "write it as hexadecimal digits into a file of this user with mode 0600, and name that file as `management_key_file` in the token's section of keyward.toml; it is needed to make and delete keys and to store certificates, not to sign";
    MODULE_UNUSABLE = TokenAbsent, "module-unusable", "the PKCS#11 module cannot be loaded", "check the path in `token.module` of keyward.toml (`--token-module` at init), its architecture and its own configuration";
    NOT_CAPABLE = Unsupported, "token-not-capable", "the token cannot do this", "`keyward doctor` lists what the token can do; choose another algorithm or policy, or another token";
    OBJECT_MISSING = NotFound, "key-object-missing", "the key object is not in the token", "restore it with `keyward backup restore latest --key KEY`; `keyward status` shows every key that is missing";
    PIN_FINAL_TRY = Locked, "pin-final-try", "one PIN try is left", "log in once with the right PIN by the vendor's own tool, which resets the count; keyward never uses the last try";
    PIN_LOCKED = Locked, "pin-locked", "the PIN is locked", "reset the user PIN with the SO PIN by the vendor's tool, then put the new PIN into keyward's PIN source";
    PIN_REFUSED = Locked, "pin-refused", "the token refused the PIN", "put the right PIN into the source that the message names; keyward sends a refused PIN only once";
    PIN_TRIES = Locked, "pin-tries", "too many wrong PINs", "make sure of the right PIN; then wait as long as the message says, or restart the service, and give it by `keyward token unlock` or in the PIN source";
    PIN_UNREADABLE = Locked, "pin-unreadable", "the PIN cannot be read", "mend the source as the message says (a file must be readable by this user and by no other, mode 0600; a command must print the PIN and end with 0), or give the PIN by `keyward token unlock`";
    PIN_UNSTORABLE = Unavailable, "pin-unstorable", "the new PIN cannot be put into its file", "this user must be able to write the folder of the PIN file; if a file with the same name and `.new` is beside it, it has the PIN that the token may have already, and the next login finds out";
    PIN_UNSUITABLE = Invalid, "pin-unsuitable", "the token takes no such PIN", "choose another one, of a length and of characters that the token takes";
    PROOF_FAILED = Conflict, "key-not-proved", "a key is not the one it should be", "do not use this copy; take another archive, and compare the public keys in its manifest with the inventory";
    PROTOCOL = Internal, "worker-protocol", "worker and service disagree", "both must be the same build of keyward; restart the service, and report it if it happens again";
    QUARANTINED = Unavailable, "request-quarantined", "a request that twice ended the worker", "do not send it again; run `keyward doctor` and report the module's version";
    REFUSED = Unavailable, "token-refused", "the module refused the operation", "look the CKR code up in the module's own log; `keyward doctor` tries the same operation on a scratch key";
    SEALED = Locked, "token-sealed", "the token is sealed", "`keyward token unlock TOKEN` and give its PIN; everything that does not need the token works meanwhile";
    SLOT_TAKEN = Conflict, "slot-taken", "the slot has a key already", "name an empty slot by `--slot`; keyward never writes over a key: `keyward key destroy KEY` empties a slot where the firmware can delete keys (5.7), the vendor's tool anywhere";
    TOKEN_ABSENT = TokenAbsent, "token-absent", "the token is not there", "plug it in, start its service (a YubiKey needs pcscd) or bring its folder back; if it is there, compare `token.label` and the module's own configuration in keyward.toml";
    TOKEN_AMBIGUOUS = TokenAbsent, "token-ambiguous", "several tokens have the label", "take away the token that is not meant, or give it another label by the vendor's tool; the message has the serial numbers";
    TOUCH_MISSED = Unavailable, "touch-missed", "nobody touched the device", "ask again and touch the contact of the YubiKey while it blinks, within 15 seconds; the key wants that by its touch policy, which cannot be changed";
    WEAKER_IN_TOKEN = Conflict, "weaker-in-token", "the key in the token is weaker than its policy", "another program has put it there or changed it; destroy that object by the vendor's tool, then restore the key again";
    WEAKER_THAN_POLICY = Unsupported, "weaker-than-policy", "the token did not keep the key's attributes", "this token does not enforce the policy; `keyward doctor` says which attribute it ignores";
    WORKER_LOST = Unavailable, "worker-lost", "the token worker ended during the request", "a new worker starts by itself; check with `keyward key list` whether the change took effect before trying again";
    WORKER_UNSTARTABLE = Internal, "worker-unstartable", "the token worker cannot be started", "check the limits on processes and open files of this user, and that the keyward binary is still in its place";
}

impl TokenError {
    /// Whether the token is not there, or not to be told from others: its keys are absent then.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::ModuleUnusable { .. } | Self::TokenAbsent { .. } | Self::TokenAmbiguous { .. })
    }

    /// Whether the request that ended so never came to the token, or was turned away by it before it did anything, so
    /// that nothing in it can have changed.
    #[must_use]
    pub const fn is_before_the_token(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::ManagementKey { .. }
                | Self::ModuleUnusable { .. }
                | Self::PinFinalTry { .. }
                | Self::PinLocked { .. }
                | Self::PinRefused { .. }
                | Self::PinTries { .. }
                | Self::PinUnreadable { .. }
                | Self::Sealed { .. }
                | Self::SlotTaken { .. }
                | Self::TokenAbsent { .. }
                | Self::WorkerUnstartable { .. }
        )
    }
}

impl Fault for TokenError {
    fn entry(&self) -> Entry {
        match self {
            Self::AnotherKey { .. } => ANOTHER_KEY,
            Self::BlobUnreadable { .. } | Self::ContentKeyUnreadable { .. } => KEK_DIFFERS,
            Self::Busy { .. } => BUSY,
            Self::Deadline { .. } => DEADLINE,
            Self::KekMissing { .. } => KEK_MISSING,
            Self::ManagementKey { .. } => MANAGEMENT_KEY,
            Self::ModuleUnusable { .. } => MODULE_UNUSABLE,
            Self::NotCapable { .. } => NOT_CAPABLE,
            Self::ObjectMissing { .. } => OBJECT_MISSING,
            Self::PinFinalTry { .. } => PIN_FINAL_TRY,
            Self::PinLocked { .. } => PIN_LOCKED,
            Self::PinRefused { .. } => PIN_REFUSED,
            Self::PinTries { .. } => PIN_TRIES,
            Self::PinUnreadable { .. } => PIN_UNREADABLE,
            Self::PinUnstorable { .. } => PIN_UNSTORABLE,
            Self::PinUnsuitable { .. } => PIN_UNSUITABLE,
            Self::ProofFailed { .. } => PROOF_FAILED,
            Self::Protocol { .. } => PROTOCOL,
            Self::Quarantined { .. } => QUARANTINED,
            Self::Refused { .. } => REFUSED,
            Self::Sealed { .. } => SEALED,
            Self::SlotTaken { .. } => SLOT_TAKEN,
            Self::TokenAbsent { .. } => TOKEN_ABSENT,
            Self::TokenAmbiguous { .. } => TOKEN_AMBIGUOUS,
            Self::TouchMissed { .. } => TOUCH_MISSED,
            Self::WeakerInToken { .. } => WEAKER_IN_TOKEN,
            Self::WeakerThanPolicy { .. } => WEAKER_THAN_POLICY,
            Self::WorkerLost { .. } => WORKER_LOST,
            Self::WorkerUnstartable { .. } => WORKER_UNSTARTABLE,
        }
    }
}
