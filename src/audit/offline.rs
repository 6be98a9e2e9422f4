//! Checking an export without an instance: `keyward audit verify FILE --cert F [--against CHECKPOINT]…`.

use super::{
    api::{ExportHeader, GivenCheckpoint, ProblemKind, VerifyReport},
    canonical::to_canonical,
    error::{AuditError, unusable},
    export::VERSION,
    record::{Log, Record},
    segments::Lines,
    verify::{LogCheck, Problems, Witnesses, audit_key},
};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// Checks an export's file with the audit certificate and checkpoints that were kept elsewhere.
///
/// # Errors
/// A file cannot be read, or the certificate's is none.
pub fn verify_file(export: &Path, certificates: &Path, against: &[PathBuf]) -> Result<VerifyReport, AuditError> {
    let certificates = fs::read(certificates).map_err(unreadable("read", certificates))?;
    let given = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(unreadable("read", path))?;
        Ok(GivenCheckpoint { name: path.display().to_string(), text: String::from_utf8_lossy(&bytes).into_owned() })
    };
    let against = against.iter().map(given).collect::<Result<Vec<_>, AuditError>>()?;
    let file = File::open(export).map_err(unreadable("open", export))?;
    verify_export(BufReader::new(file), &certificates, &against)
}

/// Checks an export. What is wrong with it is in the report; the certificates come from the caller alone,
/// for whoever changed the export could have put others into it.
///
/// # Errors
/// The export cannot be read to its end, or there is no certificate.
pub fn verify_export(
    export: impl BufRead,
    certificates: &[u8],
    against: &[GivenCheckpoint],
) -> Result<VerifyReport, AuditError> {
    let mut problems = Problems::default();
    let key = audit_key(certificates, &mut problems)?;
    let mut lines = Lines::new(export);
    let mut next_line = || lines.next_piece().map_err(unusable("read", Path::new("the export")));
    let header = match read_header(&next_line()?.unwrap_or_default()) {
        Ok(header) => header,
        Err(detail) => {
            problems.add(ProblemKind::HeaderInvalid, None, None, detail);
            return Ok(VerifyReport::new(Vec::new(), problems.into_vec()));
        }
    };
    let mut witnesses = Witnesses::new(header.instance, &key);
    hear_header(&header, &mut witnesses, &mut problems);
    for given in against {
        witnesses.hear(given, &mut problems);
    }
    miss_witnesses(&witnesses, &mut problems);
    let size_of = |log| header.logs.iter().filter(|exported| exported.log == log).map(|exported| exported.size).sum();
    let (management_size, signatures_size) = (size_of(Log::Management), size_of(Log::Signatures));
    let mut management = LogCheck::new(Log::Management, witnesses.about(Log::Management));
    let mut signatures = LogCheck::new(Log::Signatures, witnesses.about(Log::Signatures));
    while let Some(piece) = next_line()? {
        let line = piece.strip_suffix(b"\n").unwrap_or(&piece);
        let record = Record::from_line(line);
        let read = record.as_ref().ok().map(|record| record.log);
        // A line that cannot be read counts where it stands.
        let by_place = if management.size() < management_size { Log::Management } else { Log::Signatures };
        match read.unwrap_or(by_place) {
            Log::Management => management.line(line, &record),
            Log::Signatures => signatures.line(line, &record),
        }
    }
    let logs =
        vec![management.finish(management_size, &mut problems), signatures.finish(signatures_size, &mut problems)];
    Ok(VerifyReport::new(logs, problems.into_vec()))
}

/// Names a file that the caller gave.
fn unreadable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuditError + use<> {
    let path = path.to_owned();
    move |cause| match cause.kind() {
        io::ErrorKind::NotFound => AuditError::FileMissing { path },
        _ => unusable(action, &path)(cause),
    }
}

fn read_header(line: &[u8]) -> Result<ExportHeader, String> {
    let header: ExportHeader =
        serde_json::from_slice(line).map_err(|cause| format!("the first line is not an export's: {cause}"))?;
    let canonical = serde_json::to_value(&header).ok().and_then(|value| to_canonical(&value).ok());
    if canonical.is_none_or(|canonical| canonical.as_bytes() != line.strip_suffix(b"\n").unwrap_or(line)) {
        return Err("the first line is not in canonical form (RFC 8785)".to_owned());
    }
    if header.keyward_audit != VERSION {
        return Err(format!("the export has format {}, this keyward reads {VERSION}", header.keyward_audit));
    }
    if header.logs.iter().map(|exported| exported.log).ne(Log::ALL.iter().copied()) {
        return Err("the first line does not name both logs, management first".to_owned());
    }
    Ok(header)
}

