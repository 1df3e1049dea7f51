//! Ports in memory, for native tests and for fuzzing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::component::builtin::{Hash, MemoryStore, Signatures, hmac_sha256};
use crate::domain::access::toolset::{Offer, Toolsets};
use crate::domain::audit::event_name::ALL;
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::env::Env;
use crate::domain::reporter::Silent;
use crate::error;
use crate::forward_auth;
use crate::mcp;
use crate::operations;
use crate::ports::metrics::{HashMetrics, Metrics};
use crate::ports::*;
use crate::settings::Settings;
use crate::types::time::Timestamp;

/// Runs an operation on JSON.
pub fn invoke(operation: &str, input: Value, call: &Call) -> error::Result<Value> {
    let output = operations::invoke(operation, (&input).into(), call)?;
    Ok(output.node().into())
}

/// A test environment with a fixed clock: time passes only when a test advances it.
pub struct World {
    pub settings: Settings,
    pub now_ms: Cell<u64>,
    pub notifications: RefCell<Vec<Value>>,
    pub audited: RefCell<Vec<Value>>,
    /// The records of operations that have ended.
    pub ended: RefCell<Vec<Value>>,
    running: RefCell<Vec<String>>,
    pub log_level: Cell<Option<LogLevel>>,
    /// The functions and costs with which passwords were hashed.
    pub hashes: RefCell<Vec<String>>,
    /// Number of passwords that can still be hashed; unlimited if `None`.
    pub places_for_hashes: Cell<Option<u32>>,
    /// Number of documents that can still be fetched; unlimited if `None`.
    pub places_for_documents: Cell<Option<u32>>,
    /// Number of additions that the store still accepts; unlimited if `None`.
    pub additions: Cell<Option<u32>>,
    /// The delivered messages.
    pub outbox: RefCell<Vec<Message>>,
    /// Refuses all messages if set.
    pub outbox_is_full: Cell<bool>,
    /// Records that another process writes right before the next commit.
    pub overtaken_by: RefCell<Vec<(String, Vec<u8>)>>,
    /// The calls of the store, without keys and values.
    pub store_calls: RefCell<Vec<String>>,
    /// The documents on the web, by URL.
    pub documents: RefCell<BTreeMap<String, Document>>,
    /// The URLs that were fetched.
    pub fetched: RefCell<Vec<String>>,
    records: MemoryStore,
    random: Cell<u64>,
    caller: Caller,
    #[cfg(feature = "testing")]
    tokens_of_alice: Value,
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl World {
    /// Returns a world without records, whose MCP callers get all toolsets.
    pub fn new() -> World {
        World {
            settings: Settings {
                toolsets: Some(Toolsets::ALL),
                ..Settings::default()
            },
            now_ms: Cell::new(1_785_229_200_000),
            notifications: RefCell::default(),
            audited: RefCell::default(),
            ended: RefCell::default(),
            running: RefCell::default(),
            log_level: Cell::new(None),
            hashes: RefCell::default(),
            places_for_hashes: Cell::default(),
            places_for_documents: Cell::default(),
            additions: Cell::default(),
            outbox: RefCell::default(),
            outbox_is_full: Cell::new(false),
            overtaken_by: RefCell::default(),
            store_calls: RefCell::default(),
            documents: RefCell::default(),
            fetched: RefCell::default(),
            records: MemoryStore::default(),
            random: Cell::new(0),
            caller: Caller {
                principal: Principal::Anonymous,
                source: Source::from_peer(Some("192.0.2.1")),
            },
            #[cfg(feature = "testing")]
            tokens_of_alice: Value::Null,
        }
    }

    /// Returns an independent copy of this world in its current state.
    #[cfg(test)]
    pub fn fork(&self) -> World {
        World {
            settings: self.settings.clone(),
            now_ms: self.now_ms.clone(),
            records: self.records.clone(),
            random: self.random.clone(),
            ..World::new()
        }
    }

    /// Returns all records, ordered by key.
    #[cfg(test)]
    pub fn entries(&self) -> Vec<(String, Vec<u8>)> {
        let page = self.records.scan("", None, u32::MAX - 1, self.now());
        let entries = page.entries.into_iter();
        entries.map(|entry| (entry.key, entry.value)).collect()
    }

    /// Returns a world with a user who has logged in and created an API key; the tokens
    /// are the same each time.
    #[cfg(feature = "testing")]
    pub fn with_alice() -> World {
        let mut world = World::new();
        let credentials = json!({"username": "alice", "password": "correct horse battery staple"});
        let run = |operation, input| {
            let answer = invoke(operation, input, &world.call());
            answer.unwrap_or_default()
        };
        run("register", credentials.clone());
        let mut tokens = run("login", credentials);
        let input = json!({"access_token": tokens["access_token"], "name": "ci"});
        tokens["api_key"] = run("create_api_key", input)["api_key"].clone();
        world.tokens_of_alice = tokens;
        world
    }

    #[cfg(feature = "testing")]
    pub fn tokens_of_alice(&self) -> &Value {
        &self.tokens_of_alice
    }

    pub fn ports(&self) -> Ports<'_> {
        Ports {
            store: self,
            password_hash: self,
            keys: self,
            signing: self,
            clock: self,
            random: self,
            telemetry: self,
            client: self,
            delivery: self,
            documents: self,
        }
    }

