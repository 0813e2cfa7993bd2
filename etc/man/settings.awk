# settings: the manual page of the configuration file, from etc/hydrant.ini, which shows every key
# with its default and has a comment on each. Usage: awk -v date=... -f text.awk -f this FILE

function close_list()
{
    if (listed)
        print ".El"
    listed = 0
}

function comment(    i)
{
    for (i = 1; i <= lines; i++)
        print said[i] == "" ? ".Pp" : plain(said[i])
    lines = 0
}

BEGIN {
    page_head("hydrant.ini", 5, "configuration of the Hydrant agent")
    print ".Sh DESCRIPTION"
}

/^#?\[/ {
    close_list()
    sub(/^#/, "")
    print (headed++ ? "" : ".Sh SECTIONS AND KEYS\n") ".Ss " verbatim($0)
    next
}

# A key shown with its default; the comment is what stood in front of it.
/^#[a-z][a-z0-9_]* =/ {
    if (!listed)
        print ".Bl -tag -width Ds"
    listed = 1
    key = value = substr($0, 2)
    sub(/ =.*/, "", key)
    sub(/^[^=]*= ?/, "", value)
    print ".It \\fB" verbatim(key) "\\fR = " (value == "" ? "(none)" : verbatim(value))
    comment()
    next
}

/^#/ {
    text = $0
    sub(/^# ?/, "", text)
    said[++lines] = text
    next
}

# A comment that no key follows is of all that comes.
/^ *$/ && lines {
    close_list()
    if (headed)
        print ".Pp"
    comment()
}

END {
    close_list()
    print ".Sh SEE ALSO"
    print ".Xr hydrant 1 ,"
    print ".Xr hydrant-agent 1 ,"
    print ".Xr hydrant-check 1"
}
