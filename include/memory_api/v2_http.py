"""
One HTTP call of v2: a body in, a decoded answer or one exception of ours out, over the SDK ``everos-cloud`` 1.2.

The SDK blocks, so each call has a thread of a bounded pool. Calls go through its ``ApiClient``, which knows host, key
and connections, and not through its typed methods: those have no ``app_id`` for the list of tasks, and refuse answers
with a status that is newer than they are, though the statuses are documented as an open set.
"""

import asyncio
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import msgspec
import urllib3
from everos_cloud.api_client import ApiClient
from everos_cloud.configuration import Configuration
from everos_cloud.exceptions import ApiException
from urllib3.util import make_headers, parse_url

from include.errors import OutcomeUnknown, Refused
from include.memory_api import failures
from include.memory_api.settings import Settings
from include.memory_api.v2_wire import Envelope

_JSON = {"Accept": "application/json", "Content-Type": "application/json"}

Method = Literal["GET", "POST"]


class V2Http:
    """The SDK's client, with its exceptions translated and without its retries. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._sdk = ApiClient(_configuration(settings))
        self._timeouts_s = (settings.connect_timeout_s, settings.read_timeout_s)
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="everos-v2")

    async def aclose(self) -> None:
        """Close idle connections. A call that is still under way keeps its thread until it is answered or timed out."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._sdk.rest_client.pool_manager.clear()

    async def get[T](
        self, path: str, type_: type[T], what: str, *, query: Mapping[str, Any] | None = None, missing: T | None = None
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: what a 404 means, where it is an answer and not an error.
        """
        reply = await self._call("GET", path, what, query=query)
        if reply.status == 404 and missing is not None:
            return missing
        return _decoded(reply, type_, what).data

    async def post[T](
        self, path: str, body: Mapping[str, Any], type_: type[T], what: str, *, texts: Sequence[str] = ()
    ) -> Envelope[T]:
        """
        Send a body and decode the answer.

        :param what: the call, for people and without chat text: ``add of 50 messages to slack_general``.
        :param texts: what must not come back in an error message.
        :raises ChatImportError: see :mod:`include.memory_api.failures`.
        """
        try:
            msgspec.json.encode(body)
        except UnicodeEncodeError:
            reason = "text or a name holds half a surrogate pair, which UTF-8 cannot carry"
            raise Refused(f"{what}: {reason}; nothing was sent.", status=422, reason=reason) from None
        return _decoded(await self._call("POST", path, what, body=body), type_, what, texts)

    async def _call(
        self, method: Method, path: str, what: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> failures.Reply:
        work = partial(self._request, method, path, list((query or {}).items()), body)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise failures.from_transport(what, error) from None
        except ApiException as error:  # how the SDK passes on a failure of TLS
            raise failures.from_transport(what, error.__context__) from None

    def _request(self, method: Method, path: str, query: list[tuple[str, Any]], body: Any) -> failures.Reply:
        request = self._sdk.param_serialize(
            method, path, query_params=query, header_params=dict(_JSON), body=body, auth_settings=["BearerAuth"]
        )
        answer = self._sdk.call_api(*request, _request_timeout=self._timeouts_s)
        return failures.Reply(status=answer.status, headers=answer.response.headers, body=answer.response.data)


def _configuration(settings: Settings) -> Configuration:
    configuration = Configuration(
        host=settings.address,
        access_token=settings.api_key or None,
        # Not one: urllib3 would repeat what did not connect, and follow a redirect with the same POST.
        retries=cast("int", False),
    )
    configuration.connection_pool_maxsize = settings.connections
    configuration.proxy = _proxy(settings.address)
    if configuration.proxy and (login := parse_url(configuration.proxy).auth):
        configuration.proxy_headers = make_headers(proxy_basic_auth=login)  # type: ignore[assignment]
    return configuration


def _proxy(base_url: str) -> str | None:
    """Return the environment's proxy for this address (``HTTPS_PROXY``, ``NO_PROXY``); urllib3 does not look."""
    address = urlsplit(base_url)
    if urllib.request.proxy_bypass(address.netloc):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _decoded[T](reply: failures.Reply, type_: type[T], what: str, texts: Sequence[str] = ()) -> Envelope[T]:
    if not 200 <= reply.status < 300:
        raise failures.from_status(what, reply, texts=texts)
    try:
        return cast("Envelope[T]", msgspec.json.decode(reply.body, type=Envelope[type_]))  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = f"HTTP {reply.status} with an answer that is not EverOS v2"
        raise OutcomeUnknown(f"{what}: {told}; it may or may not have been carried out.") from None
