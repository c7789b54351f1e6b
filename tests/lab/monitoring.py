"""CloudWatch as Terraform's provider speaks it: Smithy RPC v2 in CBOR, which moto does not know, told to moto as a query.

The protocol: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html (POST /service/SERVICE/operation/OPERATION).
"""

import io
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlencode

import cbor2
from botocore.parsers import QueryParser
from botocore.serialize import QuerySerializer
from botocore.session import get_session

from tests.lab.faults import Answer

PATH = "/service/GraniteServiceVersion20100801/operation/"
HEADERS = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]


@cache
def model() -> Any:
    return get_session().get_service_model("cloudwatch")


def spoken(environ: dict[str, Any]) -> bool:
    return bool(environ["PATH_INFO"].startswith(PATH))


def told_as_query(environ: dict[str, Any], body: bytes, carry_out: Callable[[dict[str, Any]], Answer]) -> Answer:
    """`carry_out` answers the same request in the query protocol; its answer comes back in CBOR."""
    operation = model().operation_model(environ["PATH_INFO"].removeprefix(PATH))
    form = QuerySerializer().serialize_to_request(cbor2.loads(body) if body else {}, operation)["body"]
    encoded = urlencode(form).encode()
    asked = {
        **environ,
        "PATH_INFO": "/",
        "RAW_URI": "/",
        "REQUEST_URI": "/",
        "CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8",
        "CONTENT_LENGTH": str(len(encoded)),
        "wsgi.input": io.BytesIO(encoded),
    }
    answer = carry_out(asked)
    status = int(answer.status.split()[0])
    told = QueryParser().parse({"status_code": status, "headers": {}, "body": answer.body}, operation.output_shape)
    told.pop("ResponseMetadata", None)
    if status >= 400:
        error = told["Error"]
        told = {"__type": error["Code"], "message": error["Message"]}
    return Answer(answer.status, HEADERS, cbor2.dumps(told, datetime_as_timestamp=True))
