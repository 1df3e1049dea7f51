//! Explanations of what a user may do.

use serde_json::json;

use super::bearer;
use crate::testing::World;

#[test]
fn explanations_name_the_role_and_grant_or_the_reason() {
    let world = World::new();
    let bob = world.user("bob", &["billing:*", "sales:read"]);
    let explain = |input| world.run_as(bearer(&bob), "explain_permissions", input);
    let explained = explain(json!({"permission": "billing:invoices:read"})).unwrap();
    assert_eq!(
        explained,
        json!({
            "user_id": world.get_user("bob")["user_id"],
            "grants": [
                {"grant": "billing:*", "role": "role-of-bob"},
                {"grant": "sales:read", "role": "role-of-bob"},
            ],
            "decision": {
                "permission": "billing:invoices:read",
                "allowed": true,
                "given_by": [{"grant": "billing:*", "role": "role-of-bob"}],
            },
        })
    );
    let withheld = |username: &str, permission: &str| {
        let input = json!({"username": username, "permission": permission});
        let explained = world.operator("explain_permissions", input).unwrap();
        assert_eq!(explained["decision"]["allowed"], false);
        explained["decision"]["withheld"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        withheld("bob", "sales:write"),
        "none of the user's roles grants it: role-of-bob"
    );
    world.user("carol", &[]);
    assert_eq!(withheld("carol", "sales:read"), "the user has no role");
    world
        .operator("disable_user", json!({"username": "bob"}))
        .unwrap();
    assert_eq!(withheld("bob", "sales:read"), "the account is disabled");
}

#[test]
fn explaining_permissions_of_other_users_requires_a_permission_and_of_oneself_none() {
    let world = World::new();
    let bob = world.user("bob", &["billing:*"]);
    world.user("carol", &[]);
    let explain = |input| world.run_as(bearer(&bob), "explain_permissions", input);
    let own_id = world.get_user("bob")["user_id"].clone();
    for own in [
        json!({}),
        json!({"username": "BOB"}),
        json!({"user_id": own_id}),
    ] {
        assert_eq!(explain(own).unwrap()["user_id"], own_id);
    }
    let carols_id = world.get_user("carol")["user_id"].clone();
    // The refusal does not reveal whether the user exists.
    for other in [
        json!({"username": "carol"}),
        json!({"username": "nobody"}),
        json!({"user_id": carols_id}),
        json!({"user_id": "0".repeat(32)}),
    ] {
        assert_eq!(explain(other.clone()), Err(-32002), "{other}");
    }
    let answer = world.run("explain_permissions", json!({}));
    assert_eq!(answer, Err(-32001));
}
