//! Import of users of other systems, and of their password hashes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::domain::audit::UnknownAccount;
use crate::domain::caller::Principal;
use crate::domain::credentials::foreign_hash::{Cost, ForeignHash};
use crate::domain::credentials::hash_costs::HashCosts;
use crate::testing::World;
use crate::types::secret::Secret;

const PASSWORD: &str = "an old password";
/// Hashes of `PASSWORD` in each supported format, made by crypt(3), Python's hashlib and
/// argon2-cffi.
const HASHES: [&str; 22] = [
    BCRYPT,
    "bcrypt$$2b$04$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES",
    "$pbkdf2-sha256$i=1000$yMnKy8zNzs/Q0dLT1NXW1w$K3LXKeEJP6GsAdhJUdFARMbOn5WLfdqclOBZscdAGMQ",
    "$pbkdf2-sha256$i=1000,l=32$yMnKy8zNzs/Q0dLT1NXW1w$K3LXKeEJP6GsAdhJUdFARMbOn5WLfdqclOBZscdAGMQ",
    "$pbkdf2-sha256$1000$yMnKy8zNzs/Q0dLT1NXW1w$K3LXKeEJP6GsAdhJUdFARMbOn5WLfdqclOBZscdAGMQ",
    "pbkdf2_sha256$1000$Zt1xXxWBc5wMs0rY$Wouwm4jjZQ22hqOuXm7hYyUGS9chvQzyOp/9TORxN80=",
    "pbkdf2:sha256:1000$Zt1xXxWBc5wMs0rY$5a8bb09b88e3650db686a3ae5e6ee16325064bd721bd0cf23a9ffd4ce47137cd",
    "$scrypt$ln=10,r=8,p=1$yMnKy8zNzs/Q0dLT1NXW1w$bfvJLd288w+S9qSXXw+bpj+PQStyf4SzAZeLM6i+DBY",
    "scrypt$1024$Zt1xXxWBc5wMs0rY$8$2$OnEOhSg8/JHlUEno1eRrMVRvzBeUvRtlTLd8B1uil1upydb0Xx+hZ2lQbJ86qEVBni9zy5Y+UAS3JgIfMyB2IA==",
    "scrypt:1024:8:2$Zt1xXxWBc5wMs0rY$3a710e85283cfc91e55049e8d5e46b31546fcc1794bd1b654cb77c075ba2975ba9c9d6f45f1fa16769506c9f3aa845419e2f73cb963e5004b726021f33207620",
    "$pbkdf2-sha512$i=1000$yMnKy8zNzs/Q0dLT1NXW1w$ZRDLhdzR+p/lO1oyCALiWHI+7oFfGJVygs0VI9i96GwVqwY1OlLqyHx1KGvIU1d2NyFjN8hSsUKb8HOxy9OxnQ==",
    "pbkdf2_sha512$1000$Zt1xXxWBc5wMs0rY$cRcnBRU6J+LJKgEEAFe0aE7u1ORbuWHRo5FVzq2CMlCgiRT5z+TdpVAOYzBrodXVHAw7aGlf1vrwp/JjDO3Pbg==",
    "pbkdf2:sha512:1000$Zt1xXxWBc5wMs0rY$71172705153a27e2c92a01040057b4684eeed4e45bb961d1a39155cead823250a08914f9cfe4dda5500e63306ba1d5d51c0c3b68695fd6faf0a7f2630cedcf6e",
    "$pbkdf2$1000$yMnKy8zNzs/Q0dLT1NXW1w$.QUYkcLdPwbhQNu2fM4Jv0wIUoE",
    "pbkdf2_sha1$1000$Zt1xXxWBc5wMs0rY$/33NRJkOzQAcongId4k0cSb4/FM=",
    "pbkdf2:sha1:1000$Zt1xXxWBc5wMs0rY$ff7dcd44990ecd001ca278087789347126f8fc53",
    "$argon2i$v=19$m=64,t=2,p=1$yMnKy8zNzs/Q0dLT1NXW1w$s6K4tZ1ppYOf0CPmtcmeNXeLo4lJCtIPW28HP46TY1o",
    "argon2$argon2i$v=19$m=64,t=2,p=1$yMnKy8zNzs/Q0dLT1NXW1w==$s6K4tZ1ppYOf0CPmtcmeNXeLo4lJCtIPW28HP46TY1o=",
    "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuK5E8z0LBVBBuFmjXY.iIdVrp2Blq8t.",
    "{bcrypt}$2y$04$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES",
    "{ARGON2I}$argon2i$v=19$m=64,t=2,p=1$yMnKy8zNzs/Q0dLT1NXW1w$s6K4tZ1ppYOf0CPmtcmeNXeLo4lJCtIPW28HP46TY1o",
    " $2b$04$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES\r\n",
];
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES";
/// The example of <https://github.com/firebase/scrypt>, as Supabase writes such hashes.
const FIREBASE: &str = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,\
    sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
    $42xEC+ixf3L2lw==\
    $lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
