-- The event as it is kept: checked, with the attributes that were left out. Raises an error that says what is wrong.
CREATE FUNCTION hooks.complete(event json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    missing text := '';
    name text;
    kind text;
    value text;
BEGIN
    IF event IS NULL OR json_typeof(event) <> 'object' THEN
        RAISE EXCEPTION 'an event is a JSON object with a "type"' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR name IN SELECT key FROM json_object_keys(event) AS key GROUP BY key HAVING count(*) > 1 LOOP
        RAISE EXCEPTION 'the event has % twice', to_json(name) USING ERRCODE = 'invalid_parameter_value';
    END LOOP;
    FOR name IN SELECT key FROM json_object_keys(event) AS key
        WHERE key !~ '^[a-z0-9]+$' AND key NOT IN ('data', 'data_base64') LOOP
        RAISE EXCEPTION 'the event has an attribute %: names are lower-case letters and digits', to_json(name)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'What is yours belongs into "data".';
    END LOOP;
    FOREACH name IN ARRAY ARRAY['type', 'id', 'source', 'specversion', 'time', 'subject'] LOOP
        kind := json_typeof(event -> name);
        value := event ->> name;
        IF kind IS NULL THEN
            CONTINUE;
        ELSIF kind <> 'string' OR value = '' THEN
            RAISE EXCEPTION 'the event''s "%" has to be a text that is not empty', name
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF event -> 'type' IS NULL THEN
        RAISE EXCEPTION 'the event has no "type"' USING ERRCODE = 'invalid_parameter_value';
    ELSIF starts_with(event ->> 'type', 'hooks.') THEN
        RAISE EXCEPTION 'an event of type "%" can''t be published: types that begin with "hooks." are the dispatcher''s own',
            event ->> 'type' USING ERRCODE = 'invalid_parameter_value';
    ELSIF event ->> 'specversion' <> '1.0' THEN
        RAISE EXCEPTION 'the event''s "specversion" is "%": only "1.0" is known', event ->> 'specversion'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF event ->> 'time' !~ '^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$' THEN
        RAISE EXCEPTION 'the event''s "time" is "%": write it as 2026-11-27T10:00:00Z', event ->> 'time'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF event -> 'specversion' IS NULL THEN
        missing := '"specversion":"1.0",';
    END IF;
    IF event -> 'id' IS NULL THEN
        missing := missing || '"id":' || to_json(hooks.uuid()) || ',';
    END IF;
    IF event -> 'source' IS NULL THEN
        missing := missing || '"source":' || to_json('/postgres/' || current_database()) || ',';
    END IF;
    IF event -> 'time' IS NULL THEN
        missing := missing || '"time":"'
            || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '",';
    END IF;
    IF missing = '' THEN
        RETURN event;
    END IF;
    RETURN ('{' || missing || substr(ltrim(event::text, E' \t\r\n'), 2))::json;
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
