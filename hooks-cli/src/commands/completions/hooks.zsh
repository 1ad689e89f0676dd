# The names of hooks, where one is expected; else commands and options.
_hooks() {
    local -a names
    names=(${(f)"$(hooks __hooks "${(@Q)words[1,CURRENT]}" 2>/dev/null)"})
    if (( $#names )); then
        compadd -a names
    else
        _hooks_options "$@"
    fi
}
