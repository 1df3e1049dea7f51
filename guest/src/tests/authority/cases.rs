//! The calls of the actor, and the ways to stop it.

use serde_json::{Value, json};

use super::{
    CLIENT, GRANT, NEW_PASSWORD, PASSWORD, RESOURCE, Scene, anonymous, bearer, operator, text,
};
use crate::testing::World;

/// A call of an operation.
pub(super) struct Case {
    pub(super) operation: &'static str,
    pub(super) input: fn(&Scene) -> Value,
    /// Prepares what the scene alone does not provide.
    pub(super) prepare: fn(&World, &Scene),
}

impl Case {
    pub(super) fn world(&self, scene: &Scene) -> World {
        let world = scene.world.fork();
        (self.prepare)(&world, scene);
        world
    }
}

pub(super) fn case(operation: &'static str, input: fn(&Scene) -> Value) -> Case {
    Case {
        operation,
        input,
        prepare: |_, _| {},
    }
}

/// Adds a grant of an account to the store, as a copy of a session.
pub(super) fn add_grant(world: &World, session: &Value, owner: &Value) {
    let read =
        |key: String| -> Value { serde_json::from_slice(&world.stored(&key).unwrap()).unwrap() };
    let mut grant = read(format!("session/{}", text(&session["session_id"])));
    grant["session_id"] = json!(GRANT);
    grant["user_id"] = owner.clone();
    grant["epoch"] = read(format!("account/{}", text(owner)))["session_epoch"].clone();
    grant["delegation"] = json!({
        "client_id": CLIENT,
        "client_name": "An app",
        "resource": RESOURCE,
        "scopes": [],
        "granted_at": 0,
    });
    let write = |key: String, value: &Value| {
        world.tamper(&key, Some(serde_json::to_vec(value).unwrap()));
    };
    write(format!("session/{GRANT}"), &grant);
    write(format!("account-grant/{}/{GRANT}", text(owner)), &json!({}));
}

/// Begins a sign-in that the owner of this session allows on its page.
pub(super) fn allowed_sign_in(world: &World, session: &Value, owner: &Value) -> Value {
    let mut begun = anonymous(world, "begin_sign_in", json!({}));
    let uri = text(&begun["verification_uri"]);
    let key = format!("sign-in-request/{}", uri.split_once("?id=").unwrap().1);
    let request = world.stored(&key).unwrap();
    let mut request: Value = serde_json::from_slice(&request).unwrap();
    request["state"] = json!("allowed");
    request["session_id"] = session["session_id"].clone();
    request["user_id"] = owner.clone();
    world.tamper(&key, Some(serde_json::to_vec(&request).unwrap()));
    begun["sign_in_id"].take()
}

