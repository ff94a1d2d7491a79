//! Witnesses, policies and proof files: every status of the specification, and what no change gets
//! past.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests, of small numbers"
)]

use guildhall_proof::merkle::{
    ConsistencyProof, InclusionProof, MerkleTree, empty_root, leaf_hash, root,
};
use guildhall_proof::policy::{Policy, PolicyFault, Quorum, Unsatisfied};
use guildhall_proof::witness::{
    AddCheckpoint, Answer, AnswerError, Latest, Log, Refusal, RequestError, SIZE_CONTENT_TYPE,
    monitoring_path,
};
use guildhall_proof::{
    AcceptError, KeyType, Note, Seal, SignedSeal, Signer, SigningKey, TlogProof, TreeHash,
    VerifyError, cosign,
};
use proptest::prelude::*;

const ORIGIN: &str = "example.com/log";

fn key(name: &str, key_type: KeyType, seed: u8) -> SigningKey {
    SigningKey::from_seed(name.parse().unwrap(), key_type, &[seed; 32]).unwrap()
}

fn log_key() -> SigningKey {
    key(ORIGIN, KeyType::Ed25519, 1)
}

fn leaves(count: u64) -> Vec<TreeHash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn sealed(origin: &str, size: u64, root: TreeHash, by: &SigningKey) -> SignedSeal {
    let seal = Seal { origin: origin.parse().unwrap(), size, root };
    run(SignedSeal::sign(seal, by)).unwrap()
}

/// The request that a sound log of that many entries makes.
fn request(old: u64, new: u64) -> AddCheckpoint {
    let all = leaves(new);
    let tree = MerkleTree::new(all.clone());
    let proof =
        ConsistencyProof::make(&tree, old, new).map(|proof| proof.hashes).unwrap_or_default();
    AddCheckpoint { old_size: old, proof, seal: sealed(ORIGIN, new, root(all), &log_key()) }
}

fn known(latest: Option<u64>) -> Log {
    let latest = latest.map(|size| Latest { size, root: root(leaves(size)) });
    Log { origin: ORIGIN.parse().unwrap(), keys: vec![log_key().key().clone()], latest }
}

fn status(log: &Log, request: &AddCheckpoint) -> u16 {
    log.judge(request).map_or_else(|refusal| refusal.status(), |_| 200)
}

#[test]
fn the_sample_request_is_read_and_written_back() {
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
    assert_eq!((request.old_size, request.proof.len()), (20_852_014, 4));
    assert_eq!(request.seal.seal().size, 20_852_163);
    assert_eq!(request.to_string(), body);

    let answer = "\u{2014} witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n\
        \u{2014} witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==\n\
        \u{2014} witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==\n";
    let Ok(Answer::Cosigned(lines)) = Answer::read(200, None, answer.as_bytes()) else { panic!() };
    assert_eq!(lines.len(), 3);
}

#[test]
fn every_status_of_the_specification_is_given_where_it_says() {
    let log = known(Some(5));
    assert_eq!(status(&log, &request(5, 9)), 200);
    assert_eq!(status(&log, &request(5, 5)), 200);
    assert_eq!(status(&known(None), &request(0, 9)), 200);
    assert_eq!(status(&known(None), &request(0, 0)), 200);

    // 404: another log; also where its seal is signed by this one's key.
    let elsewhere = AddCheckpoint {
        seal: sealed("example.com/other", 9, root(leaves(9)), &log_key()),
        ..request(5, 9)
    };
    assert_eq!(status(&log, &elsewhere), 404);
    // 403: no trusted key, or its signature spoilt.
    let stranger = key(ORIGIN, KeyType::Ed25519, 9);
    let untrusted =
        AddCheckpoint { seal: sealed(ORIGIN, 9, root(leaves(9)), &stranger), ..request(5, 9) };
    assert_eq!(status(&log, &untrusted), 403);
    // 400: the old size is beyond the new one.
    assert_eq!(status(&log, &AddCheckpoint { old_size: 10, ..request(5, 9) }), 400);
    // 409: the old size is not the latest, whatever the proof.
    for old in [0, 4, 6] {
        let refusal = log.judge(&request(old, 9)).unwrap_err();
        assert_eq!((refusal.status(), refusal.body().as_str()), (409, "5\n"));
    }
    assert_eq!(status(&known(None), &request(5, 9)), 409);
    // 422: the proof does not hold, roots of one size differ, something is proved from nothing.
    let mut broken = request(5, 9);
    broken.proof.pop();
    assert_eq!(status(&log, &broken), 422);
    let forked =
        AddCheckpoint { seal: sealed(ORIGIN, 5, leaf_hash(b"fork"), &log_key()), ..request(5, 5) };
    assert_eq!(status(&log, &forked), 422);
    let from_nothing = AddCheckpoint { proof: leaves(1), ..request(0, 9) };
    assert_eq!(status(&known(None), &from_nothing), 422);
    let empty =
        AddCheckpoint { seal: sealed(ORIGIN, 0, leaf_hash(b""), &log_key()), ..request(0, 0) };
    assert_eq!(status(&known(None), &empty), 422);
    assert_eq!(empty_root(), root([]));
}

