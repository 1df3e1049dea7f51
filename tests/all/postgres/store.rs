//! Guarantees of the PostgreSQL store beyond the contract that all stores fulfil.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Barrier;
use user_auth_host::store::{Expect, Mutation, Outcome, PostgresStore, Store, StoreError};
use user_auth_tests::postgres::{self, Postgres};

async fn open(url: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(&url.parse().unwrap()).await
}

async fn stores(url: &str, count: usize) -> Vec<Arc<PostgresStore>> {
    let mut stores = Vec::new();
    for _ in 0..count {
        stores.push(Arc::new(open(url).await.unwrap()));
    }
    stores
}

fn put(key: &str, value: &str, expect: Expect) -> Mutation {
    Mutation {
        key: key.into(),
        expect,
        put: Some(value.into()),
        ttl: None,
    }
}

async fn value(store: &dyn Store, key: &str) -> Option<String> {
    let entry = store.get(&[key.into()]).await.unwrap().remove(0)?;
    Some(String::from_utf8(entry.value).unwrap())
}

/// Runs this many copies of a task in parallel and returns their results.
async fn at_once<T, F>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|index| {
            let (start, task) = (start.clone(), task(index));
            tokio::spawn(async move {
                start.wait().await;
                task.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(4).enable_all().build().unwrap()
}

#[test]
fn a_new_database_can_be_opened_by_many_processes_at_once() {
    runtime().block_on(async {
        for _ in 0..3 {
            let url = postgres::database();
            let opened = at_once(8, |_| {
                let url = url.clone();
                async move { open(&url).await.map(drop) }
            });
            for result in opened.await {
                result.unwrap();
            }
        }
    });
}

#[test]
fn several_stores_share_a_database() {
    runtime().block_on(async {
        let stores = stores(&postgres::database(), 4).await;
        for round in 0..20 {
            let key = format!("key/{round}");
            let outcomes = at_once(16, |creator| {
                let (store, key) = (stores[creator % 4].clone(), key.clone());
                async move {
                    let create = put(&key, "1", Expect::Absent);
                    let outcome = store.commit(vec![create]).await.unwrap();
                    store.add("rounds", 1, None).await.unwrap();
                    outcome
                }
            })
            .await;
            let won = outcomes
                .iter()
                .filter(|outcome| **outcome == Outcome::Committed);
            assert_eq!(won.count(), 1, "{outcomes:?}");
        }
        assert_eq!(value(&*stores[0], "rounds").await.unwrap(), "320");
    });
}

#[test]
fn batches_with_the_same_keys_in_different_orders_do_not_deadlock() {
    runtime().block_on(async {
        let stores = stores(&postgres::database(), 2).await;
        let keys: Vec<String> = (0..8).map(|n| format!("key/{n}")).collect();
        at_once(8, |index| {
            let (store, mut keys) = (stores[index % 2].clone(), keys.clone());
            async move {
                for round in 0..20 {
                    keys.rotate_left(1);
                    if (index + round) % 2 == 0 {
                        keys.reverse();
                    }
                    let batch = keys.iter().map(|key| put(key, "x", Expect::Any));
                    let outcome = store.commit(batch.collect()).await.unwrap();
                    assert_eq!(outcome, Outcome::Committed);
                }
            }
        })
        .await;
    });
}

#[test]
fn a_commit_and_additions_to_one_key_are_serialized() {
    runtime().block_on(async {
        let stores = stores(&postgres::database(), 2).await;
        for round in 0..20 {
            let key = format!("n/{round}");
            let created = at_once(9, |index| {
                let (store, key) = (stores[index % 2].clone(), key.clone());
                async move {
                    if index > 0 {
                        store.add(&key, 1, None).await.unwrap();
                        return false;
                    }
                    let create = put(&key, "1000", Expect::Absent);
                    store.commit(vec![create]).await.unwrap() == Outcome::Committed
                }
            })
            .await;
            // The first writer finds nothing; if that is the commit, all additions are
            // applied to its value.
            let expected = if created[0] { "1008" } else { "8" };
            assert_eq!(value(&*stores[0], &key).await.unwrap(), expected);
        }
    });
}

#[test]
fn a_purge_keeps_a_record_that_is_rewritten_meanwhile() {
    runtime().block_on(async {
        let stores = stores(&postgres::database(), 2).await;
        for round in 0..40 {
            let keys: Vec<String> = (0..8).map(|n| format!("{round}/{n}")).collect();
            let write = |ttl| {
                let mutation = |key: &String| Mutation {
                    ttl,
                    ..put(key, "x", Expect::Absent)
                };
                keys.iter().map(mutation).collect::<Vec<_>>()
            };
            let over = write(Some(Duration::ZERO));
            stores[0].commit(over).await.unwrap();
            let renewed = write(None);
            at_once(2, |index| {
                let (store, renewed) = (stores[index].clone(), renewed.clone());
                async move {
                    if index == 0 {
                        store.purge(100).await.unwrap();
                        return;
                    }
                    let outcome = store.commit(renewed).await.unwrap();
                    assert_eq!(outcome, Outcome::Committed);
                }
            })
            .await;
            let entries = stores[0].get(&keys).await.unwrap();
            assert!(entries.iter().all(Option::is_some), "{round}");
        }
    });
}

#[test]
fn cancelled_calls_leave_their_connection_usable() {
    runtime().block_on(async {
        let store = open(&format!("{}?pool_size=1", postgres::database()))
            .await
            .unwrap();
        for n in 0..50 {
            let key = format!("{n:02}");
            let mut commit = pin!(store.commit(vec![put(&key, "x", Expect::Any)]));
            let _ = commit
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
        for n in 0..10 {
            assert_eq!(store.add("n", 1, None).await.unwrap(), n + 1);
        }
    });
}

#[test]
fn commits_survive_a_crash_of_the_database_server() {
    let server = Postgres::start_new();
    let url = server.database();
    // This holds even where the administrator has chosen another default for everyone.
    server.sql("postgres", "ALTER SYSTEM SET synchronous_commit = off");
    server.sql("postgres", "SELECT pg_reload_conf()");
    runtime().block_on(async {
        let store = open(&url).await.unwrap();
        for n in 0..50 {
            let create = put(&format!("{n:02}"), "x", Expect::Absent);
            store.commit(vec![create]).await.unwrap();
        }
        server.crash();
        assert!(store.get(&["00".into()]).await.is_err());
        server.start();
        let page = store.scan("", None, 100).await.unwrap();
        assert_eq!(page.entries.len(), 50);
    });
}

#[test]
fn an_unknown_schema_version_is_left_unchanged() {
    let server = Postgres::start_new();
    let refused = |database: &str| {
        let url = server.url(database);
        let result = runtime().block_on(open(&url));
        result.map(drop).unwrap_err().to_string()
    };
    server.sql("postgres", "CREATE DATABASE newer");
    runtime().block_on(open(&server.url("newer"))).unwrap();
    let newer = "INSERT INTO user_auth.migrations (number, name) VALUES (99, 'later')";
    server.sql("newer", newer);
    let error = refused("newer");
    assert!(
        error.contains("version 99") && error.contains("newer program"),
        "{error}"
    );

    for (database, table) in [
        ("foreign1", "CREATE TABLE user_auth.users ()"),
        ("foreign2", "CREATE TABLE user_auth.migrations (id text)"),
        (
            "foreign3",
            "CREATE TABLE user_auth.migrations (number int, name text, applied_at timestamptz);
             INSERT INTO user_auth.migrations VALUES (1, 'users', now())",
        ),
    ] {
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
        server.sql(database, &format!("CREATE SCHEMA user_auth; {table}"));
        let error = refused(database);
        assert!(error.contains("another program"), "{error}");
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'user_auth'";
        assert_eq!(server.sql(database, tables), "1");
    }

    // A schema prepared by an administrator for a role that may not create one.
    server.sql("postgres", "CREATE DATABASE prepared");
    server.sql("prepared", "CREATE SCHEMA user_auth");
    runtime().block_on(open(&server.url("prepared"))).unwrap();
}

#[test]
fn an_unsuitable_isolation_level_is_refused() {
    let server = Postgres::start_new();
    let url = server.database();
    let level = "ALTER DATABASE test0 SET default_transaction_isolation = 'repeatable read'";
    server.sql("postgres", level);
    let error = runtime()
        .block_on(open(&url))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(error.contains("default_transaction_isolation"), "{error}");
    server.sql("postgres", "ALTER DATABASE test0 RESET ALL");
    runtime().block_on(open(&url)).unwrap();
}

#[test]
fn pooled_connections_keep_no_state_of_earlier_users() {
    let server = Postgres::start_new();
    let url = server.database();
    runtime().block_on(async {
        let store = open(&format!("{url}?pool_size=1")).await.unwrap();
        store
            .commit(vec![put("a", "1", Expect::Any)])
            .await
            .unwrap();
        store.add("n", 1, None).await.unwrap();
        // The state of one connection, reported by a function that the store calls.
        server.sql(
            "test0",
            "CREATE TABLE seen AS SELECT ''::text AS what WHERE false;
             CREATE OR REPLACE FUNCTION user_auth.now_ms(given bigint) RETURNS bigint
             LANGUAGE plpgsql VOLATILE AS $$ BEGIN
                 INSERT INTO public.seen SELECT 'statement ' || name FROM pg_prepared_statements;
                 INSERT INTO public.seen SELECT 'lock' FROM pg_locks
                     WHERE locktype = 'advisory' AND pid = pg_backend_pid();
                 INSERT INTO public.seen SELECT 'setting ' || name FROM pg_settings
                     WHERE source = 'session'
                       AND name NOT IN
                         ('lock_timeout', 'plan_cache_mode', 'enable_seqscan', 'search_path');
                 INSERT INTO public.seen VALUES ('looked');
                 RETURN 0;
             END $$",
        );
        store.get(&["a".into()]).await.unwrap();
    });
    assert_eq!(
        server.sql("test0", "SELECT string_agg(what, ', ') FROM seen"),
        "looked"
    );
}

/// Up to PostgreSQL 14 every role may create operators in `public`, which match better than
/// PostgreSQL's own where those need a conversion.
#[tokio::test]
async fn operators_of_other_roles_are_not_used() {
    let server = postgres::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    server.sql(
        name,
        "CREATE FUNCTION public.taken(numeric, integer) RETURNS numeric LANGUAGE plpgsql
             AS $$ BEGIN RAISE 'taken'; END $$;
         CREATE FUNCTION public.taken(numeric, bigint) RETURNS numeric LANGUAGE plpgsql
             AS $$ BEGIN RAISE 'taken'; END $$;
         CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.taken);
         CREATE OPERATOR public.+ (LEFTARG = numeric, RIGHTARG = bigint, FUNCTION = public.taken)",
    );
    let store = open(&url).await.unwrap();
    let outcome = store.commit(vec![put("a", "1", Expect::Absent)]).await;
    assert_eq!(outcome.unwrap(), Outcome::Committed);
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(store.add("n", 2, None).await.unwrap(), 2);
    assert_eq!(store.add("n", 3, None).await.unwrap(), 5);
    assert_eq!(store.scan("", None, 10).await.unwrap().entries.len(), 2);
    assert_eq!(store.purge(10).await.unwrap(), 0);
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.page().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_schema_that_another_role_could_drop_is_refused() {
    let server = postgres::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let role = format!("owner_of_{name}");
    server.sql(
        name,
        &format!("CREATE ROLE {role}; CREATE SCHEMA user_auth AUTHORIZATION {role}"),
    );
    let Err(error) = open(&url).await else {
        panic!("the schema was accepted");
    };
    assert!(
        error.to_string().contains("belongs to another role"),
        "{error}"
    );
    server.sql(name, "ALTER SCHEMA user_auth OWNER TO postgres");
    open(&url).await.unwrap();
}

/// A page ends with the record that brings it to 1 MiB, wherever the records come from.
#[tokio::test]
async fn large_records_are_read_in_small_pages() {
    let store = open(&postgres::database()).await.unwrap();
    let large = "x".repeat(600 * 1024);
    for number in 0..5 {
        let key = format!("k/{number}");
        store
            .commit(vec![put(&key, &large, Expect::Absent)])
            .await
            .unwrap();
    }
    let mut snapshot = store.snapshot().await.unwrap();
    let mut lengths = Vec::new();
    loop {
        let page = snapshot.page().await.unwrap();
        if page.is_empty() {
            break;
        }
        lengths.push(page.len());
    }
    assert_eq!(lengths, [2, 2, 1]);
}
