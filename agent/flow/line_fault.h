/*
 * line_fault: why a line that came by a socket is no event. Pure.
 */
#ifndef FLOW_LINE_FAULT_H
#define FLOW_LINE_FAULT_H

enum line_fault {
    LINE_NO_STREAM,             /* no space, or nothing in front of it */
    LINE_BAD_NAME,              /* what stands there is not a stream's name */
    LINE_TOO_LONG,
    LINE_CUT,                   /* the stream of bytes broke off in the middle of it */
    LINE_NO_ROOM,               /* its stream cannot be made */
    LINE_UNKNOWN_STREAM,        /* and is not to be, by auto_create_streams = no */
    LINE_DAMAGED,               /* not a line: a datagram, or the rest of a stream, compressed */
    LINE_FAULT_COUNT
};
extern const char *const line_fault_names[LINE_FAULT_COUNT];   /* "no_stream", ... */
extern const char *const line_fault_words[LINE_FAULT_COUNT];   /* for people */

#endif
