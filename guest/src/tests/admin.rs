//! Roles and permissions, and what every administrative operation has in common.

mod explanations;
mod misspelt;
mod users;

use serde_json::{Value, json};

use crate::domain::caller::Principal;
use crate::domain::credentials::api_key::{ApiKey, Origin};
use crate::storage::batch::{Batch, Commit};
use crate::testing::{self, World};
use crate::types::id::Id;
use crate::types::secret::Secret;

const PASSWORD: &str = "correct horse battery staple";

/// Returns the administrative operations that require a permission, each with a valid input
/// and the permission.
fn guarded() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "define_role",
            json!({"role": "clerk", "permissions": []}),
            "user-auth:roles:write",
        ),
        ("list_roles", json!({}), "user-auth:roles:read"),
        (
            "assign_role",
            json!({"username": "alice", "role": "clerk"}),
            "user-auth:roles:write",
        ),
        (
            "revoke_role",
            json!({"username": "alice", "role": "clerk"}),
            "user-auth:roles:write",
        ),
        (
            "delete_role",
            json!({"role": "clerk"}),
            "user-auth:roles:write",
        ),
        (
            "explain_permissions",
            json!({"username": "alice"}),
            "user-auth:roles:read",
        ),
        ("list_users", json!({}), "user-auth:users:read"),
        (
            "get_user",
            json!({"username": "alice"}),
            "user-auth:users:read",
        ),
        (
            "disable_user",
            json!({"username": "alice"}),
            "user-auth:users:write",
        ),
        (
            "enable_user",
            json!({"username": "alice"}),
            "user-auth:users:write",
        ),
        (
            "unlock_user",
            json!({"username": "alice"}),
            "user-auth:users:write",
        ),
        (
            "revoke_user_sessions",
            json!({"username": "alice"}),
            "user-auth:users:write",
        ),
        (
            "reset_second_factor",
            json!({"username": "alice"}),
            "user-auth:users:write",
        ),
        (
            "delete_user",
            json!({"username": "alice"}),
            "user-auth:users:write",
        ),
        (
            "import_users",
            json!({"users": [{"username": "ines"}], "dry_run": true}),
            "user-auth:users:write",
        ),
        (
            "create_client",
            json!({"client_name": "An app", "redirect_uris": ["com.example.app:/"]}),
            "user-auth:clients:write",
        ),
        ("list_clients", json!({}), "user-auth:clients:read"),
        (
            "define_resource",
            json!({"resource": "https://notes.example.com", "resource_name": "Notes"}),
            "user-auth:resources:write",
        ),
        ("list_resources", json!({}), "user-auth:resources:read"),
        (
            "delete_resource",
            json!({"resource": "https://notes.example.com"}),
            "user-auth:resources:write",
        ),
    ]
}

impl World {
    fn operator(&self, operation: &str, input: Value) -> Result<Value, i32> {
        self.run_as(Principal::Operator, operation, input)
    }

    fn login(&self, username: &str) -> Value {
        let credentials = json!({"username": username, "password": PASSWORD});
        self.run("login", credentials).unwrap()
    }

    /// Registers a user with a role that has these permissions, and logs the user in.
    fn user(&self, username: &str, permissions: &[&str]) -> Value {
        let credentials = json!({"username": username, "password": PASSWORD});
        self.run("register", credentials).unwrap();
        if !permissions.is_empty() {
            let role = format!("role-of-{username}");
            let input = json!({"role": role, "permissions": permissions});
            self.operator("define_role", input).unwrap();
            let input = json!({"username": username, "role": role});
            self.operator("assign_role", input).unwrap();
        }
        self.login(username)
    }

    fn admin(&self, username: &str) -> Value {
        let tokens = self.user(username, &[]);
        let input = json!({"username": username, "role": "admin"});
        self.operator("assign_role", input).unwrap();
        tokens
    }

    fn get_user(&self, username: &str) -> Value {
        self.operator("get_user", json!({"username": username}))
            .unwrap()
    }