#[test]
fn a_log_and_a_witness_come_to_terms() {
    let w1 = key("witness.example/w1", KeyType::Cosignature, 2);
    let mut witness = known(None);
    let mut last = 0;
    for size in [3, 3, 17, 300] {
        // The log does not know where the witness stands.
        if last != 0 {
            let refusal = witness.judge(&request(0, size)).unwrap_err();
            let answer =
                Answer::read(refusal.status(), Some(SIZE_CONTENT_TYPE), refusal.body().as_bytes());
            assert_eq!(answer, Ok(Answer::Conflict { size: last }));
        }
        let body = request(last, size).to_string();
        let accepted = witness.judge(&AddCheckpoint::parse(body.as_bytes()).unwrap()).unwrap();
        witness.latest = Some(accepted.seal().into());
        let line = run(cosign(&accepted, &w1, 1_800_000_000)).unwrap();
        let Ok(Answer::Cosigned(lines)) = Answer::read(200, None, format!("{line}\n").as_bytes())
        else {
            panic!()
        };
        let mut seal = request(last, size).seal;
        assert_eq!(seal.accept(lines, std::slice::from_ref(w1.key())), Ok(1));
        assert_eq!(seal.note().verify([w1.key(), log_key().key()]).unwrap().len(), 2);
        last = size;
    }
}

#[test]
fn a_witness_that_signed_something_else_adds_nothing() {
    let w1 = key("witness.example/w1", KeyType::Cosignature, 2);
    let mut seal = request(0, 9).seal;
    let before = seal.clone();
    let of_another = run(cosign(&request(0, 8).seal, &w1, 5)).unwrap();
    let refused = seal.accept(vec![of_another.clone()], std::slice::from_ref(w1.key()));
    assert!(matches!(refused, Err(AcceptError::Verify(VerifyError::Invalid { .. }))));
    let unknown = seal.accept(vec![of_another], &[]);
    assert_eq!(unknown, Err(AcceptError::Verify(VerifyError::Unsigned)));
    assert_eq!(seal, before);
}

#[test]
fn only_trusted_signatures_are_passed_on() {
    let mut asked = request(5, 9);
    let stranger = key("stranger", KeyType::Ed25519, 9);
    let by_stranger = run(Note::sign(asked.seal.note().text(), &stranger)).unwrap();
    asked.seal.add(by_stranger.signatures()[0].clone()).unwrap();
    let accepted = known(Some(5)).judge(&asked).unwrap();
    assert_eq!(accepted, request(5, 9).seal);
}

