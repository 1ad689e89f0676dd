-- Enters the names of events, and returns those that were new within so many seconds. Of two that enter one name at a time
-- the second waits for what becomes of the first, in the order of names, so that none waits for the other.
CREATE OR REPLACE FUNCTION hooks.enter_names(given uuid[], known_for double precision) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    younger integer;
    stamp timestamptz;
    since timestamptz;
    entered uuid[];
BEGIN
    IF cardinality(given) = 0 THEN
        RETURN given;
    END IF;
    -- Generations don't change meanwhile.
    PERFORM pg_advisory_xact_lock_shared(1752133483, 4);
    younger := (SELECT generation FROM hooks.sequencer);
    stamp := clock_timestamp();
    since := stamp - known_for * interval '1 second';
    WITH entering AS (
        INSERT INTO hooks.names AS known (generation, name, at)
        SELECT younger, name, stamp FROM (SELECT DISTINCT unnest(given) AS name) AS given
        WHERE coalesce((SELECT at FROM hooks.names AS older WHERE older.name = given.name AND generation = 1 - younger),
            '-infinity') < since
        ORDER BY name
        ON CONFLICT (name, generation) DO UPDATE SET at = excluded.at WHERE known.at < since
        RETURNING name
    )
    SELECT array_agg(name) INTO entered FROM entering;
    RETURN coalesce(entered, '{}');
END $$;

-- Of the rows of the outbox with these ids, and of those that were checked meanwhile, those that are published again.
CREATE OR REPLACE FUNCTION hooks.known_rows(
    taken bigint[], of_ids bigint[], of_ns integer[], names uuid[], known_for double precision, OUT ids bigint[], OUT ns integer[]
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named_ids bigint[];
    named_ns integer[];
    named uuid[];
    entered uuid[];
BEGIN
    SELECT array_agg(id), array_agg(n), array_agg(name) INTO named_ids, named_ns, named FROM (
        SELECT id, n, name FROM hooks.outbox WHERE id = ANY (taken) AND name IS NOT NULL
        UNION ALL SELECT * FROM unnest(of_ids, of_ns, names) AS checked (id, n, name)
            WHERE name IS NOT NULL AND id = ANY (taken)
    ) AS rows;
    IF named IS NULL THEN
        RETURN;
    END IF;
    entered := hooks.enter_names(named, known_for);
    SELECT array_agg(id), array_agg(n) INTO ids, ns FROM (
        SELECT id, n, name, row_number() OVER (PARTITION BY name ORDER BY id, n) AS number
        FROM unnest(named_ids, named_ns, named) AS rows (id, n, name)
    ) AS rows LEFT JOIN unnest(entered) AS new (new_name) ON name = new_name
    WHERE number > 1 OR new_name IS NULL;
    IF ids IS NOT NULL THEN
        UPDATE hooks.sequencer SET repeated = repeated + cardinality(ids);
    END IF;
END $$;

-- Puts events of calls into the outbox that were checked. Those with a key, a text that names an event, only if they are
-- new. Returns of each call how many were not.
CREATE OR REPLACE FUNCTION hooks.accept(
    calls integer, of_calls integer[], events text[], keys text[], known_for double precision
) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names uuid[];
    entered uuid[];
    repeats bigint[];
BEGIN
    names := ARRAY(SELECT CASE WHEN key IS NOT NULL THEN
        encode(substr(sha256(convert_to(key, 'UTF8')), 1, 16), 'hex')::uuid END
        FROM unnest(keys) WITH ORDINALITY AS k (key, n) ORDER BY n);
    entered := hooks.enter_names(array_remove(names, NULL), known_for);
    WITH ids AS MATERIALIZED (
        SELECT call, hooks.next_id() AS id FROM generate_series(1, calls) AS call
    ), given AS MATERIALIZED (
        SELECT call, event, n, name, row_number() OVER (PARTITION BY name ORDER BY n) AS number
        FROM unnest(of_calls, events, names) WITH ORDINALITY AS given (call, event, name, n)
    ), known AS MATERIALIZED (
        SELECT n, call FROM given LEFT JOIN unnest(entered) AS new (new_name) ON name = new_name
        WHERE name IS NOT NULL AND (number > 1 OR new_name IS NULL)
    ), accepted AS (
        INSERT INTO hooks.outbox (id, n, checked, event)
        SELECT id, n, true, event::json FROM given JOIN ids USING (call)
        WHERE NOT EXISTS (SELECT FROM known WHERE known.n = given.n)
    )
    SELECT array_agg(repeated ORDER BY call) INTO repeats FROM (
        SELECT ids.call, count(n) AS repeated FROM ids LEFT JOIN known USING (call) GROUP BY ids.call
    ) AS counted;
    RETURN repeats;
END $$;

-- Begins another generation of names, when it is time: names are known for so many seconds, and `most` of them.
CREATE OR REPLACE FUNCTION hooks.turn_names(known_for double precision, most bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    younger integer;
    began timestamptz;
    is_old boolean;
BEGIN
    SELECT generation, generation_began INTO younger, began FROM hooks.sequencer;
    -- A clock that was set back has made names that are younger than now.
    is_old := began < clock_timestamp() - known_for * interval '1 second' OR began > clock_timestamp();
    IF NOT is_old AND (SELECT count(*) FROM hooks.names WHERE generation = younger) < most / 2 THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '500ms', true);
    -- Nobody enters names meanwhile.
    PERFORM pg_advisory_xact_lock(1752133483, 4);
    IF (SELECT generation FROM hooks.sequencer) <> younger THEN
        RETURN;
    END IF;
    -- The lock of a TRUNCATE reaches standbys, and ends who reads there for long, as a backup does: only for what is worth it.
    IF pg_relation_size(format('hooks.names_%s', 1 - younger)::regclass) < 262144 THEN
        DELETE FROM hooks.names WHERE generation = 1 - younger;
    ELSE BEGIN
        EXECUTE format('LOCK TABLE hooks.names_%s IN ACCESS EXCLUSIVE MODE NOWAIT', 1 - younger);
        EXECUTE format('TRUNCATE hooks.names_%s', 1 - younger);
    EXCEPTION WHEN lock_not_available THEN
        -- Somebody reads it for long, as a backup does.
        DELETE FROM hooks.names WHERE generation = 1 - younger;
    END; END IF;
    UPDATE hooks.sequencer SET generation = 1 - younger, generation_began = clock_timestamp(),
        known_since = CASE WHEN is_old THEN known_since ELSE began END;
END $$;
