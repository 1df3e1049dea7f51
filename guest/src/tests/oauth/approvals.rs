//! Calls of agents that their user has to approve one by one.

mod elicitation;

use serde_json::{Value, json};

use super::{Browser, ISSUER, PASSWORD, Page, Scene, guarded, operator, text};
use crate::domain::caller::Principal;
use crate::settings::Approvals;
use crate::types::secret::Secret;

const MCP: &str = "https://auth.example/mcp";
const SCOPES: [&str; 3] = [
    "user-auth:users:read",
    "user-auth:users:write",
    "user-auth:roles:write",
];

/// A scene whose user is an administrator, an agent with wide scopes, and somebody to delete.
struct Desk {
    scene: Scene,
    token: String,
}

impl Desk {
    fn new() -> Desk {
        let scene = guarded();
        let bob = json!({"username": "bob", "password": PASSWORD});
        operator(&scene.world, "register", bob);
        let token = token(&scene);
        Desk { scene, token }
    }

    fn with_approvals(list: &str) -> Desk {
        let mut desk = Desk::new();
        let oauth = desk.scene.world.settings.oauth.as_mut().unwrap();
        oauth.approvals = Approvals::parse(list).unwrap();
        desk
    }

    /// Calls a tool as the agent, and returns the structured content of the result.
    fn call(&self, operation: &str, arguments: Value) -> Value {
        self.call_as(&self.token, operation, arguments)
    }

    fn call_as(&self, token: &str, operation: &str, arguments: Value) -> Value {
        let answer = self.message(token, operation, arguments, &[], json!({}));
        answer["result"]["structuredContent"].clone()
    }

    /// Sends a call with more header fields and parameters, and returns the answer.
    fn message(
        &self,
        token: &str,
        operation: &str,
        arguments: Value,
        headers: &[(&str, &str)],
        more: Value,
    ) -> Value {
        let name = format!("user-auth_{operation}");
        let mut params = json!({"name": name, "arguments": arguments});
        let more = more.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(more);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let bearer = format!("Bearer {token}");
        let mut fields = vec![
            ("content-type", "application/json"),
            ("authorization", bearer.as_str()),
            ("mcp-method", "tools/call"),
            ("mcp-name", name.as_str()),
        ];
        fields.extend(headers);
        if !headers
            .iter()
            .any(|(name, _)| *name == "mcp-protocol-version")
        {
            fields.push(("mcp-protocol-version", "2025-11-25"));
        }
        let response = self
            .scene
            .send("POST", "/mcp", &fields, &message.to_string());
        serde_json::from_slice(&response.body.unwrap()).unwrap()
    }

    fn has_bob(&self) -> bool {
        let input = json!({"username": "bob"});
        let world = &self.scene.world;
        world.run_as(Principal::Operator, "get_user", input).is_ok()
    }
}

/// Returns a new access token of the agent, for this service itself.
fn token(scene: &Scene) -> String {
    let browser = Browser::signed_in(scene);
    let query = scene.query(&[("resource", MCP), ("scope", &SCOPES.join(" "))]);
    let page = browser.get(&format!("/authorize?{query}"));
    let page = browser.decide(&page, "allow", &SCOPES);
    let code = page.answer().first("code").unwrap().to_owned();
    let (_, tokens) = scene.exchange(&code, &[("resource", MCP)]);
    assert_eq!(tokens["scope"], SCOPES.join(" "));
    text(&tokens["access_token"])
}

fn delete_bob() -> Value {
    json!({"username": "bob"})
}

/// Returns the address of the page that an answer asks to open.
fn target(answer: &Value) -> String {
    let error = &answer["error"];
    assert_eq!(error["code"], -32002, "{answer}");
    let details = &error["data"]["details"];
    let uri = text(&details["approval_uri"]);
    uri.strip_prefix(ISSUER).unwrap().to_owned()
}

impl Browser<'_> {
    fn answer_approval(&self, page: &Page, decision: &str) -> Page {
        let fields = [
            ("form_token", &*page.field("form_token")),
            ("id", &page.field("id")),
            ("nonce", &page.field("nonce")),
            ("decision", decision),
        ];
        self.post("/approve", &fields)
    }

    fn approve(&self, target: &str) {
        let page = self.get(target);
        assert_eq!(page.status, 200, "{}", page.body);
        let page = self.answer_approval(&page, "allow");
        assert!(page.body.contains("You have approved it"), "{}", page.body);
    }
}