#[test]
fn bodies_that_are_no_request_are_refused() {
    let body = request(5, 9).to_string();
    let (head, seal) = body.split_once("\n\n").unwrap();
    for wrong in [
        String::new(),
        head.to_owned(),
        seal.to_owned(),
        body.replacen("old 5", "old 05", 1),
        body.replacen("old 5", "old  5", 1),
        body.replacen("old 5", "Old 5", 1),
        body.replacen("old 5", "old -5", 1),
        body.replacen("old 5", "old 5 ", 1),
        format!("\n{body}"),
        format!("{head}\n\n\n{seal}"),
        format!("{head}\nAAAA\n\n{seal}"),
        body.replace('\n', "\r\n"),
    ] {
        let refused = AddCheckpoint::parse(wrong.as_bytes());
        assert!(refused.is_err(), "{wrong:?}");
        assert_eq!(Refusal::from(refused.unwrap_err()).status(), 400);
    }
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let with = |count: usize| format!("old 5\n{}\n{seal}", hash.repeat(count));
    assert!(AddCheckpoint::parse(with(63).as_bytes()).is_ok());
    assert_eq!(AddCheckpoint::parse(with(64).as_bytes()), Err(RequestError::TooManyHashes));
}

#[test]
fn answers_are_understood_by_their_status() {
    let read = |status, content_type, body: &[u8]| Answer::read(status, content_type, body);
    assert_eq!(
        read(409, Some("text/x.tlog.size; charset=utf-8"), b"7\n"),
        Ok(Answer::Conflict { size: 7 })
    );
    for (content_type, body) in [
        (None, "7\n"),
        (Some("text/plain"), "7\n"),
        (Some(SIZE_CONTENT_TYPE), "7"),
        (Some(SIZE_CONTENT_TYPE), "07\n"),
    ] {
        assert_eq!(read(409, content_type, body.as_bytes()), Err(AnswerError::Size));
    }
    assert!(matches!(read(200, None, b"thanks\n"), Err(AnswerError::Signatures(_))));
    assert_eq!(read(422, None, b""), Ok(Answer::Inconsistent));
    assert_eq!(read(403, None, b""), Ok(Answer::Untrusted));
    assert_eq!(read(404, None, b""), Ok(Answer::UnknownLog));
    assert_eq!(read(400, None, b""), Ok(Answer::Malformed));
    assert_eq!(read(503, None, b""), Ok(Answer::Other { status: 503 }));
}

#[test]
fn a_log_is_found_by_the_hash_of_its_origin() {
    let path = monitoring_path(&"example.com/behind-the-sofa".parse().unwrap());
    assert_eq!(path, "5fd2dc0beb4ce54da5050cf6d5c75248b023abad441c3cecde3976fbe9da4fe4/checkpoint");
}

/// The example policy of the specification, with keys.
fn example_policy() -> String {
    let vkey = |seed: u8| key(&format!("w{seed}"), KeyType::Cosignature, seed).key().to_string();
    format!(
        "log {}\n\n# Operated elsewhere.\nwitness X1 {}\nwitness X2 {}\nwitness X3 {} https://x3.example/\n\
         group X-witnesses 2 X1 X2 X3\n\twitness Y1\t{}  \nwitness Y2 {}\nwitness Y3 {}\n\
         group Y-witnesses any Y1 Y2 Y3\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log_key().key(),
        vkey(11),
        vkey(12),
        vkey(13),
        vkey(21),
        vkey(22),
        vkey(23),
    )
}

fn cosigned_by(seeds: &[u8]) -> SignedSeal {
    let mut seal = request(0, 9).seal;
    for seed in seeds {
        let witness = key(&format!("w{seed}"), KeyType::Cosignature, *seed);
        let line = run(cosign(&seal, &witness, 5)).unwrap();
        seal.add(line).unwrap();
    }
    seal
}

#[test]
fn the_quorum_of_the_specification_is_two_of_x_and_one_of_y() {
    let policy = Policy::parse(example_policy().as_bytes()).unwrap();
    assert_eq!(policy.witnesses()[2].url.as_deref(), Some(b"https://x3.example/".as_slice()));
    for (seeds, holds) in [
        (&[11, 12, 21][..], true),
        (&[11, 13, 23], true),
        (&[11, 12, 13, 21, 22, 23], true),
        (&[11, 21, 22, 23], false),
        (&[11, 12, 13], false),
        (&[], false),
        // Witnesses that the policy does not know count for nothing.
        (&[11, 12, 99], false),
    ] {
        let checked = policy.check(&cosigned_by(seeds));
        if holds {
            assert_eq!(checked.unwrap().len(), 1 + seeds.len());
        } else {
            assert!(matches!(checked, Err(Unsatisfied::Quorum { known: 6, .. })), "{seeds:?}");
        }
    }
}

