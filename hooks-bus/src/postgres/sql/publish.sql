-- True for a time of RFC 3339, leap seconds included.
CREATE OR REPLACE FUNCTION hooks.is_time(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$'
        -- The calendar comes again after 400 years, and Postgres has no year 0.
        THEN substr(value, 9, 2)::integer <= 28 OR substr(value, 9, 2)::integer <= extract(day FROM
            make_date(substr(value, 1, 4)::integer + 400, substr(value, 6, 2)::integer, 1) + interval '1 month - 1 day')
        ELSE false END
$$;

-- The same event with \u0001 in place of \u0000 and of half surrogate pairs, which Postgres can't decode: to look at.
-- Attributes can have neither.
CREATE OR REPLACE FUNCTION hooks.decodable(event text) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    -- `\@` and `\#`, which JSON does not have, stand for escaped backslashes and for the middle of whole pairs.
    SELECT replace(replace(regexp_replace(regexp_replace(replace(event, '\\', '\@'),
        '(\\ud[89ab][0-9a-f]{2})\\(?=ud[c-f][0-9a-f]{2})', '\1\\#', 'gi'),
        '\\u(?:0000|d[c-f][0-9a-f]{2}|d[89ab][0-9a-f]{2}(?!\\#))', '\\u0001', 'gi'),
        '\#', '\'), '\@', '\\')::json
$$;

-- An event as it is kept, its id, and by what one that is published again is known: nothing, where the id was filled in.
CREATE TYPE hooks.completed AS (whole json, id text, name uuid);

-- The event as it is kept: checked, with the attributes that were left out. Raises an error that says what is wrong. What
-- passes here is read as an event, but for what only the reader can see: names that are written with escapes, and nesting
-- that is too deep. Whoever calls it has set search_path, which takes as long as the rest.
CREATE OR REPLACE FUNCTION hooks.complete(event json) RETURNS hooks.completed
LANGUAGE plpgsql AS $$
DECLARE
    kept json := event;
    given text := event::text;
    -- To look at, as `event` is: without what can't be decoded.
    shown text := given;
    data text;
    place integer;
    -- Without the value of "data", and its members.
    flat text;
    parts jsonb;
    once text;
    tenant text;
    source text;
    id text;
    has_version boolean;
    has_time boolean;
    missing text := '';
    result hooks.completed;
BEGIN
    IF given IS NULL OR json_typeof(event) <> 'object' THEN
        RAISE EXCEPTION 'an event is a JSON object with a "type"' USING ERRCODE = 'invalid_parameter_value';
    -- Far below what Postgres can't look through, which has no memory of 1 GiB in a piece, and soon looked through.
    ELSIF octet_length(given) > 67108864 THEN
        RAISE EXCEPTION 'the event has % bytes: it may have 64 MiB', octet_length(given)
            USING ERRCODE = 'program_limit_exceeded';
    ELSIF strpos(given, '\u') > 0 THEN
        event := hooks.decodable(given);
        shown := event::text;
    END IF;
    -- Nearly all events are plain: their attributes are texts that are not empty and have no escapes. These take a few steps.
    data := event -> 'data';
    flat := shown;
    IF data IS NOT NULL THEN
        -- At the first place alone: looking for a text in another can take the product of their lengths.
        place := strpos(shown, '"data":') + 7;
        place := place + (substr(shown, place, 1) = ' ')::integer;
        IF substr(shown, place, length(data)) = data THEN
            flat := left(shown, place - 1) || '"."' || substr(shown, place + length(data));
        END IF;
    END IF;
    IF octet_length(flat) < 65536 AND flat ~ '^\s*\{(?:\s*"[a-z0-9]+"\s*:\s*"[^"\\\u007f-\u009f]+"\s*[,}])*\s*$' THEN
        parts := flat;
        source := parts ->> 'source';
        tenant := parts ->> 'tenant';
        id := parts ->> 'id';
        has_version := parts ? 'specversion';
        has_time := parts ? 'time';
        once := parts;
        -- Of a name that is there twice, `parts` has one: fewer quotes.
        IF octet_length(flat) - octet_length(replace(flat, '"', ''))
                <> octet_length(once) - octet_length(replace(once, '"', ''))
            OR NOT parts ? 'type' OR starts_with(parts ->> 'type', 'hooks.')
            OR (has_version AND parts ->> 'specversion' <> '1.0')
            OR (has_time AND NOT hooks.is_time(parts ->> 'time'))
        THEN
            parts := NULL;
        END IF;
    END IF;
    IF parts IS NULL THEN
        SELECT * INTO tenant, source, id, has_version, has_time FROM hooks.check(event);
    END IF;
    IF NOT has_version THEN
        missing := '"specversion":"1.0",';
    END IF;
    IF id IS NULL THEN
        id := hooks.uuid();
        missing := missing || '"id":"' || id || '",';
    ELSE
        -- Nobody finds two events with one name. Attributes have no line breaks.
        result.name := encode(substr(sha256(convert_to(coalesce(tenant || E'\n', '')
            || coalesce(source, '/postgres/' || current_database()) || E'\n' || id, 'UTF8')), 1, 16), 'hex');
    END IF;
    IF source IS NULL THEN
        missing := missing || '"source":' || to_json('/postgres/' || current_database()) || ',';
    END IF;
    IF NOT has_time THEN
        missing := missing || '"time":"'
            || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '",';
    END IF;
    result.id := id;
    result.whole := kept;
    IF missing <> '' THEN
        result.whole := '{' || missing || substr(given, strpos(given, '{') + 1);
    END IF;
    RETURN result;
END $$;

-- Checks each member of an event. What it says of those it returns is how they are.
CREATE OR REPLACE FUNCTION hooks.check(
    event json, OUT tenant text, OUT source text, OUT id text, OUT has_version boolean, OUT has_time boolean
)
LANGUAGE plpgsql AS $$
DECLARE
    present text[] := '{}';
    name text;
    part json;
    kind text;
    value text;
BEGIN
    FOR name IN SELECT key FROM json_object_keys(event) AS key GROUP BY key HAVING count(*) > 1 LOOP
        RAISE EXCEPTION 'the event has % twice', to_json(name) USING ERRCODE = 'invalid_parameter_value';
    END LOOP;
    FOR name, part IN SELECT * FROM json_each(event) LOOP
        kind := json_typeof(part);
        IF name = 'data' THEN
            present := present || name;
            CONTINUE;
        ELSIF name !~ '^[a-z0-9]+$' AND name <> 'data_base64' THEN
            RAISE EXCEPTION 'the event has an attribute %: names are lower-case letters and digits', to_json(name)
                USING ERRCODE = 'invalid_parameter_value', HINT = 'What is yours belongs into "data".';
        END IF;
        value := part #>> '{}';
        IF name IN ('type', 'id', 'source', 'specversion', 'time', 'subject', 'datacontenttype', 'dataschema', 'data_base64') THEN
            IF kind = 'null' AND name NOT IN ('type', 'id', 'source', 'specversion', 'time') THEN
                -- The same as absent.
                CONTINUE;
            ELSIF kind <> 'string' OR (value = '' AND name <> 'data_base64') THEN
                RAISE EXCEPTION 'the event''s "%" has to be a text that is not empty', name
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            present := present || name;
        ELSIF kind IN ('object', 'array') THEN
            RAISE EXCEPTION 'the event''s attribute "%" has to be a text, a number or a boolean', name
                USING ERRCODE = 'invalid_parameter_value', HINT = 'What is yours belongs into "data".';
        END IF;
        IF kind = 'string' AND value ~ ('[' || chr(1) || '-' || chr(31) || chr(127) || '-' || chr(159) || ']') THEN
            RAISE EXCEPTION 'the event''s "%" has control characters', name USING ERRCODE = 'invalid_parameter_value';
        ELSIF name = 'type' AND starts_with(value, 'hooks.') THEN
            RAISE EXCEPTION 'an event of type "%" can''t be published: types that begin with "hooks." are the dispatcher''s own',
                value USING ERRCODE = 'invalid_parameter_value';
        ELSIF name = 'tenant' THEN
            tenant := value;
        ELSIF name = 'source' THEN
            source := value;
        ELSIF name = 'id' THEN
            id := value;
        ELSIF name = 'specversion' AND value <> '1.0' THEN
            RAISE EXCEPTION 'the event''s "specversion" is "%": only "1.0" is known', value
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF name = 'time' AND NOT hooks.is_time(value) THEN
            RAISE EXCEPTION 'the event''s "time" is "%": write it as 2026-11-27T10:00:00Z', value
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF NOT 'type' = ANY (present) THEN
        RAISE EXCEPTION 'the event has no "type"' USING ERRCODE = 'invalid_parameter_value';
    ELSIF 'data' = ANY (present) AND 'data_base64' = ANY (present) THEN
        RAISE EXCEPTION 'the event has "data" and "data_base64": it can have one of them'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    has_version := 'specversion' = ANY (present);
    has_time := 'time' = ANY (present);
END $$;

-- A UUID of version 7.
CREATE OR REPLACE FUNCTION hooks.uuid() RETURNS uuid
LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid
$$;

-- Publishes an event with the transaction that calls it. Returns the event's id.
CREATE OR REPLACE FUNCTION hooks.publish(event json) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    complete hooks.completed := hooks.complete(event);
BEGIN
    -- The number as `next_id` takes it.
    INSERT INTO hooks.outbox (id, checked, name, event)
        VALUES (CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('hooks.outbox_id') END, true,
            complete.name, complete.whole);
    RETURN complete.id;
END $$;

-- The same from its parts: SELECT hooks.publish_event(type => 'invoice.paid', data => '{"total":1}').
CREATE OR REPLACE FUNCTION hooks.publish_event(
    type text, data json DEFAULT NULL, subject text DEFAULT NULL, source text DEFAULT NULL, id text DEFAULT NULL,
    attributes json DEFAULT NULL
) RETURNS text
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT hooks.publish(('{' || concat_ws(',',
        '"type":' || to_json(type),
        '"id":' || to_json(id),
        '"source":' || to_json(source),
        '"subject":' || to_json(subject),
        (SELECT string_agg(to_json(key) || ':' || value, ',') FROM json_each(attributes)),
        '"data":' || data) || '}')::json)
$$;

-- Wakes the sequencer, where it does not look by itself. Notices of transactions are sent one transaction after the
-- other, so none is sent while events come all the time.
CREATE OR REPLACE FUNCTION hooks.wake() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    -- Names are whole: search_path is the publisher's.
    state pg_catalog.record;
BEGIN
    SELECT s.is_full, pg_catalog.timestamptz_gt(s.awake_until, pg_catalog.clock_timestamp()) AS is_awake INTO state
        FROM hooks.sequencer AS s;
    IF state.is_full THEN
        RAISE EXCEPTION 'the log of events has reached its max_bytes' USING ERRCODE = 'disk_full',
            HINT = 'A hook that is far behind keeps it: see "hooks status".';
    ELSIF state.is_awake THEN
        RETURN NULL;
    END IF;
    PERFORM pg_catalog.pg_notify('hooks_outbox', '');
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER wake AFTER INSERT ON hooks.outbox FOR EACH STATEMENT EXECUTE FUNCTION hooks.wake();