const ARGON2ID: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

impl World {
    fn import(&self, users: Value) -> Vec<Value> {
        let input = json!({"users": users});
        let mut output = self
            .run_as(Principal::Operator, "import_users", input)
            .unwrap();
        serde_json::from_value(output["users"].take()).unwrap()
    }

    /// Imports one user and returns the status.
    fn import_one(&self, user: Value) -> String {
        self.import(json!([user]))[0]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Returns the functions and costs with which a login with a wrong password hashes.
    fn hashed_with(&self, username: &str) -> Vec<String> {
        self.hashes.take();
        assert_eq!(self.log_in(username, "a wrong password"), Err(-32001));
        self.hashes.take()
    }

    /// Imports a user with the session of another user.
    fn import_as(&self, tokens: &Value, user: Value) -> Value {
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        let caller = Principal::AccessToken(Secret::new(token));
        let output = self.run_as(caller, "import_users", json!({"users": [user]}));
        output.unwrap()["users"][0].take()
    }

    fn with_permissions(&self, username: &str, permissions: &[&str]) -> Value {
        let credentials = json!({"username": username, "password": PASSWORD});
        self.run("register", credentials.clone()).unwrap();
        let role = format!("{username}s");
        let define = json!({"role": role, "permissions": permissions});
        let assign = json!({"role": role, "username": username});
        for (operation, input) in [("define_role", define), ("assign_role", assign)] {
            self.run_as(Principal::Operator, operation, input).unwrap();
        }
        self.run("login", credentials).unwrap()
    }
}

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
fn entries_are_processed_independently_and_reported_in_order() {
    let world = World::new();
    let output = world.import(json!([
        {"username": "Alice", "email": "alice@example.com"},
        {"username": "not a name", "password": "hunter2"},
        "no object",
        {},
        {"username": "bob", "email": "secret-nonsense", "roles": ["ghost"]},
        {"username": "carol", "roles": ["ghost"]},
        {"username": "dave", "created_at": "2999-01-01T00:00:00Z"},
        {"username": "erin"},
    ]));
    let statuses: Vec<&str> = output
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    let mut expected = ["refused"; 8];
    (expected[0], expected[7]) = ("imported", "imported");
    assert_eq!(statuses, expected);
    assert_eq!(output[0]["username"], "alice");
    let problem = |number: usize| output[number]["problem"].as_str().unwrap();
    assert!(
        problem(1).starts_with(r#"password: is not known; "#),
        "{}",
        problem(1)
    );
    let name = r#"; username "not a name": U+0020 at position 4 is a space"#;
    assert!(problem(1).contains(name), "{}", problem(1));
    assert!(problem(2).contains("expected an object"));
    assert_eq!(problem(3), "username: is missing");
    assert!(problem(4).starts_with(r#"email "secret-nonsense": expected an email address"#));
    assert_eq!(
        problem(5),
        r#"roles "ghost": there is no such role; define it with define_role, or leave it out"#
    );
    assert_eq!(
        problem(6),
        r#"created_at "2999-01-01T00:00:00.000Z": is in the future"#
    );
    let all = serde_json::to_string(&output).unwrap();
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn too_many_entries_in_one_call_are_refused() {
    let world = World::new();
    for count in [0, 101] {
        let users = vec![json!({"username": "alice"}); count];
        let answer = world.run_as(Principal::Operator, "import_users", json!({"users": users}));
        assert_eq!(answer, Err(-32000), "{count}");
    }
}

#[test]
fn repeated_imports_change_nothing_and_take_over_no_account() {
    let world = World::new();
    world.alice();
    let bob = json!({"username": "bob", "password_hash": HASHES[0], "disabled": false});
    let first = world.import(json!([bob, bob, {"username": "bob"}, {"username": "alice"}]));
    let statuses: Vec<&str> = first
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["imported", "unchanged", "refused", "refused"]);
    assert_eq!(first[1]["user_id"], first[0]["user_id"]);
    assert_eq!(
        first[3]["problem"],
        r#"username "alice": the user name is taken"#
    );
    let before = world.dump("account/");
    assert_eq!(world.import_one(bob.clone()), "unchanged");
    assert_eq!(world.dump("account/"), before);
    // The outcome is the same after the owner has logged in and the hash has been
    // replaced.
    world.log_in("bob", PASSWORD).unwrap();
    assert_eq!(world.import_one(bob), "unchanged");
    let other = json!({"username": "bob", "password_hash": HASHES[2]});
    assert_eq!(world.import_one(other), "refused");
    assert!(world.log_in("bob", PASSWORD).is_ok());
}

#[test]
fn a_dry_run_reports_the_outcome_and_changes_nothing() {
    let world = World::new();
    world.alice();
    let before = world.dump("");
    let users = json!([
        {"username": "bob", "password_hash": HASHES[0]},
        {"username": "alice"},
        {"username": "carol", "roles": ["ghost"]},
    ]);
    let input = json!({"users": users, "dry_run": true});
    let output = world
        .run_as(Principal::Operator, "import_users", input)
        .unwrap();
    let output = output["users"].as_array().unwrap();
    let statuses: Vec<&str> = output
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["would_import", "refused", "refused"]);
    assert_eq!(world.dump(""), before);
}

#[test]
fn imported_accounts_have_the_values_of_their_entries() {
    let world = World::new();
    world.with_permissions("clerk", &["billing:read"]);
    let user = json!({
        "username": "alice",
        "password_hash": HASHES[0],
        "email": "alice@example.com",
        "roles": ["clerks", "admin", "clerks"],
        "created_at": "2019-03-04T05:06:07+01:00",
    });
    assert_eq!(world.import_one(user), "imported");
    let get = |username: &str| {
        let input = json!({"username": username});
        world
            .run_as(Principal::Operator, "get_user", input)
            .unwrap()
    };
    let alice = get("alice");
    assert_eq!(alice["email"], "alice@example.com");
    assert_eq!(alice["roles"], json!(["admin", "clerks"]));
    assert_eq!(alice["created_at"], "2019-03-04T04:06:07.000Z");
    assert_eq!(alice["status"], "active");

    let bob = json!({"username": "bob", "password_hash": HASHES[0], "disabled": true});
    assert_eq!(world.import_one(bob), "imported");
    assert_eq!(get("bob")["status"], "disabled");
    assert_eq!(world.log_in("bob", PASSWORD), Err(-32001));
    let enable = json!({"username": "bob"});
    world
        .run_as(Principal::Operator, "enable_user", enable)
        .unwrap();
    assert!(world.log_in("bob", PASSWORD).is_ok());

    assert_eq!(world.import_one(json!({"username": "carol"})), "imported");
    for password in ["", "carol", PASSWORD] {
        assert!(
            world.log_in("carol", password).is_err(),
            "no password, no login"
        );
    }
}

#[test]
fn a_verified_address_is_imported_for_only_one_account() {
    let world = World::new();
    let entry =
        |name: &str, email: &str| json!({"username": name, "email": email, "email_verified": true});
    let came = world.import(json!([
        entry("alice", "alice@example.com"),
        entry("bob", "Alice@Example.com"),
        {"username": "carol", "email_verified": true},
        {"username": "dave", "email": "alice@example.com"},
        entry("alice", "alice@example.com"),
    ]));
    let statuses: Vec<&Value> = came.iter().map(|user| &user["status"]).collect();
    assert_eq!(
        statuses,
        ["imported", "refused", "refused", "imported", "unchanged"]
    );
    let user = |name: &str| {
        let input = json!({"username": name});
        world
            .run_as(Principal::Operator, "get_user", input)
            .unwrap()
    };
    assert_eq!(user("alice")["email_verified"], true);
    assert_eq!(user("dave")["email_verified"], false);
    world
        .run(
            "request_password_reset",
            json!({"email": "alice@example.com"}),
        )
        .unwrap();
    let sent = world.outbox.borrow();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].username, "alice");
}

#[test]
fn addresses_are_imported_in_the_form_that_is_used_for_sending() {
    let world = World::new();
    let came = world.import(json!([
        {"username": "alice", "email": "info@m\u{fc}ller.example", "email_verified": true},
        {"username": "bob", "email": "INFO@XN--MLLER-KVA.example", "email_verified": true},
        {"username": "carol", "email": "victim,attacker@example.com"},
    ]));
    assert_eq!(came[0]["status"], "imported");
    assert_eq!(
        came[1]["problem"],
        r#"email "INFO@xn--mller-kva.example": is verified for another account"#
    );
    let problem = came[2]["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("email \"") && problem.contains("','"),
        "{problem}"
    );
    let input = json!({"username": "alice"});
    let alice = world.run_as(Principal::Operator, "get_user", input);
    assert_eq!(alice.unwrap()["email"], "info@xn--mller-kva.example");
}

