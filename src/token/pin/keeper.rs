//! What stands before a PIN: gives it to a login unless it is sealed or was refused, and hears what came of it.

use super::{
    PinSource, RefusedPin, replacement,
    tries::{self, Tries},
};
use crate::base::secret::Secret;
use crate::token::error::TokenError;
use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// One PIN of one token, as the parent has it.
#[derive(Debug)]
pub(in crate::token) struct PinKeeper {
    token: String,
    source: PinSource,
    refused: RefusedPin,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    held: Held,
    /// The PIN of a change that is under way, or whose outcome is not known.
    next: Option<Secret>,
    /// A change is under way, so that no login can say how it ended.
    is_changing: bool,
    tries: Tries,
}

/// What counts as the PIN.
#[derive(Debug)]
enum Held {
    /// What a person gave.
    Given(Secret),
    /// Nothing, until a person gives it.
    Sealed,
    /// What the source says.
    Source,
}

/// A PIN that may be sent, and where it came from.
#[derive(Debug)]
pub(in crate::token) struct Candidate {
    pin: Secret,
    origin: Origin,
    source_name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// By a person, now.
    Given,
    /// Of a change that was not brought to its end.
    Next,
    /// What counts as the PIN.
    Present,
}

impl Candidate {
    /// A copy for one request.
    pub(in crate::token) fn pin(&self) -> Secret {
        self.pin.duplicate()
    }
}

