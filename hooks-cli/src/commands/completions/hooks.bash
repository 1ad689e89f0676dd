
# The names of hooks, where one is expected. They hold nothing that a shell reads.
_hooks_or_names() {
    local names
    names=$(hooks __hooks --line "${COMP_LINE:0:$COMP_POINT}" 2>/dev/null)
    if [[ -n "$names" ]]; then
        COMPREPLY=($names)
    else
        _hooks "$@"
    fi
}

complete -F _hooks_or_names -o bashdefault -o default hooks
