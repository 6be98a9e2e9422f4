//! `cert add`: a CA's certificate goes to the key that it certifies, with its chain, and to no other.

use super::test_ca::TestCa;
use crate::support::{
    Rig, openssl,
    pkcs11::{CERTIFICATE, cka_id},
};
use std::fs;

/// A rig with the key `web` and its CSR.
fn rig_with_csr() -> (Rig, String) {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let csr = rig.file("web.csr");
    rig.json(&["key", "csr", "web", "--subject", "CN=web.example", "--san", "dns:web.example", "--out", &csr]);
    (rig, csr)
}

#[test]
fn a_chain_in_any_order_is_stored_leaf_first() {
    let (rig, csr) = rig_with_csr();
    let ca = TestCa::new(&rig, "ca");
    let leaf = ca.certify(&rig, &csr);
    let (root, intermediate) = (&ca.root, &ca.intermediate);
    let in_order = format!("{leaf}{intermediate}{root}");

    for given in [
        in_order.clone(),
        format!("{root}{intermediate}{leaf}"),
        format!("{intermediate}{leaf}{root}"),
        format!("{leaf}{root}{intermediate}{leaf}"),
    ] {
        let file = rig.write("chain.pem", given);
        let answer = rig.json(&["cert", "add", "web", &file]);

        assert_eq!(answer["pem"].as_str().unwrap(), in_order);
        let shown = rig.json(&["cert", "show", answer["id"].as_str().unwrap()]);
        assert_eq!(shown["pem"].as_str().unwrap(), in_order);
        assert_eq!(rig.json(&["key", "show", "web"])["certificates"], serde_json::json!([answer["id"]]));
    }
    // The same certificate again is no second object.
    rig.object(CERTIFICATE, "web");
}

#[test]
fn a_leaf_without_chain_and_one_without_root_are_enough() {
    let (rig, csr) = rig_with_csr();
    let ca = TestCa::new(&rig, "ca");
    let leaf = ca.certify(&rig, &csr);

    for given in [leaf.clone(), format!("{leaf}{}", ca.intermediate)] {
        let file = rig.write("chain.pem", &given);
        assert_eq!(rig.json(&["cert", "add", "web", &file])["pem"].as_str().unwrap(), given);
    }
}

#[test]
fn the_certificate_object_lies_beside_its_key_and_other_programs_find_it() {
    let (rig, csr) = rig_with_csr();
    let key = rig.json(&["key", "show", "web"]);
    let ca = TestCa::new(&rig, "ca");
    let leaf = rig.write("leaf.pem", ca.certify(&rig, &csr));
    let der = rig.file("leaf.der");
    openssl(&["x509", "-in", &leaf, "-outform", "DER", "-out", &der]).succeeded();

    rig.json(&["cert", "add", "web", &leaf]);

    let object = rig.object(CERTIFICATE, "web");
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(object["ID"], cka_id(&key));
    assert_eq!(object["VALUE"], hex(fs::read(&der).unwrap()));
    assert_eq!((object["TOKEN"].as_bool(), object["PRIVATE"].as_bool()), (Some(true), Some(false)));

    let (module, out) = (rig.module(), rig.file("read.der"));
    let by = ["--module", &module, "--token-label", "keyward", "--type", "cert"];
    let listed = rig.tool("pkcs11-tool", &[&by[..], &["--list-objects"]].concat()).succeeded().stdout;
    assert!(listed.contains("subject:    DN: CN=web.example") && listed.contains("label:      web\n"), "{listed}");
    let id = cka_id(&key);
    rig.tool("pkcs11-tool", &[&by[..], &["--read-object", "--id", &id, "-o", &out]].concat()).succeeded();
    assert_eq!(fs::read(&out).unwrap(), fs::read(&der).unwrap());
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let (rig, csr) = rig_with_csr();
    rig.key("other", "p256", "backup-only");
    let ca = TestCa::new(&rig, "ca");
    let leaf = ca.certify(&rig, &csr);
    let objects = rig.objects();

    for given in [leaf.clone(), format!("{leaf}{}{}", ca.intermediate, ca.root), ca.root] {
        let file = rig.write("chain.pem", given);
        let problem = rig.refused(&["cert", "add", "other", &file], 6, "certificate-key-mismatch");

        assert!(problem["detail"].as_str().unwrap().contains("other"), "{problem}");
        assert_eq!(rig.last_record()["code"], "certificate-key-mismatch");
    }
    assert_eq!(rig.objects(), objects);
    assert_eq!(rig.json(&["cert", "list"])["items"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_certificate_or_no_chain_is_refused() {
    let (rig, csr) = rig_with_csr();
    let (ca, stranger) = (TestCa::new(&rig, "ca"), TestCa::new(&rig, "stranger"));
    let leaf = ca.certify(&rig, &csr);
    let cut = leaf.replacen("MII", "MI", 1);
    let objects = rig.objects();

    for (given, code) in [
        (String::new(), "certificate-malformed"),
        ("no certificate".to_owned(), "certificate-malformed"),
        (cut, "certificate-malformed"),
        (leaf[..leaf.len() / 2].to_owned(), "certificate-malformed"),
        (fs::read_to_string(&csr).unwrap(), "certificate-malformed"),
        (format!("{leaf}{}", stranger.intermediate), "chain-broken"),
        (format!("{leaf}{}", ca.root), "chain-broken"),
        (format!("{leaf}{}{}{}", ca.intermediate, ca.root, stranger.root), "chain-broken"),
    ] {
        let file = rig.write("chain.pem", &given);
        rig.refused(&["cert", "add", "web", &file], 3, code);

        assert_eq!(rig.last_record()["code"], code, "{given}");
    }
    rig.refused(&["cert", "add", "web", &rig.file("missing")], 5, "file-missing");
    assert_eq!(rig.objects(), objects);
    assert_eq!(rig.json(&["key", "show", "web"])["certificates"], serde_json::json!([]));
}
