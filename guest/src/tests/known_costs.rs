//! The recorded kinds and costs of password hashes: they are added with the accounts that
//! have them, and removed with the last of these accounts.

use serde_json::{Value, json};

use crate::domain::audit::UnknownAccount;
use crate::domain::caller::Principal;
use crate::domain::credentials::foreign_hash::Cost;
use crate::domain::credentials::hash_costs::HashCosts;
use crate::ports::Pbkdf2Parameters;
use crate::testing::World;

/// Hashes of `an old password`, made by crypt(3) and Python's hashlib.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES";
const PBKDF2: &str =
    "$pbkdf2-sha256$i=1000$yMnKy8zNzs/Q0dLT1NXW1w$K3LXKeEJP6GsAdhJUdFARMbOn5WLfdqclOBZscdAGMQ";
const SCRYPT: &str =
    "$scrypt$ln=10,r=8,p=1$yMnKy8zNzs/Q0dLT1NXW1w$bfvJLd288w+S9qSXXw+bpj+PQStyf4SzAZeLM6i+DBY";
const OLD: &str = "an old password";

fn import(world: &World, users: Value) {
    let input = json!({"users": users});
    let output = world.run_as(Principal::Operator, "import_users", input);
    for user in output.unwrap()["users"].as_array().unwrap() {
        assert_eq!(user["status"], "imported", "{user}");
    }
}

fn operate(world: &World, operation: &str, username: &str) {
    let input = json!({"username": username});
    world.run_as(Principal::Operator, operation, input).unwrap();
}

/// Returns the costs for names without an account.
fn costs(world: &World) -> Vec<Option<Cost>> {
    let known = HashCosts::read(&world.ports()).unwrap();
    let unknown =
        |number: u32| UnknownAccount::new("username", &number.to_string(), &world.ports());
    let names = 0..500;
    names
        .map(|number| known.decoy_for(unknown(number).unwrap()))
        .collect()
}

fn has(world: &World, is_meant: fn(&Cost) -> bool) -> bool {
    costs(world).iter().flatten().any(is_meant)
}

fn is_pbkdf2(cost: &Cost) -> bool {
    matches!(cost, Cost::Pbkdf2Sha256(_))
}

fn is_bcrypt(cost: &Cost) -> bool {
    matches!(cost, Cost::Bcrypt { .. })
}

#[test]
fn a_cost_is_removed_with_its_last_account_in_every_way_of_leaving() {
    let log_in: fn(&World, &str) = |world, name| {
        world.log_in(name, OLD).unwrap();
    };
    let delete: fn(&World, &str) = |world, name| operate(world, "delete_user", name);
    let force: fn(&World, &str) = |world, name| operate(world, "force_password_reset", name);
    let reset: fn(&World, &str) = |world, name| {
        let input = json!({"username": name});
        world.run("request_password_reset", input).unwrap();
        let code = world.outbox.borrow_mut().pop().unwrap().code.unwrap();
        let new = json!({"code": code.0.expose(), "new_password": "another good long password"});
        world.run("confirm_password_reset", new).unwrap();
    };
    for leave in [log_in, delete, force, reset] {
        let world = World::new();
        let user = |name: &str, hash: &str| {
            let email = format!("{name}@example.com");
            json!({"username": name, "password_hash": hash, "email": email,
                "email_verified": true})
        };
        let users = json!([user("a", PBKDF2), user("b", PBKDF2), user("c", BCRYPT)]);
        import(&world, users);
        leave(&world, "a");
        assert!(has(&world, is_pbkdf2), "one account has it still");
        leave(&world, "b");
        assert!(!has(&world, is_pbkdf2), "none has it");
        assert!(has(&world, is_bcrypt));
        import(&world, json!([user("d", PBKDF2)]));
        assert!(has(&world, is_pbkdf2), "one has it again");
    }
}

#[test]
fn changing_an_imported_password_removes_its_cost() {
    let world = World::new();
    import(&world, json!([{"username": "a", "password_hash": PBKDF2}]));
    // The login cannot get a place to rehash the password, and succeeds without.
    world.places_for_hashes.set(Some(1));
    let tokens = world.log_in("a", OLD).unwrap();
    world.places_for_hashes.set(None);
    assert!(has(&world, is_pbkdf2), "it is as it was");
    let change = json!({
        "access_token": tokens["access_token"],
        "current_password": OLD,
        "new_password": "another good long password",
    });
    world.run("change_password", change).unwrap();
    assert!(!has(&world, is_pbkdf2));
}

