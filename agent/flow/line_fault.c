/*
 * line_fault: names and words.
 * Owns:   nothing.
 * Thread: any.
 */
#include "flow/line_fault.h"

const char *const line_fault_names[LINE_FAULT_COUNT] = {
    [LINE_NO_STREAM] = "no_stream", [LINE_BAD_NAME] = "bad_name", [LINE_TOO_LONG] = "too_long",
    [LINE_CUT] = "cut",             [LINE_NO_ROOM] = "no_room",   [LINE_DAMAGED] = "damaged",
    [LINE_UNKNOWN_STREAM] = "unknown_stream",
};

const char *const line_fault_words[LINE_FAULT_COUNT] = {
    [LINE_NO_STREAM] = "the line names no stream",
    [LINE_BAD_NAME] = "what stands before the first space is not a stream's name",
    [LINE_TOO_LONG] = "the line is longer than [intake] line_bytes_max",
    [LINE_CUT] = "the connection broke off in the middle of the line",
    [LINE_NO_ROOM] = "streams_max or streams_per_uid_max leaves no room for its stream",
    [LINE_UNKNOWN_STREAM] = "its stream is not configured, and auto_create_streams is no",
    [LINE_DAMAGED] = "compressed, and damaged or cut off",
};
_Static_assert(LINE_FAULT_COUNT == 7, "each reason has a name and words");
