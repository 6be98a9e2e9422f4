//! Making a token: a free slot gets a label, an SO PIN and a user PIN (PKCS#11 v3.1, sections 5.5.7 and 5.5.8).

use super::{
    fault::rv_name,
    info::TokenInfo,
    token::{load, module_of},
};
use crate::base::secret::Secret;
use crate::token::{address::TokenAddress, error::TokenError, message::NewToken, worker::ffi::Module};
use cryptoki::{
    context::Pkcs11,
    error::{Error, Result},
    session::UserType,
    slot::Slot,
    types::AuthPin,
};
use std::path::Path;

/// Initialises the first free slot; one whose token has been initialised is never touched.
pub(in crate::token::worker) fn make_token(new: &NewToken) -> std::result::Result<(), TokenError> {
    let context = load(&new.address)?;
    let refused = |rv: String| TokenError::Refused {
        token: new.address.label.clone(),
        operation: "make token".to_owned(),
        object: "a free slot".to_owned(),
        mechanism: super::fault::NO_MECHANISM.to_owned(),
        rv,
    };
    let slot =
        match free_slot(&context, module_of(&new.address)?, &new.address).map_err(|error| refused(rv_name(&error)))? {
            Place::Free(slot) => slot,
            Place::None => return Err(refused("no slot is free".to_owned())),
            Place::Taken => return Err(refused("a token of this label is there already".to_owned())),
        };
    initialise(&context, slot, new).map_err(|error| refused(rv_name(&error)))
}

/// Where a new token could go.
enum Place {
    Free(Slot),
    None,
    Taken,
}

fn free_slot(context: &Pkcs11, path: &Path, address: &TokenAddress) -> Result<Place> {
    let module = Module::load(path)?;
    let mut place = Place::None;
    for slot in context.get_slots_with_token()? {
        let info = TokenInfo::read(&module, slot)?;
        if info.is_initialized() && info.label() == address.label {
            return Ok(Place::Taken);
        }
        if !info.is_initialized() && matches!(place, Place::None) {
            place = Place::Free(slot);
        }
    }
    Ok(place)
}

fn initialise(context: &Pkcs11, slot: Slot, new: &NewToken) -> Result<()> {
    let (so_pin, pin) = (text(&new.so_pin.0)?, text(&new.pin.0)?);
    context.init_token(slot, &so_pin, &new.address.label)?;
    let session = context.open_rw_session(slot)?;
    session.login(UserType::So, Some(&so_pin))?;
    session.init_pin(&pin)?;
    session.logout()
}

/// PINs are UTF-8 (section 3.2); cryptoki wants a new one as text.
fn text(pin: &Secret) -> Result<AuthPin> {
    Ok(AuthPin::from(std::str::from_utf8(pin.expose()).map_err(Error::Utf8)?))
}
