-- The records and the five functions through which the program uses them; it calls
-- nothing else.
--
-- * One call is one statement and so one transaction: one round trip, no state left in
--   the session, and nothing for a transaction-mode pooler to break.
-- * A session plans the statements in a function once. The options after each function
--   make that plan suit large tables, since it may be made while the table is empty.
-- * `search_path`: an operator or a function that another role puts into some other
--   schema is never mistaken for PostgreSQL's own. (`now_ms` inherits that of its
--   callers.)
-- * `lock_timeout`: a call that waits for a lock gives up before its caller does.

CREATE TABLE user_auth.records (
    -- Ordered by bytes, whatever the collation of the database.
    key text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL,
    -- Random, so that no value is ever reused: not after a deletion, not after a crash
    -- that loses the end of the log, not after a restored backup.
    version uuid NOT NULL,
    expires_at_ms bigint
);

CREATE INDEX records_by_expiry ON user_auth.records (expires_at_ms)
    WHERE expires_at_ms IS NOT NULL;

-- Returns milliseconds since 1970 by the clock of this server, which is the same for
-- all processes; `given` replaces it in tests. Not the start time of the transaction,
-- which may have waited for a lock since.
CREATE FUNCTION user_auth.now_ms(given bigint) RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(given, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;

-- Makes this transaction the only one that changes these keys, whether or not they have
-- records. Locks are always taken in ascending order, so that no two transactions
-- deadlock. The lock is on one of 1,024 sets of keys: the server has room for a few
-- thousand locks, and a batch may be large.
--
-- Later reads must be in another statement: at this isolation level each statement sees
-- what was committed before it began.
CREATE FUNCTION user_auth.lock_keys(keys text[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    set_of_keys integer;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'UserAuth needs the isolation level read committed'
            USING HINT = 'Reset default_transaction_isolation for its role and its database.';
    END IF;
    FOR set_of_keys IN
        SELECT DISTINCT hashtext(k) & 1023 AS id FROM unnest(keys) AS k ORDER BY id
    LOOP
        -- "UAut" in ASCII: other programs may have advisory locks of their own here.
        PERFORM pg_advisory_xact_lock(1430353268, set_of_keys);
    END LOOP;
END
$$;

-- Returns the live records under the keys, in any order: one statement, one snapshot.
CREATE FUNCTION user_auth.get(keys text[], given_now_ms bigint)
RETURNS TABLE (key text, value bytea, version text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    now_ms bigint := user_auth.now_ms(given_now_ms);
BEGIN
    RETURN QUERY SELECT key, value, version::text FROM user_auth.records
        WHERE key = ANY (keys) AND (expires_at_ms IS NULL OR expires_at_ms > now_ms);
END
$$;

-- Changes all records of the batch or none. Returns NULL if it did, else the index of
-- the first mutation whose precondition failed, counted from 0.
--
-- A mutation has no precondition (NULL), or expects `absent`, or `at ` and a version.
-- It puts a value, or deletes (NULL); its record has a lifetime, or never expires
-- (NULL).
CREATE FUNCTION user_auth.commit(
    keys text[], expectations text[], puts bytea[], ttls_ms bigint[], given_now_ms bigint
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    now_ms bigint;
    conflict bigint;
BEGIN
    PERFORM user_auth.lock_keys(keys);
    -- Read after locking: of two commits to a key, the later never sees an earlier
    -- time.
    now_ms := user_auth.now_ms(given_now_ms);

    SELECT min(place) - 1 INTO conflict
    FROM unnest(keys, expectations) WITH ORDINALITY AS m (key, expected, place)
    LEFT JOIN user_auth.records AS r
        ON r.key = m.key AND (r.expires_at_ms IS NULL OR r.expires_at_ms > now_ms)
    WHERE m.expected <> coalesce('at ' || r.version::text, 'absent');
    IF conflict IS NOT NULL THEN
        RETURN conflict;
    END IF;

    INSERT INTO user_auth.records (key, value, version, expires_at_ms)
    SELECT m.key, m.put, gen_random_uuid(), now_ms + m.ttl_ms
    FROM unnest(keys, puts, ttls_ms) AS m (key, put, ttl_ms)
    WHERE m.put IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET
        value = excluded.value, version = excluded.version,
        expires_at_ms = excluded.expires_at_ms;
    DELETE FROM user_auth.records AS r
    USING unnest(keys, puts) AS m (key, put)
    WHERE m.put IS NULL AND r.key = m.key;

    -- A reported commit is durable, even if the default is another. The other values
    -- (`local`, `remote_apply`) are the server operator's choice.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN NULL;
END
$$;

-- Adds to a counter, and returns its new value or why it was refused: `no counter`, or
-- `range`. Does not wait for the disk: a crash of the server may lose the additions of
-- its last second.
CREATE FUNCTION user_auth.add(
    counter text, delta bigint, ttl_ms bigint, given_now_ms bigint,
    OUT total bigint, OUT refused text
)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    now_ms bigint;
    ends_at_ms bigint;
    old bytea;
    number numeric := 0;
BEGIN
    PERFORM user_auth.lock_keys(ARRAY[counter]);
    PERFORM set_config('synchronous_commit', 'off', true);
    now_ms := user_auth.now_ms(given_now_ms);

    SELECT r.value, r.expires_at_ms INTO old, ends_at_ms FROM user_auth.records AS r
    WHERE r.key = counter AND (r.expires_at_ms IS NULL OR r.expires_at_ms > now_ms);
    IF NOT FOUND THEN
        ends_at_ms := now_ms + ttl_ms;
    ELSIF length(old) > 20 OR encode(old, 'escape') !~ '^[+-]?[0-9]+$' THEN
        refused := 'no counter';
        RETURN;
    ELSE
        number := encode(old, 'escape')::numeric;
        IF number NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            refused := 'no counter';
            RETURN;
        END IF;
    END IF;

    number := number + delta;
    IF number NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
        refused := 'range';
        RETURN;
    END IF;
    total := number::bigint;
    INSERT INTO user_auth.records (key, value, version, expires_at_ms)
    VALUES (counter, total::text::bytea, gen_random_uuid(), ends_at_ms)
    ON CONFLICT (key) DO UPDATE SET
        value = excluded.value, version = excluded.version,
        expires_at_ms = excluded.expires_at_ms;
END
$$;

-- Returns up to `at_most` live records from `first` to before `past`, in the order of
-- their keys.
CREATE FUNCTION user_auth.scan(first text, past text, at_most bigint, given_now_ms bigint)
RETURNS TABLE (key text, value bytea, version text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    now_ms bigint := user_auth.now_ms(given_now_ms);
BEGIN
    RETURN QUERY SELECT key, value, version::text FROM user_auth.records
        WHERE key >= first AND key < past AND (expires_at_ms IS NULL OR expires_at_ms > now_ms)
        ORDER BY key LIMIT at_most;
END
$$;

-- Deletes up to `at_most` expired records, the longest expired first, and returns their
-- number. It needs no lock on their keys: it waits for no transaction, and a concurrent
-- write to such a key treats the record as absent already.
CREATE FUNCTION user_auth.purge(at_most bigint, given_now_ms bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    now_ms bigint := user_auth.now_ms(given_now_ms);
    purged bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM user_auth.records WHERE key IN (
        SELECT key FROM user_auth.records WHERE expires_at_ms <= now_ms
        ORDER BY expires_at_ms LIMIT at_most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END
$$;
