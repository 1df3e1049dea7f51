//! Sign-in by browser for agents, which see no password.

use serde_json::{Value, json};

use super::{Browser, ISSUER, PASSWORD, Page, Scene, accounts, guarded, text};
use crate::domain::caller::Principal;
use crate::oauth::parameters::encode;
use crate::types::secret::Secret;

/// What an agent has after it has begun.
struct Begun {
    output: Value,
    /// The address of the page, below the issuer.
    target: String,
}

impl Scene {
    fn begin(&self, input: Value) -> Begun {
        let output = self.world.run("begin_sign_in", input).unwrap();
        let uri = text(&output["verification_uri"]);
        let target = format!(
            "/agent-sign-in{}",
            uri.split_once("/agent-sign-in").unwrap().1
        );
        Begun { output, target }
    }

    fn complete(&self, begun: &Begun) -> Result<Value, i32> {
        self.world
            .run("complete_sign_in", begun.secret("sign_in_id"))
    }

    fn verify(&self, token: &Value) -> Value {
        let input = json!({"token": token});
        self.world.run("verify_token", input).unwrap()
    }

    /// Verifies the session that a sign-in keeps here.
    fn verify_kept(&self, begun: &Begun) -> Value {
        let input = begun.secret("sign_in_id");
        self.world.run("verify_token", input).unwrap()
    }
}

impl Begun {
    fn secret(&self, name: &str) -> Value {
        let mut input = json!({});
        input[name] = self.output["sign_in_id"].clone();
        input
    }
}

impl Browser<'_> {
    fn answer_agent(&self, page: &Page, decision: &str) -> Page {
        let form_token = page.field("form_token");
        let id = page.field("id");
        let fields = [
            ("form_token", form_token.as_str()),
            ("id", id.as_str()),
            ("decision", decision),
        ];
        self.post("/agent-sign-in", &fields)
    }

    /// Lets the owner of the browser's session agree.
    fn allow(&self, begun: &Begun) {
        let page = self.get(&begun.target);
        assert_eq!(page.status, 200, "{}", page.body);
        let page = self.answer_agent(&page, "allow");
        assert!(
            page.body.contains("signed in for the agent"),
            "{}",
            page.body
        );
    }
}

