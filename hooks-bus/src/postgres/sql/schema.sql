-- What the Postgres bus of hooks keeps, all of it in a schema of its own. Version 1.
-- Run it as the role that the bus connects as: that role owns the schema, and adds and drops partitions of the log.
-- Needs Postgres 14 or newer with the encoding UTF8, no superuser and no extension.
CREATE SCHEMA hooks;

CREATE TABLE hooks.meta (
    version integer NOT NULL,
    log uuid NOT NULL DEFAULT gen_random_uuid(),
    single boolean PRIMARY KEY DEFAULT true CHECK (single)
);
INSERT INTO hooks.meta (version) VALUES (1);

-- Events that are committed and have no position yet. `id` is one of a call, `n` an event's place in it.
CREATE SEQUENCE hooks.outbox_id;

-- A number is taken after the transaction has its own id: who sees that all older transactions have ended knows that no
-- number of them is still to come.
CREATE FUNCTION hooks.next_id() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_current_xact_id();
    RETURN nextval('hooks.outbox_id');
END $$;

-- All rows are soon dead: each time that autovacuum looks it cleans them up, without a rest.
CREATE TABLE hooks.outbox (
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

-- The log: events in the order of delivery, without gaps.
CREATE TABLE hooks.log (
    position bigint NOT NULL,
    at timestamptz NOT NULL,
    size integer NOT NULL,
    event json NOT NULL,
    PRIMARY KEY (position)
) PARTITION BY RANGE (position);

-- Its partitions, `log_FIRST`, each with the positions from `first` to before `past`.
CREATE TABLE hooks.partitions (first bigint PRIMARY KEY, past bigint NOT NULL);

-- Rows of the outbox that are no events, and why: the dead letters of the bus itself. Those that only the reader could
-- tell have a position of the log. The newest are kept, as many as have room.
CREATE TABLE hooks.refused (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    position bigint UNIQUE,
    event json NOT NULL,
    why text NOT NULL
);

-- The instance that gives positions and its session, how long publishers need not wake it, whether the log takes no more,
-- and how many rows are gone from hooks.refused, up to which position.
CREATE TABLE hooks.sequencer (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    leader text,
    session integer,
    until timestamptz NOT NULL DEFAULT '-infinity',
    awake_until timestamptz NOT NULL DEFAULT '-infinity',
    is_full boolean NOT NULL DEFAULT false,
    refused_gone bigint NOT NULL DEFAULT 0,
    refused_to bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO hooks.sequencer DEFAULT VALUES;

-- Numbers that never come twice: epochs of owners, revisions, marks of hooks.
CREATE SEQUENCE hooks.number;

-- A hook is done with all events up to `position`, and with those of `settled`: pairs of first and last. Its owner
-- writes by the epoch that it got with the hook, never without.
CREATE TABLE hooks.cursors (
    hook text COLLATE "C" PRIMARY KEY,
    born bigint NOT NULL DEFAULT nextval('hooks.number'),
    began bigint NOT NULL,
    position bigint NOT NULL,
    settled bigint[] NOT NULL DEFAULT '{}',
    owner text,
    epoch bigint NOT NULL DEFAULT nextval('hooks.number')
) WITH (fillfactor = 50);

CREATE TABLE hooks.definitions (
    hook text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    created timestamptz NOT NULL,
    changed timestamptz NOT NULL,
    definition text NOT NULL
);

CREATE TABLE hooks.overrides (
    hook text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL DEFAULT nextval('hooks.number'),
    override text,
    -- Since when its receiver has accepted nothing, in seconds since 1970.
    failing_since bigint
);

CREATE TABLE hooks.dead_letters (
    id bigint PRIMARY KEY DEFAULT nextval('hooks.number'),
    hook text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    about text NOT NULL,
    event json NOT NULL,
    UNIQUE (hook, position)
);

-- The instances, the hashes of the hooks that they have, and until when their leases of so many seconds last.
CREATE TABLE hooks.instances (
    instance text PRIMARY KEY,
    machine text NOT NULL,
    hooks bigint[],
    until timestamptz NOT NULL,
    lease double precision NOT NULL
) WITH (fillfactor = 50);

-- Questions of operators to an instance, and parts of its answers.
CREATE UNLOGGED TABLE hooks.questions (
    id bigint PRIMARY KEY DEFAULT nextval('hooks.number'),
    instance text NOT NULL,
    asked timestamptz NOT NULL DEFAULT clock_timestamp(),
    question bytea NOT NULL,
    answer bytea
);