/// Returns at least one case for each operation that changes something.
pub(super) fn cases() -> Vec<Case> {
    let bob = |scene: &Scene| json!({"user_id": scene.bob});
    vec![
        case(
            "execute_primary_operation",
            |_| json!({"data": {"operation": "create_service_account", "username": "robot"}}),
        ),
        case(
            "register",
            |_| json!({"username": "carol", "password": PASSWORD}),
        ),
        case(
            "login",
            |_| json!({"username": "alice", "password": PASSWORD}),
        ),
        case(
            "complete_login",
            |scene| json!({"challenge": scene.challenge, "code": scene.code}),
        ),
        case("begin_sign_in", |_| json!({})),
        case(
            "complete_sign_in",
            |scene| json!({"sign_in_id": scene.sign_in_id}),
        ),
        case(
            "refresh_token",
            |scene| json!({"refresh_token": scene.session["refresh_token"]}),
        ),
        case(
            "logout",
            |scene| json!({"access_token": scene.session["access_token"]}),
        ),
        case(
            "revoke_session",
            |scene| json!({"session_id": scene.other["session_id"]}),
        ),
        case(
            "revoke_session",
            |scene| json!({"session_id": scene.session["session_id"]}),
        ),
        case("revoke_other_sessions", |_| json!({})),
        Case {
            operation: "revoke_grant",
            input: |_| json!({"grant_id": GRANT}),
            prepare: |world, scene| add_grant(world, &scene.session, &scene.alice),
        },
        Case {
            operation: "revoke_grant",
            input: |scene| json!({"client_id": CLIENT, "user_id": scene.bob}),
            prepare: |world, scene| add_grant(world, &scene.session, &scene.bob),
        },
        case(
            "change_password",
            |_| json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD}),
        ),
        case("enroll_totp", |_| json!({})),
        case("confirm_totp", |scene| json!({"code": scene.new_code})),
        case("disable_totp", |_| json!({})),
        case("create_recovery_codes", |_| json!({})),
        case("request_password_reset", |_| json!({"username": "alice"})),
        case(
            "confirm_password_reset",
            |scene| json!({"code": scene.reset_code, "new_password": NEW_PASSWORD}),
        ),
        Case {
            operation: "request_email_verification",
            input: |_| json!({}),
            prepare: |world, scene| {
                let key = format!("account/{}", text(&scene.alice));
                let account = world.stored(&key).unwrap();
                let mut account: Value = serde_json::from_slice(&account).unwrap();
                account["email_verified"] = json!(false);
                world.tamper(&key, Some(serde_json::to_vec(&account).unwrap()));
            },
        },
        case(
            "request_email_change",
            |_| json!({"email": "alice@example.net"}),
        ),
        case("confirm_email", |scene| json!({"code": scene.email_code})),
        case(
            "define_role",
            |_| json!({"role": "new", "permissions": ["billing:read"]}),
        ),
        case(
            "define_role",
            |_| json!({"role": "clerk", "permissions": ["billing:*"]}),
        ),
        case(
            "define_role",
            |_| json!({"role": "staff", "permissions": ["user-auth:*"]}),
        ),
        case("delete_role", |_| json!({"role": "clerk"})),
        case(
            "assign_role",
            |scene| json!({"user_id": scene.bob, "role": "clerk"}),
        ),
        case(
            "assign_role",
            |scene| json!({"user_id": scene.alice, "role": "clerk"}),
        ),
        case(
            "revoke_role",
            |scene| json!({"user_id": scene.bob, "role": "temp"}),
        ),
        case("disable_user", bob),
        case("enable_user", |_| json!({"username": "off"})),
        case("unlock_user", bob),
        case("revoke_user_sessions", bob),
        case("reset_second_factor", bob),
        case("delete_user", bob),
        // A new kind of hash, two entries with the same name, and a name that is taken.
        case("import_users", |_| {
            let hash =
                "pbkdf2_sha256$1000$c2FsdHNhbHQ$WgEwQ4LSiWXIGh5gYEMjLE9YaV3XRTLqsFl0Yk6QxS0=";
            json!({"users": [
                {"username": "ines", "roles": ["clerk"]},
                {"username": "jane", "password_hash": hash},
                {"username": "jane"},
                {"username": "bob"},
            ]})
        }),
        case("force_password_reset", bob),
        case("create_service_account", |_| json!({"username": "robot"})),
        case(
            "create_api_key",
            |scene| json!({"name": "new", "scopes": ["*"], "user_id": scene.bob}),
        ),
        case("create_api_key", |_| json!({"name": "new"})),
        case(
            "rotate_api_key",
            |scene| json!({"key_id": scene.bobs_key["key_id"]}),
        ),
        case(
            "rotate_api_key",
            |scene| json!({"key_id": scene.other_key["key_id"]}),
        ),
        case(
            "rotate_api_key",
            |scene| json!({"key_id": scene.key["key_id"]}),
        ),
        case(
            "revoke_api_key",
            |scene| json!({"key_id": scene.bobs_key["key_id"]}),
        ),
        case(
            "revoke_api_key",
            |scene| json!({"key_id": scene.other_key["key_id"]}),
        ),
        case(
            "revoke_api_key",
            |scene| json!({"key_id": scene.key["key_id"]}),
        ),
        case(
            "create_client",
            |_| json!({"client_name": "New", "redirect_uris": ["com.example.new:/"]}),
        ),
        case(
            "update_client",
            |scene| json!({"client_id": scene.client["client_id"], "client_name": "New"}),
        ),
        case(
            "rotate_client_secret",
            |scene| json!({"client_id": scene.client["client_id"]}),
        ),
        case(
            "delete_client",
            |scene| json!({"client_id": scene.client["client_id"]}),
        ),
        case(
            "define_resource",
            |_| json!({"resource": "https://new.example.com", "resource_name": "New"}),
        ),
        case(
            "define_resource",
            |_| json!({"resource": RESOURCE, "resource_name": "New"}),
        ),
        case("delete_resource", |_| json!({"resource": RESOURCE})),
        case("issue_token", |_| json!({"audience": "notes"})),
        case(
            "revoke_token",
            |scene| json!({"token": scene.session["access_token"]}),
        ),
        case("rotate_signing_key", |_| json!({})),
        case("rotate_signing_key", |_| json!({"end_previous": true})),
    ]
}

