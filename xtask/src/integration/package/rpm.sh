# rpm.sh PORT: as root, with the machine's files, of which none is changed.
port=$1
cd /mnt/hooks

fail() {
    echo "rpm: $*" >&2
    cat daemon.log >&2 || true
    exit 1
}

# The machine has another package manager's libraries.
rpm() {
    command rpm --force-debian --nodeps "$@"
}

owner() {
    stat -c '%U %G %a' "$1"
}

rpm --install old.rpm || fail "it was not installed"
id hooks
for path in /etc/hooks/hooks.toml /etc/hooks/admin.token; do
    [ "$(owner $path)" = "root hooks 640" ] || fail "$path: $(owner $path)"
done
[ "$(owner /var/lib/hooks)" = "hooks hooks 750" ] || fail "/var/lib/hooks: $(owner /var/lib/hooks)"
hooks check --for serve -c /etc/hooks/hooks.toml
for file in man/man1/hooks.1.gz bash-completion/completions/hooks zsh/site-functions/_hooks doc/hooks/THIRD-PARTY.gz \
    doc/hooks/hooks.cdx.json.gz licenses/hooks/LICENSE; do
    [ -s /usr/share/$file ] || fail "/usr/share/$file is missing"
done
token=$(cat /etc/hooks/admin.token)

# It runs as its user; what it took is there for the one after it.
sed -i "s/127.0.0.1:8080/127.0.0.1:$port/" /etc/hooks/hooks.toml
setpriv --reuid=hooks --regid=hooks --clear-groups hooks serve -c /etc/hooks/hooks.toml > daemon.log 2>&1 &
daemon=$!
for _ in $(seq 300); do
    if hooks health -c /etc/hooks/hooks.toml; then break; fi
    sleep 0.1
done
hooks publish --to "http://127.0.0.1:$port" --token-file /etc/hooks/admin.token < events.ndjson || fail "publishing"
kill -TERM $daemon
wait $daemon || fail "the daemon ended with $?"

rpm --upgrade new.rpm || fail "it was not upgraded"
command rpm --query hooks | grep -q "old+new" || fail "it was not upgraded: $(command rpm --query hooks)"
[ "$(cat /etc/hooks/admin.token)" = "$token" ] || fail "the token has changed"
grep -q "127.0.0.1:$port" /etc/hooks/hooks.toml || fail "the config was replaced"
[ "$(owner /etc/hooks/hooks.toml)" = "root hooks 640" ] || fail "hooks.toml: $(owner /etc/hooks/hooks.toml)"
hooks log info --dir /var/lib/hooks | grep -Eq "^end +$(wc -l < events.ndjson)$" || fail "events: $(hooks log info --dir /var/lib/hooks)"

rpm --erase hooks || fail "it was not removed"
[ ! -e /usr/bin/hooks ] && [ ! -e /usr/share/doc/hooks ] || fail "the program is still there"
[ -e /etc/hooks/hooks.toml.rpmsave ] && [ -d /var/lib/hooks ] || fail "removing took config or events away"
rm -r /etc/hooks /var/lib/hooks /var/log/hooks
