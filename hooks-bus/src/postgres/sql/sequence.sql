CREATE TYPE hooks.examined AS (whole json, name uuid, why text);

-- The same as `complete`, with what is wrong as a text, which may quote the event. What can't be checked is no event
-- either: it would stop all others. Both are null where the server's time limit ended the check.
CREATE OR REPLACE FUNCTION hooks.examine(event json) RETURNS hooks.examined
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    begun timestamptz := clock_timestamp();
    complete hooks.completed := NULL;
BEGIN
    complete := hooks.complete(event);
    RETURN ROW(complete.whole, complete.name, NULL)::hooks.examined;
EXCEPTION
    WHEN data_exception OR program_limit_exceeded OR internal_error THEN
        RETURN ROW(NULL, NULL, left(SQLERRM, 1000))::hooks.examined;
    WHEN query_canceled THEN
        -- What was stopped soon is not the reason.
        IF clock_timestamp() < begun + interval '4 seconds' THEN
            RAISE;
        END IF;
        RETURN ROW(NULL, NULL, NULL)::hooks.examined;
END $$;

-- The last position of the log. The partition that has it is never dropped.
CREATE OR REPLACE FUNCTION hooks.last_position() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest bigint := (SELECT max(first) FROM hooks.partitions);
    last bigint;
BEGIN
    SELECT position INTO last FROM hooks.log WHERE position >= newest ORDER BY position DESC LIMIT 1;
    IF last IS NULL THEN
        SELECT position INTO last FROM hooks.log ORDER BY position DESC LIMIT 1;
    END IF;
    RETURN coalesce(last, 0);
END $$;

