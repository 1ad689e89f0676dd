-- What the Postgres bus of hooks keeps, all of it in a schema of its own. Version 2. Brings a schema of version 1 to it.
-- Run it as the role that the bus connects as: that role owns the schema, and adds and drops partitions of the log.
-- Needs Postgres 14 or newer with the encoding UTF8, no superuser and no extension.
SET client_min_messages = warning;
-- Whoever publishes waits behind this, where it waits for others.
SET lock_timeout = '5s';
-- `IF NOT EXISTS` asks for the right to create one, also where it is there.
DO $$
BEGIN
    IF to_regnamespace('hooks') IS NULL THEN
        CREATE SCHEMA hooks;
    ELSIF EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('hooks'))
        AND NOT EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('hooks.meta') AND attname = 'log' AND atttypid = 'uuid'::regtype
        ) THEN
        -- What has the same name would be taken for one's own.
        RAISE EXCEPTION 'the schema "hooks" is of another program: give the bus a database of its own';
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS hooks.meta (
    version integer NOT NULL,
    log uuid NOT NULL DEFAULT gen_random_uuid(),
    single boolean PRIMARY KEY DEFAULT true CHECK (single)
);
DO $$
BEGIN
    IF EXISTS (SELECT FROM hooks.meta WHERE version > 2) THEN
        RAISE EXCEPTION 'the schema "hooks" is of a newer version';
    ELSIF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('hooks.meta') AND pg_get_userbyid(relowner) <> current_user) THEN
        -- What is made anew would be another's, and those who publish would have no right to it.
        RAISE EXCEPTION 'the schema "hooks" is of another role'
            USING HINT = (SELECT format('Run this as the role that owns it: SET ROLE %I', pg_get_userbyid(relowner))
                FROM pg_class WHERE oid = to_regclass('hooks.meta'));
    END IF;
END $$;

-- Events that are committed and have no position yet. `id` is one of a call, `n` an event's place in it.
CREATE SEQUENCE IF NOT EXISTS hooks.outbox_id;

-- A number is taken after the transaction has its own id: who sees that all older transactions have ended knows that no
-- number of them is still to come.
CREATE OR REPLACE FUNCTION hooks.next_id() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- Names are whole: search_path is the publisher's.
    RETURN CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN
        pg_catalog.nextval('hooks.outbox_id'::pg_catalog.regclass) END;
END $$;

-- All rows are soon dead: each time that autovacuum looks it cleans them up, without a rest.
CREATE TABLE IF NOT EXISTS hooks.outbox (
    id bigint NOT NULL DEFAULT hooks.next_id(),
    n integer NOT NULL DEFAULT 0,
    checked boolean NOT NULL DEFAULT false,
    event json NOT NULL,
    PRIMARY KEY (id, n)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000,
    toast.autovacuum_vacuum_cost_delay = 0
);

-- By what it is known that an event is published again. Without one it is none, or that was looked for before.
ALTER TABLE hooks.outbox ADD COLUMN IF NOT EXISTS name uuid;

-- The names of events that were accepted lately, in two generations: when the younger one is as old as they are to be known,
-- or has as many as it may have, the other one is emptied and goes on.
CREATE TABLE IF NOT EXISTS hooks.names (
    generation integer NOT NULL,
    name uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (name, generation)
) PARTITION BY LIST (generation);
CREATE TABLE IF NOT EXISTS hooks.names_0 PARTITION OF hooks.names FOR VALUES IN (0);
CREATE TABLE IF NOT EXISTS hooks.names_1 PARTITION OF hooks.names FOR VALUES IN (1);

-- The log: events in the order of delivery, without gaps.
CREATE TABLE IF NOT EXISTS hooks.log (
    position bigint NOT NULL,
    at timestamptz NOT NULL,
    size integer NOT NULL,
    event json NOT NULL,
    PRIMARY KEY (position)
) PARTITION BY RANGE (position);

-- Its partitions, `log_FIRST`, each with the positions from `first` to before `past`.
CREATE TABLE IF NOT EXISTS hooks.partitions (first bigint PRIMARY KEY, past bigint NOT NULL);

