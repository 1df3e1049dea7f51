//! Import of users of other systems.

mod hashes;

use serde_json::{Value, json};

use crate::domain::caller::Principal;
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