/// The header says nothing that its checkpoints do not.
fn hear_header(header: &ExportHeader, witnesses: &mut Witnesses<'_>, problems: &mut Problems) {
    for exported in &header.logs {
        let name = format!("the export's own {} log", exported.log);
        let given = GivenCheckpoint { name, text: exported.checkpoint.clone() };
        let Some(said) = witnesses.hear_of(exported.log, &given, problems) else {
            continue;
        };
        if (&said.origin, said.size, said.root) != (&exported.origin, exported.size, exported.root) {
            let detail = format!("the first line contradicts its checkpoint of the {} log", exported.log);
            problems.add(ProblemKind::HeaderInvalid, Some(exported.log), None, detail);
        }
    }
}

/// Records that nothing signed speaks of could be anybody's.
fn miss_witnesses(witnesses: &Witnesses<'_>, problems: &mut Problems) {
    for log in Log::ALL.iter().copied().filter(|log| witnesses.about(*log).is_empty()) {
        let detail = format!("no checkpoint vouches for the {log} log");
        problems.add(ProblemKind::CheckpointMissing, Some(log), None, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        api::ExportedLog,
        checkpoint::SignedCheckpoint,
        management::Verdict,
        testing::{AUDIT_PEM, Bench, OTHER_PEM, SoftwareKey, caller, certificates, key},
    };
    use super::*;
    use crate::base::fault::{Fault, Kind};
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::LazyLock;

    #[tokio::test]
    async fn a_whole_export_is_valid() {
        let export = bench(5, 3).await.export().await;

        let report = verify(&export, &[]);

        assert_eq!(report.problems, []);
        assert!(report.valid);
        let sizes: Vec<_> = report.logs.iter().map(|head| (head.log, head.size)).collect();
        assert_eq!(sizes, [(Log::Management, 5), (Log::Signatures, 3)]);
    }

    #[tokio::test]
    async fn a_flipped_bit_is_found_wherever_it_is() {
        let export = bench(1, 1).await.export().await;
        // The certificates in the header are for information; a check is made with the caller's own.
        let informative = export.find("-----BEGIN").unwrap()..export.find("\",\"instance\"").unwrap();

        for position in (0..export.len()).filter(|position| !informative.contains(position)) {
            for bit in [0x01, 0x20] {
                let mut bytes = export.clone().into_bytes();
                bytes[position] ^= bit;
                let report = verify_export(bytes.as_slice(), certificates().as_bytes(), &[]).unwrap();
                assert!(!report.valid, "bit {bit:#x} of byte {position}");
            }
        }
    }

    #[tokio::test]
    async fn a_checkpoint_of_one_log_does_not_vouch_for_the_other() {
        let genuine = bench(3, 3).await.export().await;
        let others = Bench::new().await;
        for _ in 0..3 {
            others.audit.event(&caller(), "key.export", &key(), Verdict::ok(json!({}))).await.unwrap();
        }
        let replaced = others.export().await;

        let forged = |from: Log, to: usize| {
            let mut header: ExportHeader = serde_json::from_str(genuine.lines().next().unwrap()).unwrap();
            let other = header.logs.iter().find(|exported| exported.log == from).unwrap().clone();
            header.logs[to] = ExportedLog { log: header.logs[to].log, ..other };
            let header = to_canonical(&serde_json::to_value(&header).unwrap()).unwrap();
            let (management, signatures) = (replaced.lines().skip(1).take(3), genuine.lines().skip(4));
            let lines: Vec<_> = [header.as_str()].into_iter().chain(management).chain(signatures).collect();
            found(&verify(&(lines.join("\n") + "\n"), &[]))
        };
        let management_unwitnessed = forged(Log::Signatures, 0);
        let signatures_unwitnessed = forged(Log::Management, 1);

        let expected = |log| {
            [(ProblemKind::CheckpointOfAnotherLog, Some(log), None), (ProblemKind::CheckpointMissing, Some(log), None)]
        };
        assert_eq!(management_unwitnessed, expected(Log::Management));
        assert!(signatures_unwitnessed.starts_with(&expected(Log::Signatures)), "{signatures_unwitnessed:?}");
    }

    #[tokio::test]
    async fn a_header_that_names_a_log_twice_or_not_at_all_is_refused() {
        let export = bench(1, 1).await.export().await;
        let with_logs = |change: fn(&mut Vec<ExportedLog>)| {
            let mut header: ExportHeader = serde_json::from_str(export.lines().next().unwrap()).unwrap();
            change(&mut header.logs);
            let header = to_canonical(&serde_json::to_value(&header).unwrap()).unwrap();
            changed(&export, |lines| lines[0] = &header)
        };

        for found in [
            with_logs(|logs| logs[0] = logs[1].clone()),
            with_logs(|logs| _ = logs.pop()),
            with_logs(|logs| logs.push(logs[1].clone())),
            with_logs(|logs| logs.swap(0, 1)),
        ] {
            assert_eq!(found, [(ProblemKind::HeaderInvalid, None, None)]);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_and_not_found() {
        let directory = tempfile::tempdir().unwrap();
        let (there, absent) = (directory.path().join("there"), directory.path().join("absent"));
        fs::write(&there, certificates()).unwrap();

        for (export, certificates, against) in
            [(&absent, &there, vec![]), (&there, &absent, vec![]), (&there, &there, vec![absent.clone()])]
        {
            let error = verify_file(export, certificates, &against).unwrap_err();
            assert_eq!((error.entry().kind, error.entry().code), (Kind::NotFound, "audit-file-missing"));
            assert!(error.to_string().contains("absent"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_changed_record_is_placed_between_the_checkpoints_around_it() {
        let bench = bench(2, 0).await;
        let early = given(&bench).await;
        act(&bench, 3).await;
        let changed = bench.export().await.replacen("\"n\":3", "\"n\":7", 1);

        let report = verify(&changed, &early);

        assert_eq!(found(&report), [(ProblemKind::LogRewritten, Some(Log::Management), Some(3))]);
    }

    #[tokio::test]
    async fn a_removed_record_is_named() {
        let export = bench(5, 4).await.export().await;

        // Line 0 is the header, then management 1 to 5, then signatures 1 to 4.
        let third = changed(&export, |lines| _ = lines.remove(3));
        let second = changed(&export, |lines| _ = lines.remove(7));

        assert!(third.contains(&(ProblemKind::RecordMissing, Some(Log::Management), Some(3))), "{third:?}");
        assert!(second.contains(&(ProblemKind::RecordMissing, Some(Log::Signatures), Some(2))), "{second:?}");
    }

    #[tokio::test]
    async fn a_repeated_record_is_named() {
        let export = bench(5, 4).await.export().await;

        let found = changed(&export, |lines| lines.insert(5, lines[3]));

        assert!(found.contains(&(ProblemKind::RecordRepeated, Some(Log::Management), Some(3))), "{found:?}");
    }

    #[tokio::test]
    async fn a_record_out_of_order_is_named_and_not_missing() {
        let export = bench(5, 4).await.export().await;

        let found = changed(&export, |lines| lines.swap(8, 9));

        assert!(found.contains(&(ProblemKind::RecordOutOfOrder, Some(Log::Signatures), Some(3))), "{found:?}");
        assert!(!found.iter().any(|(kind, ..)| *kind == ProblemKind::RecordMissing), "{found:?}");
    }

    #[tokio::test]
    async fn a_record_behind_the_checkpoint_is_not_covered() {
        let export = bench(2, 1).await.export().await;
        let longer = bench(3, 1).await.export().await;
        let third = longer.lines().nth(3).unwrap();

        let found = changed(&export, |lines| lines.insert(3, third));

        assert_eq!(found, [(ProblemKind::RecordNotCovered, Some(Log::Management), Some(3))]);
    }

    #[tokio::test]
    async fn a_cut_tail_is_found_by_its_own_checkpoint_and_by_a_later_one() {
        let bench = bench(3, 2).await;
        let export = bench.export().await;
        act(&bench, 2).await;
        bench.sign_times(1).await;
        let later = given(&bench).await;

        let cut = changed(&export, |lines| _ = lines.pop());
        let older = found(&verify(&export, &later));

        assert!(cut.contains(&(ProblemKind::LogCut, Some(Log::Signatures), Some(2))), "{cut:?}");
        let expected = [
            (ProblemKind::LogCut, Some(Log::Management), Some(4)),
            (ProblemKind::LogCut, Some(Log::Signatures), Some(3)),
        ];
        assert_eq!(older, expected);
    }

    #[tokio::test]
    async fn a_log_that_was_rewritten_and_signed_again_contradicts_an_earlier_checkpoint() {
        let kept = given(&bench(3, 1).await).await;
        let other = Bench::new().await;
        other.audit.event(&caller(), "key.export", &key(), Verdict::ok(json!({}))).await.unwrap();
        act(&other, 3).await;
        other.sign_times(1).await;

        let rewritten = other.export().await;

        assert!(verify(&rewritten, &[]).valid);
        let found = found(&verify(&rewritten, &kept));
        assert_eq!(found, [(ProblemKind::LogRewritten, Some(Log::Management), Some(1))]);
    }

    #[tokio::test]
    async fn a_certificate_of_another_key_or_another_ca_is_refused() {
        let export = bench(1, 1).await.export().await;
        let with = |certificates: &str| verify_export(export.as_bytes(), certificates.as_bytes(), &[]);

        let by_another_key = [
            (ProblemKind::CheckpointByAnotherKey, Some(Log::Management), None),
            (ProblemKind::CheckpointByAnotherKey, Some(Log::Signatures), None),
        ];
        let by_another_ca = [(ProblemKind::CertificateNotTrusted, None, None)];
        assert!(found(&with(OTHER_PEM).unwrap()).starts_with(&by_another_key));
        assert_eq!(found(&with(&format!("{AUDIT_PEM}{OTHER_PEM}")).unwrap()), by_another_ca);
        assert!(with(AUDIT_PEM).unwrap().valid);
        assert!(with("none").is_err());
    }

    #[tokio::test]
    async fn a_given_checkpoint_must_be_of_this_log_and_signed() {
        let bench = bench(1, 1).await;
        let export = bench.export().await;
        let good = given(&bench).await[0].text.clone();
        let forged = SignedCheckpoint::parse(&good).unwrap().unverified().sign(&SoftwareKey::other()).await.unwrap();
        let cases = [
            ("not a note".to_owned(), ProblemKind::CheckpointMalformed),
            (good.replacen("\n1\n", "\n2\n", 1), ProblemKind::CheckpointSignatureInvalid),
            (good.replacen("00000000000a", "00000000000b", 1), ProblemKind::CheckpointOfAnotherLog),
            (forged, ProblemKind::CheckpointByAnotherKey),
        ];

        for (text, kind) in cases {
            let report = verify(&export, &[GivenCheckpoint { name: "kept".to_owned(), text }]);
            assert_eq!(report.problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(), [kind]);
            assert!(report.problems[0].detail.starts_with("kept: "), "{}", report.problems[0].detail);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), text in ".{0,200}") {
            let given = [GivenCheckpoint { name: String::new(), text }];

            let report = verify_export(bytes.as_slice(), certificates().as_bytes(), &given).unwrap();

            prop_assert!(!report.valid);
            prop_assert!(verify_export(&b""[..], &bytes, &[]).is_err());
        }

        #[test]
        fn no_bytes_in_the_middle_of_an_export_make_it_panic(
            from in 0..1_000_usize, length in 0..1_000_usize, bytes in proptest::collection::vec(any::<u8>(), 1..100),
        ) {
            let mut export = EXPORT.clone();
            let start = from * export.len() / 1_000;
            let end = (start + length).min(export.len());

            export.splice(start..end, bytes);

            prop_assert!(verify_export(export.as_slice(), certificates().as_bytes(), &[]).is_ok());
        }
    }

    static EXPORT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { bench(2, 2).await.export().await.into_bytes() })
    });

    async fn bench(management: u64, signatures: usize) -> Bench {
        let bench = Bench::new().await;
        act(&bench, management).await;
        bench.sign_times(signatures).await;
        bench
    }

    async fn act(bench: &Bench, times: u64) {
        for n in 1..=times {
            bench.audit.event(&caller(), "key.csr", &key(), Verdict::ok(json!({ "n": n }))).await.unwrap();
        }
    }

    /// Both checkpoints, as somebody keeps them elsewhere.
    async fn given(bench: &Bench) -> [GivenCheckpoint; 2] {
        let answer = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        [answer.management, answer.signatures].map(|text| GivenCheckpoint { name: "kept".to_owned(), text })
    }

    fn verify(export: &str, against: &[GivenCheckpoint]) -> VerifyReport {
        verify_export(export.as_bytes(), certificates().as_bytes(), against).unwrap()
    }

    type Found = (ProblemKind, Option<Log>, Option<u64>);

    fn found(report: &VerifyReport) -> Vec<Found> {
        report.problems.iter().map(|problem| (problem.kind, problem.log, problem.seq)).collect()
    }

    /// What is found in an export whose lines were changed.
    fn changed<'a>(export: &'a str, change: impl FnOnce(&mut Vec<&'a str>)) -> Vec<Found> {
        let mut lines = export.lines().collect();
        change(&mut lines);
        found(&verify(&(lines.join("\n") + "\n"), &[]))
    }
}
