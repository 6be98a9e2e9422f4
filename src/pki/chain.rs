//! Chains: a leaf certificate and those that vouch for it, each issued by the next.

use super::{PkiError, certificate::Certificate};

/// Puts certificates in order, leaf first; each next one verifiably issued the one before.
///
/// The root may be left out, as CAs do. Copies of one certificate count once.
///
/// # Errors
/// [`PkiError::ChainBroken`] if some of the others are no part of the chain.
pub fn order(leaf: &Certificate, others: &[Certificate]) -> Result<Vec<Certificate>, PkiError> {
    let mut chain = vec![leaf.clone()];
    let mut waiting: Vec<&Certificate> = Vec::new();
    for other in others {
        if other != leaf && !waiting.contains(&other) {
            waiting.push(other);
        }
    }
    let mut last = leaf;
    while let Some(position) = waiting.iter().position(|candidate| last.is_issued_by(candidate)) {
        last = waiting.remove(position);
        chain.push(last.clone());
    }
    match waiting.first() {
        None => Ok(chain),
        Some(unrelated) => Err(broken(last, unrelated)),
    }
}

fn broken(last: &Certificate, unrelated: &Certificate) -> PkiError {
    let cause = format!(
        "`{}` (issued by `{}`) is not signed by any of the certificates that are left, like `{}`",
        last.subject(),
        last.issuer(),
        unrelated.subject()
    );
    PkiError::ChainBroken { cause }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            issue::{CertificateTemplate, Issuer, issue},
            testing::OpensslKey,
        },
        *,
    };
    use crate::base::{algorithm::KeyAlgorithm, custody::Purpose, time::Timestamp};

    /// Leaf, intermediate and root.
    async fn chain_of_three() -> [Certificate; 3] {
        let [leaf, intermediate, root] = [(); 3].map(|()| OpensslKey::generate(KeyAlgorithm::P256));
        let root_certificate =
            issue(&template("Root", Purpose::Ca), root.public_key(), Issuer::Itself, &root).await.unwrap();
        let by_root = Issuer::Ca(&root_certificate);
        let intermediate_certificate =
            issue(&template("Intermediate", Purpose::Ca), intermediate.public_key(), by_root, &root).await.unwrap();
        let by_intermediate = Issuer::Ca(&intermediate_certificate);
        let leaf_certificate =
            issue(&template("Leaf", Purpose::Tls), leaf.public_key(), by_intermediate, &intermediate).await.unwrap();
        [leaf_certificate, intermediate_certificate, root_certificate]
    }

    fn template(name: &str, purpose: Purpose) -> CertificateTemplate {
        let subject = format!("CN={name}").parse().unwrap();
        let not_before = Timestamp::from_millis(1_767_323_045_000);
        CertificateTemplate { subject, names: Vec::new(), purpose, not_before, days: 30 }
    }

    #[tokio::test]
    async fn certificates_in_any_order_and_number_become_leaf_to_root() {
        let [leaf, intermediate, root] = chain_of_three().await;
        let others = [root.clone(), leaf.clone(), intermediate.clone(), root.clone()];

        assert_eq!(order(&leaf, &others).unwrap(), [leaf, intermediate, root]);
    }

    #[tokio::test]
    async fn a_chain_may_lack_its_root() {
        let [leaf, intermediate, _] = chain_of_three().await;

        assert_eq!(order(&leaf, std::slice::from_ref(&intermediate)).unwrap(), [leaf.clone(), intermediate]);
        assert_eq!(order(&leaf, &[]).unwrap(), [leaf]);
    }

    #[tokio::test]
    async fn a_gap_or_a_stranger_breaks_the_chain() {
        let [leaf, intermediate, root] = chain_of_three().await;
        let [_, same_name, _] = chain_of_three().await;

        let gap = order(&leaf, std::slice::from_ref(&root)).unwrap_err();
        let stranger = order(&leaf, &[intermediate, root, same_name.clone()]);
        let impostor = order(&leaf, &[same_name]);

        assert_eq!(
            gap.to_string(),
            "the certificates are not one chain: `CN=Leaf` (issued by `CN=Intermediate`) is not signed by any of \
             the certificates that are left, like `CN=Root`"
        );
        assert!(matches!(stranger, Err(PkiError::ChainBroken { .. })));
        assert!(matches!(impostor, Err(PkiError::ChainBroken { .. })));
    }
}