    /// Returns the error of a failed login without its time.
    fn refusal(&self, username: &str, password: &str) -> Value {
        let input = json!({"username": username, "password": password});
        let error = testing::invoke("login", input, &self.call()).unwrap_err();
        error.to_object(self.ports().clock.now())
    }

    fn is_active(&self, tokens: &Value) -> bool {
        let input = json!({"token": tokens["access_token"]});
        self.run("verify_token", input).unwrap()["active"] == true
    }

    fn api_key(&self, username: &str, scopes: &[&str]) -> Principal {
        let user_id = self.get_user(username)["user_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let (key, secret) = ApiKey::create(
            Id::from_bytes([9; 16]),
            Id::try_from(user_id).unwrap(),
            serde_json::from_value(json!("a key")).unwrap(),
            serde_json::from_value(json!(scopes)).unwrap(),
            None,
            Origin::Another,
            &self.call().ports,
        )
        .unwrap();
        let mut batch = Batch::new();
        batch.create(ApiKey::key(key.key_id), &key);
        assert_eq!(self.call().commit(batch).unwrap(), Commit::Done);
        Principal::ApiKey(secret)
    }
}

fn bearer(tokens: &Value) -> Principal {
    let token = tokens["access_token"].as_str().unwrap();
    Principal::AccessToken(Secret::new(token.to_owned()))
}

#[test]
fn every_administrative_operation_requires_its_permission() {
    let world = World::new();
    world.user("alice", &[]);
    let powerless = world.user("eve", &["user-auth:metrics:*", "billing:*"]);
    for (index, (operation, input, permission)) in guarded().into_iter().enumerate() {
        let as_whom = |principal| world.run_as(principal, operation, input.clone());
        assert_eq!(as_whom(Principal::Anonymous), Err(-32001), "{operation}");
        let made_up = Principal::AccessToken(Secret::new("made.up.token".to_owned()));
        assert_eq!(as_whom(made_up), Err(-32001), "{operation}");
        assert_eq!(as_whom(bearer(&powerless)), Err(-32002), "{operation}");

        let others = guarded();
        let others: Vec<&str> = others
            .iter()
            .map(|(_, _, other)| *other)
            .filter(|other| *other != permission)
            .collect();
        let wrong = world.user(&format!("wrong{index}"), &others);
        assert_eq!(as_whom(bearer(&wrong)), Err(-32002), "{operation}");
        let right = world.user(&format!("right{index}"), &[permission]);
        let answer = as_whom(bearer(&right));
        assert!(answer.is_ok(), "{operation}: {answer:?}");
    }
}

#[test]
fn the_operator_appoints_the_first_administrator_who_can_appoint_others() {
    let world = World::new();
    let alice = world.user("alice", &[]);
    world.user("bob", &[]);
    let make = |principal, username| {
        let input = json!({"username": username, "role": "admin"});
        world.run_as(principal, "assign_role", input)
    };
    assert_eq!(make(bearer(&alice), "alice"), Err(-32002));
    assert_eq!(make(Principal::Anonymous, "alice"), Err(-32001));
    let made = make(Principal::Operator, "alice").unwrap();
    assert_eq!(made["roles"], json!(["admin"]));
    assert_eq!(
        make(bearer(&alice), "bob").unwrap()["roles"],
        json!(["admin"])
    );
}

#[test]
fn the_admin_role_cannot_be_redefined_or_deleted() {
    let world = World::new();
    let input = json!({"role": "admin", "permissions": []});
    assert_eq!(world.operator("define_role", input), Err(-32000));
    let input = json!({"role": "admin"});
    assert_eq!(world.operator("delete_role", input), Err(-32000));
    let roles = world.operator("list_roles", json!({})).unwrap();
    assert_eq!(
        roles["roles"],
        json!([{"role": "admin", "permissions": ["*"], "description": ""}])
    );
}