fn trail(desk: &Desk, username: &str) -> Vec<Value> {
    let input = json!({"username": username});
    let page = operator(&desk.scene.world, "query_audit", input);
    page["records"].as_array().unwrap().clone()
}

#[test]
fn an_agent_does_once_what_its_user_has_approved() {
    let desk = Desk::new();
    let bob = operator(&desk.scene.world, "get_user", delete_bob());
    let asked = desk.call("delete_user", delete_bob());
    let target = target(&asked);
    assert!(desk.has_bob());
    // The same call asks for the same.
    assert_eq!(
        self::target(&desk.call("delete_user", delete_bob())),
        target
    );

    let browser = Browser::signed_in(&desk.scene);
    let page = browser.get(&target);
    for shown in [
        "Desk &#60;b&#62;",
        "delete_user",
        "username",
        "bob",
        "alice",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    browser.approve(&target);
    assert!(desk.has_bob(), "only the agent acts");
    let deleted = desk.call("delete_user", delete_bob());
    assert_eq!(deleted["user_id"], bob["user_id"], "{deleted}");
    assert!(!desk.has_bob());

    // Everybody can see later who did what, and with whose approval.
    let approval_id = target.split_once("id=").unwrap().1;
    let records = trail(&desk, "alice");
    let approved = records.iter().find(|it| it["operation"] == "approve_call");
    let approved = approved.unwrap();
    assert_eq!(approved["outcome"], "success");
    assert_eq!(approved["details"]["approval_id"], approval_id);
    assert_eq!(approved["details"]["operation"], "delete_user");
    let input = json!({"user_id": bob["user_id"], "operation": "delete_user"});
    let page = operator(&desk.scene.world, "query_audit", input);
    let record = &page["records"][0];
    assert_eq!(record["approval_id"], approval_id);
    assert_eq!(record["client_id"], json!(desk.scene.client_id));
    assert_eq!(
        record["session_id"],
        approved["details"]["agent_session_id"]
    );
    assert_eq!(record["actor"], approved["user_id"]);
    let verified = operator(
        &desk.scene.world,
        "verify_audit_chain",
        json!({"user_id": bob["user_id"]}),
    );
    assert_eq!(verified["intact"], true, "{verified}");
}

#[test]
fn an_approval_is_good_for_one_call_with_the_same_arguments_of_the_same_agent() {
    let desk = Desk::with_approvals("disable_user");
    let disable = |username: &str| json!({"username": username});
    let ask = |desk: &Desk, arguments: Value| {
        let answer = desk.call("disable_user", arguments);
        let uri = &answer["error"]["data"]["details"]["approval_uri"];
        text(uri).strip_prefix(ISSUER).unwrap().to_owned()
    };
    let browser = Browser::signed_in(&desk.scene);
    let target = ask(&desk, disable("bob"));
    let shown = browser.get(&target);
    browser.approve(&target);
    // Changed arguments.
    let carol = json!({"username": "carol", "password": PASSWORD});
    operator(&desk.scene.world, "register", carol);
    let other = ask(&desk, disable("carol"));
    assert_ne!(other, target);
    let padded = ask(&desk, json!({"username": "bob", "user_id": null}));
    assert_ne!(padded, target);
    // Another agent of the same user.
    let another = token(&desk.scene);
    let answer = desk.call_as(&another, "disable_user", disable("bob"));
    assert_eq!(answer["error"]["code"], -32002);
    // The call itself, once.
    let done = desk.call("disable_user", disable("bob"));
    assert!(done.get("error").is_none(), "{done}");
    // A replay of the approved call, and of the form of the first one.
    assert_eq!(ask(&desk, disable("bob")), target);
    assert_eq!(browser.answer_approval(&shown, "allow").status, 403);
    assert_eq!(ask(&desk, disable("bob")), target);
}

#[test]
fn of_two_calls_at_once_one_is_approved() {
    let desk = Desk::new();
    let target = target(&desk.call("delete_user", delete_bob()));
    let key = format!("approval/{}", target.split_once("id=").unwrap().1);
    let entries = desk.scene.world.entries();
    let (_, waiting) = entries.iter().find(|(known, _)| *known == key).unwrap();
    Browser::signed_in(&desk.scene).approve(&target);
    // The other call has used the approval, and a third one has asked for the next.
    let overtaken = vec![(key, waiting.clone())];
    desk.scene.world.overtaken_by.replace(overtaken);
    let answer = desk.call("delete_user", delete_bob());
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
    assert!(desk.has_bob());
}

#[test]
fn an_approval_ends_after_ten_minutes() {
    let desk = Desk::new();
    let browser = Browser::signed_in(&desk.scene);
    let late = target(&desk.call("delete_user", delete_bob()));
    let page = browser.get(&late);
    desk.scene.world.pass(600);
    let over = browser.answer_approval(&page, "allow");
    assert_eq!(over.status, 400);
    assert!(
        over.body.contains("This link has been used"),
        "{}",
        over.body
    );
    assert_eq!(browser.get(&late).status, 400);

    // From when it was asked for, not from when the user has approved.
    let desk = Desk::new();
    let target = target(&desk.call("delete_user", delete_bob()));
    desk.scene.world.pass(400);
    Browser::signed_in(&desk.scene).approve(&target);
    desk.scene.world.pass(200);
    let answer = desk.call("delete_user", delete_bob());
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
    assert!(desk.has_bob());
}

#[test]
fn what_the_user_refuses_is_not_asked_for_again_at_once() {
    let desk = Desk::new();
    let browser = Browser::signed_in(&desk.scene);
    let page = browser.get(&target(&desk.call("delete_user", delete_bob())));
    let denied = browser.answer_approval(&page, "deny");
    assert!(
        denied.body.contains("Access was not allowed"),
        "{}",
        denied.body
    );
    let answer = desk.call("delete_user", delete_bob());
    assert_eq!(answer["error"]["code"], -32002);
    assert_eq!(answer["error"]["message"], "The user has refused this call");
    assert!(desk.has_bob());
    let records = trail(&desk, "alice");
    let refused = records.iter().find(|it| it["operation"] == "approve_call");
    let refused = refused.unwrap();
    assert_eq!(refused["outcome"], "access_denied");
    let client_id = &refused["details"]["agent_client_id"];
    assert_eq!(*client_id, json!(desk.scene.client_id));
    assert_eq!(browser.answer_approval(&page, "allow").status, 400);
}

#[test]
fn only_the_user_of_the_agent_decides_and_only_after_a_recent_login() {
    let desk = Desk::new();
    let target = target(&desk.call("delete_user", delete_bob()));
    let to_sign_in = |page: &Page| {
        assert_eq!(page.status, 303, "{}", page.body);
        let location = page.header("location");
        assert!(
            location.starts_with("/sign-in?return_to=%2Fapprove%3Fid%3D"),
            "{location}"
        );
    };
    // Nobody.
    to_sign_in(&Browser::new(&desk.scene).get(&target));
    // Another user.
    let other = Browser::new(&desk.scene);
    let page = other.get("/sign-in");
    other.sign_in(&page, "bob", PASSWORD);
    let page = other.get(&target);
    assert_eq!(page.status, 403);
    assert!(page.body.contains("for another account"), "{}", page.body);
    let page = other.get("/sign-in");
    let fields = [
        ("form_token", &*page.field("form_token")),
        ("id", target.split_once("id=").unwrap().1),
        ("decision", "allow"),
    ];
    assert_eq!(other.post("/approve", &fields).status, 403);
    // The user, with a session that is no longer fresh.
    let browser = Browser::signed_in(&desk.scene);
    let page = browser.get(&target);
    desk.scene.world.pass(301);
    to_sign_in(&browser.answer_approval(&page, "allow"));
    to_sign_in(&browser.get(&target));
    // A form of another page.
    let browser = Browser::signed_in(&desk.scene);
    let page = browser.get(&target);
    let fields = [("id", &*page.field("id")), ("decision", "allow")];
    assert_eq!(browser.post("/approve", &fields).status, 403);
    assert_eq!(
        self::target(&desk.call("delete_user", delete_bob())),
        target
    );
    browser.approve(&target);
}

/// Its refresh token in the cookie of a browser would make the agent its own user.
#[test]
fn an_agent_cannot_open_pages_with_its_tokens() {
    let scene = Scene::new();
    let input = json!({"deliver": "tokens"});
    let begun = operator(&scene.world, "begin_sign_in", input);
    let target = text(&begun["verification_uri"]);
    let target = target.strip_prefix(ISSUER).unwrap();
    let browser = Browser::signed_in(&scene);
    let page = browser.get(target);
    let fields = [
        ("form_token", &*page.field("form_token")),
        ("id", &page.field("id")),
        ("decision", "allow"),
    ];
    browser.post("/agent-sign-in", &fields);
    let input = json!({"sign_in_id": begun["sign_in_id"]});
    let complete = operator(&scene.world, "complete_sign_in", input);
    let cookie = text(&complete["tokens"]["refresh_token"]);
    let agent = Browser::new(&scene);
    agent
        .cookies
        .borrow_mut()
        .insert("__Host-user-auth-session".to_owned(), cookie);
    let names = browser.cookies.borrow();
    assert!(
        names.contains_key("__Host-user-auth-session"),
        "{:?}",
        names.keys()
    );
    let page = agent.get("/apps");
    assert!(page.body.contains("name=\"password\""), "{}", page.body);
    // The refresh token of the user does.
    let login = scene.world.log_in("alice", PASSWORD).unwrap();
    let cookie = text(&login["refresh_token"]);
    agent
        .cookies
        .borrow_mut()
        .insert("__Host-user-auth-session".to_owned(), cookie);
    let page = agent.get("/apps");
    assert!(page.body.contains("Connected apps"), "{}", page.body);
}

#[test]
fn an_agent_without_the_permission_is_refused_without_asking() {
    let desk = Desk::new();
    let role = json!({"username": "alice", "role": "admin"});
    operator(&desk.scene.world, "revoke_role", role);
    let answer = desk.call("delete_user", delete_bob());
    assert_eq!(answer["error"]["code"], -32002);
    assert_eq!(answer["error"]["data"]["details"].get("approval_uri"), None);
    let malformed = desk.call("delete_user", json!({"username": 7}));
    assert_eq!(malformed["error"]["code"], -32000);
}

#[test]
fn every_door_asks() {
    let desk = Desk::new();
    let inner = json!({"data": {"operation": "delete_user", "username": "bob"}});
    let uri = |answer: &Value| answer["error"]["data"]["details"]["approval_uri"].clone();
    let by_tool = uri(&desk.call("delete_user", delete_bob()));
    assert!(by_tool.is_string());
    assert_eq!(uri(&desk.call("execute_primary_operation", inner)), by_tool);
    let bearer = format!("Bearer {}", desk.token);
    let headers = [
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
    ];
    let body = delete_bob().to_string();
    let response = desk.scene.send("POST", "/api/delete_user", &headers, &body);
    assert_eq!(response.status, 403);
    let body: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
    assert_eq!(uri(&body), by_tool, "{body}");
    assert!(desk.has_bob());
}

#[test]
fn users_and_keys_are_not_asked() {
    let desk = Desk::new();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let login = desk.scene.world.run("login", credentials).unwrap();
    let mut input = delete_bob();
    input["access_token"] = login["access_token"].clone();
    assert!(desk.scene.world.run("delete_user", input).is_ok());
    let bob = json!({"username": "bob", "password": PASSWORD});
    operator(&desk.scene.world, "register", bob);
    let input = json!({"access_token": login["access_token"], "name": "ci", "scopes": ["*"]});
    let key = desk.scene.world.run("create_api_key", input).unwrap();
    let principal = Principal::ApiKey(Secret::new(text(&key["api_key"])));
    let deleted = desk
        .scene
        .world
        .run_as(principal, "delete_user", delete_bob());
    assert!(deleted.is_ok(), "{deleted:?}");
}

#[test]
fn a_permission_stands_for_its_operations_and_none_for_nothing() {
    let desk = Desk::with_approvals("user-auth:users:write");
    let input = || json!({"username": "bob"});
    assert_eq!(desk.call("disable_user", input())["error"]["code"], -32002);
    assert!(desk.call("get_user", input()).get("error").is_none());
    let desk = Desk::with_approvals("none");
    assert!(desk.call("delete_user", input()).get("error").is_none());
    for wrong in [
        "",
        "delete_users",
        "user-auth:user:write",
        "files:read",
        // Nobody is known to it.
        "revoke_token",
    ] {
        assert_eq!(Approvals::parse(wrong), Err(wrong));
    }
    for (wrong, unknown) in [
        (",", ""),
        ("none,delete_user", "none"),
        ("delete_user, x", "x"),
    ] {
        assert_eq!(Approvals::parse(wrong), Err(unknown), "{wrong}");
    }
}

#[test]
fn what_user_client_and_toolset_allow_an_agent_is_explained() {
    let desk = Desk::new();
    let explain = |permission: &str| {
        let input = json!({
            "username": "alice",
            "permission": permission,
            "client_id": desk.scene.client_id,
        });
        operator(&desk.scene.world, "explain_permissions", input)
    };
    let explained = explain("user-auth:roles:write");
    assert_eq!(explained["client_scopes"], json!(SCOPES));
    let decision = &explained["decision"];
    assert_eq!(decision["allowed"], true);
    assert_eq!(decision["client_allowed"], true);
    let operations = decision["operations"].as_array().unwrap();
    let of = |name: &str| {
        operations
            .iter()
            .find(|it| it["operation"] == name)
            .unwrap()
    };
    assert_eq!(of("assign_role")["needs_approval"], true);
    assert_eq!(of("delete_role")["needs_approval"], false);
    assert_eq!(of("assign_role")["offered"], true);
    let decision = explain("user-auth:audit:read")["decision"].take();
    assert_eq!(decision["allowed"], true);
    assert_eq!(decision["client_allowed"], false);
    let role = json!({"username": "alice", "role": "admin"});
    operator(&desk.scene.world, "revoke_role", role);
    assert_eq!(explain("user-auth:roles:write")["client_scopes"], json!([]));
}

#[test]
fn the_user_sees_all_that_is_no_secret_or_is_not_asked() {
    let desk = Desk::new();
    let hash = "$2b$04$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES";
    let import = |digits: usize| {
        let user = |number| {
            let name = format!("user{number:0digits$}");
            let roles = [
                "clerk".to_owned(),
                format!("a{0:0digits$}", 0),
                format!("b{0:0digits$}", 0),
            ];
            json!({"username": name, "password_hash": hash, "roles": roles})
        };
        let users: Vec<Value> = (0..100).map(user).collect();
        desk.call("import_users", json!({"users": users}))
    };
    let browser = Browser::signed_in(&desk.scene);
    let page = |answer: &Value| {
        let uri = text(&answer["error"]["data"]["details"]["approval_uri"]);
        browser.get(uri.strip_prefix(ISSUER).unwrap()).body
    };
    let shown = page(&import(2));
    for part in ["user00", "user99", "clerk", "[secret]"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("$2b$"), "{shown}");
    let refused = import(60);
    assert_eq!(refused["error"]["code"], -32000, "{refused}");
    // What only looks like a secret is what the user has to see.
    let role = json!({"username": "bob", "role": "uat_eyj"});
    assert!(page(&desk.call("assign_role", role)).contains("uat_eyj"));
    let role = json!({"role": "clerk", "permissions": []});
    let shown = page(&desk.call("define_role", role));
    assert!(shown.contains("<dd dir=\"ltr\">[]</dd>"), "{shown}");
    let bob = operator(&desk.scene.world, "get_user", delete_bob());
    let by_id = json!({"user_id": bob["user_id"], "role": "admin"});
    let shown = page(&desk.call("assign_role", by_id));
    for part in ["<strong>bob</strong>", "<strong>*</strong>"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn one_agent_asks_for_few_approvals() {
    let desk = Desk::new();
    let ask = |number: u32| {
        let user_id = format!("{number:032x}");
        desk.call("delete_user", json!({"user_id": user_id}))["error"]["code"].clone()
    };
    for number in 0..10 {
        assert_eq!(ask(number), -32002);
    }
    assert_eq!(ask(10), -32003);
    assert_eq!(ask(0), -32002, "what is asked already is not asked again");
}
