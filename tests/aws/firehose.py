"""firehose: delivery streams that write what they take into the ledger."""
import base64
import binascii
import json
import uuid

from s3 import Answer
from verify import Refused

TARGET = "Firehose_20150804."
RECORD_BYTES_MAX = 1024000
RECORDS_MAX = 500
CALL_BYTES_MAX = 4 << 20


def answer(fields):
    return Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(fields).encode())


def data_of(record):
    try:
        data = base64.b64decode(record["Data"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise Refused(400, "SerializationException", "a record without data in base64") from None
    if len(data) > RECORD_BYTES_MAX:
        raise Refused(400, "ValidationException", "a record of %d bytes" % len(data))
    return data


class Firehose:
    def __init__(self, ledger, streams):
        self.ledger, self.streams = ledger, streams

    @staticmethod
    def operation(call):
        return call.headers.get("x-amz-target", "")[len(TARGET):]

    def perform(self, call, operation, failed=()):
        """failed: which records of a batch are refused, by index."""
        if call.headers.get("content-type") != "application/x-amz-json-1.1":
            raise Refused(400, "SerializationException", "Content-Type")
        try:
            asked = json.loads(call.body)
        except ValueError:
            raise Refused(400, "SerializationException", "no JSON") from None
        does = getattr(self, "do_" + operation, None)
        if does is None:
            raise Refused(400, "UnknownOperationException", operation)
        name = asked.get("DeliveryStreamName")
        if name not in self.streams:
            raise Refused(400, "ResourceNotFoundException", "stream %s" % name)
        return does(name, asked, failed)

    def keep(self, stream, data):
        """The record's id; from here on it is there."""
        record_id = uuid.uuid4().hex
        self.ledger({"op": "PutRecord", "stream": stream, "record": record_id,
                     "data": base64.b64encode(data).decode()})
        return record_id

    def do_PutRecord(self, name, asked, _):
        data = data_of(asked.get("Record"))
        return answer({"RecordId": self.keep(name, data), "Encrypted": False})

    def do_PutRecordBatch(self, name, asked, failed):
        records = [data_of(record) for record in asked.get("Records", [])]
        if not 1 <= len(records) <= RECORDS_MAX:
            raise Refused(400, "ValidationException", "%d records" % len(records))
        if sum(map(len, records)) > CALL_BYTES_MAX:
            raise Refused(400, "InvalidArgumentException", "more than 4 MiB")
        responses = []
        for i, data in enumerate(records):
            if i in failed:
                responses.append({"ErrorCode": "ServiceUnavailableException",
                                  "ErrorMessage": "Slow down."})
            else:
                responses.append({"RecordId": self.keep(name, data)})
        return answer({"FailedPutCount": sum("ErrorCode" in r for r in responses),
                       "Encrypted": False, "RequestResponses": responses})

    @staticmethod
    def do_DescribeDeliveryStream(name, _, __):
        return answer({"DeliveryStreamDescription": {
            "DeliveryStreamName": name, "DeliveryStreamStatus": "ACTIVE", "VersionId": "1",
            "DeliveryStreamARN": "arn:aws:firehose:us-east-1:000000000000:deliverystream/" + name,
            "DeliveryStreamType": "DirectPut", "Destinations": [], "HasMoreDestinations": False}})