    pub fn call(&self) -> Call<'_> {
        let env = Env {
            ports: self.ports(),
            settings: &self.settings,
        };
        Call::new(env, &self.caller, &Silent)
    }

    /// Returns a call of this caller, over another store.
    pub fn call_over<'a>(&'a self, caller: &'a Caller, store: &'a dyn Store) -> Call<'a> {
        let call = self.call();
        let ports = Ports {
            store,
            ..call.ports
        };
        let env = Env { ports, ..call.env };
        Call {
            caller,
            env,
            ..call
        }
    }

    /// Runs an operation as this principal. Returns the code of the error on failure.
    pub fn run_as(
        &self,
        principal: Principal,
        operation: &str,
        input: Value,
    ) -> std::result::Result<Value, i32> {
        let caller = Caller {
            principal,
            ..self.caller.clone()
        };
        let call = Call {
            caller: &caller,
            ..self.call()
        };
        let answer = invoke(operation, input, &call);
        #[cfg(test)]
        if let Ok(output) = &answer {
            assert_complete(operation, output);
        }
        answer.map_err(|error| error.kind.code())
    }

    /// Runs an operation as an unauthenticated caller from an address.
    pub fn run_from(
        &self,
        peer: &str,
        operation: &str,
        input: Value,
    ) -> std::result::Result<Value, i32> {
        let caller = Caller {
            principal: Principal::Anonymous,
            source: Source::from_peer(Some(peer)),
        };
        let call = Call {
            caller: &caller,
            ..self.call()
        };
        invoke(operation, input, &call).map_err(|error| error.kind.code())
    }

    pub fn pass(&self, seconds: u64) {
        self.now_ms.set(self.now_ms.get() + seconds * 1000);
    }

    /// Verifies the credential in these header fields as a reverse proxy does, and returns
    /// the status.
    pub fn forward(&self, headers: Vec<(String, String)>) -> u16 {
        let request = mcp::Request {
            transport: mcp::Transport::Http,
            headers,
            peer: None,
            body: Vec::new(),
        };
        let answered = forward_auth::verify(&request, None, &self.settings, self.ports());
        answered.map_or_else(|refusal| refusal.status, |response| response.status)
    }

    /// Sends a POST with these header fields.
    pub fn post(&self, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let request = mcp::Request {
            transport: mcp::Transport::Http,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            peer: Some("192.0.2.1".to_owned()),
            body: body.as_bytes().to_vec(),
        };
        let offer = Offer {
            lists_by_permission: true,
            ..self.settings.offer_over_mcp()
        };
        let response = mcp::handle(&request, offer, &self.settings, self.ports());
        let body = response.body.unwrap_or_else(|| b"null".to_vec());
        (response.status, serde_json::from_slice(&body).unwrap())
    }

    /// Sends a line as the operator does on standard input, and returns the answer.
    pub fn stdio(&self, body: &str) -> Value {
        let request = mcp::Request {
            transport: mcp::Transport::Stdio,
            headers: Vec::new(),
            peer: None,
            body: body.as_bytes().to_vec(),
        };
        let offer = self.settings.offer_over_mcp();
        let response = mcp::handle(&request, offer, &self.settings, self.ports());
        serde_json::from_slice(&response.body.unwrap_or_default()).unwrap_or_default()
    }

    /// Returns all values under a prefix, as text.
    pub fn dump(&self, prefix: &str) -> String {
        let page = self.records.scan(prefix, None, u32::MAX - 1, self.now());
        let values = page.entries.iter().map(|entry| &entry.value);
        values
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// Returns the value that is stored under a key.
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        let mut entries = self.records.get(&[key.to_owned()], self.now());
        Some(entries.pop()??.value)
    }

    /// Changes the store without the component; `None` deletes the record.
    pub fn tamper(&self, key: &str, value: Option<Vec<u8>>) {
        self.records.write(key, value, None);
    }

    /// Returns the key with a label, which the component never sees.
    pub fn key(&self, label: &str) -> [u8; 32] {
        hmac_sha256(&[7; 32], label.as_bytes())
    }

    fn signatures(&self) -> impl Signing {
        Signatures(|label: &str| Ok(Zeroizing::new(self.key(label))))
    }

    fn note_hash(&self, hash: String) -> Result<(), Unavailable> {
        take(&self.places_for_hashes)?;
        self.hashes.borrow_mut().push(hash);
        Ok(())
    }

    fn note(&self, call: String) {
        self.store_calls.borrow_mut().push(call);
    }
}