#[test]
fn a_policy_wants_a_log_of_its_own() {
    let none = format!("log {}\nquorum none", log_key().key());
    let policy = Policy::parse(none.as_bytes()).unwrap();
    assert_eq!(*policy.quorum(), Quorum::None);
    assert_eq!(policy.check(&cosigned_by(&[])).unwrap().len(), 1);
    let elsewhere = sealed("example.com/other", 9, root(leaves(9)), &log_key());
    assert!(matches!(policy.check(&elsewhere), Err(Unsatisfied::UnknownLog { .. })));
    let stranger = sealed(ORIGIN, 9, root(leaves(9)), &key(ORIGIN, KeyType::Ed25519, 9));
    assert!(matches!(policy.check(&stranger), Err(Unsatisfied::Log(VerifyError::Unsigned))));
}

#[test]
fn policies_that_the_specification_forbids_are_refused_at_their_line() {
    let witness = |name: &str, seed: u8| {
        format!("witness {name} {}\n", key("w", KeyType::Cosignature, seed).key())
    };
    let (a, b) = (witness("a", 1), witness("b", 2));
    let log = format!("log {}\n", log_key().key());
    let fault = |text: String| {
        let error = Policy::parse(text.as_bytes()).unwrap_err();
        (error.line, error.fault)
    };
    assert_eq!(fault(String::new()), (2, PolicyFault::NoQuorum));
    assert_eq!(fault("quorum none\nquorum none\n".into()), (2, PolicyFault::SecondQuorum));
    assert!(matches!(fault("quorum a\n".into()), (1, PolicyFault::Undefined { .. })));
    assert!(matches!(fault(format!("{a}{a}")), (2, PolicyFault::DuplicateKey { .. })));
    assert!(matches!(fault(format!("{log}{log}")), (2, PolicyFault::DuplicateKey { .. })));
    let other_name = a.replacen("witness a", "witness c", 1);
    assert!(matches!(fault(format!("{a}{other_name}")), (2, PolicyFault::DuplicateKey { .. })));
    let same_name = b.replacen("witness b", "witness a", 1);
    assert!(matches!(fault(format!("{a}{same_name}")), (2, PolicyFault::DuplicateName { .. })));
    let none = a.replacen("witness a", "witness none", 1);
    assert!(matches!(fault(none), (1, PolicyFault::DuplicateName { .. })));
    assert!(matches!(
        fault(format!("{a}group g any a none\n")),
        (2, PolicyFault::Undefined { .. })
    ));
    assert!(matches!(fault(format!("{a}group g any a a\n")), (2, PolicyFault::Shared { .. })));
    assert!(matches!(
        fault(format!("{a}{b}group g any a\ngroup h any a b\n")),
        (4, PolicyFault::Shared { .. })
    ));
    assert!(matches!(fault(format!("group g any a\n{a}")), (1, PolicyFault::Undefined { .. })));
    for threshold in ["0", "3", "-1", "+1", "1.0", "some", "99999999999999999999"] {
        let text = format!("{a}{b}group g {threshold} a b\n");
        assert!(matches!(fault(text), (3, PolicyFault::Threshold { .. })), "{threshold}");
    }
    for line in [
        "group g any\n",
        "log\n",
        "witness a\n",
        "quorum\n",
        "quorum a b\n",
        "Log x\n",
        "nonsense\n",
    ] {
        assert_eq!(fault(line.into()), (1, PolicyFault::Form), "{line:?}");
    }
    for line in ["quorum none\r\n", "# \x7f\n", "#\0\n"] {
        assert!(matches!(fault(line.into()), (1, PolicyFault::Control { .. })), "{line:?}");
    }
    let swapped = a.replacen("witness a", "log", 1);
    assert!(matches!(fault(swapped), (1, PolicyFault::Type { .. })));
    // Names are bytes: these two are not the same.
    let kelvin = format!("{}{}quorum \u{212a}\n", witness("K", 1), witness("\u{212a}", 2));
    assert_eq!(*Policy::parse(kelvin.as_bytes()).unwrap().quorum(), Quorum::Witness(1));
    assert!(Policy::parse(b"# \xff\xfe\nquorum none").is_ok());
    let many = format!(
        "{}{}",
        (0..=255u8).map(|n| witness(&format!("w{n}"), n)).collect::<String>(),
        "quorum none"
    );
    assert!(Policy::parse(many.as_bytes()).is_ok());
    let nested: String = (1..=300).map(|n| format!("group g{n} any g{}\n", n - 1)).collect();
    let nested = format!("{}{nested}quorum g300\n", witness("g0", 1));
    assert_eq!(fault(nested), (258, PolicyFault::TooMany));
}

