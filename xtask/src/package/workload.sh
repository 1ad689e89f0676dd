#!/bin/sh
# workload.sh HOOKS EVENTS FOLDER: what the daemon does all day, for a binary that counts what it runs.
#
# Pipes, and a daemon on each bus, with small events and those of EVENTS; webhooks of every common shape, one of which fails,
# and a file. Fails if an event is missing in a file. NATS_SERVER and POSTGRES_BIN say where the servers are. So many small
# events go through each: ROUNDS.
set -eu
hooks=$1 events=$2 folder=$3 nats_server=${NATS_SERVER:?} postgres_bin=${POSTGRES_BIN:?}
rounds=${ROUNDS:-60000} secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
cd "$folder"

end() {
    if [ -d postgres/data ]; then postgres pg_ctl --pgdata postgres/data --mode immediate stop > /dev/null 2>&1 || true; fi
    # shellcheck disable=SC2046
    kill $(cat pids) 2> /dev/null || true
}
: > pids
trap end EXIT
trap 'exit 1' INT TERM

# Runs a program of Postgres, which root may not.
postgres() {
    program=$postgres_bin/$1
    shift
    if [ "$(id -u)" -eq 0 ]; then runuser -u nobody -- "$program" "$@"; else "$program" "$@"; fi
}

# failed FILE: says what it holds, and ends.
failed() {
    cat "$1" >&2
    exit 1
}

# Runs in the background, and ends with this.
start() {
    "$@" &
    pid=$!
    echo "$pid" >> pids
}

# listener NAME OPTIONS...: a receiver, whose own work is counted nowhere.
listener() {
    name=$1
    shift
    start env LLVM_PROFILE_FILE=/dev/null "$hooks" listen --port 0 "$@" > "$name.out" 2> "$name.err"
    address "$name"
}

# address NAME: what the program that was started last says it listens at.
address() {
    while kill -0 "$pid" 2> /dev/null; do
        address=$(sed -nE 's/.*([Ll]istening|serving).*(127\.0\.0\.1:[0-9]+).*/\2/p' "$1.out" "$1.err" | head -n 1)
        [ -z "$address" ] || return 0
        sleep 0.1
    done
    failed "$1.err"
}

# counted FILE EVENTS: fails where it has fewer.
counted() {
    have=$(wc -l < "$1")
    [ "$have" -ge "$2" ] || {
        echo "$1 has $have of $2 events" >&2
        exit 1
    }
}

# small N PREFIX: so many small events.
small() {
    awk -v n="$1" -v prefix="$2" 'BEGIN {
        split("invoice.paid invoice.sent user.created", types, " ")
        for (i = 0; i < n; i++)
            printf "{\"specversion\":\"1.0\",\"id\":\"%s-%d\",\"source\":\"/billing\",\"type\":\"%s\",\"subject\":\"invoice/%d\",\"time\":\"2026-01-01T00:00:00Z\",\"datacontenttype\":\"application/json\",\"data\":{\"number\":%d,\"total\":%d,\"customer\":{\"name\":\"Ann\",\"plan\":\"pro\"}}}\n", prefix, i, types[i % 3 + 1], i, i, i % 500
    }'
}

few=$((rounds / 30))
small "$rounds" small > small.ndjson
small "$few" few > few.ndjson
for round in $(seq $((rounds / 6000 + 1))); do sed "s/\"id\":\"/\"id\":\"$round-/" "$events"; done > large.ndjson
large=$(wc -l < large.ndjson)

listener signed --secret "$secret"
signed=http://$address
listener failing --fail-rate 0.02
failing=http://$address
listener plain
plain=http://$address

pipe() {
    "$hooks" pipe "$@" < "$size.ndjson" > pipe.out 2>&1 || failed pipe.out
}

for size in small large; do
    pipe --to "$folder/pipe-$size.jsonl"
    pipe --to "$plain"
    pipe --to "$signed" --secret "$secret"
done
counted pipe-small.jsonl "$rounds"
counted pipe-large.jsonl "$large"

# daemon BUS SETTINGS: takes events and delivers them until all are there.
daemon() {
    cat > "$1.toml" << CONFIG
[bus]
kind = "$1"
$2

[ingest]
listen = "127.0.0.1:0"

[defaults.retry]
initial = "10ms"
max = "100ms"

[[hooks]]
id = "signed"
lanes = 4

[hooks.sink]
kind = "http"
url = "$signed"
secret = "$secret"

[[hooks]]
id = "failing"
types = ["invoice.*"]
data = { total = [{ numeric = [">=", 100] }], customer = { plan = ["pro", { prefix = "b" }] } }

[hooks.sink]
kind = "http"
url = "$failing"
compression = "zstd"

[[hooks]]
id = "single"
types = ["user.*"]
lanes = 8

[hooks.sink]
kind = "http"
url = "$plain"
mode = "single"

[[hooks]]
id = "template"
types = ["invoice.sent"]

[hooks.batch]
max_events = 10

[hooks.sink]
kind = "http"
url = "$plain"
body = { template = "{{ events | length }} {{ events[0].type }}", content_type = "text/plain" }

[[hooks]]
id = "file"

[hooks.sink]
kind = "file"
path = "$folder/$1.jsonl"
CONFIG
    start "$hooks" serve -c "$1.toml" --grace 5m > "$1.out" 2> "$1.err"
    address "$1"
    for batch in "500 small" "1 few" "500 large"; do
        "$hooks" publish --to "http://$address" --batch "${batch% *}" < "${batch#* }.ndjson" > publish.out 2>&1 || failed publish.out
    done
    kill "$pid"
    wait "$pid" || failed "$1.err"
    counted "$1.jsonl" $((rounds + few + large))
}

daemon memory '
[defaults.queue]
overflow = "block"'
daemon durable 'dir = "log"'

start "$nats_server" --jetstream --store_dir nats --addr 127.0.0.1 --port -1 > nats-server.out 2> nats-server.err
address nats-server
daemon nats "servers = [\"nats://$address\"]"

mkdir -m 777 postgres
postgres initdb --pgdata postgres/data --auth trust --username hooks --encoding UTF8 --locale C --no-sync > initdb.out
postgres pg_ctl --pgdata postgres/data --log postgres/log --options "-k $folder/postgres -h ''" --wait start > pg_ctl.out ||
    failed postgres/log
postgres createdb --host "$folder/postgres" --username hooks hooks
daemon postgres "hosts = [\"$folder/postgres\"]"