#[test]
fn roles_with_more_than_the_callers_permissions_cannot_be_defined() {
    let world = World::new();
    let manager = world.user("manager", &["user-auth:roles:*", "billing:*"]);
    let define = |role: &str, permissions: &[&str]| {
        let input = json!({"role": role, "permissions": permissions});
        world.run_as(bearer(&manager), "define_role", input)
    };
    assert!(define("clerk", &["billing:read", "billing:invoices:*"]).is_ok());
    for beyond in ["*", "user-auth:*", "user-auth:users:read", "sales:read"] {
        let answer = define("clerk", &["billing:read", beyond]);
        assert_eq!(answer, Err(-32002), "{beyond}");
    }
    // Nor can their own role be extended.
    assert_eq!(define("role-of-manager", &["*"]), Err(-32002));
    // Roles with more permissions than the caller's cannot be reduced or deleted either.
    let input = json!({"role": "auditor", "permissions": ["user-auth:audit:read"]});
    world.operator("define_role", input).unwrap();
    assert_eq!(define("auditor", &[]), Err(-32002));
    let input = json!({"role": "auditor"});
    let answer = world.run_as(bearer(&manager), "delete_role", input);
    assert_eq!(answer, Err(-32002));
}

#[test]
fn roles_with_more_than_the_callers_permissions_cannot_be_assigned_or_revoked() {
    let world = World::new();
    let manager = world.user("manager", &["user-auth:roles:write", "billing:*"]);
    world.admin("root");
    world.user("bob", &["sales:read"]);
    world.user("carol", &["billing:*"]);
    let input = json!({"role": "clerk", "permissions": ["billing:read"]});
    world.operator("define_role", input).unwrap();
    let input = json!({"username": "bob", "role": "clerk"});
    world.operator("assign_role", input).unwrap();
    for (operation, username, role, expected) in [
        ("assign_role", "manager", "admin", Err(-32002)),
        ("assign_role", "manager", "role-of-bob", Err(-32002)),
        ("revoke_role", "root", "admin", Err(-32002)),
        ("revoke_role", "bob", "role-of-bob", Err(-32002)),
        // Roles within the caller's permissions cannot be changed on more privileged
        // users.
        ("assign_role", "root", "clerk", Err(-32002)),
        ("assign_role", "bob", "clerk", Err(-32002)),
        ("revoke_role", "bob", "clerk", Err(-32002)),
        ("assign_role", "manager", "clerk", Ok(())),
        ("assign_role", "carol", "clerk", Ok(())),
        ("revoke_role", "carol", "clerk", Ok(())),
    ] {
        let input = json!({"username": username, "role": role});
        let answer = world.run_as(bearer(&manager), operation, input);
        assert_eq!(answer.map(|_| ()), expected, "{operation} {role}");
    }
}

#[test]
fn an_api_key_cannot_grant_more_than_its_scopes() {
    let world = World::new();
    world.admin("root");
    world.user("bob", &[]);
    let define = |principal, permissions: &[&str]| {
        let input = json!({"role": "clerk", "permissions": permissions});
        world.run_as(principal, "define_role", input)
    };
    let key = world.api_key("root", &["user-auth:roles:write", "billing:*"]);
    assert!(define(key.clone(), &["billing:read"]).is_ok());
    assert_eq!(define(key.clone(), &["sales:read"]), Err(-32002));
    let input = json!({"username": "bob", "role": "admin"});
    assert_eq!(world.run_as(key, "assign_role", input), Err(-32002));
}

#[test]
fn replacing_or_deleting_a_role_affects_its_users_at_once() {
    let world = World::new();
    let bob = world.user("bob", &["billing:read"]);
    let may = || {
        let input = json!({"permission": "billing:read", "token": bob["access_token"]});
        world.run("check_permission", input).unwrap()["allowed"] == true
    };
    assert!(may());
    let input = json!({"role": "role-of-bob", "permissions": ["billing:write"]});
    world.operator("define_role", input).unwrap();
    assert!(!may());
    let input = json!({"role": "role-of-bob", "permissions": ["billing:read"]});
    world.operator("define_role", input).unwrap();
    assert!(may());
    let input = json!({"role": "role-of-bob"});
    world.operator("delete_role", input.clone()).unwrap();
    assert!(!may());
    assert_eq!(world.operator("delete_role", input), Err(-32000));
    // The assignment of a deleted role can still be revoked.
    let input = json!({"username": "bob", "role": "role-of-bob"});
    let left = world.operator("revoke_role", input.clone()).unwrap();
    assert_eq!(left["roles"], json!([]));
    assert_eq!(world.operator("revoke_role", input), Err(-32000));
}

