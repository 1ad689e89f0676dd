# False, and says why, where a daemon runs that this version could not take the place of. It is asked with the daemon's
# environment, which the config may have variables of.
is_usable() {
    pid=$(systemctl show --property=MainPID --value hooks.service) || return 0
    if [ "${pid:-0}" = 0 ]; then return 0; fi
    # By stdin: arguments are everybody's to read.
    why=$(sed -z "/^[A-Za-z_][A-Za-z0-9_]*=/!d; s/'/'\\\\''/g; s/=/='/; s/^/export /; s/\$/'/" "/proc/$pid/environ" |
        tr '\0' '\n' | env -i sh -c '. /dev/stdin; exec /usr/bin/hooks check --for serve -c /etc/hooks/hooks.toml' 2>&1) &&
        return 0
    echo "$why" >&2
    echo "hooks.service was not restarted: the version before still runs, and this one would not start." >&2
    echo "Change what is named above, then: systemctl restart hooks.service" >&2
    return 1
}