#[test]
fn users_with_more_privileges_than_the_caller_cannot_be_imported() {
    let world = World::new();
    world.with_permissions("clerk", &["billing:read"]);
    let writer = world.with_permissions("writer", &["user-auth:users:write", "billing:*"]);
    let both = [
        "user-auth:users:write",
        "user-auth:roles:write",
        "billing:*",
    ];
    let giver = world.with_permissions("giver", &both);
    let user = |name: &str, role: &str| json!({"username": name, "roles": [role]});
    let may_not = |role: &str| json!(format!("roles \"{role}\": you may not assign this role"));

    let given = world.import_as(&giver, user("a", "clerks"));
    assert_eq!(given["status"], "imported", "{given}");
    assert_eq!(
        world.import_as(&giver, user("b", "admin"))["problem"],
        may_not("admin")
    );
    let without = world.import_as(&writer, user("c", "clerks"));
    assert_eq!(
        without["problem"],
        may_not("clerks"),
        "it takes what assign_role takes"
    );
    let plain = world.import_as(&writer, json!({"username": "d"}));
    assert_eq!(plain["status"], "imported");
    assert_eq!(world.dump("account/").matches("\"admin\"").count(), 0);
}

#[test]
fn an_import_is_the_first_record_of_the_audit_chain_of_its_account() {
    let world = World::new();
    world.import(json!([{"username": "alice", "roles": ["admin"]}, {"username": "bob"}]));
    let query = json!({"username": "alice", "operation": "import_users"});
    let found = world
        .run_as(Principal::Operator, "query_audit", query)
        .unwrap();
    let records = found["records"].as_array().unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["seq"], 1);
    assert_eq!(records[0]["actor"], "operator");
    assert_eq!(records[0]["details"]["roles"], json!(["admin"]));
    let input = json!({"username": "alice"});
    let chain = world
        .run_as(Principal::Operator, "verify_audit_chain", input)
        .unwrap();
    assert_eq!(chain["intact"], true);
}