#[test]
fn assigning_and_revoking_a_role_take_effect_once_and_are_audited_with_role_and_actor() {
    let world = World::new();
    let root = world.admin("root");
    world.user("bob", &[]);
    let input = json!({"role": "clerk", "permissions": ["billing:read"]});
    world.operator("define_role", input).unwrap();
    world.audited.take();
    let input = json!({"username": "bob", "role": "clerk"});
    for operation in ["assign_role", "assign_role", "revoke_role", "revoke_role"] {
        world
            .run_as(bearer(&root), operation, input.clone())
            .unwrap();
    }
    let bob = world.get_user("bob")["user_id"].clone();
    let actor = world.get_user("root")["user_id"].clone();
    let audited = world.audited.take();
    let operations: Vec<&Value> = audited.iter().map(|record| &record["operation"]).collect();
    assert_eq!(operations, ["assign_role", "revoke_role"]);
    for record in &audited {
        assert_eq!(record["account"], bob);
        assert_eq!(record["actor"], actor);
        assert_eq!(record["details"]["role"], "clerk");
    }
}

#[test]
fn changes_of_roles_are_audited_in_their_own_chain() {
    let world = World::new();
    let input = json!({"role": "clerk", "permissions": ["billing:read"]});
    world.operator("define_role", input).unwrap();
    world
        .operator("delete_role", json!({"role": "clerk"}))
        .unwrap();
    let audited = world.audited.take();
    assert_eq!(audited.len(), 2);
    assert_eq!(audited[0]["account"], "0".repeat(32));
    assert_eq!(
        audited[0]["details"],
        json!({"role": "clerk", "permissions": ["billing:read"]})
    );
    assert_eq!(audited[1]["previous"], audited[0]["seal"]);
    assert_eq!(audited[1]["actor"], "operator");
}

#[test]
fn an_account_can_have_at_most_32_roles() {
    let world = World::new();
    world.user("bob", &[]);
    for number in 0..33 {
        let role = format!("r{number}");
        let input = json!({"role": role, "permissions": []});
        world.operator("define_role", input).unwrap();
        let input = json!({"username": "bob", "role": role});
        let answer = world.operator("assign_role", input).map(|_| ());
        let expected = if number < 32 { Ok(()) } else { Err(-32000) };
        assert_eq!(answer, expected, "{number}");
    }
}

#[test]
fn users_are_identified_by_either_id_or_name_and_unknown_users_are_reported() {
    let world = World::new();
    world.user("bob", &[]);
    let user_id = world.get_user("bob")["user_id"].clone();
    for operation in [
        "get_user",
        "explain_permissions",
        "disable_user",
        "enable_user",
        "unlock_user",
        "revoke_user_sessions",
        "reset_second_factor",
        "delete_user",
    ] {
        for wrong in [
            json!({"user_id": user_id, "username": "bob"}),
            json!({"user_id": "0".repeat(32)}),
            json!({"username": "nobody"}),
            json!({}),
        ] {
            let answer = world.operator(operation, wrong.clone());
            assert_eq!(answer, Err(-32000), "{operation} {wrong}");
        }
    }
    let input = json!({"username": "bob", "role": "undefined"});
    assert_eq!(world.operator("assign_role", input), Err(-32000));
    let found = world.operator("get_user", json!({"user_id": user_id}));
    assert_eq!(found.unwrap(), world.get_user("bob"));
}

