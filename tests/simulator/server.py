# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud on sockets: one port per service, and one for control."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from aiohttp import web

from simulator import control
from simulator.cloud import MOST_BODY_BYTES, SERVICES, Cloud
from simulator.messages import Request, Response
from simulator.scenario import Scenario

HOLD_STEP_SECONDS = 0.02
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Options:
    scenario: Scenario
    ready_file: Path | None = None
    scale: float = 1.0
    seed: int = 0
    host: str = "127.0.0.1"
    port_base: int = 0
    tls_cert: str = ""
    tls_key: str = ""
    prefix: str = ""
    log_file: Path | None = None
    latency_seconds: float = 0.0
    """How much later every answer comes, as over a long line; work goes on meanwhile."""


async def _read(request: web.Request) -> Request:
    # The raw path: a signature covers what was sent, and aiohttp's own is normalised.
    path, _unused, query = request.raw_path.partition("?")
    return Request(request.method, path, query, dict(request.headers), await request.read())


def _write(response: Response) -> web.Response:
    return web.Response(status=response.status, body=response.body, headers=dict(response.headers))


def _close(request: web.Request) -> web.Response:
    """Nothing is answered: the connection just ends."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _hold(cloud: Cloud, request: web.Request) -> web.Response:
    """Without an answer until the rules are cleared, and then without one too."""
    while cloud.faults.holding:
        await asyncio.sleep(HOLD_STEP_SECONDS)
    return _close(request)


def _service_handler(cloud: Cloud, service: str, log: IO[str] | None, latency_seconds: float) -> _Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        incoming = await _read(request)
        if cloud.faults.holding:
            return await _hold(cloud, request)
        response = cloud.handle(service, incoming)
        if log is not None:
            log.write(json.dumps(asdict(cloud.log[-1])) + "\n")
        if cloud.faults.holding:
            return await _hold(cloud, request)
        if delay_seconds := latency_seconds + response.delay_seconds:
            await asyncio.sleep(delay_seconds)
        return _close(request) if response.drop else _write(response)

    return handler


def _control_handler(cloud: Cloud) -> _Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return _write(control.handle(cloud, await _read(request)))

    return handler


async def _listen(handler: _Handler, host: str, port: int, tls: ssl.SSLContext | None) -> tuple[web.AppRunner, int]:
    application = web.Application(client_max_size=2 * MOST_BODY_BYTES)
    application.router.add_route("*", "/{anything:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    address = runner.addresses[0]
    return runner, int(address[1])


def _tls(options: Options) -> ssl.SSLContext | None:
    if not options.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls_cert, options.tls_key or None)
    return context


def _tell(ready_file: Path, document: dict[str, object]) -> None:
    """All at once: whoever waits for the file never reads half of it."""
    part = ready_file.with_name(f"{ready_file.name}.part")
    part.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    os.replace(part, ready_file)


def _end_by_signal() -> asyncio.Event:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended


async def _run(options: Options) -> None:
    ended = _end_by_signal()
    cloud = Cloud(options.scenario, time.time, options.scale, options.seed, prefix=options.prefix)
    tls = _tls(options)
    scheme = "https" if tls else "http"
    async with contextlib.AsyncExitStack() as stack:
        log: IO[str] | None = None
        if options.log_file is not None:
            log = stack.enter_context(options.log_file.open("a", buffering=1, encoding="utf-8"))
        for index, service in enumerate(SERVICES):
            port = options.port_base + index if options.port_base else 0
            handler = _service_handler(cloud, service, log, options.latency_seconds)
            runner, port = await _listen(handler, options.host, port, tls)
            stack.push_async_callback(runner.cleanup)
            cloud.endpoints[service] = f"{scheme}://{options.host}:{port}{options.prefix.rstrip('/')}"
        port = options.port_base + len(SERVICES) if options.port_base else 0
        runner, port = await _listen(_control_handler(cloud), options.host, port, None)
        stack.push_async_callback(runner.cleanup)
        document = {
            "pid": os.getpid(),
            "endpoints": cloud.endpoints,
            "control": f"http://{options.host}:{port}",
        }
        if options.ready_file is not None:
            _tell(options.ready_file, document)
        print(json.dumps(document), flush=True)
        await ended.wait()


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    asyncio.run(_run(options))
