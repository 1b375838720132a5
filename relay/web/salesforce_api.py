"""A read API in Salesforce's shape, for code that polls for bounces.

    GET /services/data/                              versions
    GET /services/data/vNN.0/                        resources
    GET /services/data/vNN.0/query?q=SELECT ...      records, 2000 at a time
    GET /services/data/vNN.0/query/LOCATOR-OFFSET    the next ones

Errors are Salesforce's: a list with `message` and `errorCode`. Values of a query are compared in
memory with what the journal holds; no database reads a word of it. Sources: REST API Developer
Guide, "Query", "Query More Results", "Status Codes and Error Responses".
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.core.jsonform import Json
from relay.formats.soql import parse_soql
from relay.formats.soql_answer import Answer, Cell, Row, understand
from relay.formats.soql_tokens import SoqlError
from relay.journal.api import JournalReader
from relay.journal.contacts_store import ContactsStore
from relay.web.answers import JSON
from relay.web.salesforce_api_rows import OBJECTS, rows_of

BATCH: Final = 2000
"""Records of one answer at most."""
MIN_BATCH: Final = 200
"""The smallest batch that a client may ask for."""
MAX_QUERY: Final = 100_000
"""Characters of a query."""
_CURSORS: Final = 10
"""Unfinished results that are kept; the one used longest ago gives way."""
_ROOT: Final = "/services/data"
_OLDEST, _NEWEST = 50, 68
_WINTER_24: Final = 59
_SEASONS: Final = ("Winter", "Spring", "Summer")
_BATCH_OPTION: Final = re.compile(r"\bbatchSize\s*=\s*(\d{1,9})\b", re.ASCII)
_LOCATOR: Final = re.compile(r"(01g[0-9a-f]{15})-(\d{1,9})", re.ASCII)


class _SalesforceError(Exception):
    """Ends a request with an error of Salesforce's form."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.body: Json = [{"message": message, "errorCode": code}]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """The rows of one query, from which batches are taken."""

    answer: Answer
    rows: Sequence[Row]
    version: str
    batch: int


class _Cursors:
    """Results that clients have not read to the end, by their locator."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, _Result] = OrderedDict()

    def keep(self, result: _Result) -> str:
        locator = f"01g{secrets.token_hex(8)[:15]}"
        self._results[locator] = result
        while len(self._results) > _CURSORS:
            self._results.popitem(last=False)
        return locator

    def find(self, locator: str) -> _Result | None:
        if locator in self._results:
            self._results.move_to_end(locator)
        return self._results.get(locator)


def salesforce_router(
    journal: JournalReader,
    contacts: ContactsStore,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> APIRouter:
    """Return the routes of `/services/data`; `now` is what TODAY is counted from."""
    router = APIRouter(prefix=_ROOT, include_in_schema=False)
    cursors = _Cursors()

    @router.get("")
    @router.get("/")
    async def versions() -> Response:
        return _json([_version(number) for number in range(_OLDEST, _NEWEST + 1)])

    @router.get("/v{version}")
    @router.get("/v{version}/")
    async def resources(version: str) -> Response:
        if not _is_known(version):
            return _error(_unknown())
        return _json({name: f"{_ROOT}/v{version}/{name}" for name in ("query", "queryAll")})

    @router.get("/v{version}/query")
    @router.get("/v{version}/query/")
    @router.get("/v{version}/queryAll")
    @router.get("/v{version}/queryAll/")
    async def query(version: str, request: Request) -> Response:
        wanted = _batch_of(request.headers.get("sforce-query-options", ""))
        try:
            if not _is_known(version):
                raise _unknown()
            text = _query_text(request.query_params.getlist("q"))
            answer = understand(parse_soql(text), text, OBJECTS, now())
        except SoqlError as error:
            # The text is Salesforce's own form, made of the query itself.
            return _error(_SalesforceError(HTTPStatus.BAD_REQUEST, error.code.value, str(error)))
        except _SalesforceError as error:
            return _error(error)
        rows = await asyncio.to_thread(
            lambda: answer.rows(rows_of(answer.object, journal, contacts))
        )
        result = _Result(answer=answer, rows=rows, version=version, batch=wanted)
        locator = cursors.keep(result) if len(rows) > wanted else ""
        return await asyncio.to_thread(lambda: _json(_batch(result, locator, 0)))

    @router.get("/v{version}/query/{place}")
    @router.get("/v{version}/queryAll/{place}")
    async def query_more(version: str, place: str) -> Response:
        found = _LOCATOR.fullmatch(place)
        result = cursors.find(found[1]) if found else None
        if found is None or result is None or not _is_known(version):
            return _error(
                _SalesforceError(
                    HTTPStatus.BAD_REQUEST,
                    "INVALID_QUERY_LOCATOR",
                    "invalid query locator: it was never given, or others have taken its place",
                )
            )
        return await asyncio.to_thread(lambda: _json(_batch(result, found[1], int(found[2]))))

    @router.get("/{rest:path}")
    async def nothing(rest: str) -> Response:
        return _error(_unknown())

    return router


def _query_text(given: Sequence[str]) -> str:
    if len(given) != 1 or not given[0].strip():
        raise _SalesforceError(
            HTTPStatus.BAD_REQUEST, "MALFORMED_QUERY", "the parameter q must have one query"
        )
    if len(given[0]) > MAX_QUERY:
        raise _SalesforceError(
            HTTPStatus.BAD_REQUEST,
            "MALFORMED_QUERY",
            f"a query may have {MAX_QUERY} characters",
        )
    return given[0]


def _batch(result: _Result, locator: str, begin: int) -> Json:
    end = begin + result.batch
    total = len(result.rows)
    answer: dict[str, Json] = {
        "totalSize": total,
        "done": end >= total,
        "records": [_record(row, result.answer, result.version) for row in result.rows[begin:end]],
    }
    if end < total:
        answer["nextRecordsUrl"] = f"{_ROOT}/v{result.version}/query/{locator}-{end}"
    return answer


def _record(row: Row, answer: Answer, version: str) -> Json:
    name = answer.object.name
    attributes: dict[str, Json] = {
        "type": name,
        "url": f"{_ROOT}/v{version}/sobjects/{name}/{row['Id']}",
    }
    return {"attributes": attributes, **{f: _cell(row[f]) for f in answer.fields}}


def _cell(cell: Cell) -> Json:
    match cell:
        case datetime():
            return cell.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + (
                f"{cell.microsecond // 1000:03}+0000"
            )
        case "":
            return None
        case _:
            return cell


def _batch_of(options: str) -> int:
    found = _BATCH_OPTION.search(options)
    return min(max(int(found[1]), MIN_BATCH), BATCH) if found else BATCH


def _is_known(version: str) -> bool:
    return version in {f"{number}.0" for number in range(_OLDEST, _NEWEST + 1)}


def _version(number: int) -> Mapping[str, Json]:
    years, season = divmod(number - _WINTER_24, len(_SEASONS))
    return {
        "label": f"{_SEASONS[season]} '{24 + years}",
        "url": f"{_ROOT}/v{number}.0",
        "version": f"{number}.0",
    }


def _unknown() -> _SalesforceError:
    return _SalesforceError(
        HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist"
    )


def _error(error: _SalesforceError) -> Response:
    return Response(json.dumps(error.body).encode(), status_code=error.status, media_type=JSON)


def _json(body: object) -> Response:
    return Response(json.dumps(body).encode(), media_type=JSON)