-- Rows of the outbox that are no events, and why: the dead letters of the bus itself. Those that only the reader could
-- tell have a position of the log. The newest are kept, as many as have room.
CREATE TABLE IF NOT EXISTS hooks.refused (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    position bigint UNIQUE,
    event json NOT NULL,
    why text NOT NULL
);

-- The instance that gives positions and its session, how long publishers need not wake it, whether the log takes no more,
-- and how many rows are gone from hooks.refused, up to which position.
CREATE TABLE IF NOT EXISTS hooks.sequencer (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    leader text,
    session integer,
    until timestamptz NOT NULL DEFAULT '-infinity',
    awake_until timestamptz NOT NULL DEFAULT '-infinity',
    is_full boolean NOT NULL DEFAULT false,
    refused_gone bigint NOT NULL DEFAULT 0,
    refused_to bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO hooks.sequencer DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Which generation of names is the younger one, since when, since when names are known if not for as long as they are to be,
-- and how many events were published again in SQL.
ALTER TABLE hooks.sequencer
    ADD COLUMN IF NOT EXISTS generation integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS generation_began timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN IF NOT EXISTS known_since timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN IF NOT EXISTS repeated bigint NOT NULL DEFAULT 0;

-- Numbers that never come twice: epochs of owners, revisions, marks of hooks.
CREATE SEQUENCE IF NOT EXISTS hooks.number;

-- A hook is done with all events up to `position`, and with those of `settled`: pairs of first and last. Its owner
-- writes by the epoch that it got with the hook, never without.
CREATE TABLE IF NOT EXISTS hooks.cursors (
    hook text COLLATE "C" PRIMARY KEY,
    born bigint NOT NULL DEFAULT nextval('hooks.number'),
    began bigint NOT NULL,
    position bigint NOT NULL,
    settled bigint[] NOT NULL DEFAULT '{}',
    owner text,
    epoch bigint NOT NULL DEFAULT nextval('hooks.number')
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS hooks.definitions (
    hook text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    created timestamptz NOT NULL,
    changed timestamptz NOT NULL,
    definition text NOT NULL
);

CREATE TABLE IF NOT EXISTS hooks.overrides (
    hook text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL DEFAULT nextval('hooks.number'),
    override text,
    -- Since when its receiver has accepted nothing, in seconds since 1970.
    failing_since bigint
);

CREATE TABLE IF NOT EXISTS hooks.dead_letters (
    id bigint PRIMARY KEY DEFAULT nextval('hooks.number'),
    hook text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    about text NOT NULL,
    event json NOT NULL,
    UNIQUE (hook, position)
);

-- The instances, the hashes of the hooks that they have, and until when their leases of so many seconds last.
CREATE TABLE IF NOT EXISTS hooks.instances (
    instance text PRIMARY KEY,
    machine text NOT NULL,
    hooks bigint[],
    until timestamptz NOT NULL,
    lease double precision NOT NULL
) WITH (fillfactor = 50);

-- Questions of operators to an instance, and parts of its answers.
CREATE UNLOGGED TABLE IF NOT EXISTS hooks.questions (
    id bigint PRIMARY KEY DEFAULT nextval('hooks.number'),
    instance text NOT NULL,
    asked timestamptz NOT NULL DEFAULT clock_timestamp(),
    question bytea NOT NULL,
    answer bytea
);

-- What is made anew below in another shape.
DROP FUNCTION IF EXISTS hooks.sequence(bigint, bigint[], integer, bigint);
DROP FUNCTION IF EXISTS hooks.sequence(bigint, bigint[], integer, bigint, double precision);
DROP FUNCTION IF EXISTS hooks.examine(json);
DROP FUNCTION IF EXISTS hooks.complete(json);
DROP FUNCTION IF EXISTS hooks.check(json);
DROP TYPE IF EXISTS hooks.examined;
DROP TYPE IF EXISTS hooks.completed;
