//! The files of other systems, as these export them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use user_auth_tests::folder;

use super::{PASSWORD, SALT, argon2id, bcrypt, call, import, log_in, pbkdf2, summary};

/// Imports what a system exports; two users are imported and one is refused, with this
/// problem.
fn import_from(home: &Path, system: &str, export: &str, more: &[&str], problem: &str) {
    let file = home.join("export");
    fs::write(&file, export).unwrap();
    let arguments = [&["--from", system, file.to_str().unwrap()][..], more].concat();
    let output = import(home, &arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let counts = summary(&output);
    let counts = [&counts["users"], &counts["imported"], &counts["refused"]];
    assert_eq!(counts, [3, 2, 1], "{output:?}");
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(
        shown.starts_with("user 3: ") && shown.contains(problem),
        "{shown}"
    );
    // The export is looked at again, and none is taken twice.
    let again = summary(&import(home, &arguments));
    assert_eq!([&again["unchanged"], &again["refused"]], [2, 1]);
}

fn padded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

const PASSWORD_TEXT: &str = "the password of long ago";

#[test]
fn users_of_keycloak_log_in_with_their_old_password() {
    let home = folder();
    let mut argon2id = [0; 32];
    let params = Params::new(7168, 5, 1, Some(32)).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD, SALT, &mut argon2id)
        .unwrap();
    let sha512 = pbkdf2::pbkdf2_hmac_array::<sha2::Sha512, 64>(PASSWORD, SALT, 1000);
    let credential = |hash: &[u8], data: Value| {
        let secret =
            json!({"value": padded(hash), "salt": padded(SALT), "additionalParameters": {}});
        json!([{
            "id": "5b1d", "type": "password", "createdDate": 1_704_164_645_000_u64,
            "secretData": secret.to_string(), "credentialData": data.to_string(),
        }])
    };
    let user = |name: &str, credentials: Value| {
        json!({
            "id": name, "username": name, "email": format!("{name}@example.com"),
            "emailVerified": true, "enabled": true, "createdTimestamp": 1_704_164_645_000_u64,
            "totp": false, "credentials": credentials, "disableableCredentialTypes": [],
            "requiredActions": [], "realmRoles": ["default-roles-shop"], "notBefore": 0,
            "groups": [],
        })
    };
    let argon2 = json!({"hashIterations": 5, "algorithm": "argon2", "additionalParameters": {
        "hashLength": ["32"], "memory": ["7168"], "type": ["id"], "version": ["1.3"],
        "parallelism": ["1"],
    }});
    let older = json!({"hashIterations": 1000, "algorithm": "pbkdf2-sha512",
        "additionalParameters": {}});
    let realm = json!({
        "id": "shop", "realm": "shop", "enabled": true, "roles": {"realm": [], "client": {}},
        "users": [
            user("ann", credential(&argon2id, argon2)),
            user("ben", credential(&sha512, older)),
            {"id": "s", "username": "service-account-till", "enabled": true,
             "serviceAccountClientId": "till", "credentials": []},
        ],
        "clients": [{"clientId": "till"}], "keycloakVersion": "26.4.0",
    });
    let text = serde_json::to_string_pretty(&realm).unwrap();
    import_from(
        home.path(),
        "keycloak",
        &text,
        &[],
        "create_service_account",
    );
    log_in(home.path(), "ann", PASSWORD_TEXT);
    log_in(home.path(), "ben", PASSWORD_TEXT);
    let output = call(home.path(), "get_user", json!({"username": "ann"}));
    let user: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(user["email_verified"], true);
    assert_eq!(user["created_at"], "2024-01-02T03:04:05.000Z");

    let partial = home.path().join("partial.json");
    fs::write(&partial, r#"{"realm": "shop"}"#).unwrap();
    let output = import(
        home.path(),
        &["--from", "keycloak", partial.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(3));
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(shown.contains("kc.sh export"), "{shown}");
    assert!(!shown.contains("--from-line"), "{shown}");
}

#[test]
fn users_of_auth0_log_in_with_their_old_password() {
    let home = folder();
    let lines = [
        json!({"_id": {"$oid": "60425dc43519d90068f82973"}, "email_verified": true,
            "email": "ann@example.com", "passwordHash": bcrypt(4),
            "password_set_date": {"$date": "2024-01-02T03:04:05.678Z"}, "tenant": "shop",
            "connection": "Username-Password-Authentication", "_tmp_is_unique": true}),
        json!({"username": "ben", "email": "ben@example.com", "custom_password_hash": {
            "algorithm": "pbkdf2", "hash": {"value": pbkdf2(), "encoding": "utf8"}}}),
        json!({"email": "eve@example.com", "custom_password_hash": {
            "algorithm": "md5", "hash": {"value": "abcd", "encoding": "hex"}}}),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    import_from(
        home.path(),
        "auth0",
        &text,
        &[],
        "custom_password_hash: is a hash of md5",
    );
    log_in(home.path(), "ann@example.com", PASSWORD_TEXT);
    log_in(home.path(), "ben", PASSWORD_TEXT);
}

/// The example of <https://github.com/firebase/scrypt>.
#[test]
fn users_of_firebase_log_in_with_their_old_password() {
    let home = folder();
    let key =
        "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";
    let hash =
        "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
    let export = json!({"users": [
        {"localId": "a1", "email": "ann@example.com", "emailVerified": true,
         "passwordHash": hash, "salt": "42xEC+ixf3L2lw==",
         "lastSignedInAt": "1706702400000", "createdAt": "1704164645000",
         "displayName": "Ann", "providerUserInfo": []},
        {"localId": "b2", "email": "ben@example.com", "emailVerified": true,
         "createdAt": "1704164645000",
         "providerUserInfo": [{"providerId": "google.com", "rawId": "1"}]},
        {"localId": "c3", "phoneNumber": "+15555550100", "createdAt": "1704164645000"},
    ]})
    .to_string();
    let file = home.path().join("users.json");
    fs::write(&file, &export).unwrap();
    let output = import(home.path(), &["--from", "firebase", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(shown.contains("--firebase-hash-config FILE"), "{shown}");

    let config = home.path().join("hash-config.txt");
    let text = format!(
        "hash_config {{\n  algorithm: SCRYPT,\n  base64_signer_key: {key},\n  \
         base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}}\n"
    );
    fs::write(&config, text).unwrap();
    let more = ["--firebase-hash-config", config.to_str().unwrap()];
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let output = import(
        home.path(),
        &[&["--from", "firebase", file.to_str().unwrap()][..], &more].concat(),
    );
    assert_eq!(output.status.code(), Some(2), "others may read the key");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    import_from(
        home.path(),
        "firebase",
        &export,
        &more,
        "the user has no email",
    );
    log_in(home.path(), "ann@example.com", "user1password");
    let none = json!({"username": "ben@example.com", "password": "user1password"});
    assert_eq!(call(home.path(), "login", none).status.code(), Some(1));
}

#[test]
fn users_of_django_log_in_with_their_old_password() {
    let home = folder();
    let hash = pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(PASSWORD, b"Zt1xXxWBc5wMs0rY", 1000);
    let pbkdf2 = format!("pbkdf2_sha256$1000$Zt1xXxWBc5wMs0rY${}", padded(&hash));
    let argon2 = format!("argon2{}", argon2id());
    let user = |number: u32, name: &str, password: &str| {
        json!({"model": "auth.user", "pk": number, "fields": {
            "password": password, "last_login": null, "is_superuser": false,
            "username": name, "first_name": "", "last_name": "", "email": "",
            "is_staff": false, "is_active": true,
            "date_joined": "2024-01-02T03:04:05.123Z", "groups": [], "user_permissions": [],
        }})
    };
    let dump = json!([
        {"model": "contenttypes.contenttype", "pk": 1, "fields": {"app_label": "auth"}},
        user(1, "ann", &pbkdf2),
        user(2, "ben", &argon2),
        user(3, "eve", "md5$salt$e3b0c44298fc1c149afbf4c8996fb924"),
    ]);
    let problem = "password_hash: expected a password hash";
    import_from(home.path(), "django", &dump.to_string(), &[], problem);
    log_in(home.path(), "ann", PASSWORD_TEXT);
    log_in(home.path(), "ben", PASSWORD_TEXT);
}

#[test]
fn users_of_devise_log_in_with_their_old_password() {
    let home = folder();
    let csv = format!(
        "id,email,encrypted_password,reset_password_token,confirmed_at,created_at,updated_at\n\
         1,ann@example.com,{},,2024-01-02 03:04:06.5,2024-01-02 03:04:05.123456,\n\
         2,ben@example.com,,,,2024-01-02 03:04:05,\n\
         3,eve at home,,,,2024-01-02 03:04:05,\n",
        bcrypt(4).replace("$2b$", "$2a$")
    );
    let problem = "email \"eve at home\": ";
    import_from(home.path(), "devise", &csv, &[], problem);
    log_in(home.path(), "ann@example.com", PASSWORD_TEXT);
}

#[test]
fn users_of_laravel_log_in_with_their_old_password() {
    let home = folder();
    let row = |email: &str, password: &str| {
        json!({"id": 1, "name": "A", "email": email, "password": password,
            "email_verified_at": "2024-01-02T03:04:05.000000Z", "remember_token": null,
            "created_at": "2024-01-02T03:04:05.000000Z", "updated_at": null})
    };
    let rows = json!([
        row("ann@example.com", &bcrypt(4).replace("$2b$", "$2y$")),
        row("ben@example.com", &argon2id()),
        row("eve@example.com", "5f4dcc3b5aa765d61d8327deb882cf99"),
    ]);
    let problem = "password_hash: expected a password hash";
    import_from(home.path(), "laravel", &rows.to_string(), &[], problem);
    log_in(home.path(), "ann@example.com", PASSWORD_TEXT);
    log_in(home.path(), "ben@example.com", PASSWORD_TEXT);
}
