# command: the manual page of a command, from what `hydrant help COMMAND` prints:
#
#   usage: hydrant NAME ...        SYNOPSIS
#   paragraphs                     DESCRIPTION
#     TERM  text                   lists: two spaces or more behind the term, which may stand at
#                                  the margin, too
#   Exit code: ...                 EXIT STATUS
#     lines                        EXAMPLES: indented, without terms, behind the exit code
#
# pages are those of all commands, for the page of `hydrant` itself.
# Usage: awk -v name=hydrant-send -v summary=... -v pages=... -v date=... -f text.awk -f command.awk

function put(text)
{
    body[section] = body[section] text "\n"
}

# Options bold, what stands for something else italic.
function marked(text,    words, count, i, out, head, tail)
{
    count = split(verbatim(text), words, / +/)
    for (i = 1; i <= count; i++) {
        head = tail = ""
        if (match(words[i], /^[[(]+/)) {
            head = substr(words[i], 1, RLENGTH)
            words[i] = substr(words[i], RLENGTH + 1)
        }
        if (match(words[i], /[]),.]+$/)) {
            tail = substr(words[i], RSTART)
            words[i] = substr(words[i], 1, RSTART - 1)
        }
        if (words[i] ~ /^\\-/)
            words[i] = "\\fB" words[i] "\\fR"
        else if (words[i] ~ /^[A-Z][A-Z:,|[]*$/)
            words[i] = "\\fI" words[i] "\\fR"
        out = out (i > 1 ? " " : "") head words[i] tail
    }
    return out
}

function synopsis(    i, text, begun)
{
    for (i = 1; i <= lines; i++) {
        text = line[i]
        sub(/^(usage:)? +/, "", text)
        if (text ~ /^hydrant / && begun++)
            put(".Pp")
        put(marked(text))
    }
}

# Bytes in front of a term's text, 0 where there is no term.
function term_length(text)
{
    return match(text, /^(  )?[^ ]+( +[^ ]+)*  +/) && length(text) > RLENGTH ? RLENGTH : 0
}

function is_list(    i, margin)
{
    margin = line[1] ~ /^  / ? 2 : 0
    for (i = 1; i <= lines; i++)
        if (substr(line[i], margin + 1, 1) != " " && !term_length(line[i]))
            return 0
    return margin || lines == 1 || line[2] ~ /^  / || term_length(line[2])
}

function list(    i, length_of, margin, term)
{
    margin = line[1] ~ /^  / ? 2 : 0
    put(".Bl -tag -width Ds")
    for (i = 1; i <= lines; i++) {
        length_of = substr(line[i], margin + 1, 1) == " " ? 0 : term_length(line[i])
        if (length_of) {
            term = substr(line[i], 1, length_of)
            gsub(/^ +| +$/, "", term)
            gsub(/  +/, " ", term)
            put(".It " marked(term))
            put(plain(substr(line[i], length_of + 1)))
        } else {
            sub(/^ +/, "", line[i])
            put(plain(line[i]))
        }
    }
    put(".El")
}

function literal(    i)
{
    put(".Bd -literal -offset indent")
    for (i = 1; i <= lines; i++)
        put(verbatim(substr(line[i], 3)))
    put(".Ed")
}

function paragraph(    i)
{
    if (body[section] != "")
        put(".Pp")
    for (i = 1; i <= lines; i++)
        put(plain(line[i]))
}

function block()
{
    if (!lines)
        return
    if (section == "") {
        section = "SYNOPSIS"
        synopsis()
        section = "DESCRIPTION"
    } else if (line[1] ~ /^[Ee]xit codes?:/) {
        section = "EXIT STATUS"
        sub(/^[^:]*: */, "", line[1])
        line[1] = toupper(substr(line[1], 1, 1)) substr(line[1], 2)
        paragraph()
    } else if (is_list()) {
        list()
    } else if (line[1] ~ /^  /) {
        if (section == "EXIT STATUS")
            section = "EXAMPLES"
        literal()
    } else {
        paragraph()
    }
    lines = 0
}

function environment(    names, count, i)
{
    meaning["HYDRANT_SHM_DIR"] = "The directory of the rings, unless an option names one."
    meaning["HYDRANT_HTTP"] = "Where the agent is asked, unless an option says it."
    meaning["HYDRANT_TOKEN"] = "The agent's bearer token."
    meaning["NO_COLOR"] = "If it is set and not empty, output has no colours."
    count = split("HYDRANT_SHM_DIR HYDRANT_HTTP HYDRANT_TOKEN NO_COLOR", names)
    section = "ENVIRONMENT"
    for (i = 1; i <= count; i++) {
        if (!index(everything, names[i]))
            continue
        if (body[section] == "")
            put(".Bl -tag -width Ds")
        put(".It Ev " names[i])
        put(meaning[names[i]])
    }
    if (body[section] != "")
        put(".El")
}

{ everything = everything $0 "\n" }
/^ *$/ { block(); next }
{ line[++lines] = $0 }

END {
    block()
    environment()
    page_head(name, 1, summary)
    count = split("SYNOPSIS,DESCRIPTION,ENVIRONMENT,EXIT STATUS,EXAMPLES", order, ",")
    for (i = 1; i <= count; i++)
        if (body[order[i]] != "")
            printf ".Sh %s\n%s", order[i], body[order[i]]
    print ".Sh SEE ALSO"
    if (name != "hydrant")
        print ".Xr hydrant 1 ,"
    count = split(name == "hydrant" ? pages : "hydrant-agent", others)
    for (i = 1; i <= count; i++)
        if (others[i] != name)
            print ".Xr " others[i] " 1 ,"
    print ".Xr shm_client 3 ,"
    print ".Xr hydrant.ini 5"
}
