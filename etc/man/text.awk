# text: what the makers of manual pages share: words as mdoc wants them.

# Nothing of it is taken for a macro or an escape; `code` is bold; a sentence begins a line.
function plain(text)
{
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    while (match(text, /`[^`]*`/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fR" \
               substr(text, RSTART + RLENGTH)
    gsub(/[.] +/, ".\n", text)
    gsub(/\n[.']/, "\n\\\\\\&&", text)
    sub(/\n$/, "", text)
    return text ~ /^[.']/ ? "\\&" text : text
}

# The same where lines stay as they are.
function verbatim(text)
{
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text ~ /^[.']/ ? "\\&" text : text
}

function page_head(name, section, summary)
{
    print ".Dd " date
    print ".Dt " toupper(name) " " section
    print ".Os"
    print ".Sh NAME"
    print ".Nm " name
    print ".Nd " plain(summary)
}
