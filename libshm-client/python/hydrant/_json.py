"""_json: what makes JSON of a dict that is not plain (see src/json.c), or tells what is wrong."""
import json

# NaN is no JSON; the agent would refuse the event.
encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
