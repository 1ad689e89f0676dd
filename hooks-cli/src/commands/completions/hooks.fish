
# The names of hooks, where one is expected.
function __hooks_names
    hooks __hooks (commandline -opc) "$(commandline -ct)" 2>/dev/null
end

complete -c hooks -n 'count (__hooks_names) > /dev/null' -f -a '(__hooks_names)'