/// A proof file of one leaf of nine.
fn proof_file() -> (TlogProof, TreeHash) {
    let all = leaves(9);
    let tree = MerkleTree::new(all.clone());
    let proof = InclusionProof::make(&tree, 4, 9).unwrap();
    let proof = TlogProof { extra: None, index: 4, hashes: proof.hashes, seal: cosigned_by(&[11]) };
    (proof, all[4])
}

#[test]
fn a_proof_file_is_read_back_and_proves_its_leaf_alone() {
    let (proof, leaf) = proof_file();
    let read = TlogProof::parse(proof.to_string()).unwrap();
    assert_eq!(read, proof);
    read.verify(&leaf).unwrap();
    assert!(read.verify(&leaves(9)[3]).is_err());
    let with_extra = TlogProof { extra: Some(b"a file".to_vec()), ..proof.clone() };
    assert!(
        with_extra.to_string().starts_with("c2sp.org/tlog-proof@v1\nextra YSBmaWxl\nindex 4\n")
    );
    assert_eq!(TlogProof::parse(with_extra.to_string()).unwrap(), with_extra);
    let text = proof.to_string();
    for wrong in [
        text.replacen("@v1", "@v2", 1),
        text.replacen("index 4", "index 04", 1),
        text.replacen("index 4\n", "", 1),
        text.replacen("index 4", "index 4\nextra YSBmaWxl", 1),
        text.replacen("index 4", "extra a\nindex 4", 1),
        text.replacen("\n\n", "\n\n\n", 1),
        text.replacen("\n\n", "\n", 1),
        text.replacen("\n\n", "\nAAAA\n\n", 1),
    ] {
        assert!(TlogProof::parse(&wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_request_is_cosigned_and_no_changed_proof_file_proves(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), way in 0..3u8,
    ) {
        let change = |text: String| {
            let whole = text.into_bytes();
            let mut changed = whole.clone();
            let at = at.index(whole.len());
            match way {
                0 => changed[at] = byte,
                1 => changed.insert(at, byte),
                _ => drop(changed.remove(at)),
            }
            (changed != whole).then_some(changed)
        };
        if let Some(changed) = change(request(5, 9).to_string()) {
            let accepted = AddCheckpoint::parse(&changed).ok().and_then(|it| known(Some(5)).judge(&it).ok());
            prop_assert_eq!(accepted, None);
        }
        let (proof, leaf) = proof_file();
        if let Some(changed) = change(proof.to_string()) {
            let keys = [log_key().key().clone(), key("w11", KeyType::Cosignature, 11).key().clone()];
            let proves = TlogProof::parse(&changed).ok().is_some_and(|read| {
                // What `extra` says is nobody's word.
                read.extra.is_none() && read.verify(&leaf).is_ok()
                    && read.seal.note().verify(&keys).is_ok_and(|signed| signed.len() == 2)
            });
            prop_assert!(!proves);
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[a-z0-9 \n\t#+=]{0,120}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let _ = Policy::parse(bytes);
            let _ = TlogProof::parse(bytes);
            let _ = AddCheckpoint::parse(bytes);
            let _ = Answer::read(200, None, bytes);
            let _ = Answer::read(409, Some(SIZE_CONTENT_TYPE), bytes);
        }
    }
}
