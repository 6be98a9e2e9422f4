//! One method a route.

use super::{Client, ClientError, encode};
use crate::access::api::{AddCredentialAnswer, AddCredentialRequest, CredentialView};
use crate::audit::api::{CheckpointAnswer, GivenCheckpoint, RecordFilter, RecordPage, VerifyReport, VerifyRequest};
use crate::backup::api::{BackupView, CoverageAnswer, DrillQuery, RestoreQuery};
use crate::ceremony::api::{ImportAnswer, RecoverRequest, RecoveryView};
use crate::certificates::api::{AddRequest, CertificateView, SelfSignRequest};
use crate::commands::api::CommandView;
use crate::doctor::api::{DoctorQuery, DoctorReport};
use crate::export::api::{ExportRequest, ExportView};
use crate::http::api::{InstanceView, WhoamiView};
use crate::keys::api::{
    AdoptRequest, AttestationView, CsrRequest, DestroyAnswer, GenerateRequest, KekView, KeyView, Page, PemAnswer,
    SignAnswer, SignRequest,
};
use crate::token::api::{
    Capabilities, ChangePinAnswer, ChangePinRequest, ObjectList, SealAnswer, TokenList, TokenView, UnlockRequest,
};
use ::http::Method;

/// Every method's errors: the API refused, or its answer cannot be read.
#[expect(clippy::missing_errors_doc, reason = "the same two for every method, said above")]
#[expect(missing_docs, reason = "each method is named as its route, which routes.rs and the API's description explain")]
impl Client {
    pub async fn instance(&self) -> Result<InstanceView, ClientError> {
        self.get("/instance").await
    }

    pub async fn token(&self) -> Result<TokenView, ClientError> {
        self.get("/token").await
    }

    pub async fn tokens(&self) -> Result<TokenList, ClientError> {
        self.get("/tokens").await
    }

    pub async fn token_named(&self, token: &str) -> Result<TokenView, ClientError> {
        self.get(&format!("/tokens/{}", encode(token))).await
    }

    pub async fn scan(&self, token: &str) -> Result<ObjectList, ClientError> {
        self.get(&format!("/tokens/{}/objects", encode(token))).await
    }

    pub async fn probe(&self, token: &str) -> Result<Capabilities, ClientError> {
        self.post(&format!("/tokens/{}/probe", encode(token)), &()).await
    }

    pub async fn unlock_token(&self, token: &str, request: &UnlockRequest) -> Result<SealAnswer, ClientError> {
        self.post(&format!("/tokens/{}/unlock", encode(token)), request).await
    }

    pub async fn seal_token(&self, token: &str) -> Result<SealAnswer, ClientError> {
        self.post(&format!("/tokens/{}/seal", encode(token)), &()).await
    }

    pub async fn change_pin(&self, token: &str, request: &ChangePinRequest) -> Result<ChangePinAnswer, ClientError> {
        self.post(&format!("/tokens/{}/pin", encode(token)), request).await
    }

    pub async fn doctor(&self, mode: DoctorQuery) -> Result<DoctorReport, ClientError> {
        self.post(&format!("/doctor?fix={}", mode.fix), &()).await
    }

    pub async fn generate_key(&self, request: &GenerateRequest) -> Result<KeyView, ClientError> {
        self.post("/keys", request).await
    }

    pub async fn adopt_key(&self, request: &AdoptRequest) -> Result<KeyView, ClientError> {
        self.post("/adoptions", request).await
    }

    pub async fn keys(&self, after: Option<&str>) -> Result<Page<KeyView>, ClientError> {
        let after = after.map_or_else(String::new, |after| format!("&after={}", encode(after)));
        self.get(&format!("/keys?limit=1000{after}")).await
    }

    pub async fn key(&self, key: &str) -> Result<KeyView, ClientError> {
        self.get(&format!("/keys/{}", encode(key))).await
    }

    pub async fn public_key(&self, key: &str) -> Result<PemAnswer, ClientError> {
        self.get(&format!("/keys/{}/public", encode(key))).await
    }

    pub async fn attestation(&self, key: &str) -> Result<AttestationView, ClientError> {
        self.get(&format!("/keys/{}/attestation", encode(key))).await
    }

    pub async fn csr(&self, key: &str, request: &CsrRequest) -> Result<PemAnswer, ClientError> {
        self.post(&format!("/keys/{}/csr", encode(key)), request).await
    }

    pub async fn sign(&self, key: &str, request: &SignRequest) -> Result<SignAnswer, ClientError> {
        self.post(&format!("/keys/{}/sign", encode(key)), request).await
    }

    pub async fn destroy_key(&self, key: &str) -> Result<DestroyAnswer, ClientError> {
        self.delete(&format!("/keys/{}", encode(key))).await
    }

