# inside.sh PORT: as root, with the machine's files, of which none is changed.
port=$1
address=http://127.0.0.1:$port
cd /mnt/hooks

fail() {
    echo "package: $*" >&2
    cat daemon.log >&2 || true
    exit 1
}

wait_until() {
    for _ in $(seq 600); do
        if "$@"; then return; fi
        sleep 0.1
    done
    fail "never: $*"
}

# As the unit says, as far as that can be done without systemd.
start() {
    unshare --mount --propagation private sh -eu -c '
        mount --bind /var/lib/hooks /var/lib/hooks
        mount -o remount,bind,ro /
        exec setpriv --reuid=hooks --regid=hooks --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
            /usr/bin/hooks serve -c /etc/hooks/hooks.toml' > daemon.log 2>&1 &
    daemon=$!
    wait_until grep -q 'serving address' daemon.log
}

stop() {
    kill -TERM $daemon
    wait $daemon || fail "the daemon ended with $?"
}

install() {
    apt-get install --quiet --yes --no-install-recommends --allow-downgrades "$1" || fail "apt-get install $1"
}

install ./old.deb
id hooks
[ "$(stat -c '%U %G %a' /var/lib/hooks)" = "hooks hooks 750" ] || fail "/var/lib/hooks: $(stat /var/lib/hooks)"
[ "$(stat -c '%U %G %a' /etc/hooks/hooks.toml)" = "root hooks 640" ] || fail "$(stat /etc/hooks/hooks.toml)"
[ "$(stat -c '%U %G %a' /etc/hooks/admin.token)" = "root hooks 640" ] || fail "$(stat /etc/hooks/admin.token)"
for file in man/man1/hooks.1.gz man/man1/hooks-serve.1.gz bash-completion/completions/hooks doc/hooks/THIRD-PARTY.gz \
    doc/hooks/hooks.cdx.json.gz doc/hooks/docs/operations.md.gz; do
    [ -s /usr/share/$file ] || fail "/usr/share/$file is missing"
done
[ -L /etc/systemd/system/multi-user.target.wants/hooks.service ] || fail "the service is not enabled"
hooks check --for serve -c /etc/hooks/hooks.toml

# A hook that fails until its folder is there, and a port that is free here.
sed -i "s/127.0.0.1:8080/127.0.0.1:$port/" /etc/hooks/hooks.toml
cat >> /etc/hooks/hooks.toml << 'END'
[[hooks]]
id = "late"
sink = { kind = "file", path = "/var/lib/hooks/out/events.jsonl" }
END
token=$(cat /etc/hooks/admin.token)
start
pid=$(pgrep -u hooks -x hooks)
grep -q '^NoNewPrivs:	1' /proc/$pid/status || fail "new privileges"
grep -q '^CapBnd:	0000000000000000' /proc/$pid/status || fail "capabilities"
grep -q " / / ro" /proc/$pid/mountinfo || fail "its root can be written to"

# Upgraded while events come; they are published again where the daemon is away.
expected=$(wc -l < events.ndjson)
hooks publish --to "$address" --token-file /etc/hooks/admin.token --rate 20 --batch 5 < events.ndjson > publish.log 2>&1 &
publisher=$!
wait_until sh -c "hooks status --url $address --token-file /etc/hooks/admin.token | grep -q late"
stop
kill -0 $publisher || fail "nothing is published any more"
install ./new.deb
dpkg-query --show hooks | grep -q 'old+new' || fail "it was not upgraded"
[ "$(cat /etc/hooks/admin.token)" = "$token" ] || fail "the token has changed"
grep -q '"late"' /etc/hooks/hooks.toml || fail "the config was replaced"
mkdir /var/lib/hooks/out
chown hooks:hooks /var/lib/hooks/out
start
wait $publisher || fail "publishing: $(cat publish.log)"
arrived() { [ -e /var/lib/hooks/out/events.jsonl ] && [ "$(sort -u /var/lib/hooks/out/events.jsonl | wc -l)" = "$expected" ]; }
wait_until arrived
[ "$(wc -l < /var/lib/hooks/out/events.jsonl)" = "$expected" ] || fail "events came twice"

# Where the other version could not use the config, the daemon goes on. What stands for systemd here knows its process.
rm -f /usr/sbin/policy-rc.d /usr/bin/systemctl
cat > /usr/bin/systemctl << 'END'
#!/bin/sh
if [ "$1" = show ]; then pgrep -u hooks -x hooks; else echo "$@" >> /mnt/hooks/told; fi
END
chmod 755 /usr/bin/systemctl
mkdir -p /run/systemd/system
pid=$(pgrep -u hooks -x hooks)
cp -p /etc/hooks/hooks.toml hooks.toml
echo 'nonsense = 1' >> /etc/hooks/hooks.toml
install ./old.deb > other.log 2>&1
grep -q 'unknown field `nonsense`' other.log || fail "it does not say what is wrong: $(cat other.log)"
grep -q 'hooks.service was not restarted' other.log || fail "it does not say what was not done: $(cat other.log)"
if grep -q restart told; then fail "a daemon was restarted that would not start: $(cat told)"; fi
kill -0 "$pid" || fail "the daemon is gone"
cp -p hooks.toml /etc/hooks/hooks.toml
dpkg --install new.deb
grep -q 'restart.* hooks.service' told || fail "the daemon was not restarted: $(cat told)"
rm -r /run/systemd/system
stop

apt-get remove --quiet --yes hooks
[ ! -e /usr/bin/hooks ] || fail "the program is still there"
[ -e /etc/hooks/hooks.toml ] && [ -d /var/lib/hooks ] || fail "removing took config or events away"
# A folder may be a disk of its own.
mount -t tmpfs tmpfs /var/log/hooks
mkdir -p /var/log/hooks/a/b
touch /var/log/hooks/a/b/c /var/log/hooks/.d
apt-get purge --quiet --yes hooks || fail "it was not purged"
[ -z "$(ls -A /var/log/hooks)" ] || fail "logs are left: $(ls -A /var/log/hooks)"
umount /var/log/hooks
rmdir /var/log/hooks
for path in /etc/hooks /var/lib/hooks /etc/systemd/system/multi-user.target.wants/hooks.service; do
    [ ! -e $path ] && [ ! -L $path ] || fail "$path is left after purging"
done
