"""s3: buckets in memory, bodies in files. Each operation takes a call and answers, or refuses.

Limits are those of S3: part sizes, order and number of parts, one PutObject up to 5 GiB.
"""
import hashlib
import os
import time
import xml.etree.ElementTree as tree
from urllib.parse import unquote
from xml.sax.saxutils import escape

from verify import Refused

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
PART_BYTES_MIN = 5 << 20
PUT_BYTES_MAX = 5 << 30
PARTS_MAX = 10000
KEPT_HEADERS = ("content-type", "x-amz-storage-class", "x-amz-server-side-encryption",
                "x-amz-server-side-encryption-aws-kms-key-id")


class Answer:
    def __init__(self, status=200, headers=None, body=b""):
        self.status, self.headers, self.body = status, headers or {}, body


def document(name, inner):
    """An answer of XML. inner: (element, text or list of such pairs), in order."""
    def element(tag, value):
        if isinstance(value, list):
            return "<%s>%s</%s>" % (tag, "".join(element(*pair) for pair in value), tag)
        return "<%s>%s</%s>" % (tag, escape(str(value)), tag)

    body = element(name, inner).replace("<" + name, '<%s xmlns="%s"' % (name, NAMESPACE), 1)
    text = '<?xml version="1.0" encoding="UTF-8"?>\n' + body
    return Answer(200, {"Content-Type": "application/xml"}, text.encode())


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


class Object:
    def __init__(self, key, headers, path, size, etag):
        self.key, self.headers, self.path, self.size, self.etag = key, headers, path, size, etag
        self.time = time.time()


class Upload:
    def __init__(self, bucket, key, upload_id, headers, checksum):
        self.bucket, self.key, self.id, self.headers = bucket, key, upload_id, headers
        self.checksum = checksum    # the algorithm, "" if none
        self.time = time.time()
        self.parts = {}             # number: Part


class Part:
    def __init__(self, path, size, etag, checksum):
        self.path, self.size, self.etag, self.checksum = path, size, etag, checksum