    pub async fn self_sign(&self, key: &str, request: &SelfSignRequest) -> Result<CertificateView, ClientError> {
        self.post(&format!("/keys/{}/self-signed", encode(key)), request).await
    }

    pub async fn add_certificate(&self, key: &str, request: &AddRequest) -> Result<CertificateView, ClientError> {
        self.post(&format!("/keys/{}/certificates", encode(key)), request).await
    }

    pub async fn certificates(&self) -> Result<Page<CertificateView>, ClientError> {
        self.get("/certificates").await
    }

    pub async fn certificate(&self, id: &str) -> Result<CertificateView, ClientError> {
        self.get(&format!("/certificates/{}", encode(id))).await
    }

    /// Answers the file and its record.
    pub async fn create_export(&self, request: &ExportRequest) -> Result<(Vec<u8>, ExportView), ClientError> {
        let response = self.post_for_response("/exports", request).await?;
        let record = response.headers().get("keyward-export").map_or(&b""[..], |value| value.as_bytes());
        let view = serde_json::from_slice(record).map_err(ClientError::unreadable)?;
        Ok((response.into_body(), view))
    }

    pub async fn exports(&self) -> Result<Page<ExportView>, ClientError> {
        self.get("/exports").await
    }

    pub async fn export(&self, id: &str) -> Result<ExportView, ClientError> {
        self.get(&format!("/exports/{}", encode(id))).await
    }

    pub async fn run_backup(&self) -> Result<CommandView, ClientError> {
        self.post("/backups", &()).await
    }

    pub async fn backups(&self) -> Result<Page<BackupView>, ClientError> {
        self.get("/backups").await
    }

    pub async fn backup(&self, selector: &str) -> Result<BackupView, ClientError> {
        self.get(&format!("/backups/{}", encode(selector))).await
    }

    pub async fn restore(&self, query: &RestoreQuery, archive: Vec<u8>) -> Result<CommandView, ClientError> {
        let mut path = format!("/restores?latest={}&older_than_known={}", query.latest, query.older_than_known);
        let optional =
            [("keys", &query.keys), ("recovery", &query.recovery), ("root_fingerprint", &query.root_fingerprint)];
        for (name, value) in optional {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        self.post_bytes(&path, archive).await
    }

    pub async fn drill(&self, query: &DrillQuery, archive: Vec<u8>) -> Result<CommandView, ClientError> {
        self.post_bytes(&format!("/drills?latest={}", query.latest), archive).await
    }

    pub async fn coverage(&self) -> Result<CoverageAnswer, ClientError> {
        self.get("/coverage").await
    }

    pub async fn put_together(&self, request: &RecoverRequest) -> Result<RecoveryView, ClientError> {
        self.post("/ceremonies/recoveries", request).await
    }

    pub async fn import_keks(&self, recovery: &str) -> Result<ImportAnswer, ClientError> {
        self.post(&format!("/ceremonies/recoveries/{}/keks", encode(recovery)), &()).await
    }

    pub async fn keks(&self) -> Result<Page<KekView>, ClientError> {
        self.get("/keks").await
    }

    pub async fn add_credential(&self, request: &AddCredentialRequest) -> Result<AddCredentialAnswer, ClientError> {
        self.post("/credentials", request).await
    }

    pub async fn credentials(&self) -> Result<Page<CredentialView>, ClientError> {
        self.get("/credentials").await
    }

    pub async fn credential(&self, credential: &str) -> Result<CredentialView, ClientError> {
        self.get(&format!("/credentials/{}", encode(credential))).await
    }

    pub async fn revoke_credential(&self, credential: &str) -> Result<CredentialView, ClientError> {
        self.delete(&format!("/credentials/{}", encode(credential))).await
    }

    pub async fn audit_records(&self, filter: &RecordFilter) -> Result<RecordPage, ClientError> {
        let mut path = format!("/audit/records?log={}&order={}", filter.log, filter.order);
        let optional = [
            ("after", filter.after.map(|after| after.to_string())),
            ("event", filter.event.clone()),
            ("object", filter.object.clone()),
            ("limit", filter.limit.map(|limit| limit.to_string())),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encode(&value)));
            }
        }
        self.get(&path).await
    }

    pub async fn audit_export(&self) -> Result<Vec<u8>, ClientError> {
        Ok(self.send(Method::GET, "/audit/export", Vec::new(), "application/json").await?.into_body())
    }

    pub async fn checkpoint(&self) -> Result<CheckpointAnswer, ClientError> {
        self.post("/audit/checkpoint", &()).await
    }

    pub async fn verify_audit(&self, against: Vec<GivenCheckpoint>) -> Result<VerifyReport, ClientError> {
        self.post("/audit/verify", &VerifyRequest { against }).await
    }

    pub async fn whoami(&self) -> Result<WhoamiView, ClientError> {
        self.get("/whoami").await
    }
}
