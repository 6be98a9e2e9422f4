//! What needs the SO PIN: making a token, and importing KEKs. Each runs in a worker of its own.

use super::{
    error::TokenError,
    message::{Answer, ImportedKek, KekImport, KekValue, NewToken, Operation, PlainSecret, SO_PIN_SOURCE},
    pool::{LONG, Token, TokenSettings, out_of_turn},
    process,
};

/// Initialises a free slot of the module as a new token, with the PINs that the settings point at.
///
/// # Errors
/// There is no free slot, or the module makes no tokens.
pub async fn make_token(settings: &TokenSettings) -> Result<(), TokenError> {
    let label = &settings.address.label;
    let missing = || TokenError::PinUnreadable {
        token: label.clone(),
        source_name: "the settings".to_owned(),
        cause: "no SO PIN is named".to_owned(),
    };
    let so_pin = settings.so_pin.as_ref().ok_or_else(missing)?.read(label).await?;
    let new = NewToken {
        address: settings.address.clone(),
        so_pin: PlainSecret(so_pin),
        pin: PlainSecret(settings.pin.read(label).await?),
    };
    process::run_first(settings, Operation::MakeToken(new), LONG).await.map(|_| ())
}

impl Token {
    /// Imports KEKs in a worker of its own: logging the SO in would end every session of the serving one.
    ///
    /// # Errors
    /// One of the PINs is refused or not at hand, or the token takes no KEK.
    pub async fn import_keks(&self, keks: Vec<KekValue>) -> Result<Vec<ImportedKek>, TokenError> {
        let _turn = self.turn.lock().await;
        let unwrap_template = self.capabilities().await?.unwrap_template;
        // Whoever serves is logged in, so the first PIN is the right one.
        self.describe().await?;
        let (settings, user) = (&*self.settings, &self.pins.user);
        let pin = user.candidate().await?;
        let so_pin = match &self.pins.officer {
            Some(officer) => Some((officer, officer.candidate().await?)),
            None => None,
        };
        let import = KekImport {
            so_pin: so_pin.as_ref().map(|(_, pin)| PlainSecret(pin.pin())),
            pin: PlainSecret(pin.pin()),
            keks,
            unwrap_template,
        };
        let answer = process::run_alone(settings, Operation::ImportKeks(import), LONG).await;
        match (answer, so_pin) {
            (Ok(Answer::KeksImported(imported)), so_pin) => {
                if let Some((officer, so_pin)) = so_pin {
                    officer.accepted(&so_pin);
                }
                self.count(Operation::Refresh).await?;
                Ok(imported)
            }
            (Ok(other), _) => Err(out_of_turn(&other)),
            (Err(TokenError::PinRefused { source_name, rv, .. }), Some((officer, so_pin)))
                if source_name == SO_PIN_SOURCE =>
            {
                Err(officer.refused(&so_pin, rv))
            }
            (Err(TokenError::PinRefused { rv, .. }), _) => Err(user.refused(&pin, rv)),
            (Err(error), so_pin) if process::is_unclear(&error) => {
                let Ok(description) = process::describe(settings, process::LONE_LOCK).await else {
                    return Err(error);
                };
                match so_pin {
                    // The SO logs in first, so a count at his PIN says that the user's was not looked at.
                    Some((officer, so_pin)) if description.so_pin_count_low => {
                        Err(officer.refused(&so_pin, process::counted(&error)))
                    }
                    _ if description.pin_count_low => Err(user.refused(&pin, process::counted(&error))),
                    _ => Err(error),
                }
            }
            (Err(other), _) => Err(other),
        }
    }
}