#[test]
fn permissions_are_checked_for_the_owner_of_the_token_or_else_for_the_caller() {
    let world = World::new();
    let bob = world.user("bob", &["billing:*"]);
    let bobs_id = world.get_user("bob")["user_id"].clone();
    let check = |principal, input| world.run_as(principal, "check_permission", input).unwrap();
    let token = &bob["access_token"];
    let yes = json!({"allowed": true, "sub": bobs_id});
    let no = json!({"allowed": false, "sub": bobs_id});
    let no_subject = json!({"allowed": false});

    let input = json!({"permission": "billing:read", "token": token});
    assert_eq!(check(Principal::Anonymous, input.clone()), yes);
    let other = json!({"permission": "sales:read", "token": token});
    assert_eq!(check(Principal::Anonymous, other.clone()), no);
    // The token decides, not the caller.
    assert_eq!(check(Principal::Operator, other), no);
    for token in ["", "a.b.c", bob["refresh_token"].as_str().unwrap()] {
        let input = json!({"permission": "billing:read", "token": token});
        assert_eq!(check(Principal::Operator, input), no_subject);
    }

    let own = json!({"permission": "billing:read"});
    assert_eq!(check(bearer(&bob), own.clone()), yes);
    assert_eq!(check(Principal::Anonymous, own.clone()), no_subject);
    assert_eq!(
        check(Principal::Operator, own.clone()),
        json!({"allowed": true})
    );
    let key = world.api_key("bob", &["billing:write"]);
    assert_eq!(check(key.clone(), own.clone()), no);
    let write = json!({"permission": "billing:write"});
    assert_eq!(check(key, write), yes);
    let made_up = Principal::ApiKey(Secret::new("uak_made_up".to_owned()));
    assert_eq!(check(made_up, own.clone()), no_subject);

    world
        .operator("disable_user", json!({"username": "bob"}))
        .unwrap();
    assert_eq!(check(Principal::Anonymous, input), no_subject);
    assert_eq!(check(bearer(&bob), own), no_subject);
}

#[test]
fn fields_that_callers_may_not_set_are_refused() {
    let world = World::new();
    let root = world.admin("root");
    world.user("alice", &[]);
    let clerk = json!({"role": "clerk", "permissions": []});
    world.operator("define_role", clerk).unwrap();
    // Without the additional field, all of these calls succeed.
    for (operation, mut input, _) in guarded() {
        for field in ["roles", "status", "session_epoch", "built_in", "actor"] {
            input[field] = json!("admin");
            let answer = world.run_as(bearer(&root), operation, input.clone());
            assert_eq!(answer, Err(-32000), "{operation} {field}");
            input.as_object_mut().unwrap().remove(field);
        }
    }
    for field in ["roles", "role", "status", "session_epoch"] {
        let input = json!({"username": "eve", "password": PASSWORD, field: "admin"});
        assert_eq!(world.run("register", input), Err(-32000), "{field}");
    }
}

#[test]
fn invalid_role_definitions_are_refused() {
    let world = World::new();
    let many: Vec<String> = (0..101).map(|number| format!("p{number}")).collect();
    for input in [
        json!({"role": "Clerk", "permissions": []}),
        json!({"role": "", "permissions": []}),
        json!({"role": "clerk"}),
        json!({"role": "clerk", "permissions": ["a*"]}),
        json!({"role": "clerk", "permissions": many}),
        json!({"role": "clerk", "permissions": [], "description": "a\r\nb"}),
        json!({"role": "clerk", "permissions": [], "description": "a\u{1b}[0m"}),
        json!({"role": "clerk", "permissions": [], "description": "a\u{202e}b"}),
        json!({"role": "clerk", "permissions": [], "description": "a\u{200b}b"}),
        json!({"role": "clerk", "permissions": [], "description": "a".repeat(257)}),
    ] {
        let answer = world.operator("define_role", input.clone());
        assert_eq!(answer, Err(-32000), "{input}");
    }
    let input = json!({"role": "clerk", "permissions": ["b", "a", "b"]});
    let role = world.operator("define_role", input).unwrap();
    assert_eq!(role["permissions"], json!(["a", "b"]));
}
