"""The centre over HTTP, the only door to starlette: enrolments, batches, the report page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from central.keys import CentralKeys, KeysClosed, TokenFault, load_keys
from central.office import Office, now_utc
from central.pages import report_page
from central.report import report
from sync.batch import MOST_BATCH_B
from sync.cbor import encode
from sync.enrolment import MOST_REQUEST_B
from sync.errors import FormatError, Malformed

CBOR: Final = "application/cbor"
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}


def make_app(directory: Path, keys: CentralKeys | None = None) -> Starlette:
    """The application of the centre that lives in ``directory``, opened for each request; its keys are opened once."""
    opened = keys or load_keys(directory / "keys")

    def with_office(work: Callable[[Office], Response]) -> Response:
        office = Office(directory, keys=opened)
        try:
            return work(office)
        except FormatError:
            return PlainTextResponse("Demande illisible ou inconnue du centre.", status_code=400)
        except (KeysClosed, TokenFault) as fault:
            return PlainTextResponse(str(fault), status_code=503)
        finally:
            office.close()

    async def put_records(request: Request) -> Response:
        try:
            body = await _body(request, MOST_BATCH_B)
        except ClientDisconnect:
            return Response(status_code=400)

        def work(office: Office) -> Response:
            done = office.exchange(body)
            return Response(encode([done.answer, done.bundle]), media_type=CBOR)

        return await run_in_threadpool(with_office, work)

    async def post_enrolment(request: Request) -> Response:
        body = await _body(request, MOST_REQUEST_B)
        return await run_in_threadpool(with_office, lambda office: Response(office.enrol(body), media_type=CBOR))

    async def get_report(request: Request) -> Response:  # noqa: ARG001
        def work(office: Office) -> Response:
            return HTMLResponse(report_page(report(office), now_utc(), office.rules.timezone), headers=_HEADERS)

        return await run_in_threadpool(with_office, work)

    async def get_report_json(request: Request) -> Response:  # noqa: ARG001
        return await run_in_threadpool(with_office, lambda office: JSONResponse(report(office).as_json()))

    records = "/v1/terminals/{terminal}/epochs/{epoch:int}/records/{first_seq:int}"
    return Starlette(
        routes=[
            Route(records, put_records, methods=["PUT"]),
            Route("/v1/enrolments", post_enrolment, methods=["POST"]),
            Route("/", get_report),
            Route("/report.json", get_report_json),
        ],
        exception_handlers={Malformed: _too_long},
    )


async def _too_long(request: Request, fault: Exception) -> Response:  # noqa: ARG001
    return PlainTextResponse("Demande trop longue.", status_code=413)


async def _body(request: Request, most_b: int) -> bytes:
    """The body, never more than ``most_b`` bytes of it in memory."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most_b:
            raise Malformed("too long")
    return bytes(body)
