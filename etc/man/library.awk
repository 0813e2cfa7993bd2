# library: the manual page of the client library, from its header: the comment at the top, types as
# they stand, and each function with the comment in front of it.
# Usage: awk -v date=... -f text.awk -f library.awk include/shm_client.h

function put(text)
{
    body[section] = body[section] text "\n"
}

function end_list()
{
    if (listed)
        put(".El")
    listed = 0
}

# The lines of a comment: paragraphs, "Term:   text", "  -errno   text" and code, four deep.
function prose(    i, text, term, deep, in_code, apart)
{
    for (i = 1; i <= lines; i++) {
        text = said[i]
        if (in_code && text !~ /^    / && text != "") {
            put(".Ed")
            in_code = 0
        }
        if (text == "") {
            if (!in_code)
                end_list()
            if (in_code)
                put("")
            apart = !in_code
        } else if (section == "DESCRIPTION" && match(text, /^(  -[A-Z0-9]+|[A-Z][a-z]+:) +/)) {
            if (!listed)
                put(".Bl -tag -width Ds")
            listed = 1
            apart = 0
            deep = RLENGTH
            term = substr(text, 1, RLENGTH)
            gsub(/^ +|:? +$/, "", term)
            put(".It " verbatim(term))
            put(plain(substr(text, deep + 1)))
        } else if (text ~ /^    / && !listed) {
            if (!in_code)
                put(".Bd -literal -offset indent")
            in_code = 1
            apart = 0
            put(verbatim(substr(text, 5)))
        } else {
            sub(/^ +/, "", text)
            if (apart)
                put(".Pp")
            apart = 0
            put(plain(text))
        }
    }
    if (in_code)
        put(".Ed")
    end_list()
    lines = 0
}

function quoted(text)
{
    gsub(/^ +| +$/, "", text)
    return "\"" text "\""
}

# int shmc_write(struct shmc *h, ...) as .Ft and .Fn.
function declaration(text,    name, type, args, count, i, fn)
{
    sub(/^ *SHMC_API +/, "", text)
    sub(/\) *;.*/, "", text)
    match(text, /[a-z0-9_]+\(/)
    type = substr(text, 1, RSTART - 1)
    name = substr(text, RSTART, RLENGTH - 1)
    count = split(substr(text, RSTART + RLENGTH), args, ",")
    sub(/ +$/, "", type)
    fn = name
    for (i = 1; i <= count; i++)
        fn = fn " " quoted(args[i])
    section = "SYNOPSIS"
    put(".Ft " quoted(type))
    put(".Fn " fn)
    section = "FUNCTIONS"
    put(".It Fn " fn)
}

BEGIN {
    section = "SYNOPSIS"
    put(".In shm_client.h")
    put(".Pp")
    put("cc ... \\-lshm\\-client")
}

/^\/\*.*\*\/$/ {
    lines = 0
    text = $0
    gsub(/^\/\* ?| ?\*\/$/, "", text)
    said[++lines] = text
    next
}
/^\/\*/ { in_comment = 1; lines = 0; next }
in_comment && /\*\/$/ {
    in_comment = 0
    if (!described++) {
        sub(/^[a-z_]+: /, "", said[1])
        said[1] = toupper(substr(said[1], 1, 1)) substr(said[1], 2)
        section = "DESCRIPTION"
        prose()
    }
    next
}
in_comment { sub(/^ \* ?/, ""); said[++lines] = $0; next }

/^#define SHMC_API/ { next }
/^(SHMC_API|enum|struct) .*[({]$|^SHMC_API/ {
    if ($0 !~ /^SHMC_API/) {
        section = "TYPES"
        if (lines) {
            if (body[section] != "")
                put(".Pp")
            prose()
        }
        put(".Bd -literal")
        in_type = 1
    } else {
        text = ""
        in_function = 1
    }
}
in_type {
    put(verbatim($0))
    if (/^};/) {
        put(".Ed")
        in_type = 0
    }
    next
}
in_function {
    text = text $0
    gsub(/  +/, " ", text)
    if (/;$/) {
        in_function = 0
        declaration(text)
        section = "FUNCTIONS"
        if (lines)
            prose()
    }
    next
}
/^ *$/ { next }
/^#define [A-Z]/ { lines = 0 }

END {
    page_head("shm_client", 3, "write events into a ring in shared memory")
    printf ".Sh SYNOPSIS\n%s", body["SYNOPSIS"]
    printf ".Sh DESCRIPTION\n%s", body["DESCRIPTION"]
    printf ".Ss Types\n%s", body["TYPES"]
    printf ".Ss Functions\n.Bl -tag -width Ds\n%s.El\n", body["FUNCTIONS"]
    print ".Sh SEE ALSO"
    print ".Xr hydrant 1 ,"
    print ".Xr hydrant-agent 1"
}
