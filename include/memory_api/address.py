"""Normal form of a server's address. The address identifies the ledger, so each server must have only one."""

import contextlib
import ipaddress
import socket
import urllib.request
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"

_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def normal_address(url: str) -> str:
    """
    Return an address in its normal form; an invalid one is returned unchanged.

    Scheme and host are in lower case, without a dot at the end, international names as in DNS. The default port, user
    name, password and slashes at the end are removed. All names and addresses of this machine become 127.0.0.1.

    >>> normal_address("HTTP://LocalHost.:80/"), normal_address("https://me@api.example:8443/x/")
    ('http://127.0.0.1', 'https://api.example:8443/x')
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    if not parts.hostname:
        return url
    host = _host(parts.hostname)
    shown = f"[{host}]" if ":" in host else host
    where = "" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{port}"
    return f"{parts.scheme}://{shown}{where}{parts.path.rstrip('/')}"


def server_of(url: str) -> tuple[str, int | None]:
    """Return host and port of an address."""
    parts = urlsplit(normal_address(url))
    try:
        return parts.hostname or url, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return url, None


def proxy_of(base_url: str) -> str | None:
    """Return the environment's proxy for this address (``HTTPS_PROXY``, ``NO_PROXY``)."""
    address = urlsplit(base_url)
    if urllib.request.proxy_bypass(address.netloc):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _host(name: str) -> str:
    name = name.rstrip(".").lower()
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return LOOPBACK
    if name[:1].isdigit():
        with contextlib.suppress(OSError):
            name = socket.inet_ntoa(socket.inet_aton(name))  # 127.1 and 0x7f000001 are addresses too
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(name)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        this_machine = address.is_unspecified or (address.is_loopback and address.version == 6)
        return LOOPBACK if this_machine else address.compressed
    with contextlib.suppress(UnicodeError):
        return name.encode("idna").decode("ascii")
    return name
