# False, and says why, where a daemon runs that this version could not take the place of. It is asked with the daemon's
# environment, which the config may have variables of.
is_usable() {
    pid=$(systemctl show --property=MainPID --value hooks.service) || return 0
    if [ "${pid:-0}" = 0 ]; then return 0; fi
    # Within the quotes, $@ is what xargs reads.
    # shellcheck disable=SC2016
    why=$(xargs --null --arg-file="/proc/$pid/environ" sh -c \
        'exec env -i "$@" /usr/bin/hooks check --for serve -c /etc/hooks/hooks.toml' sh 2>&1) && return 0
    echo "$why" >&2
    echo "hooks.service was not restarted: the version before still runs, and this one would not start." >&2
    echo "Change what is named above, then: systemctl restart hooks.service" >&2
    return 1
}