pub(super) type StopFn = dyn Fn(&World, &Scene);

/// Returns every way to stop Alice, her session or her key.
pub(super) fn stops() -> Vec<(&'static str, Box<StopFn>)> {
    fn stop(
        name: &'static str,
        stops: impl Fn(&World, &Scene) + 'static,
    ) -> (&'static str, Box<StopFn>) {
        (name, Box::new(stops))
    }
    fn of_user(operation: &'static str) -> (&'static str, Box<StopFn>) {
        stop(operation, move |world, scene| {
            operator(world, operation, json!({"user_id": scene.alice}));
        })
    }
    fn of_key(operation: &'static str) -> (&'static str, Box<StopFn>) {
        stop(operation, move |world, scene| {
            operator(world, operation, json!({"key_id": scene.key["key_id"]}));
        })
    }
    vec![
        of_user("disable_user"),
        of_user("delete_user"),
        of_user("force_password_reset"),
        of_user("reset_second_factor"),
        of_user("revoke_user_sessions"),
        of_key("revoke_api_key"),
        of_key("rotate_api_key"),
        stop("revoke_token of the key", |world, scene| {
            anonymous(
                world,
                "revoke_token",
                json!({"token": scene.key["api_key"]}),
            );
        }),
        stop("revoke_role", |world, scene| {
            let input = json!({"user_id": scene.alice, "role": "staff"});
            operator(world, "revoke_role", input);
        }),
        stop("define_role", |world, _| {
            let input = json!({"role": "staff", "permissions": ["billing:invoices:read"]});
            operator(world, "define_role", input);
        }),
        stop("delete_role", |world, _| {
            operator(world, "delete_role", json!({"role": "staff"}));
        }),
        stop("confirm_password_reset", |world, scene| {
            let input = json!({"code": scene.reset_code, "new_password": NEW_PASSWORD});
            let _ = world.run("confirm_password_reset", input);
        }),
        stop("logout", |world, scene| {
            let input = json!({"refresh_token": scene.session["refresh_token"]});
            anonymous(world, "logout", input);
        }),
        stop("revoke_token of the session", |world, scene| {
            let input = json!({"token": scene.session["access_token"]});
            anonymous(world, "revoke_token", input);
        }),
        stop("refresh_token, twice", |world, scene| {
            let input = json!({"refresh_token": scene.session["refresh_token"]});
            let _ = world.run("refresh_token", input.clone());
            world.pass(120);
            assert_eq!(world.run("refresh_token", input), Err(-32001));
        }),
        stop("revoke_session", |world, scene| {
            let input = json!({"session_id": scene.session["session_id"]});
            let _ = world.run_as(bearer(&scene.other), "revoke_session", input);
        }),
        stop("revoke_other_sessions", |world, scene| {
            let _ = world.run_as(bearer(&scene.other), "revoke_other_sessions", json!({}));
        }),
        stop("change_password", |world, scene| {
            let input = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
            let _ = world.run_as(bearer(&scene.other), "change_password", input);
        }),
        stop("confirm_totp", |world, scene| {
            let input = json!({"code": scene.new_code});
            let _ = world.run_as(bearer(&scene.other), "confirm_totp", input);
        }),
        stop("disable_totp", |world, scene| {
            let _ = world.run_as(bearer(&scene.other), "disable_totp", json!({}));
        }),
        stop("rotate_signing_key", |world, _| {
            operator(world, "rotate_signing_key", json!({"end_previous": true}));
        }),
    ]
}
