"""
HTTP calls of v2 over the SDK ``everos-cloud`` 1.2: they return a decoded answer or raise a ``ChatImportError``.

Requests are made by the SDK's ``ApiClient``, which has host and key, and not by its typed methods: those have no
``app_id`` for the list of tasks, and refuse answers with a status that the SDK does not know, though the statuses are
documented as an open set. The SDK blocks; so they are sent with aiohttp (:mod:`include.memory_api.connections`).
"""

from collections.abc import Mapping
from typing import Any, Literal

import aiohttp
from everos_cloud.api_client import ApiClient
from everos_cloud.configuration import Configuration

from include.memory_api import failures, wire
from include.memory_api.connections import Connections
from include.memory_api.limits import CallLimits
from include.memory_api.settings import Settings
from include.memory_api.v2_wire import Envelope

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}

Method = Literal["GET", "POST"]


class V2Http:
    """The SDK's client, with its exceptions translated and without its retries. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._sdk = ApiClient(Configuration(host=settings.address, access_token=settings.api_key or None))
        self._connections = Connections(settings)
        self._limits = CallLimits(settings)

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._connections.close()

    async def get[T](
        self, path: str, type_: type[T], call: str, *, query: Mapping[str, Any] | None = None, missing: T | None = None
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: result for a 404; ``None`` if a 404 is an error.
        """
        reply = await self._call("GET", path, call, query=query)
        if reply.status == 404 and missing is not None:
            return missing
        return _decoded(reply, type_, call).data

    async def post[T](self, path: str, body: Mapping[str, Any], type_: type[T], call: str) -> Envelope[T]:
        """
        Send a body and return the answer.

        :param call: description of the call without chat text: ``add of 50 messages to slack_general``.
        :raises ChatImportError: see :mod:`include.memory_api.failures`.
        """
        return _decoded(await self._call("POST", path, call, content=wire.encode(body, call)), type_, call)

    async def _call(
        self,
        method: Method,
        path: str,
        call: str,
        *,
        query: Mapping[str, Any] | None = None,
        content: bytes | None = None,
    ) -> failures.Reply:
        _, url, headers, *_ = self._sdk.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=dict(_HEADERS),
            auth_settings=["BearerAuth"],
        )
        async with self._limits.in_time(call):
            try:
                return await self._connections.send(method, url, headers, content)
            except (aiohttp.ClientError, OSError, failures.UnusableAnswer) as error:
                raise failures.from_transport(call, error) from None


def _decoded[T](reply: failures.Reply, type_: type[T], call: str) -> Envelope[T]:
    return wire.decode(reply, Envelope[type_], call, api_version="v2")  # type: ignore[valid-type]
