//! Notes, keys, seals and cosignatures: the samples of golang.org/x/mod/sumdb/note and of the C2SP
//! texts, and what no change gets past.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use async_trait::async_trait;
use guildhall_core::Origin;
use guildhall_proof::{
    KeyError, KeyName, KeyType, LogKey, LogKeys, LogKeysError, MAX_NOTE_BYTES, MAX_SIGNATURES,
    Note, NoteError, NoteSignature, Seal, SealError, SealRefused, SignError, SignedSeal, Signer,
    SignerError, SigningKey, VerifierKey, VerifyError, cosign, parse_signature_lines,
};
use proptest::prelude::*;

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n";
const PETER_LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

/// The seal of the C2SP texts, with its cosignature (tlog-cosignature).
const SOFA: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

fn key(text: &str) -> VerifierKey {
    text.parse().unwrap()
}

fn signing_key(name: &str, key_type: KeyType, seed: u8) -> SigningKey {
    SigningKey::from_seed(name.parse().unwrap(), key_type, &[seed; 32]).unwrap()
}

fn seal(size: u64) -> Seal {
    let root = guildhall_proof::merkle::leaf_hash(&size.to_be_bytes());
    Seal { origin: "example.com/log".parse().unwrap(), size, root }
}

#[test]
fn the_keys_of_gos_note_package_are_read_and_no_change_of_them_is() {
    assert_eq!(key(PETER).to_string(), PETER);
    assert_eq!(*PETER_SECRET.parse::<SigningKey>().unwrap().to_secret_text(), PETER_SECRET);
    fn refuses<K: std::str::FromStr>(text: &str) {
        for from in 0..=text.len() {
            for to in from..=text.len() {
                let part = &text[from..to];
                assert!(part == text || part.parse::<K>().is_err(), "{part}");
            }
        }
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] += 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<K>().is_err(), "{changed}");
        }
    }
    refuses::<VerifierKey>(PETER);
    refuses::<SigningKey>(PETER_SECRET);
    for text in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        // Upper-case hex.
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
    }
}

#[test]
fn a_secret_does_not_show_in_errors_and_debug_output() {
    let secret: SigningKey = PETER_SECRET.parse().unwrap();
    let shown = format!("{secret:?}");
    assert!(!shown.contains("AYEKFALVFGyNhPJEMzD1QIDr"), "{shown}");
    let renamed = PETER_SECRET.replace("Peter", "Paul").parse::<SigningKey>().unwrap_err();
    assert!(matches!(renamed, KeyError::Id { .. }));
    for error in [renamed, PETER_SECRET[1..].parse::<SigningKey>().unwrap_err()] {
        assert!(!format!("{error} {error:?}").contains("EKFALVFG"), "{error:?}");
    }
}

#[test]
fn a_key_that_any_signature_fits_is_refused() {
    let name: KeyName = "weak".parse().unwrap();
    let mut neutral = [0; 32];
    neutral[0] = 1;
    for public in [neutral, [0; 32]] {
        let refused = VerifierKey::new(name.clone(), KeyType::Ed25519, &public);
        assert_eq!(refused, Err(KeyError::Bytes));
    }
}

#[tokio::test]
async fn signing_gives_what_go_gives() {
    let peter: SigningKey = PETER_SECRET.parse().unwrap();
    let note = Note::sign(TEXT, &peter).await.unwrap();
    assert_eq!(note.to_string(), format!("{TEXT}\n{PETER_LINE}"));
    assert!(matches!(Note::sign("abc", &peter).await, Err(SignError::Text(NoteError::Form))));
    assert!(matches!(Note::sign("\x01\n", &peter).await, Err(SignError::Text(_))));
}