-- Makes partitions up to a position, each with so many.
CREATE OR REPLACE FUNCTION hooks.make_partitions(up_to bigint, length bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    next bigint := coalesce((SELECT max(past) FROM hooks.partitions), 1);
BEGIN
    WHILE next <= up_to LOOP
        EXECUTE format('CREATE TABLE hooks.log_%s (LIKE hooks.log INCLUDING ALL)', next);
        EXECUTE format('ALTER TABLE hooks.log ATTACH PARTITION hooks.log_%s FOR VALUES FROM (%s) TO (%s)',
            next, next, next + length);
        INSERT INTO hooks.partitions VALUES (next, next + length);
        next := next + length;
    END LOOP;
END $$;

-- Moves events from the outbox to the log: those with the ids `gaps` that have come, and those behind the id `after`, the
-- lowest ids first, about `most` of them and 16 MiB. Returns the ids that it moved, whether these are all, and, if it moved
-- any, the last position and `youngest`: transactions that had an id when it had looked are older. All that are older than
-- `oldest` had ended before. Checks for about a second. An event that can't be checked in time is refused if `most` is 1.
--
-- Only one moves at a time, and looks after the one before has committed. It sees all rows of a transaction or none. Of
-- two rows that it sees, the one with the lower id comes first; a row that it does not see yet comes later. So where one
-- transaction had committed before another one published, its events come first: it had taken its lower ids by then,
-- and whoever sees the other's rows sees its rows.
CREATE OR REPLACE FUNCTION hooks.sequence(
    after bigint, gaps bigint[], most integer, partition_length bigint, known_for double precision DEFAULT 0,
    OUT last bigint, OUT ids bigint[], OUT is_all boolean, OUT oldest bigint, OUT youngest bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    base bigint;
    events bigint;
    wanted bigint;
    stamp timestamptz;
    unchecked record;
    result hooks.examined;
    bytes bigint := 0;
    -- What was checked.
    of_ids bigint[] := '{}';
    of_ns integer[] := '{}';
    wholes json[] := '{}';
    whys text[] := '{}';
    names uuid[] := '{}';
    -- What was published again.
    known_ids bigint[];
    known_ns integer[];
BEGIN
    PERFORM pg_advisory_xact_lock(1752133483, 1);
    oldest := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    ids := ARRAY(SELECT id FROM hooks.outbox WHERE id > after ORDER BY id LIMIT most);
    is_all := cardinality(ids) < most;
    ids := ARRAY(SELECT id FROM hooks.outbox WHERE id = ANY (gaps) UNION SELECT unnest(ids));
    wanted := cardinality(ids);
    IF wanted = 0 THEN
        last := 0;
        youngest := 0;
        RETURN;
    END IF;
    SELECT array_agg(id ORDER BY id), sum(rows) INTO ids, events FROM (
        SELECT id, rows, row_number() OVER lowest AS number, sum(size) OVER lowest - size AS before FROM (
            SELECT id, count(*) AS rows, sum(pg_column_size(event)) AS size FROM hooks.outbox WHERE id = ANY (ids) GROUP BY id
        ) AS calls WINDOW lowest AS (ORDER BY id)
    ) AS counted WHERE number <= most AND before < 16777216;
    -- A snapshot's xmax is no bound: it is behind the last one that ended, and younger ones may be open.
    youngest := pg_current_xact_id()::text::bigint;
    base := hooks.last_position();
    stamp := clock_timestamp();
    FOR unchecked IN SELECT id, n, event FROM hooks.outbox WHERE id = ANY (ids) AND NOT checked ORDER BY id, n LOOP
        IF unchecked.id = ids[1] OR (clock_timestamp() < stamp + interval '1 second' AND bytes < 33554432) THEN
            result := hooks.examine(unchecked.event);
            IF result.whole IS NULL AND result.why IS NULL AND unchecked.id = ids[1] THEN
                IF most > 1 THEN
                    RAISE EXCEPTION 'an event takes too long to check' USING ERRCODE = 'query_canceled';
                END IF;
                result.why := 'the event takes too long to check';
            END IF;
        ELSE
            result := NULL;
        END IF;
        IF result.whole IS NULL AND result.why IS NULL THEN
            -- It and those behind are for the next time.
            ids := ARRAY(SELECT id FROM unnest(ids) AS id WHERE id < unchecked.id);
            EXIT;
        END IF;
        bytes := bytes + coalesce(octet_length(result.whole::text), 0);
        of_ids := of_ids || unchecked.id;
        of_ns := of_ns || unchecked.n;
        wholes := wholes || result.whole;
        whys := whys || result.why;
        names := names || result.name;
    END LOOP;
    is_all := is_all AND cardinality(ids) = wanted;
    IF known_for > 0 THEN
        SELECT k.ids, k.ns INTO known_ids, known_ns FROM hooks.known_rows(ids, of_ids, of_ns, names, known_for) AS k;
    END IF;
    -- Times never go back, whatever the clock does.
    stamp := greatest(stamp, (SELECT at FROM hooks.log WHERE position = base));
    PERFORM hooks.make_partitions(base + events, partition_length);
    WITH taken AS (
        DELETE FROM hooks.outbox WHERE id = ANY (ids) RETURNING id, n, checked, event
    ), seen AS MATERIALIZED (
        SELECT id, n, event, CASE WHEN checked THEN event ELSE whole END AS whole, why
        FROM taken LEFT JOIN unnest(of_ids, of_ns, wholes, whys) AS examined (id, n, whole, why) USING (id, n)
    ), refused AS (
        INSERT INTO hooks.refused (event, why) SELECT event, why FROM seen WHERE whole IS NULL
    )
    INSERT INTO hooks.log (position, at, size, event)
    SELECT base + row_number() OVER (ORDER BY id, n), stamp, octet_length(whole::text), whole
    FROM seen WHERE whole IS NOT NULL
        AND NOT EXISTS (SELECT FROM unnest(known_ids, known_ns) AS known (id, n) WHERE known.id = seen.id AND known.n = seen.n);
    GET DIAGNOSTICS events = ROW_COUNT;
    last := base + events;
    PERFORM pg_notify('hooks_log', last::text);
END $$;

-- The first position with a time of at least this, or the one behind the last.
CREATE OR REPLACE FUNCTION hooks.position_at(since timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    low bigint := (SELECT position FROM hooks.log ORDER BY position LIMIT 1);
    high bigint := hooks.last_position() + 1;
    middle bigint;
BEGIN
    IF low IS NULL THEN
        RETURN high;
    END IF;
    WHILE low < high LOOP
        middle := (low + high) / 2;
        IF (SELECT at >= since FROM hooks.log WHERE position = middle) THEN
            high := middle;
        ELSE
            low := middle + 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

-- Drops a partition that all hooks have passed. Waits only a moment for those who read the log: it is tried again.
CREATE OR REPLACE FUNCTION hooks.drop_partition(number bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    -- No hook goes back or begins meanwhile.
    PERFORM pg_advisory_xact_lock(1752133483, 3);
    DELETE FROM hooks.partitions WHERE first = number AND past <= hooks.last_position()
        AND NOT EXISTS (SELECT FROM hooks.cursors WHERE position < past - 1);
    IF FOUND THEN
        EXECUTE format('DROP TABLE hooks.log_%s', number);
    END IF;
    RETURN FOUND;
END $$;

-- Ends the partition that has the last position behind it, so that it can be dropped when hooks have passed. Waits only a
-- moment for those who read the log.
CREATE OR REPLACE FUNCTION hooks.end_partition(number bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last bigint;
    empty bigint;
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    -- No event gets a position meanwhile.
    PERFORM pg_advisory_xact_lock(1752133483, 1);
    last := hooks.last_position();
    UPDATE hooks.partitions SET past = last + 1 WHERE first = number AND first <= last AND last < past;
    IF FOUND THEN
        -- Made for rows that were no events.
        FOR empty IN DELETE FROM hooks.partitions WHERE first > number RETURNING first LOOP
            EXECUTE format('DROP TABLE hooks.log_%s', empty);
        END LOOP;
        EXECUTE format('ALTER TABLE hooks.log DETACH PARTITION hooks.log_%s', number);
        EXECUTE format('ALTER TABLE hooks.log ATTACH PARTITION hooks.log_%s FOR VALUES FROM (%s) TO (%s)',
            number, number, last + 1);
    END IF;
END $$;