impl PinKeeper {
    /// A source that a person has to be asked for begins sealed, unless there is a terminal to ask at.
    pub(in crate::token) fn new(token: &str, source: PinSource, refused: RefusedPin) -> Self {
        let held = if matches!(source, PinSource::Prompt(None)) { Held::Sealed } else { Held::Source };
        let state = State { held, next: None, is_changing: false, tries: Tries::default() };
        Self { token: token.to_owned(), source, refused, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has given the PIN, or it was taken away.
    pub(in crate::token) fn is_sealed(&self) -> bool {
        matches!(self.state().held, Held::Sealed)
    }

    /// What messages call the source in the settings.
    pub(in crate::token) fn source_name(&self) -> String {
        self.source.name()
    }

    /// Whether a change of the PIN goes into the source as well.
    pub(in crate::token) const fn stores(&self) -> bool {
        matches!(self.source, PinSource::File(_))
    }

    /// Turns away whoever needs the PIN of a sealed token.
    ///
    /// # Errors
    /// [`TokenError::Sealed`].
    pub(in crate::token) fn check_unsealed(&self) -> Result<(), TokenError> {
        if self.is_sealed() { Err(TokenError::Sealed { token: self.token.clone() }) } else { Ok(()) }
    }

    /// The PINs that a login may send, in this order: more than one only after a change whose outcome is not known.
    ///
    /// # Errors
    /// The token is sealed, the source gives nothing, each of them was refused before, or there were too many.
    pub(in crate::token) async fn candidates(&self) -> Result<Vec<Candidate>, TokenError> {
        let mut candidates = vec![self.present().await?];
        candidates.extend(self.next());
        let known = candidates.len();
        candidates.retain(|candidate| !self.refused.knows(&candidate.pin));
        if candidates.is_empty() {
            let source_name = self.sources(known);
            return Err(TokenError::PinRefused { token: self.token.clone(), source_name, rv: BEFORE.to_owned() });
        }
        self.check_tries()?;
        Ok(candidates)
    }

    /// The first of [`Self::candidates`].
    pub(in crate::token) async fn candidate(&self) -> Result<Candidate, TokenError> {
        Ok(self.candidates().await?.swap_remove(0))
    }

    /// A PIN from a person, which may be sent.
    ///
    /// # Errors
    /// It was refused before, or there were too many.
    pub(in crate::token) fn given(&self, pin: Secret) -> Result<Candidate, TokenError> {
        let candidate = Candidate { pin, origin: Origin::Given, source_name: GIVEN.to_owned() };
        if self.refused.knows(&candidate.pin) {
            let source_name = candidate.source_name;
            return Err(TokenError::PinRefused { token: self.token.clone(), source_name, rv: BEFORE.to_owned() });
        }
        self.check_tries()?;
        Ok(candidate)
    }

    /// The token has taken the PIN.
    pub(in crate::token) fn accepted(&self, candidate: &Candidate) {
        let mut state = self.state();
        let settled = if state.is_changing { Ok(()) } else { self.settle(&mut state, candidate) };
        if let Err(error) = settled {
            tracing::error!(token.label = self.token, %error, "the new PIN's file keeps its name `….new`");
        }
        state.tries.note_acceptance();
        // Last: until then the old PIN of an unsettled change must stay known as refused.
        self.refused.forget();
    }

    /// The token has refused the PIN: it is remembered, and named by its source.
    pub(in crate::token) fn refused(&self, candidate: &Candidate, rv: String) -> TokenError {
        self.state().tries.note_refusal(Instant::now());
        if let Err(error) = self.refused.remember(&candidate.pin) {
            tracing::warn!(%error, "the refused PIN cannot be remembered");
        }
        TokenError::PinRefused { token: self.token.clone(), source_name: candidate.source_name.clone(), rv }
    }

    /// Drops every PIN; the source is not asked again.
    pub(in crate::token) fn seal(&self) {
        let mut state = self.state();
        state.held = Held::Sealed;
        state.next = None;
        if let PinSource::Descriptor(inherited) = &self.source {
            inherited.forget();
        }
    }

    /// From now on a PIN that the token has taken from a person counts.
    pub(in crate::token) fn hold(&self, given: Candidate) {
        self.state().held = Held::Given(given.pin);
    }

    /// From now on the source counts again.
    ///
    /// # Errors
    /// The source is a person, who has to give the PIN.
    pub(in crate::token) fn use_source(&self) -> Result<(), TokenError> {
        if matches!(self.source, PinSource::Prompt(None)) {
            return Err(TokenError::Sealed { token: self.token.clone() });
        }
        self.state().held = Held::Source;
        Ok(())
    }

    /// Notes the PIN that the token is about to be given: beside a PIN file, and here.
    ///
    /// # Errors
    /// [`TokenError::PinUnstorable`]: then the token must not be changed.
    pub(in crate::token) fn begin_change(&self, new: &Secret) -> Result<(), TokenError> {
        if let PinSource::File(path) = &self.source {
            replacement::begin(path, new).map_err(|cause| self.unstorable(&cause))?;
        }
        let mut state = self.state();
        state.next = Some(new.duplicate());
        state.is_changing = true;
        Ok(())
    }

    /// The token has the new PIN; answers whether the source has it too.
    ///
    /// # Errors
    /// [`TokenError::PinUnstorable`]: the token has the new PIN, and its file is still `….new`.
    pub(in crate::token) fn finish_change(&self) -> Result<bool, TokenError> {
        let mut state = self.state();
        state.is_changing = false;
        match state.next.take() {
            Some(new) => self.adopt(&mut state, new).map_err(|cause| self.unstorable(&cause)),
            None => Ok(false),
        }
    }

    /// The token has kept the old PIN.
    pub(in crate::token) fn cancel_change(&self) {
        let mut state = self.state();
        state.is_changing = false;
        self.drop_next(&mut state);
    }

    /// Nobody knows which PIN the token has: the next login finds out.
    pub(in crate::token) fn leave_change_open(&self) {
        self.state().is_changing = false;
    }

    /// Whether this is the PIN that counts.
    pub(in crate::token) async fn is_present(&self, pin: &Secret) -> bool {
        self.present().await.is_ok_and(|present| present.pin == *pin)
    }

    async fn present(&self) -> Result<Candidate, TokenError> {
        let given = match &self.state().held {
            Held::Given(pin) => Some(pin.duplicate()),
            Held::Sealed => return Err(TokenError::Sealed { token: self.token.clone() }),
            Held::Source => None,
        };
        let (pin, source_name) = match given {
            Some(pin) => (pin, GIVEN.to_owned()),
            None => (self.source.read(&self.token).await?, self.source.name()),
        };
        Ok(Candidate { pin, origin: Origin::Present, source_name })
    }

    /// The PIN of a change that was begun, here or by an earlier process.
    fn next(&self) -> Option<Candidate> {
        let state = self.state();
        let kept = state.next.as_ref().map(Secret::duplicate);
        let pin = match &self.source {
            PinSource::File(path) => kept.or_else(|| replacement::read(path)),
            _ => kept,
        }?;
        Some(Candidate { pin, origin: Origin::Next, source_name: format!("{}.new", self.source.name()) })
    }

    /// A login has said how an open change ended.
    fn settle(&self, state: &mut State, candidate: &Candidate) -> io::Result<()> {
        match candidate.origin {
            Origin::Given => {}
            Origin::Next => {
                state.next = None;
                self.adopt(state, candidate.pin())?;
            }
            // What a person gave says nothing of the file.
            Origin::Present if matches!(state.held, Held::Given(_)) => state.next = None,
            Origin::Present => {
                self.drop_next(state);
                // Asked once: a worker that starts again must not wait for a person.
                if matches!(self.source, PinSource::Prompt(_)) {
                    state.held = Held::Given(candidate.pin());
                }
            }
        }
        Ok(())
    }

    /// The new PIN is the one that counts; whether the source has it.
    fn adopt(&self, state: &mut State, new: Secret) -> io::Result<bool> {
        state.held = Held::Given(new);
        let PinSource::File(path) = &self.source else { return Ok(false) };
        replacement::finish(path)?;
        state.held = Held::Source;
        Ok(true)
    }

    fn drop_next(&self, state: &mut State) {
        state.next = None;
        if let PinSource::File(path) = &self.source {
            replacement::cancel(path);
        }
    }

    fn check_tries(&self) -> Result<(), TokenError> {
        match self.state().tries.pause(Instant::now()) {
            None => Ok(()),
            Some(pause) => Err(TokenError::PinTries {
                token: self.token.clone(),
                tries: tries::MOST,
                minutes: pause.as_secs().div_ceil(60),
            }),
        }
    }

    fn sources(&self, known: usize) -> String {
        let name = match &self.state().held {
            Held::Given(_) => GIVEN.to_owned(),
            Held::Sealed | Held::Source => self.source.name(),
        };
        if known > 1 { format!("{name} and {}.new", self.source.name()) } else { name }
    }

    fn unstorable(&self, cause: &io::Error) -> TokenError {
        TokenError::PinUnstorable {
            token: self.token.clone(),
            source_name: self.source.name(),
            cause: cause.to_string(),
        }
    }
}

/// What messages call a PIN that a person gave.
const GIVEN: &str = "`token unlock`";
/// In place of a return code.
const BEFORE: &str = "as before; not sent again";

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::OpenOptionsExt as _, path::Path};

