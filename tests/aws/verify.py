"""verify: is a request signed by who it says, and its body what it says? By botocore's signer.

A request is canonicalised from what was received, as AWS does it: path and query are decoded and
encoded again. Of headers only those count that the signature names.
"""
import base64
import binascii
import calendar
import hashlib
import hmac
import re
import time
from urllib.parse import quote, unquote_to_bytes

import crcmod.predefined
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

SKEW_S = 900
UNSIGNED = "UNSIGNED-PAYLOAD"
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 +Credential=([^/, ]+)/(\d{8})/([^/, ]+)/([^/, ]+)/"
                           r"aws4_request, *SignedHeaders=([^, ]+), *Signature=([0-9a-f]{64})$")

crc32c = crcmod.predefined.mkPredefinedCrcFun("crc-32c")


class Refused(Exception):
    """An error answer: status, AWS error code, text."""

    def __init__(self, status, code, message="", headers=None):
        super().__init__("%d %s: %s" % (status, code, message))
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}


def received(signer):
    """The signer, taking the request's headers as they are."""

    class Received(signer):
        def headers_to_sign(self, request):
            return request.signed

    return Received


SIGNERS = {"s3": received(S3SigV4Auth), "firehose": received(SigV4Auth)}


def canonical_query(query):
    pairs = []
    for piece in query.split("&") if query else []:
        name, _, value = piece.partition("=")
        pairs.append("=".join(quote(unquote_to_bytes(text), safe="-_.~") for text in (name, value)))
    return "&".join(pairs)


def signature(call, keys, parts):
    """What the signature should be. call: method, path, query, headers, body."""
    _, _, region, service, names, _ = parts
    path = quote(unquote_to_bytes(call.path), safe="/-_.~") if service == "s3" else call.path
    request = AWSRequest(method=call.method, data=call.body,
                         url="http://host" + path + "?" + canonical_query(call.query))
    signed = HTTPHeaders()
    for name in names.split(";"):
        values = call.headers.get_all(name)
        if values is None:
            raise Refused(403, "SignatureDoesNotMatch", "no header '%s', which is signed" % name)
        for value in values:
            signed[name] = value.encode("latin-1").decode("utf-8", "surrogateescape")
    request.signed = signed
    if "x-amz-content-sha256" in call.headers:
        request.headers["X-Amz-Content-SHA256"] = call.headers["x-amz-content-sha256"]
    request.context["timestamp"] = call.headers["x-amz-date"]
    signer = SIGNERS[service](Credentials(keys.access, keys.secret), service, region)
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)),
                            request)


def check_time(call):
    try:
        sent = calendar.timegm(time.strptime(call.headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused(403, "AccessDenied", "no X-Amz-Date") from None
    if abs(sent - time.time()) > SKEW_S:
        raise Refused(403, "RequestTimeTooSkewed", "the clocks differ too much")


def check_signature(call, keys, service):
    found = AUTHORIZATION.match(call.headers.get("authorization", ""))
    if found is None:
        raise Refused(403, "AccessDenied", "no valid Authorization header")
    parts = found.groups()
    access, day, region, asked, names, given = parts
    check_time(call)
    if access in keys.expired and access != keys.access:
        raise Refused(400, "ExpiredToken", "these keys have expired")
    if access != keys.access:
        raise Refused(403, "InvalidAccessKeyId", "no such key")
    if call.headers.get("x-amz-security-token", "") != keys.token:
        raise Refused(400, "InvalidToken", "not the token of that key")
    if (day, region, asked) != (call.headers["x-amz-date"][:8], keys.region, service):
        raise Refused(400, "AuthorizationHeaderMalformed", "wrong day, region or service")
    must = {"host"} | {name.lower() for name in call.headers if name.lower().startswith("x-amz-")}
    if not must <= set(names.split(";")):
        raise Refused(403, "AccessDenied", "not signed: " + ", ".join(must - set(names.split(";"))))
    if not hmac.compare_digest(signature(call, keys, parts), given):
        raise Refused(403, "SignatureDoesNotMatch", "the signature is another one")


def decoded(text, length, what):
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        value = b""
    if len(value) != length:
        raise Refused(400, "InvalidDigest" if length == 16 else "InvalidRequest", what)
    return value


def check_body(call):
    """Every digest that the headers name."""
    given = call.headers.get("x-amz-content-sha256")
    if given not in (None, UNSIGNED) and given != hashlib.sha256(call.body).hexdigest():
        raise Refused(400, "XAmzContentSHA256Mismatch", "the body has another SHA-256")
    if "content-md5" in call.headers:
        if decoded(call.headers["content-md5"], 16, "Content-MD5") != hashlib.md5(
                call.body).digest():
            raise Refused(400, "BadDigest", "the body has another MD5")
    if "x-amz-checksum-crc32c" in call.headers:
        if decoded(call.headers["x-amz-checksum-crc32c"], 4, "x-amz-checksum-crc32c") != crc32c(
                call.body).to_bytes(4, "big"):
            raise Refused(400, "BadDigest", "the body has another CRC-32C")
