//! The password hashes of other systems.

use std::collections::BTreeSet;

use serde_json::json;

use super::{BCRYPT, HASHES, PASSWORD};
use crate::domain::audit::UnknownAccount;
use crate::domain::credentials::foreign_hash::{Cost, ForeignHash};
use crate::domain::credentials::hash_costs::HashCosts;
use crate::testing::World;

/// The example of <https://github.com/firebase/scrypt>, as Supabase writes such hashes.
const FIREBASE: &str = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,\
    sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
    $42xEC+ixf3L2lw==\
    $lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
const ARGON2ID: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

#[test]
fn users_imported_with_a_foreign_hash_log_in_with_the_old_password_and_are_rehashed() {
    let world = World::new();
    for (number, hash) in HASHES.into_iter().enumerate() {
        let name = format!("user{number}");
        let user = json!({"username": name, "password_hash": hash});
        let imported = world.import(json!([user]));
        assert_eq!(imported[0]["status"], "imported", "{hash}: {imported:?}");
        assert_eq!(imported[0]["weak_hash"], true, "{hash}");
        let key = format!("account/{}", imported[0]["user_id"].as_str().unwrap());
        let stored = || String::from_utf8(world.stored(&key).unwrap()).unwrap();

        assert!(!stored().contains("$argon2id$"));
        assert_eq!(
            world.log_in(&name, "an old passwort"),
            Err(-32001),
            "{hash}"
        );
        assert!(!stored().contains("$argon2id$"));
        assert!(world.log_in(&name, PASSWORD).is_ok(), "{hash}");
        let rehashed = stored();
        assert!(
            rehashed.contains("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{rehashed}"
        );
        assert!(world.log_in(&name, PASSWORD).is_ok(), "{hash}");
        assert_eq!(
            world.log_in(&name, "an old passwort"),
            Err(-32001),
            "{hash}"
        );
        assert_eq!(stored(), rehashed, "once is enough");
    }
}

#[test]
fn foreign_hashes_are_not_stored_as_they_were_imported() {
    let world = World::new();
    let user = json!({"username": "alice", "password_hash": HASHES[5]});
    assert_eq!(world.import_one(user), "imported");
    let everything = world.dump("");
    assert!(everything.contains("alice") && everything.contains("pbkdf2"));
    assert!(!everything.contains("Wouwm4jjZQ22hqOuXm7hYyUGS9chvQzyOp/9TORxN80"));
    // Nor does the store contain the hash as a list of numbers.
    assert!(!everything.contains("90,139,176,155"));
}

#[test]
fn known_bcrypt_and_scrypt_hashes_verify() {
    let world = World::new();
    for (password, hash) in [
        (
            "a",
            "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
        ),
        (
            "abc",
            "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
        ),
        // RFC 7914 section 12.
        (
            "pleaseletmein",
            "scrypt:16384:8:1$SodiumChloride$\
             7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2\
             d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
        ),
    ] {
        let name = format!("owner-of-{password}");
        let user = json!({"username": name, "password_hash": hash});
        assert_eq!(world.import_one(user), "imported", "{hash}");
        assert!(world.log_in(&name, password).is_ok(), "{hash}");
    }
}

#[test]
fn bcrypt_compares_72_bytes_until_the_first_login() {
    let world = World::new();
    let long = "long password ".repeat(6);
    let salt = b"0123456789abcdef";
    let hash = bcrypt::bcrypt(4, *salt, &long.as_bytes()[..72]);
    let text = |bytes: &[u8]| {
        use base64::Engine;
        let engine = base64::engine::GeneralPurpose::new(
            &base64::alphabet::BCRYPT,
            base64::engine::general_purpose::NO_PAD,
        );
        engine.encode(bytes)
    };
    let hash = format!("$2y$04${}{}", text(salt), text(&hash[..23]));
    world.import_one(json!({"username": "alice", "password_hash": hash}));
    assert_eq!(world.log_in("alice", &long[..71]), Err(-32001));
    assert!(world.log_in("alice", &long).is_ok());
    assert_eq!(
        world.log_in("alice", &long[..73]),
        Err(-32001),
        "the whole counts now"
    );
    assert!(world.log_in("alice", &long).is_ok());
}

#[test]
fn excessive_costs_and_invalid_hashes_are_refused_and_not_echoed() {
    let world = World::new();
    let b64 = |bytes: usize| "A".repeat(bytes.div_ceil(3) * 4);
    for (hash, expected) in [
        (BCRYPT.replace("$04$", "$15$"), "at most 14"),
        (BCRYPT.replace("$04$", "$31$"), "at most 14"),
        (BCRYPT.replace("$04$", "$03$"), "at least 4"),
        (BCRYPT.replace("$2b$", "$2x$"), "broken"),
        (HASHES[7].replace("ln=10", "ln=18"), "128 MiB"),
        (HASHES[7].replace("ln=10", "ln=63"), "128 MiB"),
        (HASHES[7].replace("r=8", "r=4294967295"), "128 MiB"),
        (
            HASHES[7].replace("ln=10,r=8,p=1", "ln=17,r=8,p=5"),
            "512 MiB",
        ),
        (HASHES[7].replace("p=1", "p=0"), "p at most"),
        (HASHES[2].replace("i=1000", "i=5000001"), "5,000,000"),
        (HASHES[2].replace("i=1000", "i=0"), "5,000,000"),
        (
            format!("$pbkdf2-sha256$i=2500001${}${}", b64(12), b64(48)),
            "5,000,000",
        ),
        (ARGON2ID.replace("m=65536", "m=4194304"), "128 MiB"),
        (ARGON2ID.replace("t=3", "t=17"), "16 passes"),
        (ARGON2ID.replace("p=4", "p=17"), "16 lanes"),
        (ARGON2ID.replace("m=65536", "m=31"), "128 MiB"),
        (ARGON2ID.replace("v=19", "v=16"), "expected a password hash"),
        (
            ARGON2ID.replace("argon2id", "argon2d"),
            "expected a password hash",
        ),
        (HASHES[10].replace("i=1000", "i=5000001"), "5,000,000"),
        (HASHES[13].replace("$1000$", "$5000001$"), "5,000,000"),
        (HASHES[16].replace("m=64", "m=4194304"), "128 MiB"),
        (HASHES[18].replace("$04$", "$15$"), "at most 14"),
        (FIREBASE.replace("n=14", "n=18"), "128 MiB"),
        (FIREBASE.replace("v=1", "v=2"), "expected a password hash"),
        (
            FIREBASE.replace("sk=", "sk=AAAA"),
            "expected a password hash",
        ),
        ("{noop}hunter2".to_owned(), "expected a password hash"),
        (
            "{MD5}5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
            "expected a",
        ),
        (
            format!("$scrypt$ln=10,r=8,p=1${}$", b64(12)),
            "16 to 64 bytes",
        ),
        (
            format!("$scrypt$ln=10,r=8,p=1${}${}", b64(12), b64(66)),
            "16 to 64",
        ),
        (
            format!("$scrypt$ln=10,r=8,p=1${}${}", b64(6), b64(48)),
            "8 to 64",
        ),
        (
            format!("$pbkdf2-sha256$i=1000,l=31${}${}", b64(12), b64(48)),
            "expected a",
        ),
        (
            HASHES[2].replace("i=1000", "i=01000"),
            "expected a password hash",
        ),
        (
            HASHES[2].replace("i=1000", "i=+1000"),
            "expected a password hash",
        ),
        (
            HASHES[9].replace("1024", "1000"),
            "expected a password hash",
        ),
        (
            "5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
            "expected a password hash",
        ),
        ("hunter2".to_owned(), "expected a password hash"),
        ("ü".repeat(30), "expected a password hash"),
        (
            format!("{BCRYPT}{}", "x".repeat(500)),
            "expected a password hash",
        ),
    ] {
        let user = json!({"username": "alice", "password_hash": hash});
        let output = &world.import(json!([user]))[0];
        assert_eq!(output["status"], "refused", "{hash}");
        let problem = output["problem"].as_str().unwrap();
        assert!(problem.starts_with("password_hash: "), "{problem}");
        assert!(problem.contains(expected), "{hash}: {problem}");
        assert!(
            hash.is_empty() || !output.to_string().contains(&hash),
            "{output}"
        );
    }
    assert_eq!(world.dump("account/"), "", "no user was imported");
    assert!(world.hashes.take().is_empty(), "nothing was hashed");
}

/// Makes the changes that a fuzzer would find first.
#[test]
fn no_text_makes_the_hash_parser_panic_or_accept_excessive_costs() {
    let mut tried = 0;
    for hash in HASHES.into_iter().chain([ARGON2ID, FIREBASE]) {
        for at in 0..=hash.len() {
            for insert in ["", "$", ",", "=", "9", "99999999999", "-", "\0", "ü", "/"] {
                for rest in [&hash[at..], hash.get(at + 1..).unwrap_or_default(), ""] {
                    let text = format!("{}{insert}{rest}", &hash[..at]);
                    tried += 1;
                    let Ok(foreign) = ForeignHash::parse(&text) else {
                        continue;
                    };
                    assert!((16..=64).contains(&foreign.hash.len()));
                    let is_bounded = match foreign.cost {
                        Cost::Bcrypt { cost } | Cost::BcryptSha256 { cost } => {
                            cost <= 14 && foreign.salt.len() == 16
                        }
                        Cost::Scrypt(it) | Cost::FirebaseScrypt(it) => {
                            let work = u64::from(it.block_size * it.parallelism) << it.log_n;
                            work <= 4 << 20 && it.output_length as usize == foreign.hash.len()
                        }
                        Cost::Pbkdf2Sha256(it) | Cost::Pbkdf2Sha512(it) | Cost::Pbkdf2Sha1(it) => {
                            it.iterations <= 5_000_000
                        }
                        Cost::Argon2id(it) | Cost::Argon2i(it) => {
                            it.memory_kib <= 131_072 && it.iterations <= 16
                        }
                    };
                    assert!(is_bounded, "{text}");
                }
            }
        }
    }
    assert!(tried > 10_000);
}

#[test]
fn hashes_below_the_recommended_cost_are_reported_as_weak() {
    for (hash, is_weak) in [
        (BCRYPT.replace("$04$", "$09$"), true),
        (BCRYPT.replace("$04$", "$10$"), false),
        (HASHES[7].replace("ln=10", "ln=16"), true),
        (HASHES[7].replace("ln=10", "ln=17"), false),
        (HASHES[7].replace("ln=10,r=8,p=1", "ln=16,r=8,p=2"), false),
        (HASHES[2].replace("i=1000", "i=599999"), true),
        (HASHES[2].replace("i=1000", "i=600000"), false),
        (ARGON2ID.replace("m=65536", "m=12287"), true),
        (HASHES[10].replace("i=1000", "i=209999"), true),
        (HASHES[10].replace("i=1000", "i=210000"), false),
        (HASHES[13].replace("$1000$", "$1299999$"), true),
        (HASHES[13].replace("$1000$", "$1300000$"), false),
        (HASHES[18].replace("$04$", "$10$"), false),
        (ARGON2ID.replace("argon2id", "argon2i"), true),
        (FIREBASE.to_owned(), true),
        (ARGON2ID.replace("m=65536", "m=12288"), false),
    ] {
        let foreign = ForeignHash::parse(&hash).unwrap();
        assert_eq!(foreign.cost.is_weak(), is_weak, "{hash}");
    }
}

#[test]
fn foreign_argon2id_hashes_verify_without_the_pepper_and_are_rehashed_with_it() {
    let world = World::new();
    let user = json!({"username": "alice", "password_hash": ARGON2ID});
    assert_eq!(world.import_one(user), "imported");
    assert_eq!(world.hashed_with("alice"), ["argon2id 65536"]);
}

#[test]
fn logins_to_unknown_names_do_the_work_of_an_existing_kind_of_account() {
    let world = World::new();
    let names: Vec<String> = (0..40).map(|number| format!("nobody{number}")).collect();
    let work = |world: &World| -> Vec<Vec<String>> {
        world.pass(3600);
        let works = names.iter().map(|name| world.hashed_with(name));
        works.collect()
    };
    let ours = vec!["argon2id 19456".to_owned()];
    assert!(work(&world).iter().all(|it| *it == ours));

    for (name, hash) in [("a", HASHES[0]), ("b", HASHES[2]), ("c", HASHES[7])] {
        world.import_one(json!({"username": name, "password_hash": hash}));
    }
    let first = work(&world);
    let kinds: BTreeSet<&Vec<String>> = first.iter().collect();
    let expected: BTreeSet<Vec<String>> = [
        "argon2id 19456",
        "bcrypt 4",
        "pbkdf2-sha256 1000",
        "scrypt 10",
    ]
    .map(|kind| vec![kind.to_owned()])
    .into();
    assert_eq!(kinds, expected.iter().collect());
    assert_eq!(work(&world), first, "each name always takes the same");
    // Existing accounts hash with their own costs as well.
    assert_eq!(world.hashed_with("a"), ["bcrypt 4"]);
    assert_eq!(world.hashed_with("c"), ["scrypt 10"]);
}

#[test]
fn passwords_with_two_forms_are_tried_twice_on_foreign_hashes_of_known_and_unknown_names() {
    let world = World::new();
    world.import_one(json!({"username": "alice", "password_hash": BCRYPT}));
    let credentials = json!({"username": "bob", "password": "correct horse battery staple"});
    world.run("register", credentials).unwrap();
    let work = |username: &str, password: &str| {
        world.pass(3600);
        world.hashes.take();
        assert_eq!(
            world.log_in(username, password),
            Err(-32001),
            "{password:?}"
        );
        world.hashes.take()
    };
    let (ours, theirs) = ("argon2id 19456", "bcrypt 4");
    let names: Vec<String> = (0..20).map(|number| format!("nobody{number}")).collect();
    let is_ours = |name: &String| work(name, "one form") == [ours];
    let (like_ours, like_theirs): (Vec<_>, Vec<_>) = names.into_iter().partition(is_ours);
    assert!(!like_ours.is_empty() && !like_theirs.is_empty());
    for (password, forms) in [
        ("old house by the lake", 1),
        ("old\u{a0}house by the lake", 2),
        ("old\u{3000}house by the lake", 2),
        ("cafe\u{301} by the lake", 2),
        ("caf\u{e9} by the lake", 1),
        ("old\thouse by the lake", 1),
        ("old house by the lake\n", 1),
    ] {
        assert_eq!(work("alice", password), vec![theirs; forms], "{password:?}");
        assert_eq!(work(&like_theirs[0], password), vec![theirs; forms]);
        assert_eq!(work("bob", password), [ours], "{password:?}");
        assert_eq!(work(&like_ours[0], password), [ours], "{password:?}");
    }
    // Until it is rehashed, the right password costs as much work as a wrong one.
    let right = json!({"username": "alice", "password": "an old\u{a0}password"});
    world.hashes.take();
    world.run("login", right).unwrap();
    assert_eq!(world.hashes.take(), [theirs, theirs, ours]);
}

#[test]
fn logins_to_unknown_names_also_do_the_work_of_hash_settings_before_a_change() {
    let mut world = World::new();
    world.alice();
    world.settings.argon2_memory_kib = 47 * 1024;
    let of_alice = world.hashed_with("alice");
    let mut seen: Vec<Vec<String>> = (0..50)
        .map(|number| world.hashed_with(&format!("nobody{number}")))
        .collect();
    seen.sort();
    seen.dedup();
    assert!(seen.contains(&of_alice), "{of_alice:?} {seen:?}");
    assert_eq!(seen.len(), 2, "as before, and as now");
}

#[test]
fn a_new_cost_changes_only_its_share_of_unknown_names() {
    let world = World::new();
    let of = |costs: u32| -> Vec<Option<Cost>> {
        let costs: Vec<Cost> = (0..costs).map(|cost| Cost::Bcrypt { cost }).collect();
        let known: HashCosts = serde_json::from_value(json!({"costs": costs})).unwrap();
        let unknown =
            |number: u32| UnknownAccount::new("username", &number.to_string(), &world.ports());
        (0..1000)
            .map(|number| known.decoy_for(unknown(number).unwrap()))
            .collect()
    };
    for costs in [0, 1, 3, 9] {
        let (before, after) = (of(costs), of(costs + 1));
        let pairs = before.iter().zip(&after);
        let moved: Vec<_> = pairs.filter(|(before, after)| before != after).collect();
        let new = Some(Cost::Bcrypt { cost: costs });
        assert!(moved.iter().all(|(_, after)| **after == new));
        let share = 1000 / (costs as usize + 2);
        assert!((share / 2..share * 2).contains(&moved.len()), "{costs}");
    }
}

#[test]
fn imports_beyond_the_limit_of_hash_kinds_are_refused() {
    let world = World::new();
    let user = |iterations: u32| {
        let hash = HASHES[2].replace("i=1000", &format!("i={iterations}"));
        json!({"username": format!("user{iterations}"), "password_hash": hash})
    };
    for iterations in 1..=32 {
        assert_eq!(world.import_one(user(iterations)), "imported");
    }
    let refused = &world.import(json!([user(33)]))[0];
    assert_eq!(refused["status"], "refused");
    assert!(refused["problem"].as_str().unwrap().contains("32 kinds"));
    let known = json!({"username": "known", "password_hash": HASHES[2].replace("1000", "7")});
    assert_eq!(world.import_one(known), "imported");
}

#[test]
fn firebase_hashes_verify_without_the_signer_key_of_the_project() {
    let world = World::new();
    let user = json!({"username": "alice", "password_hash": FIREBASE});
    let imported = &world.import(json!([user]))[0];
    assert_eq!(
        (&imported["status"], &imported["weak_hash"]),
        (&json!("imported"), &json!(true))
    );
    assert_eq!(world.log_in("alice", "user1passwort"), Err(-32001));
    assert!(world.log_in("alice", "user1password").is_ok());
    assert!(world.log_in("alice", "user1password").is_ok());
    assert!(!world.dump("").contains("jxspr8Ki"));
}