#[test]
fn an_agent_learns_who_signs_in_and_sees_no_secret_of_the_user() {
    let scene = Scene::new();
    let begun = scene.begin(json!({"client_name": "Desk agent"}));
    let pending = json!({"status": "pending", "interval": 5});
    assert_eq!(scene.complete(&begun), Ok(pending));
    assert_eq!(scene.verify_kept(&begun), json!({"active": false}));

    let browser = Browser::new(&scene);
    let page = browser.get(&begun.target);
    let return_to = encode(&[("return_to", &begun.target)]);
    assert_eq!(page.header("location"), format!("/sign-in?{return_to}"));
    let page = browser.get(&format!("/sign-in?{return_to}"));
    let form_token = page.field("form_token");
    let fields = [
        ("form_token", &*form_token),
        ("return_to", &*begun.target),
        ("username", "alice"),
        ("password", PASSWORD),
    ];
    let page = browser.post("/sign-in", &fields);
    assert_eq!(page.header("location"), begun.target);
    let page = browser.get(&begun.target);
    for shown in [
        "Desk agent",
        "Nobody here has checked",
        "alice",
        "cannot act for you",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(page.body.contains(&text(&begun.output["user_code"])));
    browser.answer_agent(&page, "allow");

    let complete = scene.complete(&begun).unwrap();
    assert_eq!(complete["status"], "complete");
    assert_eq!(complete["username"], "alice");
    let transcript = format!("{}{complete}", begun.output);
    for secret in [PASSWORD, "access_token", "refresh_token", "eyJ"] {
        assert!(!transcript.contains(secret), "{secret}");
    }
    let verified = scene.verify_kept(&begun);
    assert_eq!(verified["active"], true);
    assert_eq!(verified["sub"], complete["user_id"]);
    // A service that verifies what the agent sends takes it for no token.
    let sent = scene.verify(&begun.output["sign_in_id"]);
    assert_eq!(sent, json!({"active": false}));
    let mut question = begun.secret("sign_in_id");
    question["permission"] = json!("files:read");
    let decision = scene.world.run("check_permission", question).unwrap();
    assert_eq!(decision["sub"], complete["user_id"]);
    // It is about the user, and does not act as the user.
    let own = scene.world.run("get_session", begun.secret("access_token"));
    assert_eq!(own, Err(-32001));
    scene
        .world
        .run("logout", begun.secret("sign_in_id"))
        .unwrap();
    assert_eq!(scene.verify_kept(&begun), json!({"active": false}));
    assert_eq!(
        browser.get("/apps").status,
        200,
        "the browser has its own session"
    );
}

#[test]
fn an_agent_that_has_to_act_gets_the_tokens_once() {
    let scene = Scene::new();
    let input = json!({"deliver": "tokens"});
    let anonymous = scene.world.run("begin_sign_in", input.clone());
    assert_eq!(anonymous, Err(-32001), "anyone could send the link");
    let operator = |operation, input| scene.world.run_as(Principal::Operator, operation, input);
    let output = operator("begin_sign_in", input).unwrap();
    let uri = text(&output["verification_uri"]);
    let target = uri.strip_prefix(ISSUER).unwrap().to_owned();
    let begun = Begun { output, target };
    let browser = Browser::signed_in(&scene);
    assert!(
        browser
            .get(&begun.target)
            .body
            .contains("everything here that you can")
    );
    browser.allow(&begun);
    let complete = operator("complete_sign_in", begun.secret("sign_in_id")).unwrap();
    let tokens = &complete["tokens"];
    assert_eq!(scene.verify(&tokens["access_token"])["username"], "alice");
    let again = operator("complete_sign_in", begun.secret("sign_in_id"));
    assert_eq!(again, Err(-32001));
    let kept = operator("verify_token", begun.secret("sign_in_id")).unwrap();
    assert_eq!(kept, json!({"active": false}));
    // What requires the user to be present is not for the agent, however recent the sign-in.
    let own = |name: &str| {
        let mut input = json!({"access_token": tokens["access_token"]});
        input["name"] = json!("key");
        input
            .as_object_mut()
            .unwrap()
            .retain(|field, _| field == "access_token" || name == "create_api_key");
        scene.world.run(name, input)
    };
    assert!(own("list_sessions").is_ok());
    assert_eq!(own("create_api_key"), Err(-32001));
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let refreshed = scene.world.run("refresh_token", refresh).unwrap();
    let input = json!({"access_token": refreshed["access_token"], "name": "key"});
    assert_eq!(scene.world.run("create_api_key", input), Err(-32001));
}

#[test]
fn a_new_user_creates_an_account_on_the_way() {
    let scene = Scene::new();
    let begun = scene.begin(json!({"purpose": "sign_up"}));
    let browser = Browser::new(&scene);
    let page = browser.get(&begun.target);
    let return_to = encode(&[("return_to", &begun.target)]);
    assert_eq!(page.header("location"), format!("/sign-up?{return_to}"));
    let page = browser.get(page.header("location"));
    assert_eq!(page.field("return_to"), begun.target);
}

#[test]
fn a_link_that_is_over_says_so_and_does_nothing() {
    let scene = Scene::new();
    let is_over = |browser: &Browser, target: &str| {
        let page = browser.get(target);
        assert_eq!(page.status, 400);
        assert!(
            page.body.contains("This link has been used"),
            "{}",
            page.body
        );
    };
    let browser = Browser::signed_in(&scene);
    // Used, by whomever.
    let used = scene.begin(json!({}));
    let page = browser.get(&used.target);
    browser.allow(&used);
    is_over(&browser, &used.target);
    is_over(&Browser::signed_in(&scene), &used.target);
    let again = browser.answer_agent(&page, "deny");
    assert_eq!(again.status, 400);
    assert_eq!(scene.complete(&used).unwrap()["status"], "complete");
    // Refused.
    let refused = scene.begin(json!({}));
    let page = browser.get(&refused.target);
    let page = browser.answer_agent(&page, "deny");
    assert!(
        page.body.contains("Access was not allowed"),
        "{}",
        page.body
    );
    assert_eq!(scene.complete(&refused), Err(-32001));
    is_over(&browser, &refused.target);
    // Late.
    let late = scene.begin(json!({}));
    let page = browser.get(&late.target);
    scene.world.pass(600);
    is_over(&browser, &late.target);
    assert_eq!(browser.answer_agent(&page, "allow").status, 400);
    assert_eq!(scene.complete(&late), Err(-32001));
    // Made up.
    for wrong in ["", "?id=", "?id=x", "?id=00000000000000000000000000000000"] {
        is_over(&browser, &format!("/agent-sign-in{wrong}"));
    }
    let made_up = json!({"sign_in_id": format!("uai_{}", "A".repeat(64))});
    assert_eq!(scene.world.run("complete_sign_in", made_up), Err(-32001));
}

/// Two agents, or one that asks twice at the same time.
#[test]
fn nobody_but_the_caller_gets_the_outcome() {
    let scene = Scene::new();
    let begun = scene.begin(json!({}));
    Browser::signed_in(&scene).allow(&begun);
    let operator = |operation, input| scene.world.run_as(Principal::Operator, operation, input);
    let secret = || begun.secret("sign_in_id");
    assert_eq!(operator("complete_sign_in", secret()), Err(-32001));
    let other = scene.world.log_in("alice", PASSWORD).unwrap();
    let token = Secret::new(text(&other["access_token"]));
    let alice = Principal::AccessToken(token);
    let as_alice = scene.world.run_as(alice, "complete_sign_in", secret());
    assert_eq!(as_alice, Err(-32001));
    // The id in the link is not the secret.
    let id = begun.target.split_once("id=").unwrap().1;
    let guessed = json!({"sign_in_id": id});
    assert_eq!(scene.world.run("complete_sign_in", guessed), Err(-32001));
    scene.complete(&begun).unwrap();
    let verified = operator("verify_token", begun.secret("sign_in_id")).unwrap();
    assert_eq!(verified, json!({"active": false}));
    assert_eq!(scene.verify_kept(&begun)["active"], true);
}

/// The token of a client is for `/mcp`, not for the audience of sessions.
#[test]
fn a_client_is_a_known_caller_with_no_more_power_than_its_scopes() {
    let scene = guarded();
    let browser = Browser::signed_in(&scene);
    let client = || {
        let own = format!("{ISSUER}/mcp");
        let scope = "user-auth:users:read";
        let query = scene.query(&[("resource", &own), ("scope", scope)]);
        let page = browser.get(&format!("/authorize?{query}"));
        let page = browser.decide(&page, "allow", &[scope]);
        let code = page.answer().first("code").unwrap().to_owned();
        let (status, tokens) = scene.exchange(&code, &[("resource", &own)]);
        assert_eq!(status, 200, "{tokens}");
        text(&tokens["access_token"])
    };
    let run = |token: &str, operation: &str, input: Value| {
        let caller = Principal::AccessToken(Secret::new(token.to_owned()));
        scene.world.run_as(caller, operation, input)
    };
    let (client, other) = (client(), client());
    let may = |permission: &str| {
        let input = json!({"permission": permission});
        run(&client, "check_permission", input).unwrap()["allowed"].clone()
    };
    assert_eq!(may("user-auth:users:read"), true);
    assert_eq!(may("user-auth:roles:read"), false, "alice may, not it");

    let begin = |token: &str, deliver: &str| {
        run(token, "begin_sign_in", json!({"deliver": deliver})).map(|output| {
            let uri = text(&output["verification_uri"]);
            let target = uri.strip_prefix(ISSUER).unwrap().to_owned();
            Begun { output, target }
        })
    };
    let complete =
        |token: &str, begun: &Begun| run(token, "complete_sign_in", begun.secret("sign_in_id"));
    let verify = |token: &str, begun: &Begun| {
        let verified = run(token, "verify_token", begun.secret("sign_in_id"));
        verified.unwrap()["active"].clone()
    };
    assert_eq!(begin(&client, "tokens").err(), Some(-32001));
    let begun = begin(&client, "session").unwrap();
    browser.allow(&begun);
    let alice = text(&scene.world.log_in("alice", PASSWORD).unwrap()["access_token"]);
    for another in [&alice, &other] {
        assert_eq!(complete(another, &begun), Err(-32001));
    }
    assert_eq!(complete(&client, &begun).unwrap()["status"], "complete");
    assert_eq!(verify(&client, &begun), true);
    assert_eq!(verify(&other, &begun), false);
    let of_alice = begin(&alice, "tokens").unwrap();
    browser.allow(&of_alice);
    assert_eq!(complete(&client, &of_alice), Err(-32001));
    assert!(complete(&alice, &of_alice).unwrap()["tokens"].is_object());

    let ended = json!({"client_id": scene.client_id});
    run(&alice, "revoke_grant", ended).unwrap();
    assert_eq!(may("user-auth:users:read"), false);
    assert_eq!(verify(&client, &begun), false);
    assert_eq!(begin(&client, "session").err(), Some(-32001));
}

#[test]
fn a_user_without_an_address_that_is_verified_verifies_it_on_the_way() {
    let scene = accounts::scene();
    let bob = json!({"username": "bob", "password": PASSWORD, "email": "bob@example.com"});
    scene.world.run("register", bob).unwrap();
    let begun = scene.begin(json!({"purpose": "verify_email"}));
    let browser = Browser::new(&scene);
    let page = browser.get(browser.get(&begun.target).header("location"));
    let typed = [("username", "bob"), ("password", PASSWORD)];
    let page = browser.fill("/sign-in", &page, &typed);
    assert_eq!(page.header("location"), begun.target);
    // Opening the page sends nothing, and leaves an earlier code as it is.
    let before = scene.world.dump("");
    let page = browser.get(&begun.target);
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(scene.world.dump(""), before);
    assert!(scene.world.outbox.borrow().is_empty());
    let later = format!("href=\"{}&#38;asked=1\"", begun.target);
    assert!(page.body.contains(&later), "{}", page.body);
    let id = page.field("id");
    let decision = page.field("decision");
    let send = [("id", &*id), ("decision", &*decision)];
    let without_token = browser.post("/agent-sign-in", &send);
    assert_eq!(without_token.status, 403);
    assert!(scene.world.outbox.borrow().is_empty());
    let page = browser.fill("/agent-sign-in", &page, &send);
    let verify = page.header("location").to_owned();
    assert!(verify.starts_with("/verify-email?"), "{verify}");
    assert_eq!(scene.world.outbox.borrow().len(), 1);
    let page = browser.get(&verify);
    // Whoever does it later can go on.
    let later = page.field("return_to");
    assert_eq!(browser.get(&later).status, 200);
    let page = browser.fill(
        "/verify-email",
        &page,
        &[("code", &accounts::last_code(&scene))],
    );
    assert!(page.body.contains("is verified"), "{}", page.body);
    browser.allow(&begun);
    let complete = scene.complete(&begun).unwrap();
    assert_eq!(complete["email_verified"], true);
    // Nothing is left to do, and nothing is sent.
    let sent = scene.world.outbox.borrow().len();
    let again = scene.begin(json!({"purpose": "verify_email"}));
    browser.allow(&again);
    assert_eq!(scene.complete(&again).unwrap()["email_verified"], true);
    assert_eq!(scene.world.outbox.borrow().len(), sent);
}

#[test]
fn a_user_who_has_forgotten_the_password_sets_a_new_one_on_the_way() {
    let scene = accounts::scene();
    let bob = json!({"username": "bob", "password": PASSWORD, "email": "bob@example.com"});
    scene.world.run("register", bob).unwrap();
    let tokens = scene.world.log_in("bob", PASSWORD).unwrap();
    let token = json!({"access_token": tokens["access_token"]});
    scene
        .world
        .run("request_email_verification", token.clone())
        .unwrap();
    let mut confirm = token;
    confirm["code"] = json!(accounts::last_code(&scene));
    scene.world.run("confirm_email", confirm).unwrap();

    let begun = scene.begin(json!({"purpose": "new_password"}));
    let browser = Browser::new(&scene);
    let reset = browser.get(&begun.target).header("location").to_owned();
    assert!(reset.starts_with("/reset-password?"), "{reset}");
    let page = browser.get(&reset);
    let page = browser.fill("/reset-password", &page, &[("username", "bob")]);
    let page = browser.get(page.header("location"));
    let new = "another battery staple horse";
    let typed = [("code", &*accounts::last_code(&scene)), ("password", new)];
    let page = browser.fill("/new-password", &page, &typed);
    let return_to = encode(&[("return_to", &begun.target)]);
    let sign_in = format!("/sign-in?{return_to}");
    assert!(page.body.contains(&sign_in), "{}", page.body);
    let page = browser.get(&sign_in);
    let typed = [("username", "bob"), ("password", new)];
    let page = browser.fill("/sign-in", &page, &typed);
    assert_eq!(page.header("location"), begun.target);
    browser.allow(&begun);
    assert_eq!(scene.complete(&begun).unwrap()["username"], "bob");
}

#[test]
fn a_user_sees_the_agents_and_ends_their_sessions() {
    let scene = Scene::new();
    let begun = scene.begin(json!({"client_name": "Desk agent"}));
    let browser = Browser::signed_in(&scene);
    browser.allow(&begun);
    scene.complete(&begun).unwrap();
    let page = browser.get("/apps");
    assert!(page.body.contains("Desk agent"), "{}", page.body);
    let fields = [
        ("form_token", &*page.field("form_token")),
        ("session_id", &page.field("session_id")),
    ];
    let page = browser.post("/apps", &fields);
    assert_eq!(page.header("location"), "/apps");
    assert_eq!(scene.verify_kept(&begun), json!({"active": false}));
    let page = browser.get("/apps");
    assert!(page.body.contains("No app has access"), "{}", page.body);
}

#[test]
fn a_user_who_signs_out_before_the_agent_asks_has_refused() {
    let scene = Scene::new();
    let begun = scene.begin(json!({}));
    let browser = Browser::signed_in(&scene);
    browser.allow(&begun);
    let page = browser.get("/sign-in");
    let form_token = page.field("form_token");
    browser.post("/sign-out", &[("form_token", &form_token)]);
    assert_eq!(scene.complete(&begun), Err(-32001));
}

#[test]
fn only_the_page_itself_takes_the_answer() {
    let scene = Scene::new();
    let begun = scene.begin(json!({}));
    let browser = Browser::signed_in(&scene);
    let page = browser.get(&begun.target);
    let id = page.field("id");
    let fields = [("id", id.as_str()), ("decision", "allow")];
    assert_eq!(browser.post("/agent-sign-in", &fields).status, 403);
    let form_token = page.field("form_token");
    let fields = encode(&[&fields[..], &[("form_token", &form_token)]].concat());
    let headers = [("sec-fetch-site", "cross-site")];
    let page = browser.request("POST", "/agent-sign-in", &headers, &fields);
    assert_eq!(page.status, 403);
    assert_eq!(scene.complete(&begun).unwrap()["status"], "pending");
}

#[test]
fn one_site_begins_few_sign_ins() {
    let scene = Scene::new();
    for _ in 0..60 {
        scene.begin(json!({}));
    }
    assert_eq!(scene.world.run("begin_sign_in", json!({})), Err(-32003));
}

#[test]
fn without_pages_there_is_no_sign_in_for_agents() {
    let mut scene = Scene::new();
    scene.world.settings.oauth = None;
    assert_eq!(scene.world.run("begin_sign_in", json!({})), Err(-32000));
}

/// A call of a client of 2026-07-28 that has these capabilities.
fn call_tool(scene: &Scene, capabilities: Value, more: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "Test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let name = "user-auth_begin_sign_in";
    let mut params = json!({"name": name, "arguments": {}, "_meta": meta});
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers = [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", name),
    ];
    let response = scene.send("POST", "/mcp", &headers, &message.to_string());
    let answer: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
    answer["result"].clone()
}

#[test]
fn a_client_that_can_open_pages_opens_this_one_for_its_user() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let urls = || json!({"elicitation": {"url": {}}});
    for without in [json!({}), json!({"elicitation": {"form": {}}})] {
        let result = call_tool(&scene, without, json!({}));
        assert_eq!(result["resultType"], "complete");
        assert!(result["structuredContent"]["verification_uri"].is_string());
    }
    let result = call_tool(&scene, urls(), json!({}));
    assert_eq!(result["resultType"], "input_required");
    let question = &result["inputRequests"]["page"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "url");
    let url = text(&question["params"]["url"]);
    let target = url.strip_prefix(ISSUER).unwrap();
    let page = browser.get(target);
    let message = text(&question["params"]["message"]);
    let (_, code) = message.rsplit_once(' ').unwrap();
    assert!(page.body.contains(code), "{}", page.body);
    let retry = |action: &str, state: &Value| {
        let response = json!({"page": {"action": action}});
        let more = json!({"inputResponses": response, "requestState": state});
        call_tool(&scene, urls(), more)
    };
    let state = &result["requestState"];
    let refused = retry("decline", state);
    assert_eq!(refused["isError"], true);
    assert_eq!(retry("accept", &json!("uai_x"))["isError"], true);
    let begun = retry("accept", state);
    let output = &begun["structuredContent"];
    assert_eq!(output["verification_uri"], json!(url));
    browser.answer_agent(&page, "allow");
    let input = json!({"sign_in_id": output["sign_in_id"]});
    let complete = scene.world.run("complete_sign_in", input).unwrap();
    assert_eq!(complete["username"], "alice");
    scene.world.pass(600);
    assert_eq!(retry("accept", state)["isError"], true);
}
