# try.sh FOLDER REPOSITORY USER GROUP WORKING-FOLDER COMMAND…: as root.
folder=$1 repository=$2 user=$3 group=$4 place=$5
shift 5
cd "$folder"
root=$folder/bundle/rootfs

fail() {
    echo "image: $*" >&2
    cat daemon.log listen.log >&2 || true
    exit 1
}

wait_until() {
    for _ in $(seq 600); do
        if "$@"; then return; fi
        sleep 0.1
    done
    fail "never: $*"
}

[ "$user" != 0 ] && [ "$group" != 0 ] || fail "it runs as root"

# Engines make the mount points, and a new volume from the folder of the image, with its owner.
mkdir -p "$root/proc" "$root/dev"
cp -a "$root$place" volume
# The image's own config, with a hook.
cat "$root/etc/hooks/hooks.toml" - > hooks.toml << 'END'
[[hooks]]
id = "billing"
sink = { kind = "http", url = "http://127.0.0.1:9000/" }
END
chmod 755 . bundle "$root"
chmod 644 hooks.toml
token=$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')
echo "$token" > token
touch "$root/etc/hooks/token"
chmod 644 token

# Without the token it says what is missing.
contained() {
    setpriv --reuid="$user" --regid="$group" --clear-groups bwrap --unshare-all --die-with-parent --as-pid-1 \
        --cap-drop ALL --clearenv --setenv PATH /usr/bin "$@"
}
mounts="--ro-bind $root / --bind $folder/volume $place --proc /proc --dev /dev --chdir $place"
if contained $mounts "$@" > daemon.log 2>&1; then fail "it ran without a token"; fi
grep -q HOOKS_TOKEN daemon.log || fail "it does not ask for HOOKS_TOKEN"

contained --setenv HOOKS_TOKEN "$token" $mounts --ro-bind hooks.toml /etc/hooks/hooks.toml \
    --ro-bind token /etc/hooks/token --info-fd 3 "$@" \
    3> info > daemon.log 2>&1 &
container=$!
wait_until grep -q 'serving address=0.0.0.0:8080' daemon.log
pid=$(sed -n 's/.*"child-pid": *\([0-9]*\).*/\1/p' info)
# With the first process all others in there end.
trap 'kill -KILL "$pid" 2> /dev/null || true' EXIT
inside() {
    nsenter --target "$pid" --user --net --mount --pid --preserve-credentials "$@"
}

grep -q "^Uid:	$user	$user	$user	$user" /proc/$pid/status || fail "its user: $(grep ^Uid /proc/$pid/status)"
grep -q '^CapEff:	0000000000000000' /proc/$pid/status || fail "capabilities"
grep -q '^NoNewPrivs:	1' /proc/$pid/status || fail "new privileges"
grep -q ' / ro' /proc/$pid/mountinfo || fail "its root can be written to"
[ "$(inside hooks health -c /etc/hooks/hooks.toml)" = ready ] || fail "it is not ready"
# There are certificates: what fails is the connection.
inside hooks health --url https://127.0.0.1:9 2>&1 | grep -q 'refused' || fail "TLS: $(inside hooks health --url https://127.0.0.1:9 2>&1)"

inside hooks listen > listen.log 2>&1 &
listener=$!
wait_until grep -q 'listening at' listen.log
events=$repository/examples/github-events.ndjson
expected=$(wc -l < "$events")
inside hooks publish --to http://127.0.0.1:8080 --token-file /etc/hooks/token < "$events" 2> publish.log || fail "$(cat publish.log)"
kill -TERM "$pid"
wait $container || fail "it ended with $?"
# What it took, it delivered before it ended.
grep -Eq "^billing +$expected +$expected +0 +0 +0" daemon.log || fail "not all $expected events were delivered"
[ "$(grep -c '^    [A-Za-z]' listen.log)" = "$expected" ] || fail "$(grep -c '^    [A-Za-z]' listen.log) of $expected events arrived"
kill $listener 2> /dev/null || true
