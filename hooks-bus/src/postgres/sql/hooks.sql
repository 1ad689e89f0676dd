-- True for a lease of so many seconds that lasts. Not for one that the clock will take longer to reach than it can last: the
-- clock was wrong when it was written, or is now.
CREATE OR REPLACE FUNCTION hooks.lasts(until timestamptz, lease double precision) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT until > clock_timestamp() AND until < clock_timestamp() + 2 * lease * interval '1 second'
$$;

-- The mark of a hook's cursor, which begins behind this position if it is new.
CREATE OR REPLACE FUNCTION hooks.begin(name text, behind bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1752133483, 3);
    behind := greatest(behind, (SELECT min(first) FROM hooks.partitions) - 1);
    INSERT INTO hooks.cursors (hook, began, position) VALUES (name, behind, behind) ON CONFLICT DO NOTHING;
    RETURN (SELECT born FROM hooks.cursors WHERE hook = name);
END $$;

-- Moves a hook, whose new epoch it returns: none where another wrote its row, or the log no longer has the place.
CREATE OR REPLACE FUNCTION hooks.move(name text, known bigint, behind bigint, done bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1752133483, 3);
    RETURN QUERY UPDATE hooks.cursors SET position = behind, settled = done, epoch = nextval('hooks.number')
        WHERE hook = name AND epoch = known AND behind >= coalesce((SELECT min(first) FROM hooks.partitions) - 1, 0)
        RETURNING epoch;
END $$;

-- Defines a hook, if its revision is the expected one (`NULL`: any, 0: none). `done` says whether it was.
CREATE OR REPLACE FUNCTION hooks.define(
    name text, text text, expected bigint, behind bigint, by text,
    OUT done boolean, OUT revision bigint, OUT created timestamptz, OUT changed timestamptz
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stamp timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(1752133484, hashtext(name));
    SELECT d.revision INTO revision FROM hooks.definitions d WHERE hook = name;
    done := expected IS NULL OR expected = coalesce(revision, 0);
    IF NOT done THEN
        RETURN;
    END IF;
    PERFORM hooks.begin(name, behind);
    stamp := clock_timestamp();
    INSERT INTO hooks.definitions AS d VALUES (name, nextval('hooks.number'), stamp, stamp, text)
        ON CONFLICT (hook) DO UPDATE SET revision = excluded.revision,
            changed = greatest(excluded.changed, d.changed), definition = excluded.definition
        RETURNING d.revision, d.created, d.changed INTO revision, created, changed;
    PERFORM pg_notify('hooks_state', by);
END $$;

-- Removes all that is kept of a hook: its definition, if it has the expected revision, cursor, override, dead letters.
-- `only_defined`: nothing, if it has no definition.
CREATE OR REPLACE FUNCTION hooks.remove(
    name text, expected bigint, only_defined boolean, by text, OUT done boolean, OUT revision bigint, OUT existed boolean
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1752133484, hashtext(name));
    SELECT d.revision INTO revision FROM hooks.definitions d WHERE hook = name;
    done := expected IS NULL OR expected = coalesce(revision, 0);
    existed := revision IS NOT NULL;
    IF NOT done OR (only_defined AND NOT existed) THEN
        RETURN;
    END IF;
    WITH d AS (DELETE FROM hooks.definitions WHERE hook = name RETURNING 1),
        c AS (DELETE FROM hooks.cursors WHERE hook = name RETURNING 1),
        o AS (DELETE FROM hooks.overrides WHERE hook = name RETURNING override),
        l AS (DELETE FROM hooks.dead_letters WHERE hook = name RETURNING 1)
    SELECT (SELECT count(*) FROM d) + (SELECT count(*) FROM c) + (SELECT count(override) FROM o) + (SELECT count(*) FROM l)
        INTO removed;
    existed := removed > 0;
    PERFORM pg_notify('hooks_state', by);
END $$;

-- Keeps dead letters of a hook, in place of those of the same positions; not when it would have more than `most`.
CREATE OR REPLACE FUNCTION hooks.keep_dead_letters(
    name text, positions bigint[], abouts text[], events text[], most bigint, OUT kept boolean, OUT total bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1752133484, hashtext(name));
    total := (SELECT count(*) FROM hooks.dead_letters WHERE hook = name)
        + (SELECT count(*) FROM unnest(positions) AS p
            WHERE NOT EXISTS (SELECT FROM hooks.dead_letters WHERE hook = name AND position = p));
    kept := total <= most;
    IF kept THEN
        INSERT INTO hooks.dead_letters (hook, position, about, event)
            SELECT DISTINCT ON (u.position) name, u.position, u.about, u.event::json
            FROM unnest(positions, abouts, events) AS u (position, about, event)
            ON CONFLICT (hook, position) DO UPDATE SET id = excluded.id, about = excluded.about, event = excluded.event;
    END IF;
END $$;

-- Publishing alone is for others: they need USAGE on the schema.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA hooks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hooks.publish(json), hooks.publish_event(text, json, text, text, text, json), hooks.next_id()
    TO PUBLIC;

-- Last, so that nothing half made looks whole.
INSERT INTO hooks.meta (version) VALUES (2) ON CONFLICT (single) DO UPDATE SET version = excluded.version;