#[test]
fn a_note_is_opened_as_go_opens_it() {
    let (peter, enoch) = (key(PETER), key(ENOCH));
    let both = Note::parse(format!("{TEXT}\n{PETER_LINE}{ENOCH_LINE}")).unwrap();
    assert_eq!(both.text(), TEXT);
    let by = |keys: &[&VerifierKey]| -> Result<Vec<String>, VerifyError> {
        let verified = both.verify(keys.iter().copied())?;
        Ok(verified.iter().map(|by| by.key.name().to_string()).collect())
    };
    assert_eq!(by(&[&peter]).unwrap(), ["PeterNeumann"]);
    assert_eq!(by(&[&enoch, &peter]).unwrap(), ["PeterNeumann", "EnochRoot"]);
    assert_eq!(by(&[]), Err(VerifyError::Unsigned));

    let repeated = Note::parse(format!("{TEXT}\n{PETER_LINE}{PETER_LINE}{ENOCH_LINE}")).unwrap();
    assert_eq!(repeated.verify([&peter]).unwrap().len(), 1);

    // A signature by a known key that is wrong spoils the note, whoever else signed.
    let (start, end) = PETER_LINE.split_at(60);
    let spoilt = Note::parse(format!("{TEXT}\n{ENOCH_LINE}{start}ABCD{end}")).unwrap();
    assert!(matches!(spoilt.verify([&peter, &enoch]), Err(VerifyError::Invalid { .. })));
    assert_eq!(spoilt.verify([&enoch]).unwrap().len(), 1);

    for malformed in [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{}", PETER_LINE.trim_end()),
        format!("\x01{TEXT}\n{PETER_LINE}"),
        format!("{TEXT}\n{PETER_LINE}\r\n"),
        format!("{TEXT}\n\u{2014} Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBt\n"),
        format!("{TEXT}\n{PETER_LINE}Unexpected line.\n"),
        format!("{TEXT}\n{}", PETER_LINE.replace('\u{2014}', "-")),
        format!("{TEXT}\n\u{2014} PeterNeumann x08gow==\n"),
        format!("{TEXT}\n{}", PETER_LINE.repeat(MAX_SIGNATURES + 1)),
        format!("{}\n\n{PETER_LINE}", "x".repeat(MAX_NOTE_BYTES)),
    ] {
        assert!(Note::parse(&malformed).is_err(), "{malformed:.200}");
    }
    assert!(matches!(Note::parse(b"\xff\n\n"), Err(NoteError::NotUtf8 { valid_bytes: 0 })));
    let sixteen = Note::parse(format!("{TEXT}\n{}", PETER_LINE.repeat(16))).unwrap();
    assert_eq!(sixteen.signatures().len(), 16);
}

