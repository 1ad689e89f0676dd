-- True for a time of RFC 3339, leap seconds included.
CREATE FUNCTION hooks.is_time(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN value ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$'
        -- The calendar comes again after 400 years, and Postgres has no year 0.
        THEN substr(value, 9, 2)::integer <= extract(day FROM
            make_date(substr(value, 1, 4)::integer + 400, substr(value, 6, 2)::integer, 1) + interval '1 month - 1 day')
        ELSE false END
$$;

-- The event as it is kept: checked, with the attributes that were left out. Raises an error that says what is wrong. What
-- passes here is read as an event, but for what only the reader can see: names that are written with escapes, and nesting
-- that is too deep.
CREATE FUNCTION hooks.complete(event json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    missing text := '';
    present text[] := '{}';
    name text;
    part json;
    kind text;
    value text;
BEGIN
    IF event IS NULL OR json_typeof(event) <> 'object' THEN
        RAISE EXCEPTION 'an event is a JSON object with a "type"' USING ERRCODE = 'invalid_parameter_value';
    -- Far below what Postgres can't look through, which has no memory of 1 GiB in a piece, and soon looked through.
    ELSIF octet_length(event::text) > 67108864 THEN
        RAISE EXCEPTION 'the event has % bytes: it may have 64 MiB', octet_length(event::text)
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
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
    IF NOT 'specversion' = ANY (present) THEN
        missing := '"specversion":"1.0",';
    END IF;
    IF NOT 'id' = ANY (present) THEN
        missing := missing || '"id":' || to_json(hooks.uuid()) || ',';
    END IF;
    IF NOT 'source' = ANY (present) THEN
        missing := missing || '"source":' || to_json('/postgres/' || current_database()) || ',';
    END IF;
    IF NOT 'time' = ANY (present) THEN
        missing := missing || '"time":"'
            || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '",';
    END IF;
    IF missing = '' THEN
        RETURN event;
    END IF;
    RETURN ('{' || missing || substr(event::text, strpos(event::text, '{') + 1))::json;
END $$;

-- A UUID of version 7.
CREATE FUNCTION hooks.uuid() RETURNS uuid
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid
$$;

-- Publishes an event with the transaction that calls it. Returns the event's id.
CREATE FUNCTION hooks.publish(event json) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    whole json := hooks.complete(event);
BEGIN
    INSERT INTO hooks.outbox (checked, event) VALUES (true, whole);
    RETURN whole ->> 'id';
END $$;

-- The same from its parts: SELECT hooks.publish_event(type => 'invoice.paid', data => '{"total":1}').
CREATE FUNCTION hooks.publish_event(
    type text, data json DEFAULT NULL, subject text DEFAULT NULL, source text DEFAULT NULL, id text DEFAULT NULL,
    attributes json DEFAULT NULL
) RETURNS text
LANGUAGE sql SET search_path = pg_catalog AS $$
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
CREATE FUNCTION hooks.wake() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    is_awake boolean;
    is_full boolean;
BEGIN
    SELECT s.awake_until > clock_timestamp(), s.is_full INTO is_awake, is_full FROM hooks.sequencer AS s;
    IF is_full THEN
        RAISE EXCEPTION 'the log of events has reached its max_bytes' USING ERRCODE = 'disk_full',
            HINT = 'A hook that is far behind keeps it: see "hooks status".';
    END IF;
    IF NOT is_awake THEN
        PERFORM pg_notify('hooks_outbox', '');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER wake AFTER INSERT ON hooks.outbox FOR EACH STATEMENT EXECUTE FUNCTION hooks.wake();
