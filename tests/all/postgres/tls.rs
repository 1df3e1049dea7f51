//! TLS to the database server, according to `sslmode`.

use std::path::Path;

use rcgen::generate_simple_self_signed;
use tokio::runtime::Runtime;
use user_auth_host::store::{PostgresStore, Store};
use user_auth_tests::folder;
use user_auth_tests::postgres::{self, Postgres};

/// Opens the store, and returns it with the runtime that drives its connections.
fn open(url: &str, parameters: &str) -> Result<(PostgresStore, Runtime), String> {
    let url = format!("{url}?{parameters}").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = runtime.block_on(async {
        let store = PostgresStore::open(&url)
            .await
            .map_err(|error| error.to_string())?;
        store
            .get(&["a".into()])
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(store)
    })?;
    Ok((store, runtime))
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_server_is_trusted_only_as_far_as_its_certificate_verifies() {
    let ours = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let another = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = Postgres::start_with(
        "-c ssl=on",
        &[
            ("server.crt", &ours.cert.pem()),
            ("server.key", &ours.signing_key.serialize_pem()),
        ],
    );
    // The certificate does not name 127.0.0.1.
    let by_address = server.database();
    let by_name = by_address.replace("@127.0.0.1:", "@localhost:");
    let files = folder();
    let root = write(files.path(), "root.crt", &ours.cert.pem());
    let other_root = write(files.path(), "other.crt", &another.cert.pem());
    let no_root = write(files.path(), "none.crt", "");

    for (url, parameters) in [
        (&by_name, format!("sslmode=verify-full&sslrootcert={root}")),
        (&by_name, format!("sslrootcert={root}")),
        (&by_address, format!("sslmode=verify-ca&sslrootcert={root}")),
        (&by_address, format!("sslmode=require&sslrootcert={root}")),
        (&by_address, "sslmode=require".into()),
        (&by_address, "sslmode=prefer".into()),
        (
            &by_address,
            "sslmode=require&channel_binding=require".into(),
        ),
        (&by_address, "sslmode=disable".into()),
    ] {
        let opened = open(url, &parameters);
        assert!(opened.is_ok(), "{parameters}: {:?}", opened.err());
    }
    for (url, parameters) in [
        (&by_name, "sslmode=verify-full".into()),
        (
            &by_name,
            format!("sslmode=verify-full&sslrootcert={other_root}"),
        ),
        (
            &by_address,
            format!("sslmode=verify-full&sslrootcert={root}"),
        ),
        (
            &by_address,
            format!("sslmode=verify-ca&sslrootcert={other_root}"),
        ),
        (
            &by_address,
            format!("sslmode=require&sslrootcert={other_root}"),
        ),
        (&by_name, format!("sslrootcert={no_root}")),
        (&by_name, format!("sslrootcert={root}.not")),
    ] {
        let error = open(url, &parameters)
            .err()
            .unwrap_or_else(|| panic!("{parameters}"));
        let named = ["certificate", "sslrootcert"]
            .iter()
            .any(|word| error.contains(word));
        assert!(named, "{parameters}: {error}");
    }

    // Where the server offers TLS, it is used by default.
    let _in_use = open(&by_address, "").unwrap();
    let over_tls = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                    WHERE application_name = 'user-auth'";
    assert_eq!(server.sql("postgres", over_tls), "t");
}

#[test]
fn a_server_without_tls_is_refused_if_tls_is_required() {
    let url = postgres::database();
    for parameters in [
        "sslmode=require",
        "sslmode=verify-full",
        "sslmode=verify-ca",
    ] {
        let error = open(&url, parameters)
            .err()
            .unwrap_or_else(|| panic!("{parameters}"));
        assert!(
            error.contains("TLS") || error.contains("certificates"),
            "{error}"
        );
    }
    for parameters in ["", "sslmode=prefer", "sslmode=disable"] {
        open(&url, parameters).unwrap_or_else(|error| panic!("{parameters}: {error}"));
    }
}