/// The limits of one call, from `wit/store.wit`.
const MAX_KEYS: usize = 1_000;
const MAX_BATCH: usize = 10_000;
/// The limits of a message authentication code, from `wit/keys.wit`.
const MAX_LABEL_BYTES: usize = 512;
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Maximum number of signing keys in one call.
const MAX_SIGNING_KEYS: usize = 100;

/// Asserts that a key, which may contain input of callers, follows the rules for keys: a
/// store would refuse it otherwise, and the records under `host/` belong to the host.
fn assert_is_of_a_key(text: &str) {
    let is_plain = text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(is_plain && !text.starts_with("host/"), "no key: {text:?}");
}

/// Takes one from the remaining number, if that is limited.
fn take(left: &Cell<Option<u32>>) -> Result<(), Unavailable> {
    let Some(number) = left.get() else {
        return Ok(());
    };
    let rest = number.checked_sub(1).ok_or_else(|| Unavailable {
        reason: "nothing is left".to_owned(),
        retry_after_ms: Some(1000),
    })?;
    left.set(Some(rest));
    Ok(())
}

/// Asserts that an output matches its schema, as clients check it: a field that can be
/// absent must not be required.
#[cfg(test)]
fn assert_complete(operation: &str, output: &Value) {
    use std::collections::BTreeMap;
    use std::sync::OnceLock;

    static REQUIRED: OnceLock<BTreeMap<&str, Value>> = OnceLock::new();
    let required = REQUIRED.get_or_init(|| {
        let all = operations::TABLE
            .iter()
            .zip(crate::dispatch::schemas::all());
        all.map(|(definition, schemas)| {
            (definition.name, schemas.output.value()["required"].take())
        })
        .collect()
    });
    for field in required[operation].as_array().into_iter().flatten() {
        let field = field.as_str().unwrap_or_default();
        assert!(
            output.get(field).is_some(),
            "{operation}: {field} of {output}"
        );
    }
}

impl Store for World {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        assert!(keys.len() <= MAX_KEYS);
        keys.iter().for_each(|key| assert_is_of_a_key(key));
        self.note(format!("get {}", keys.len()));
        Ok(self.records.get(keys, self.now()))
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        assert!(batch.len() <= MAX_BATCH);
        batch.iter().for_each(|it| assert_is_of_a_key(&it.key));
        let keys: std::collections::BTreeSet<&str> =
            batch.iter().map(|mutation| mutation.key.as_str()).collect();
        assert_eq!(keys.len(), batch.len(), "a key stands in a batch once");
        let kinds = batch.iter().map(|mutation| mutation.put.is_some());
        self.note(format!("commit {:?}", kinds.collect::<Vec<bool>>()));
        for (key, value) in self.overtaken_by.take() {
            self.tamper(&key, Some(value));
        }
        Ok(self.records.commit(batch, self.now()))
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        assert_is_of_a_key(key);
        self.note("add".to_owned());
        take(&self.additions)?;
        self.records.add(key, delta, ttl_ms, self.now())
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        assert_is_of_a_key(prefix);
        after.into_iter().for_each(assert_is_of_a_key);
        self.note("scan".to_owned());
        Ok(self.records.scan(prefix, after, limit, self.now()))
    }
}

impl PasswordHash for World {
    fn hash(
        &self,
        function: Function,
        password: &[u8],
        salt: &[u8],
    ) -> Result<Vec<u8>, Unavailable> {
        self.note_hash(match function {
            Function::Argon2id { parameters, .. } => format!("argon2id {}", parameters.memory_kib),
            Function::Argon2i(parameters) => format!("argon2i {}", parameters.memory_kib),
            Function::Bcrypt { cost } => format!("bcrypt {cost}"),
            Function::Scrypt(parameters) => format!("scrypt {}", parameters.log_n),
            Function::Pbkdf2Sha256(parameters) => {
                format!("pbkdf2-sha256 {}", parameters.iterations)
            }
            Function::Pbkdf2Sha512(parameters) => {
                format!("pbkdf2-sha512 {}", parameters.iterations)
            }
            Function::Pbkdf2Sha1(parameters) => format!("pbkdf2-sha1 {}", parameters.iterations),
        })?;
        match function {
            // A fast stand-in: Argon2id takes long and has its own tests.
            Function::Argon2id { pepper, .. } => {
                let key = pepper.map(|label| self.key(label));
                let secret = key.as_ref().map_or(&[][..], |key| key.as_slice());
                Ok(hmac_sha256(secret, &[salt, password].concat()).to_vec())
            }
            _ => Hash.hash(function, password, salt),
        }
    }
}