class S3:
    def __init__(self, directory, ledger, buckets):
        self.directory, self.ledger = directory, ledger
        self.buckets = {name: {} for name in buckets}
        self.uploads = {}
        self.files = 0
        os.makedirs(os.path.join(directory, "bodies"), exist_ok=True)

    # ------------------------------------------------------------------------------ what is asked

    def locate(self, call):
        """Bucket, by host or path, and key."""
        path = unquote(call.path)
        label = call.headers.get("host", "").partition(".")[0]
        if label in self.buckets and "." in call.headers.get("host", ""):
            return label, path[1:]
        bucket, _, key = path[1:].partition("/")
        return bucket, key

    def operation(self, call):
        """The name of what is asked, for scripts and the ledger."""
        _, key = self.locate(call)
        query = call.parameters
        if not key:
            return ("ListMultipartUploads" if "uploads" in query else
                    "ListObjectsV2" if call.method == "GET" else "HeadBucket")
        if "uploadId" in query:
            return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload",
                    "DELETE": "AbortMultipartUpload", "GET": "ListParts"}.get(call.method, "")
        if "uploads" in query:
            return "CreateMultipartUpload"
        return {"PUT": "PutObject", "HEAD": "HeadObject", "GET": "GetObject",
                "DELETE": "DeleteObject"}.get(call.method, "")

    def perform(self, call, operation):
        bucket, key = self.locate(call)
        if bucket not in self.buckets:
            raise Refused(404, "NoSuchBucket", bucket)
        if len(key.encode()) > 1024:
            raise Refused(400, "KeyTooLongError")
        does = getattr(self, "do_" + operation, None)
        if does is None:
            raise Refused(405, "MethodNotAllowed", call.method)
        return does(call, bucket, key)

    # ------------------------------------------------------------------------------------ objects

    def write(self, body):
        self.files += 1
        path = os.path.join(self.directory, "bodies", "%08d" % self.files)
        with open(path, "wb") as file:
            file.write(body)
        return path

    def keep(self, operation, bucket, kept):
        """From here on the object is there; the ledger says so."""
        self.buckets[bucket][kept.key] = kept
        self.ledger({"op": operation, "bucket": bucket, "key": kept.key, "bytes": kept.size,
                     "file": kept.path, "headers": kept.headers})

    def check_condition(self, call, bucket, key):
        condition = call.headers.get("if-none-match")
        if condition not in (None, "*"):
            raise Refused(501, "NotImplemented", "If-None-Match: " + condition)
        if condition == "*" and key in self.buckets[bucket]:
            raise Refused(412, "PreconditionFailed", "the key is taken")

    @staticmethod
    def headers_kept(call):
        return {name.lower(): value for name, value in call.headers.items()
                if name.lower() in KEPT_HEADERS or name.lower().startswith("x-amz-meta-")}

    def do_PutObject(self, call, bucket, key):
        if len(call.body) > PUT_BYTES_MAX:
            raise Refused(400, "EntityTooLarge")
        self.check_condition(call, bucket, key)
        etag = '"%s"' % hashlib.md5(call.body).hexdigest()
        self.keep("PutObject", bucket, Object(key, self.headers_kept(call), self.write(call.body),
                                              len(call.body), etag))
        return Answer(200, {"ETag": etag})

    def found(self, bucket, key):
        if key not in self.buckets[bucket]:
            raise Refused(404, "NoSuchKey", key)
        return self.buckets[bucket][key]

    def do_HeadObject(self, _, bucket, key):
        kept = self.found(bucket, key)
        return Answer(200, {**kept.headers, "ETag": kept.etag, "Content-Length": str(kept.size)})

    def do_GetObject(self, call, bucket, key):
        answer = self.do_HeadObject(call, bucket, key)
        with open(self.found(bucket, key).path, "rb") as file:
            answer.body = file.read()
        return answer

    def do_DeleteObject(self, _, bucket, key):
        if self.buckets[bucket].pop(key, None) is not None:
            self.ledger({"op": "DeleteObject", "bucket": bucket, "key": key})
        return Answer(204)

    @staticmethod
    def do_HeadBucket(call, _, __):
        if call.method != "HEAD":
            raise Refused(405, "MethodNotAllowed", call.method)
        return Answer()

    def do_ListObjectsV2(self, call, bucket, _):
        query = call.parameters
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        most = int(query.get("max-keys", "1000"))
        keys = sorted(key for key in self.buckets[bucket]
                      if key.startswith(prefix) and key > after)
        inner = [("Name", bucket), ("Prefix", prefix), ("KeyCount", len(keys[:most])),
                 ("MaxKeys", most), ("IsTruncated", "true" if len(keys) > most else "false")]
        if len(keys) > most:
            inner.append(("NextContinuationToken", keys[most - 1]))
        for kept in (self.buckets[bucket][key] for key in keys[:most]):
            inner.append(("Contents", [("Key", kept.key), ("LastModified", iso(kept.time)),
                                       ("ETag", kept.etag), ("Size", kept.size)]))
        return document("ListBucketResult", inner)

    # ----------------------------------------------------------------------------------- in parts

    def do_CreateMultipartUpload(self, call, bucket, key):
        checksum = call.headers.get("x-amz-checksum-algorithm", "")
        if checksum not in ("", "CRC32C"):
            raise Refused(501, "NotImplemented", "checksum algorithm " + checksum)
        upload_id = "%s~%d/+&" % (hashlib.md5(key.encode()).hexdigest(), len(self.uploads) + 1)
        self.uploads[upload_id] = Upload(bucket, key, upload_id, self.headers_kept(call), checksum)
        return document("InitiateMultipartUploadResult",
                        [("Bucket", bucket), ("Key", key), ("UploadId", upload_id)])

    def upload(self, call, bucket, key):
        upload = self.uploads.get(call.parameters["uploadId"])
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise Refused(404, "NoSuchUpload", "it is over, or never was")
        return upload

    def do_UploadPart(self, call, bucket, key):
        upload = self.upload(call, bucket, key)
        number = call.parameters.get("partNumber", "")
        if not number.isdigit() or not 1 <= int(number) <= PARTS_MAX:
            raise Refused(400, "InvalidArgument", "part number '%s'" % number)
        if len(call.body) > PUT_BYTES_MAX:
            raise Refused(400, "EntityTooLarge")
        checksum = call.headers.get("x-amz-checksum-crc32c", "")
        if upload.checksum and not checksum:
            raise Refused(400, "InvalidRequest", "a part without the upload's checksum")
        etag = '"%s"' % hashlib.md5(call.body).hexdigest()
        upload.parts[int(number)] = Part(self.write(call.body), len(call.body), etag, checksum)
        return Answer(200, {"ETag": etag})

    @staticmethod
    def parts_named(upload, body):
        """The parts that a completion lists, each checked."""
        try:
            root = tree.fromstring(body)
        except tree.ParseError:
            raise Refused(400, "MalformedXML") from None
        spaces = "{%s}" % NAMESPACE if root.tag.startswith("{") else ""
        if root.tag != spaces + "CompleteMultipartUpload":
            raise Refused(400, "MalformedXML", root.tag)
        numbers, parts = [], []
        for element in root.findall(spaces + "Part"):
            number = int(element.findtext(spaces + "PartNumber", "0"))
            part = upload.parts.get(number)
            etag = element.findtext(spaces + "ETag", "").strip('"')
            checksum = element.findtext(spaces + "ChecksumCRC32C", "")
            if part is None or etag != part.etag.strip('"'):
                raise Refused(400, "InvalidPart", "part %d" % number)
            if (upload.checksum or checksum) and checksum != part.checksum:
                raise Refused(400, "InvalidPart", "checksum of part %d" % number)
            numbers.append(number)
            parts.append(part)
        if not parts:
            raise Refused(400, "MalformedXML", "no parts")
        if numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder")
        if any(part.size < PART_BYTES_MIN for part in parts[:-1]):
            raise Refused(400, "EntityTooSmall")
        return parts

    def do_CompleteMultipartUpload(self, call, bucket, key):
        upload = self.upload(call, bucket, key)
        parts = self.parts_named(upload, call.body)
        self.check_condition(call, bucket, key)
        body = b""
        for part in parts:
            with open(part.path, "rb") as file:
                body += file.read()
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        etag = '"%s-%d"' % (hashlib.md5(digests).hexdigest(), len(parts))
        self.keep("CompleteMultipartUpload", bucket,
                  Object(key, upload.headers, self.write(body), len(body), etag))
        self.forget(upload)
        return document("CompleteMultipartUploadResult",
                        [("Location", "http://%s/%s" % (bucket, key)), ("Bucket", bucket),
                         ("Key", key), ("ETag", etag)])

    def forget(self, upload):
        del self.uploads[upload.id]
        for part in upload.parts.values():
            os.unlink(part.path)

    def do_AbortMultipartUpload(self, call, bucket, key):
        self.forget(self.upload(call, bucket, key))
        return Answer(204)

    def do_ListParts(self, call, bucket, key):
        upload = self.upload(call, bucket, key)
        inner = [("Bucket", bucket), ("Key", key), ("UploadId", upload.id),
                 ("IsTruncated", "false")]
        for number, part in sorted(upload.parts.items()):
            inner.append(("Part", [("PartNumber", number), ("ETag", part.etag),
                                   ("Size", part.size)]))
        return document("ListPartsResult", inner)

    def do_ListMultipartUploads(self, call, bucket, _):
        query = call.parameters
        after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        most = int(query.get("max-uploads", "1000"))
        found = sorted((u for u in self.uploads.values() if u.bucket == bucket
                        and u.key.startswith(query.get("prefix", ""))
                        and ((u.key, u.id) > after if after[1] else u.key > after[0])),
                       key=lambda u: (u.key, u.id))
        inner = [("Bucket", bucket), ("KeyMarker", after[0]), ("UploadIdMarker", after[1]),
                 ("MaxUploads", most), ("IsTruncated", "true" if len(found) > most else "false")]
        if len(found) > most:
            inner += [("NextKeyMarker", found[most - 1].key),
                      ("NextUploadIdMarker", found[most - 1].id)]
        for u in found[:most]:
            inner.append(("Upload", [("Key", u.key), ("UploadId", u.id),
                                     ("Initiated", iso(u.time))]))
        return document("ListMultipartUploadsResult", inner)
