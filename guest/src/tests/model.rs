//! Random histories: operations of several users run in the component and in a plain
//! model of it. After every step each token, key and permission has to be as the model
//! predicts.

mod reference;

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Value, json};

use self::reference::{Expected, Model, ROLES, USERS};
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::env::Env;
use crate::domain::sessions::session;
use crate::ports::{Entry, Mutation, Outcome, Page, Ports, Store, Unavailable};
use crate::testing::{self, World};
use crate::types::secret::Secret;

const GRANTS: [&str; 4] = [
    "billing:read",
    "billing:*",
    "ops:run",
    "user-auth:users:read",
];
const ASKED: [&str; 4] = [
    "billing:read",
    "billing:invoices:write",
    "ops:run",
    "user-auth:users:read",
];
/// Waiting times in seconds: each limit, one less and one more.
const WHILES: [u64; 10] = [
    1,
    2 * 60 - 1,
    2 * 60,
    5 * 60 - 1,
    5 * 60,
    15 * 60 - 1,
    15 * 60,
    24 * 60 * 60,
    14 * 24 * 60 * 60 - 1,
    16 * 24 * 60 * 60,
];

/// A step of a history. The numbers select a user, password, role or grant, or one of the
/// tokens, sessions and keys that exist by then.
#[derive(Clone, Debug)]
enum Step {
    Register(usize, u8),
    Login(usize, u8),
    Refresh(usize),
    Logout(usize, bool),
    RevokeSession(usize, usize),
    RevokeOtherSessions(usize),
    ChangePassword(usize, u8, u8),
    Disable(usize),
    Enable(usize),
    Delete(usize),
    DefineRole(usize, Vec<usize>),
    DeleteRole(usize),
    AssignRole(usize, usize),
    RevokeRole(usize, usize),
    CreateKey(usize, Vec<usize>, Option<u64>),
    RotateKey(usize, usize),
    RevokeKey(usize, usize),
    Pass(usize),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let user = || 0..USERS;
    let role = || 0..ROLES;
    let password = || 0..2_u8;
    let one = || 0..64_usize;
    let grants = || prop::collection::vec(0..GRANTS.len(), 0..3);
    prop_oneof![
        6 => (user(), password()).prop_map(|(user, password)| Step::Register(user, password)),
        10 => (user(), password()).prop_map(|(user, password)| Step::Login(user, password)),
        8 => one().prop_map(Step::Refresh),
        2 => (one(), any::<bool>()).prop_map(|(token, access)| Step::Logout(token, access)),
        2 => (one(), one()).prop_map(|(by, session)| Step::RevokeSession(by, session)),
        2 => one().prop_map(Step::RevokeOtherSessions),
        3 => (one(), password(), password())
            .prop_map(|(by, current, new)| Step::ChangePassword(by, current, new)),
        2 => user().prop_map(Step::Disable),
        2 => user().prop_map(Step::Enable),
        1 => user().prop_map(Step::Delete),
        4 => (role(), grants()).prop_map(|(role, grants)| Step::DefineRole(role, grants)),
        1 => role().prop_map(Step::DeleteRole),
        4 => (user(), role()).prop_map(|(user, role)| Step::AssignRole(user, role)),
        2 => (user(), role()).prop_map(|(user, role)| Step::RevokeRole(user, role)),
        4 => (one(), grants(), prop::option::of(1..16_u64))
            .prop_map(|(by, scopes, days)| Step::CreateKey(by, scopes, days)),
        2 => (one(), one()).prop_map(|(by, key)| Step::RotateKey(by, key)),
        1 => (one(), one()).prop_map(|(by, key)| Step::RevokeKey(by, key)),
        3 => (0..WHILES.len()).prop_map(Step::Pass),
        1 => Just(Step::Sweep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_component_behaves_like_the_model(
        grace in prop::sample::select(vec![0, 2 * 60]),
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let mut both = Both::with_grace(grace);
        for step in &steps {
            both.take(step)?;
            both.compare()?;
        }
    }
}

/// The component, the model, and the credentials that the component has issued.
#[derive(Default)]
struct Both {
    world: World,
    model: Model,
    tokens: Vec<Value>,
    keys: Vec<Vec<Value>>,
    calls: u32,
}

impl Both {
    fn with_grace(seconds: u64) -> Both {
        let mut world = World::new();
        world.settings.refresh_grace = Duration::from_secs(seconds);
        Both {
            world,
            model: Model::with_grace(seconds),
            tokens: Vec::new(),
            keys: Vec::new(),
            calls: 0,
        }
    }

    fn take(&mut self, step: &Step) -> TestCaseResult {
        let names = |numbers: &[usize]| numbers.iter().map(|n| GRANTS[*n]).collect::<Vec<_>>();
        match step {
            Step::Register(user, password) => {
                let expected = self.model.register(*user, *password);
                self.anonymous("register", credentials(*user, *password), expected)?;
            }
            Step::Login(user, password) => {
                let expected = self.model.login(*user, *password);
                let answer = self.anonymous("login", credentials(*user, *password), expected)?;
                self.tokens.extend(answer);
            }
            Step::Refresh(token) => {
                let Some(token) = pick(*token, self.tokens.len()) else {
                    return Ok(());
                };
                let expected = self.model.refresh(token);
                let input = json!({"refresh_token": self.tokens[token]["refresh_token"]});
                let answer = self.anonymous("refresh_token", input, expected)?;
                self.tokens.extend(answer);
            }
            Step::Logout(token, by_access_token) => {
                let Some(token) = pick(*token, self.tokens.len()) else {
                    return Ok(());
                };
                let expected = self.model.logout(token);
                let field = match by_access_token {
                    true => "access_token",
                    false => "refresh_token",
                };
                let input = json!({field: self.tokens[token][field]});
                self.anonymous("logout", input, expected)?;
            }
            Step::RevokeSession(by, token) => {
                let Some(token) = pick(*token, self.tokens.len()) else {
                    return Ok(());
                };
                let session = self.model.tokens[token].session;
                let mut input = json!({"session_id": self.tokens[token]["session_id"]});
                if !self.model.is_alive(session) {
                    // The session may have been swept already, in which case its keys
                    // stay valid.
                    input["end_api_keys"] = json!("none");
                }
                self.as_user(*by, "revoke_session", input, |model, by| {
                    model.revoke_session(by, session)
                })?;
            }
            Step::RevokeOtherSessions(by) => {
                self.as_user(*by, "revoke_other_sessions", json!({}), |model, by| {
                    model.revoke_other_sessions(by)
                })?;
            }
            Step::ChangePassword(by, current, new) => {
                let input = json!({
                    "current_password": password(*current),
                    "new_password": password(*new),
                });
                self.as_user(*by, "change_password", input, |model, by| {
                    model.change_password(by, *current, *new)
                })?;
            }
            Step::Disable(user) => {
                let expected = self.model.disable(*user);
                self.operator("disable_user", json!({"username": name(*user)}), expected)?;
            }
            Step::Enable(user) => {
                let expected = self.model.enable(*user);
                self.operator("enable_user", json!({"username": name(*user)}), expected)?;
            }
            Step::Delete(user) => {
                let expected = self.model.delete(*user);
                self.operator("delete_user", json!({"username": name(*user)}), expected)?;
            }
            Step::DefineRole(role, grants) => {
                let expected = self.model.define_role(*role, names(grants));
                let input = json!({"role": role_name(*role), "permissions": names(grants)});
                self.operator("define_role", input, expected)?;
            }
            Step::DeleteRole(role) => {
                let expected = self.model.delete_role(*role);
                self.operator("delete_role", json!({"role": role_name(*role)}), expected)?;
            }
            Step::AssignRole(user, role) => {
                let expected = self.model.assign_role(*user, *role);
                let input = json!({"username": name(*user), "role": role_name(*role)});
                self.operator("assign_role", input, expected)?;
            }
            Step::RevokeRole(user, role) => {
                let expected = self.model.revoke_role(*user, *role);
                let input = json!({"username": name(*user), "role": role_name(*role)});
                self.operator("revoke_role", input, expected)?;
            }
            Step::CreateKey(by, scopes, days) => {
                let mut input = json!({"name": "a key", "scopes": names(scopes)});
                if let Some(days) = days {
                    input["expires_in_days"] = json!(days);
                }
                let key = self.as_user(*by, "create_api_key", input, |model, by| {
                    model.create_key(by, names(scopes), *days)
                })?;
                self.keys.extend(key.map(|key| vec![key]));
            }
            Step::RotateKey(by, key) => {
                let Some(key) = pick(*key, self.keys.len()) else {
                    return Ok(());
                };
                let input = json!({"key_id": self.keys[key][0]["key_id"]});
                let new = self.as_user(*by, "rotate_api_key", input, |model, by| {
                    model.rotate_key(by, key)
                })?;
                self.keys[key].extend(new);
            }
            Step::RevokeKey(by, key) => {
                let Some(key) = pick(*key, self.keys.len()) else {
                    return Ok(());
                };
                let input = json!({"key_id": self.keys[key][0]["key_id"]});
                self.as_user(*by, "revoke_api_key", input, |model, by| {
                    model.revoke_key(by, key)
                })?;
            }
            Step::Pass(number) => {
                self.world.pass(WHILES[*number]);
                self.model.now += WHILES[*number];
            }
            Step::Sweep => {
                let swept = session::sweep(None, 1000, &self.world.call());
                prop_assert!(swept.is_ok());
            }
        }
        Ok(())
    }

    /// Compares every token, key and permission with the model.
    fn compare(&self) -> TestCaseResult {
        let mut current = vec![None; self.model.sessions.len()];
        let mut led_to = Vec::new();
        for (number, tokens) in self.tokens.iter().enumerate() {
            let is_active = self.model.is_active(number);
            let input = json!({"token": tokens["access_token"]});
            let verified = self.ask(Principal::Anonymous, "verify_token", input.clone());
            let verified = verified.map_err(|code| failed("verify_token", code))?;
            prop_assert_eq!(
                verified["active"].as_bool(),
                Some(is_active),
                "token {}",
                number
            );
            if is_active {
                let user = self.model.user_of(number).map(name);
                prop_assert_eq!(verified["username"].as_str(), user.as_deref());
                prop_assert_eq!(&verified["sid"], &tokens["session_id"]);
            }
            for permission in ASKED {
                let expected = self.model.may(number, permission);
                let mut input = input.clone();
                input["permission"] = json!(permission);
                let decision = self.ask(Principal::Anonymous, "check_permission", input);
                let decision = decision.map_err(|code| failed("check_permission", code))?;
                prop_assert_eq!(
                    &decision["allowed"],
                    expected,
                    "token {}: {}",
                    number,
                    permission
                );
            }
            let input = json!({"refresh_token": tokens["refresh_token"]});
            let answer = self.would_answer("refresh_token", input);
            prop_assert_eq!(
                answer.is_ok(),
                self.model.is_refreshable(number),
                "token {}",
                number
            );
            let session = self.model.tokens[number].session;
            if self.model.is_current(number) {
                current[session] = Some(&tokens["refresh_token"]);
            } else if let Ok(answer) = answer {
                led_to.push((session, answer["refresh_token"].clone()));
            }
        }
        for (session, refresh_token) in &led_to {
            prop_assert_eq!(current[*session], Some(refresh_token));
        }
        for (number, secrets) in self.keys.iter().enumerate() {
            for (secret, key) in secrets.iter().enumerate() {
                let text = key["api_key"].as_str().unwrap_or_default();
                let principal = || Principal::ApiKey(Secret::new(text.to_owned()));
                // Authentication (-32001) is checked before authorization (-32002).
                let answer = self.ask(principal(), "list_users", json!({}));
                let is_good = answer != Err(-32001);
                let expected = self.model.is_good_key(number, secret);
                prop_assert_eq!(is_good, expected, "key {}", number);
                for permission in ASKED {
                    let input = json!({"permission": permission});
                    let decision = self.ask(principal(), "check_permission", input);
                    let decision = decision.map_err(|code| failed("check_permission", code))?;
                    let expected = self.model.key_may(number, secret, permission);
                    prop_assert_eq!(
                        &decision["allowed"],
                        expected,
                        "key {}: {}",
                        number,
                        permission
                    );
                }
            }
        }
        Ok(())
    }

    fn anonymous(
        &mut self,
        operation: &str,
        input: Value,
        expected: Expected,
    ) -> Result<Option<Value>, TestCaseError> {
        self.run(Principal::Anonymous, operation, input, expected)
    }

    fn operator(&mut self, operation: &str, input: Value, expected: Expected) -> TestCaseResult {
        self.run(Principal::Operator, operation, input, expected)?;
        Ok(())
    }

    /// Runs the operation as the owner of one of the access tokens, if any exist.
    fn as_user(
        &mut self,
        by: usize,
        operation: &str,
        input: Value,
        expect: impl FnOnce(&mut Model, usize) -> Expected,
    ) -> Result<Option<Value>, TestCaseError> {
        let Some(by) = pick(by, self.tokens.len()) else {
            return Ok(None);
        };
        let expected = expect(&mut self.model, by);
        let token = self.tokens[by]["access_token"].as_str().unwrap_or_default();
        let principal = Principal::AccessToken(Secret::new(token.to_owned()));
        self.run(principal, operation, input, expected)
    }

    fn run(
        &mut self,
        principal: Principal,
        operation: &str,
        input: Value,
        expected: Expected,
    ) -> Result<Option<Value>, TestCaseError> {
        // Each call comes from another source: the throttle has its own tests.
        self.calls += 1;
        let answer = self.ask(principal, operation, input);
        let code = answer.as_ref().err().copied();
        let agrees = match expected {
            Expected::Ok => code.is_none(),
            Expected::Fails(expected) => code == Some(expected),
            Expected::OkOrNotFound => matches!(code, None | Some(-32000)),
        };
        prop_assert!(
            agrees,
            "{} gave {:?}, not {:?}",
            operation,
            answer,
            expected
        );
        Ok(answer.ok())
    }

    fn ask(&self, principal: Principal, operation: &str, input: Value) -> Result<Value, i32> {
        self.invoke(principal, operation, input, self.world.ports())
    }

    /// Returns what the operation would answer, without storing anything.
    fn would_answer(&self, operation: &str, input: Value) -> Result<Value, i32> {
        let ports = Ports {
            store: &Unchanged(&self.world),
            ..self.world.ports()
        };
        self.invoke(Principal::Anonymous, operation, input, ports)
    }

    fn invoke(
        &self,
        principal: Principal,
        operation: &str,
        input: Value,
        ports: Ports,
    ) -> Result<Value, i32> {
        let [_, a, b, c] = self.calls.to_be_bytes();
        let caller = Caller {
            principal,
            source: Source::from_peer(Some(&format!("10.{a}.{b}.{c}"))),
        };
        let call = Call {
            env: Env {
                ports,
                settings: &self.world.settings,
            },
            caller: &caller,
            ..self.world.call()
        };
        testing::invoke(operation, input, &call).map_err(|error| error.kind.code())
    }
}

/// A store that reports commits as applied without applying them.
struct Unchanged<'a>(&'a World);

impl Store for Unchanged<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        self.0.get(keys)
    }

    fn commit(&self, _: &[Mutation]) -> Result<Outcome, Unavailable> {
        Ok(Outcome::Committed)
    }

    fn add(&self, _: &str, _: i64, _: Option<u64>) -> Result<i64, Unavailable> {
        Ok(1)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        self.0.scan(prefix, after, limit)
    }
}

fn pick(number: usize, of: usize) -> Option<usize> {
    number.checked_rem(of)
}

fn failed(operation: &str, code: i32) -> TestCaseError {
    TestCaseError::fail(format!("{operation} fails with {code}"))
}

fn name(user: usize) -> String {
    format!("user{user}")
}

fn role_name(role: usize) -> String {
    format!("role{role}")
}

fn password(number: u8) -> String {
    format!("correct horse battery staple {number}")
}

fn credentials(user: usize, number: u8) -> Value {
    json!({"username": name(user), "password": password(number)})
}