fn commits(world: &World) -> usize {
    let calls = world.store_calls.take();
    calls.iter().filter(|it| it.starts_with("commit")).count()
}

fn statuses(output: &[Value]) -> Vec<&str> {
    let statuses = output.iter().map(|it| it["status"].as_str().unwrap());
    statuses.collect()
}

impl World {
    fn assert_intact(&self, username: &str) {
        let input = json!({"username": username});
        let chain = self.run_as(Principal::Operator, "verify_audit_chain", input);
        let chain = chain.unwrap();
        assert_eq!(
            (&chain["intact"], &chain["examined"]),
            (&json!(true), &json!(1))
        );
    }
}

#[test]
fn the_users_of_one_call_share_a_commit() {
    let world = World::new();
    let users: Vec<Value> = (0..100)
        .map(|n| {
            let (name, email) = (format!("user{n}"), format!("user{n}@example.com"));
            json!({"username": name, "email": email, "email_verified": true})
        })
        .collect();
    world.store_calls.take();
    assert_eq!(statuses(&world.import(json!(users))), ["imported"; 100]);
    assert_eq!(commits(&world), 1);
    for n in [0, 57, 99] {
        world.assert_intact(&format!("user{n}"));
    }
    assert_eq!(statuses(&world.import(json!(users))), ["unchanged"; 100]);
}

#[test]
fn only_the_entry_that_lost_a_race_is_refused() {
    use base64::Engine;

    let world = World::new();
    let other = json!({"username": "other", "password": PASSWORD.repeat(2)});
    world.run("register", other).unwrap();
    let key = |name: &str| {
        let name = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(name);
        format!("username/{name}")
    };
    // Another user takes the name between the look-up and the commit.
    let record = world.stored(&key("other")).unwrap();
    world.overtaken_by.replace(vec![(key("user5"), record)]);
    let users: Vec<Value> = (0..16)
        .map(|n| json!({"username": format!("user{n}")}))
        .collect();
    world.store_calls.take();
    let output = world.import(json!(users));
    for (n, import) in output.iter().enumerate() {
        let expected = if n == 5 { "refused" } else { "imported" };
        assert_eq!(import["status"], expected, "user{n}: {import}");
        assert_eq!(import["username"], format!("user{n}"));
    }
    assert_eq!(
        output[5]["problem"],
        r#"username "user5": the user name is taken"#
    );
    assert!(commits(&world) < 12, "not one by one");
    for n in (0..16).filter(|n| *n != 5) {
        world.assert_intact(&format!("user{n}"));
    }
}