    fn put(path: &Path, pin: &str) {
        use std::io::Write as _;
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .unwrap()
            .write_all(pin.as_bytes())
            .unwrap();
    }

    fn secret(pin: &str) -> Secret {
        Secret::new(pin.as_bytes().to_vec())
    }

    /// A keeper whose PIN file says `old`.
    fn keeper(directory: &Path) -> PinKeeper {
        put(&directory.join("pin"), "old");
        PinKeeper::new("t", PinSource::File(directory.join("pin")), RefusedPin::of_user(directory))
    }

    async fn offered(keeper: &PinKeeper) -> Vec<String> {
        let candidates = keeper.candidates().await.unwrap();
        candidates.iter().map(|candidate| String::from_utf8(candidate.pin.expose().to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_change_whose_outcome_nobody_knows_offers_the_old_pin_and_then_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let first = keeper(directory.path());
        first.begin_change(&secret("new")).unwrap();

        let restarted = PinKeeper::new("t", first.source.clone(), RefusedPin::of_user(directory.path()));
        assert_eq!(offered(&restarted).await, ["old", "new"]);
        let mut candidates = restarted.candidates().await.unwrap();
        restarted.refused(&candidates[0], "CKR_PIN_INCORRECT".to_owned());

        assert_eq!(offered(&restarted).await, ["new"], "a refused PIN is not sent again");
        restarted.accepted(&candidates.remove(1));
        assert_eq!(fs::read_to_string(directory.path().join("pin")).unwrap(), "new");
        assert_eq!(offered(&restarted).await, ["new"]);
    }

    #[tokio::test]
    async fn a_login_while_a_change_is_under_way_says_nothing_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        keeper.begin_change(&secret("new")).unwrap();

        let present = keeper.candidate().await.unwrap();
        keeper.accepted(&present);

        assert!(keeper.finish_change().unwrap());
        assert_eq!(offered(&keeper).await, ["new"]);
    }

    #[tokio::test]
    async fn a_change_that_the_token_refused_leaves_the_old_pin_alone() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        keeper.begin_change(&secret("new")).unwrap();

        keeper.cancel_change();

        assert_eq!(offered(&keeper).await, ["old"]);
        assert!(!directory.path().join("pin.new").exists());
    }

    #[tokio::test]
    async fn a_sealed_token_gives_no_pin_until_one_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());

        keeper.seal();
        let sealed = keeper.candidates().await.unwrap_err();
        let given = keeper.given(secret("given")).unwrap();
        keeper.hold(given);

        assert_eq!(sealed, TokenError::Sealed { token: "t".to_owned() });
        assert_eq!(offered(&keeper).await, ["given"]);
        keeper.use_source().unwrap();
        assert_eq!(offered(&keeper).await, ["old"]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_five_refused_pins_the_right_one_waits_too() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = keeper(directory.path());
        for wrong in ["1", "2", "3", "4", "5"] {
            let given = keeper.given(secret(wrong)).unwrap();
            keeper.refused(&given, "CKR_PIN_INCORRECT".to_owned());
        }

        let refusal = keeper.candidates().await.unwrap_err();
        tokio::time::advance(std::time::Duration::from_secs(15 * 60)).await;

        assert_eq!(refusal, TokenError::PinTries { token: "t".to_owned(), tries: 5, minutes: 15 });
        assert_eq!(offered(&keeper).await, ["old"]);
    }
}