impl Keys for World {
    fn mac(&self, label: &str, message: &[u8]) -> Result<[u8; 32], Unavailable> {
        assert!(label.len() <= MAX_LABEL_BYTES && !label.starts_with("host/"));
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        Ok(hmac_sha256(&self.key(label), message))
    }
}

impl Signing for World {
    fn public_keys(&self, keys: &[KeyName]) -> Result<Vec<PublicKey>, Unavailable> {
        assert!(keys.len() <= MAX_SIGNING_KEYS);
        self.signatures().public_keys(keys)
    }

    fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        self.signatures().sign(key, message)
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        jwk: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Unavailable> {
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        self.signatures().verify(algorithm, jwk, message, signature)
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.now_ms.get())
    }

    fn monotonic_us(&self) -> u64 {
        0
    }
}

impl Random for World {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        for chunk in buffer.chunks_mut(32) {
            self.random.set(self.random.get() + 1);
            let block = self.key(&format!("random {}", self.random.get()));
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl Telemetry for World {
    fn log(&self, _: Severity, _: &str, _: &Map<String, Value>) {}

    fn operation_began(&self, operation: &str) -> bool {
        self.running.borrow_mut().push(operation.to_owned());
        true
    }

    fn operation_ended(&self, ended: &Ended) {
        let begun = self.running.borrow_mut().pop();
        assert_eq!(begun.as_deref(), Some(ended.operation));
        let audit = ended.audit.clone().unwrap();
        self.ended.borrow_mut().push(json!({
            "operation": ended.operation,
            "code": ended.code,
            "credential": format!("{:?}", audit.credential),
            "actor": audit.actor,
            "session_id": audit.session_id,
            "account": audit.account,
            "input": audit.input.map(|input| serde_json::from_str::<Value>(&input).unwrap()),
        }));
    }

    fn audited(&self, record: &str) {
        let record: Value = serde_json::from_str(record).unwrap();
        let operation = record["operation"].as_str().unwrap();
        let is_known = operations::find(operation).is_some() || ALL.contains(&operation);
        assert!(is_known, "queries cannot name {operation}");
        self.audited.borrow_mut().push(record);
    }

    fn snapshot(&self) -> Metrics {
        Metrics {
            password_hash: HashMetrics {
                capacity: 1,
                ..HashMetrics::default()
            },
            ..Metrics::default()
        }
    }
}

impl World {
    /// Returns the world of a service with pages.
    pub fn with_pages(mut self) -> World {
        let variables = [
            ("USER_AUTH_PUBLIC_URL", "https://auth.example"),
            ("USER_AUTH_OAUTH_ENABLED", "true"),
        ];
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_variables(owned);
        self.settings.oauth = settings.expect("valid settings").oauth;
        self
    }
}

impl Delivery for World {
    fn deliver(&self, message: &Message) -> Result<(), Unavailable> {
        if self.outbox_is_full.get() {
            return Err(Unavailable {
                reason: "full".to_owned(),
                retry_after_ms: Some(1000),
            });
        }
        self.outbox.borrow_mut().push(message.clone());
        Ok(())
    }
}

impl Documents for World {
    fn get(&self, url: &str, max_bytes: u32) -> Result<Document, FetchError> {
        take(&self.places_for_documents).map_err(FetchError::Unavailable)?;
        self.fetched.borrow_mut().push(url.to_owned());
        let document = self.documents.borrow().get(url).cloned();
        let fits = |document: &Document| document.body.len() <= max_bytes as usize;
        document
            .filter(fits)
            .ok_or_else(|| FetchError::Unusable("there is no such document".to_owned()))
    }
}

impl Client for World {
    fn notify(&self, notification: &str) {
        self.notifications
            .borrow_mut()
            .push(serde_json::from_str(notification).unwrap());
    }

    fn started(&self, _: &str) {}

    fn cancel(&self, _: &str) {}

    fn log_level(&self) -> Option<LogLevel> {
        self.log_level.get()
    }

    fn set_log_level(&self, level: LogLevel) {
        self.log_level.set(Some(level));
    }
}