#[test]
fn the_samples_of_signed_note_hold() {
    let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let foo = key("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
    let note = Note::parse(note).unwrap();
    assert_eq!(note.verify([&foo]).unwrap().len(), 1);
    // A text with empty lines of its own: the last one separates.
    let poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(poem).unwrap();
    assert!(note.text().ends_with("\n\ned è subito sera.\n"));
    assert_eq!(note.signatures()[0].id.to_string(), "367ba04b");
    assert_eq!(note.to_string(), poem);
}

#[test]
fn a_key_that_is_known_twice_signed_once() {
    let note = Note::parse(format!("{TEXT}\n{PETER_LINE}")).unwrap();
    let (peter, again, enoch) = (key(PETER), key(PETER), key(ENOCH));
    assert_eq!(note.verify([&peter, &again, &enoch]).unwrap().len(), 1);
}

#[test]
fn the_sample_seal_is_read_and_written_back() {
    let signed = SignedSeal::parse(SOFA).unwrap();
    assert_eq!(signed.seal().origin.as_str(), "example.com/behind-the-sofa");
    assert_eq!(signed.seal().size, 20_852_163);
    assert_eq!(signed.to_string(), SOFA);
    assert_eq!(signed.seal().to_string(), signed.note().text());
    // `time 1679315147` of the specification.
    let cosignature = &signed.note().signatures()[1];
    assert_eq!(cosignature.bytes.len(), 72);
    assert_eq!(cosignature.bytes[..8], 1_679_315_147u64.to_be_bytes());
}

#[test]
fn what_is_no_seal_is_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    for text in [
        String::new(),
        format!("log\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("log\n01\n{root}\n"),
        format!("log\n+1\n{root}\n"),
        format!("log\n-1\n{root}\n"),
        format!("log\n 1\n{root}\n"),
        format!("log\n\n{root}\n"),
        format!("log\n18446744073709551616\n{root}\n"),
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n".to_owned(),
        // Bits beyond the last byte.
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n".to_owned(),
        format!("log\n1\n{root}\n\n"),
    ] {
        assert!(text.parse::<Seal>().is_err(), "{text:?}");
    }
    let extended = format!("log\n1\n{root}\nanything\n");
    assert_eq!(extended.parse::<Seal>(), Err(SealError::Extended));
    let signature = SOFA.split_once("\n\n").unwrap().1;
    assert!(SignedSeal::parse(format!("{extended}\n{signature}")).is_err());
    let of_another_log = SignedSeal::parse_extended(format!("{extended}\n{signature}")).unwrap();
    assert_eq!(of_another_log.note().text(), extended);
    assert!(
        SignedSeal::parse_extended(format!("log\n1\n{root}\n\nanything\n\n{signature}")).is_err()
    );
}

#[tokio::test]
async fn a_seal_is_signed_cosigned_and_verified() {
    let log = signing_key("example.com/log", KeyType::Ed25519, 1);
    let witness = signing_key("witness.example/w1", KeyType::Cosignature, 2);
    let mut signed = SignedSeal::sign(seal(7), &log).await.unwrap();
    let cosignature = cosign(&signed, &witness, 1_679_315_147).await.unwrap();
    let line = format!("{cosignature}\n");
    assert_eq!(parse_signature_lines(line.as_bytes()), Ok(vec![cosignature.clone()]));
    signed.add(cosignature.clone()).unwrap();
    signed.add(cosignature).unwrap();
    let read = SignedSeal::parse(signed.to_string()).unwrap();
    assert_eq!(read, signed);
    let verified = read.note().verify([log.key(), witness.key()]).unwrap();
    let times: Vec<_> = verified.iter().map(|by| by.unix_seconds).collect();
    assert_eq!(times, [None, Some(1_679_315_147)]);

    // Each key signs only what is its own to sign.
    assert!(matches!(cosign(&signed, &log, 1).await, Err(SignError::Type { .. })));
    assert!(matches!(SignedSeal::sign(seal(7), &witness).await, Err(SignError::Type { .. })));
    for time in [0, 1 << 63, u64::MAX] {
        assert!(matches!(cosign(&signed, &witness, time).await, Err(SignError::Time { .. })));
    }
    // The same bytes under another type are not the same key.
    let other_type = VerifierKey::new(
        "witness.example/w1".parse().unwrap(),
        KeyType::Ed25519,
        witness.key().public(),
    );
    assert_ne!(other_type.unwrap().id(), witness.key().id());
}

#[tokio::test]
async fn a_cosignature_is_what_another_program_makes_of_the_sample() {
    // The seal and time of tlog-cosignature, signed by OpenSSL with the seed 02 … 02.
    let w1 = signing_key("witness.example.com/w1", KeyType::Cosignature, 2);
    let vkey = "witness.example.com/w1+745fb5e8+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    assert_eq!(w1.key().to_string(), vkey);
    let seal = SignedSeal::parse(SOFA).unwrap();
    let line = "\u{2014} witness.example.com/w1 dF+16AAAAABkGFDLUwBLV8e4tjvb6qEHiNTQjDZIX+7tvd038taw9A7W/cQ7ZhSah0uJMOI6CTPez5qwHtE49MrkWhU349mtYmi3Dw==";
    assert_eq!(cosign(&seal, &w1, 1_679_315_147).await.unwrap().to_string(), line);
}

#[tokio::test]
async fn a_cosignature_of_an_impossible_time_is_none() {
    let w1 = signing_key("witness.example.com/w1", KeyType::Cosignature, 2);
    let seal = SignedSeal::parse(SOFA).unwrap();
    for (time, holds) in [(u64::MAX >> 1, true), (1 << 63, false)] {
        let message = format!("cosignature/v1\ntime {time}\n{}", seal.note().text());
        let signature = w1.sign(message.as_bytes()).await.unwrap();
        let bytes = [time.to_be_bytes().as_slice(), &signature].concat();
        let (name, id) = (w1.key().name().clone(), w1.key().id());
        let mut seal = seal.clone();
        seal.add(NoteSignature { name, id, bytes }).unwrap();
        assert_eq!(seal.note().verify([w1.key()]).is_ok(), holds, "{time}");
    }
}

/// A service whose key was exchanged behind its back.
struct Exchanged(SigningKey, SigningKey);

#[async_trait]
impl Signer for Exchanged {
    fn key(&self) -> &VerifierKey {
        self.0.key()
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        if message.starts_with(b"down") {
            return Err(SignerError::new("the service is down"));
        }
        self.1.sign(message).await
    }
}

#[tokio::test]
async fn what_a_signer_answers_is_checked_before_it_is_used() {
    let key = |seed| signing_key("example.com/log", KeyType::Ed25519, seed);
    let service = Exchanged(key(1), key(2));
    assert!(matches!(SignedSeal::sign(seal(1), &service).await, Err(SignError::NotItsOwn { .. })));
    assert!(matches!(Note::sign("down\n", &service).await, Err(SignError::Signer(_))));
}

#[tokio::test]
async fn a_key_seals_only_at_the_sizes_that_it_holds_for() {
    let origin: Origin = "example.com/log".parse().unwrap();
    let (old, new) = (
        signing_key("log-2025", KeyType::Ed25519, 1),
        signing_key("log-2026", KeyType::Ed25519, 2),
    );
    let keys = LogKeys::new(
        origin.clone(),
        vec![
            LogKey { key: old.key().clone(), from: 0, until: Some(100) },
            LogKey { key: new.key().clone(), from: 100, until: None },
        ],
    )
    .unwrap();
    assert_eq!(keys.to_string().parse::<LogKeys>().unwrap(), keys);
    for (signer, size, holds) in [
        (&old, 0, true),
        (&old, 99, true),
        (&old, 100, false),
        (&new, 99, false),
        (&new, 100, true),
    ] {
        let signed = SignedSeal::sign(seal(size), signer).await.unwrap();
        let verified = keys.verify(&signed);
        if holds {
            assert_eq!(verified.unwrap()[0].key, signer.key(), "{size}");
        } else {
            assert!(matches!(verified, Err(SealRefused::NotAtThisSize { .. })), "{size}");
        }
    }
    let stranger = signing_key("log-2025", KeyType::Ed25519, 3);
    let signed = SignedSeal::sign(seal(1), &stranger).await.unwrap();
    assert_eq!(keys.verify(&signed), Err(SealRefused::Signature(VerifyError::Unsigned)));
    let elsewhere = Seal { origin: "example.com/other".parse().unwrap(), ..seal(1) };
    let signed = SignedSeal::sign(elsewhere, &old).await.unwrap();
    assert!(matches!(keys.verify(&signed), Err(SealRefused::Origin { .. })));
}

#[test]
fn keys_of_a_log_that_could_not_be_meant_are_refused() {
    let head = "guildhall.keys.v1\norigin example.com/log\n";
    let read = |lines: &str| format!("{head}{lines}").parse::<LogKeys>();
    let witness = signing_key("w", KeyType::Cosignature, 1).key().to_string();
    assert!(read(&format!("  # a comment\n\n\tkey\t{PETER} 0   10\nkey {ENOCH} 10\n")).is_ok());
    assert_eq!(read(""), Err(LogKeysError::Empty));
    assert!(matches!(read(&format!("key {PETER} 5 5\n")), Err(LogKeysError::Never { .. })));
    assert!(matches!(read(&format!("key {witness} 0\n")), Err(LogKeysError::Type { .. })));
    assert!(matches!(read(&format!("key {PETER}\n")), Err(LogKeysError::Line { line: 3 })));
    assert!(matches!(read(&format!("key {PETER} 01\n")), Err(LogKeysError::Line { line: 3 })));
    assert!(matches!(read("key a+b+c 0\n"), Err(LogKeysError::Key { line: 3, .. })));
    let twice = read(&format!("key {PETER} 0 10\nkey {PETER} 10\n"));
    assert!(matches!(twice, Err(LogKeysError::Duplicate { .. })));
    for text in ["", "guildhall.keys.v2\norigin a\n", "guildhall.keys.v1\nkey x 0\n"] {
        assert_eq!(text.parse::<LogKeys>(), Err(LogKeysError::Header), "{text:?}");
    }
}

#[test]
fn an_origin_that_no_key_can_be_named_after_is_told_the_way_out() {
    for origin in ["Guildhall of York", "a+b", "a\u{a0}b"] {
        let origin: Origin = origin.parse().unwrap();
        let refused = KeyName::try_from(&origin).unwrap_err().to_string();
        assert!(refused.contains("a name of its own"), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_byte_of_a_signed_seal_gets_past(at in any::<prop::sample::Index>(), byte in any::<u8>(),
                                                   way in 0..3u8) {
        let log = signing_key("example.com/log", KeyType::Ed25519, 1);
        let witness = signing_key("w.example", KeyType::Cosignature, 2);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let signed = runtime.block_on(async {
            let mut signed = SignedSeal::sign(seal(7), &log).await.unwrap();
            signed.add(cosign(&signed, &witness, 5).await.unwrap()).unwrap();
            signed
        });
        let whole = signed.to_string().into_bytes();
        let mut changed = whole.clone();
        let at = at.index(whole.len());
        match way {
            0 => changed[at] = byte,
            1 => changed.insert(at, byte),
            _ => drop(changed.remove(at)),
        }
        prop_assume!(changed != whole);
        // Both keys signed exactly one text.
        let verified = SignedSeal::parse(&changed).ok()
            .and_then(|seal| Some(seal.note().verify([log.key(), witness.key()]).ok()?.len()));
        prop_assert!(verified != Some(2));
    }

    #[test]
    fn arbitrary_texts_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,80}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(note) = Note::parse(bytes) {
                prop_assert!(note.to_string().as_bytes() == bytes);
            }
            let _ = SignedSeal::parse_extended(bytes);
            let _ = parse_signature_lines(bytes);
        }
        let _ = (text.parse::<VerifierKey>(), text.parse::<SigningKey>().map(drop), text.parse::<Seal>());
        let _ = text.parse::<LogKeys>();
    }
}
