"""
HTTP calls of v2 over the SDK ``everos-cloud`` 1.2: they return a decoded answer or raise a ``ChatImportError``.

The SDK blocks, so each call runs in a thread of a bounded pool. Calls use the SDK's ``ApiClient``, which has host, key
and connections, and not its typed methods: those have no ``app_id`` for the list of tasks, and refuse answers with a
status that the SDK does not know, though the statuses are documented as an open set.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, cast

import urllib3
from everos_cloud.api_client import ApiClient
from everos_cloud.configuration import Configuration
from everos_cloud.exceptions import ApiException
from urllib3.util import make_headers, parse_url

from include.memory_api import failures, wire
from include.memory_api.address import proxy_of
from include.memory_api.blocking import POOLS, BlockingCalls, read_body
from include.memory_api.limits import CallLimits
from include.memory_api.settings import Settings
from include.memory_api.v2_wire import Envelope

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}

Method = Literal["GET", "POST"]


class V2Http:
    """The SDK's client, with its exceptions translated and without its retries. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._sdk = ApiClient(_configuration(settings))
        self._sdk.rest_client.pool_manager.pool_classes_by_scheme = POOLS
        self._origin = settings.origin
        self._timeouts_s = (settings.connect_timeout_s, settings.read_timeout_s)
        self._calls = BlockingCalls(settings)
        self._limits = CallLimits(settings)

    async def aclose(self) -> None:
        """Close idle connections."""
        self._calls.close()
        self._sdk.rest_client.pool_manager.clear()

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
        wire.encode(body, call)  # only to check it: the SDK encodes it again
        return _decoded(await self._call("POST", path, call, body=body), type_, call)

    async def _call(
        self, method: Method, path: str, call: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> failures.Reply:
        request = partial(self._request, method, path, list((query or {}).items()), body)
        async with self._limits.in_time(call):
            try:
                return await self._calls.run(request)
            except (urllib3.exceptions.HTTPError, OSError, failures.UnusableAnswer) as error:
                raise failures.from_transport(call, error) from None
            except ApiException as error:  # the SDK's exception for a failure of TLS
                raise failures.from_transport(call, error.__context__) from None

    def _request(self, method: Method, path: str, query: list[tuple[str, Any]], sent: Any) -> failures.Reply:
        request = self._sdk.param_serialize(
            method, path, query_params=query, header_params=dict(_HEADERS), body=sent, auth_settings=["BearerAuth"]
        )
        response = self._sdk.call_api(*request, _request_timeout=self._timeouts_s).response
        body = read_body(response, path)
        return failures.Reply(status=response.status, headers=response.headers, body=body, origin=self._origin)


def _configuration(settings: Settings) -> Configuration:
    configuration = Configuration(
        host=settings.address,
        access_token=settings.api_key or None,
        # No retries: urllib3 would repeat a failed connection, and follow a redirect with the same POST.
        retries=cast("int", False),
    )
    configuration.connection_pool_maxsize = settings.connections
    configuration.proxy = proxy_of(settings.address)
    if configuration.proxy and (login := parse_url(configuration.proxy).auth):
        configuration.proxy_headers = make_headers(proxy_basic_auth=login)  # type: ignore[assignment]
    return configuration


def _decoded[T](reply: failures.Reply, type_: type[T], call: str) -> Envelope[T]:
    return wire.decode(reply, Envelope[type_], call, api_version="v2")  # type: ignore[valid-type]