#[test]
fn conflicting_entries_of_one_call_are_decided_in_order() {
    let world = World::new();
    let output = world.import(json!([
        {"username": "alice"},
        {"username": "alice", "disabled": true},
        {"username": "bob", "email": "b@example.com", "email_verified": true},
        {"username": "carol", "email": "B@example.com", "email_verified": true},
        {"username": "dave", "email": "b@example.com"},
        {"username": "no name at all"},
        {"username": "ALICE"},
    ]));
    let imported = ["imported", "refused", "imported", "refused", "imported"];
    assert_eq!(statuses(&output)[..5], imported);
    assert_eq!(statuses(&output)[5..], ["refused", "unchanged"]);
    assert_eq!(
        output[1]["problem"],
        r#"username "alice": the user name is taken"#
    );
    assert_eq!(
        output[3]["problem"],
        r#"email "B@example.com": is verified for another account"#
    );
    assert_eq!(output[6]["user_id"], output[0]["user_id"]);
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

#[test]
fn optional_fields_may_be_empty() {
    let world = World::new();
    let user = json!({
        "username": "alice", "password_hash": "", "email": " ", "email_verified": "",
        "roles": "", "disabled": null, "created_at": "",
    });
    assert_eq!(world.import_one(user), "imported");
    assert_eq!(world.import_one(json!({"username": "alice"})), "unchanged");
    assert_eq!(world.import_one(json!({"username": ""})), "refused");
}

#[test]
fn creation_times_are_accepted_as_milliseconds_since_1970() {
    let world = World::new();
    for (number, at) in [
        json!(1_551_675_967_000_u64),
        json!(1_551_675_967_000.0),
        json!("1551675967000"),
        json!("2019-03-04T05:06:07Z"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("user{number}");
        let user = json!({"username": name, "created_at": at});
        assert_eq!(world.import_one(user), "imported", "{at}");
        let input = json!({"username": name});
        let user = world
            .run_as(Principal::Operator, "get_user", input)
            .unwrap();
        assert_eq!(user["created_at"], "2019-03-04T05:06:07.000Z", "{at}");
    }
    for at in [
        json!(1_551_675_967),
        json!(0),
        json!(-1_551_675_967_000_i64),
        json!(1_551_675_967_000.5),
        json!(1e300),
        json!("yesterday"),
        json!(true),
    ] {
        let output = &world.import(json!([{"username": "x", "created_at": at}]))[0];
        let problem = output["problem"].as_str().unwrap();
        let shown = if at.is_f64() { "" } else { &format!(" {at}") };
        let expected = format!("created_at{shown}: expected a date and time in RFC 3339");
        assert!(problem.starts_with(&expected), "{problem}");
    }
}

#[test]
fn errors_contain_the_invalid_value_unless_it_may_be_a_secret() {
    let world = World::new();
    let long = "x y".repeat(1000);
    for (user, expected) in [
        (
            json!({"username": "a", "roles": ["clerk", "two words"]}),
            r#"roles "two words": "#,
        ),
        (json!({"username": "a", "roles": [7]}), "roles 7: "),
        (
            json!({"username": "a", "disabled": "yes"}),
            r#"disabled "yes": "#,
        ),
        (
            json!({"username": "a", "email_verified": true}),
            "email_verified true: requires an email",
        ),
        (json!({"username": {"secret": 1}}), "username: "),
        (
            json!({"username": "a", "password_hash": "secret"}),
            "password_hash: ",
        ),
        (
            json!({"username": "a", "password": "secret"}),
            "password: is not known",
        ),
        (json!({"username": "a", "\nb": "secret"}), ""),
    ] {
        let output = &world.import(json!([user]))[0];
        let problem = output["problem"].as_str().unwrap();
        assert!(problem.starts_with(expected), "{problem}");
        assert!(!problem.contains("secret"), "{problem}");
    }
    let output = &world.import(json!([{"username": long}]))[0];
    let problem = output["problem"].as_str().unwrap();
    assert!(problem.contains("…: ") && problem.len() < 400, "{problem}");
}
