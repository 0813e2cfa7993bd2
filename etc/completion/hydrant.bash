# Completion of hydrant's command line in bash. Commands and options are asked of the program, so
# they are those of the version that is installed; rings are those of this host.

# What a command's help offers: the words that begin the rows of its list of commands.
_hydrant_commands()
{
    "$@" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p'
}

# Behind the exit codes are examples, with options of other programs.
_hydrant_options()
{
    "$@" --help 2>/dev/null | sed '/^[Ee]xit code/q' |
        grep -oE '(^|[^-[:alnum:]])--?[a-z][a-z-]*' | grep -oE -e '-.*' | sort -u
    echo --help
}

# The value of an option: true where it has one.
_hydrant_value()
{
    case $1 in
        -c | --config | --unix)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
        --data-dir | --shm-dir)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
        --ring)
            mapfile -t COMPREPLY < <(compgen -W "$(_hydrant_rings)" -- "$2") ;;
        --http | --tcp | --timeout | --interval | --seconds | --ring-bytes | --stream | --type | \
            --from | --to)
            COMPREPLY=() ;;
        *)
            return 1 ;;
    esac
}

_hydrant_rings()
{
    "${COMP_WORDS[0]}" ring ls 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_hydrant()
{
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} now=${COMP_WORDS[COMP_CWORD]} words=

    if [ "$COMP_CWORD" -eq 1 ]; then
        words="$(_hydrant_commands "$program") --help --version"
    elif _hydrant_value "${COMP_WORDS[COMP_CWORD - 1]}" "$now"; then
        return
    elif [ "$command" = wal ] && [ "$COMP_CWORD" -gt 2 ] && [[ $now == -* ]]; then
        words=$(_hydrant_options "$program" wal "${COMP_WORDS[2]}")
    elif [[ $now == -* ]]; then
        words=$(_hydrant_options "$program" "$command")
    elif [ "$COMP_CWORD" -eq 2 ]; then
        case $command in
            help) words="$(_hydrant_commands "$program") metrics" ;;
            wal) words=$(_hydrant_commands "$program" wal) ;;
            ring) words='ls show' ;;
        esac
    elif [ "$command ${COMP_WORDS[2]}" = 'ring show' ]; then
        words=$(_hydrant_rings)
    fi
    if [ -z "$words" ]; then
        case $command in
            check | send | wal)
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$now") ;;
        esac
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$now")
}

complete -F _hydrant hydrant
