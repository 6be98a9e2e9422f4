//! `/exports`: the body of the answer is the file, its record is in the header `Keyward-Export`.

use super::{
    HttpError, Services,
    body::{JsonBody, Segment},
    openapi::{Conflict, NotFound, TokenProblems},
    permit::{Operator, Reader},
    problem::Failure,
};
use crate::export::{
    self,
    api::{ExportRequest, ExportView},
};
use crate::keys::api::Page;
use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// Export a key into an encrypted file.
///
/// The body of the answer is the file: PKCS#12 (RFC 7292), or PEM with an encrypted PKCS#8 key. Only keys of the policy `exportable` can leave.
#[utoipa::path(
    post, path = "/exports", tag = "exports",
    request_body = ExportRequest,
    responses((status = 201, content((Vec<u8> = "application/octet-stream")), headers(("Keyward-Export" = String, description = "The record of the export: an `ExportView` as JSON in printable ASCII"))), Conflict, NotFound, TokenProblems),
)]
pub(super) async fn create(
    State(services): State<Services>,
    Operator(caller): Operator,
    JsonBody(request): JsonBody<ExportRequest>,
) -> Result<Response, Failure> {
    let (file, view) = export::create(&services.keys, &caller, request).await?;
    let mut response = (StatusCode::CREATED, file).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(RECORD), record(&view)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// List exports.
#[utoipa::path(get, path = "/exports", tag = "exports", responses((status = 200, body = Page<ExportView>)))]
pub(super) async fn list(State(services): State<Services>, _: Reader) -> Result<Json<Page<ExportView>>, Failure> {
    Ok(Json(Page { items: export::list(&services.keys.db).await?, next: None }))
}

/// Show an export.
#[utoipa::path(
    get, path = "/exports/{id}", tag = "exports",
    params(("id" = String, Path, description = "Id of an export")),
    responses((status = 200, body = ExportView)),
)]
pub(super) async fn show(
    State(services): State<Services>,
    _: Reader,
    Segment(id): Segment,
) -> Result<Json<ExportView>, Failure> {
    Ok(Json(export::find(&services.keys.db, &id).await?))
}

/// The record in one line of printable ASCII: what JSON lets stand as it is, DEL among it, a header does not.
fn record(view: &ExportView) -> Result<HeaderValue, HttpError> {
    let malformed = |cause: String| HttpError::Malformed { cause };
    let json = serde_json::to_string(view).map_err(|error| malformed(error.to_string()))?;
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if (' '..='~').contains(&character) {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    HeaderValue::from_str(&ascii).map_err(|error| malformed(error.to_string()))
}

const RECORD: &str = "keyward-export";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{
        ids::{ExportId, KeyId},
        time::Timestamp,
    };
    use crate::export::api::{AuditPosition, ExportFormat, ExportedKey};

    #[test]
    fn every_record_fits_into_a_header_and_reads_back_from_it() {
        let view = ExportView {
            id: ExportId::new(),
            key: ExportedKey { id: KeyId::new(), label: "web".parse().unwrap() },
            format: ExportFormat::Pkcs12,
            profile: None,
            alias: "Zoë".to_owned(),
            sha256: String::new(),
            size_bytes: 1,
            certificates: Vec::new(),
            self_approved: true,
            approvals: Vec::new(),
            reason: "del \u{7f} tab \t null \0 key \u{1f511} quote \"".to_owned(),
            created_at: Timestamp::from_millis(0),
            audit: AuditPosition { log: "management".to_owned(), seq: 7 },
        };

        let header = record(&view).unwrap();

        assert!(header.to_str().unwrap().contains("\\u007f"));
        assert_eq!(serde_json::from_slice::<ExportView>(header.as_bytes()).unwrap(), view);
    }
}