#[test]
fn refused_imports_dry_runs_and_failed_logins_do_not_count_costs() {
    let world = World::new();
    import(&world, json!([{"username": "a", "password_hash": PBKDF2}]));
    let taken = json!({"users": [
        {"username": "a", "password_hash": PBKDF2},
        {"username": "a", "password_hash": SCRYPT},
        {"username": "b", "password_hash": BCRYPT, "roles": ["ghost"]},
    ]});
    let operator = Principal::Operator;
    world
        .run_as(operator.clone(), "import_users", taken)
        .unwrap();
    let dry = json!({"dry_run": true, "users": [{"username": "c", "password_hash": BCRYPT}]});
    world.run_as(operator, "import_users", dry).unwrap();
    assert_eq!(world.log_in("a", "a wrong one"), Err(-32001));
    assert!(has(&world, is_pbkdf2) && !has(&world, is_bcrypt));
    assert!(!has(&world, |cost| matches!(cost, Cost::Scrypt(_))));
    operate(&world, "delete_user", "a");
    assert!(!has(&world, is_pbkdf2));
}

#[test]
fn a_removed_cost_leaves_other_unknown_names_unchanged_and_its_place_is_reused() {
    let world = World::new();
    for (name, hash) in [("a", BCRYPT), ("b", PBKDF2), ("c", SCRYPT)] {
        import(&world, json!([{"username": name, "password_hash": hash}]));
    }
    let before = costs(&world);
    operate(&world, "delete_user", "b");
    let after = costs(&world);
    for (before, after) in before.iter().zip(&after) {
        match before {
            Some(cost) if is_pbkdf2(cost) => assert_ne!(after, before),
            _ => assert_eq!(after, before),
        }
    }
    let other = PBKDF2.replace("i=1000", "i=2000");
    import(&world, json!([{"username": "d", "password_hash": other}]));
    let next = costs(&world);
    for (before, next) in before.iter().zip(&next) {
        match before {
            Some(Cost::Pbkdf2Sha256(parameters)) => {
                let parameters = Pbkdf2Parameters {
                    iterations: 2000,
                    ..*parameters
                };
                assert_eq!(*next, Some(Cost::Pbkdf2Sha256(parameters)));
            }
            _ => assert_eq!(next, before),
        }
    }
}

#[test]
fn an_imported_cost_equal_to_the_own_cost_is_kept() {
    let mut world = World::new();
    let ours = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$\
                AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    import(&world, json!([{"username": "a", "password_hash": ours}]));
    world.alice();
    operate(&world, "delete_user", "a");
    world.settings.argon2_memory_kib = 47 * 1024;
    world.hashes.take();
    world.log_in("alice", "a wrong one").unwrap_err();
    assert_eq!(world.hashes.take(), ["argon2id 19456"]);
    assert!(has(
        &world,
        |cost| matches!(cost, Cost::Argon2id(it) if it.memory_kib == 19456)
    ));
}

#[test]
fn every_operation_that_creates_a_hash_records_its_cost() {
    let make: [fn(&World); 4] = [
        |world| operate(world, "create_service_account", "program"),
        |world| import(world, json!([{"username": "a"}])),
        |world| {
            import(world, json!([{"username": "a", "password_hash": BCRYPT}]));
            operate(world, "force_password_reset", "a");
        },
        |world| {
            world.alice();
        },
    ];
    for (number, make) in make.into_iter().enumerate() {
        let world = World::new();
        make(&world);
        let is_ours = |cost: &Cost| matches!(cost, Cost::Argon2id(_));
        assert!(has(&world, is_ours), "{number}");
    }
}

#[test]
fn costs_stored_without_a_count_are_kept() {
    let world = World::new();
    let record = json!({"costs": [{"pbkdf2-sha256": {"iterations": 1000, "output_length": 32}}]});
    world.tamper(&HashCosts::key(), Some(record.to_string().into_bytes()));
    import(&world, json!([{"username": "a", "password_hash": PBKDF2}]));
    operate(&world, "delete_user", "a");
    assert!(has(&world, is_pbkdf2), "other accounts may have it");
}

#[test]
fn concurrent_removals_from_one_cost_are_all_counted() {
    let world = World::new();
    let user = |name: &str| json!({"username": name, "password_hash": PBKDF2});
    import(&world, json!([user("a"), user("b"), user("c")]));
    let record = String::from_utf8(world.stored(&HashCosts::key()).unwrap()).unwrap();
    assert!(record.contains("[3]"), "{record}");
    // Just before the commit of the first removal, the second one is committed.
    let overtaken = record.replace("[3]", "[2]");
    let entry = (HashCosts::key(), overtaken.into_bytes());
    world.overtaken_by.borrow_mut().push(entry);
    operate(&world, "delete_user", "a");
    assert!(has(&world, is_pbkdf2), "the third has it");
    operate(&world, "delete_user", "c");
    assert!(!has(&world, is_pbkdf2));
}
