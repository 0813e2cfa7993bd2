"""script: which request meets which fault.

A script has a queue, whose first entry that fits is used up, and faults that come at random from a
seed. An entry or fault is {"fault": NAME} and, as wanted:

    "op"            only for this operation (PutObject, PutRecordBatch, ...)
    "times"         of an entry: so often (default 1)
    "probability"   of a random fault: 0 to 1
    "retry_after"   seconds, as a Retry-After header
    "records"       of partial: indexes that fail; default: every second one
    "pause"         of drip: seconds between two bytes (default 0.01)

before anything is read:    reset_before  hang
while the body is read:     reset_during
after it, nothing stored:   500  502  503  504  throttle  expired  skewed  409  412  501  403  404
                            reset_after  200_error (an error with status 200)
stored, then:               stored_500  stored_503  stored_reset  stored_hang  stored_200_error
                            drip (the answer byte by byte)  cut (its body ends half-way)
                            partial (some records of a batch are refused)
"""
import random

# Name: status, code of S3, code of Firehose.
ERRORS = {
    "500": (500, "InternalError", "InternalFailure"),
    "502": (502, "", ""),
    "503": (503, "SlowDown", "ServiceUnavailableException"),
    "504": (504, "", ""),
    "throttle": (503, "RequestLimitExceeded", "LimitExceededException"),
    "expired": (400, "ExpiredToken", "ExpiredTokenException"),
    "skewed": (403, "RequestTimeTooSkewed", "InvalidSignatureException"),
    "409": (409, "ConditionalRequestConflict", "ResourceInUseException"),
    "412": (412, "PreconditionFailed", "InvalidArgumentException"),
    "501": (501, "NotImplemented", "UnknownOperationException"),
    "403": (403, "AccessDenied", "AccessDeniedException"),
    "404": (404, "NoSuchUpload", "ResourceNotFoundException"),
}
STORED = ("stored_500", "stored_503", "stored_reset", "stored_hang", "stored_200_error", "drip",
          "cut", "partial")
# At random these do not come to what only reads: services answer them to what changes something, or
# say them in a body, which HEAD has not.
OF_WRITES = {"409", "412", "501", "200_error", "stored_200_error", "expired", "skewed"}
READS = {"HeadObject", "ListMultipartUploads", "ListObjectsV2", "GetObject"}
NAMES = {*ERRORS, *STORED, "reset_before", "hang", "reset_during", "reset_after", "200_error"}


class Script:
    def __init__(self):
        self.queue, self.random, self.draw = [], [], random.Random(1)

    def set(self, wanted):
        """{"queue": [...]} adds to the queue, {"random": [...], "seed": N} replaces the other."""
        for fault in wanted.get("queue", []) + wanted.get("random", []):
            if fault.get("fault") not in NAMES:
                raise ValueError("no such fault: %s" % fault.get("fault"))
        self.queue += [dict(fault) for fault in wanted.get("queue", [])]
        if "random" in wanted:
            self.random = wanted["random"]
            self.draw = random.Random(wanted.get("seed", 1))

    def next(self, operation):
        """The fault for this request, or {}."""
        for i, fault in enumerate(self.queue):
            if fault.get("op", operation) == operation:
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] == 0:
                    del self.queue[i]
                return fault
        for fault in self.random:
            if operation in READS and fault["fault"] in OF_WRITES:
                continue
            if fault.get("op", operation) == operation:
                if self.draw.random() < fault["probability"]:
                    return fault
        return {}
