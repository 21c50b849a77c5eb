"""
What a run imports: a path as the workers see it, an address in an object store, or what another run has rejected.

What is in a store is copied to a scratch folder: all of it to find the exports, only its own for each of them. An
address that begins with ``file://`` is read where it is, as a path is: links that lead out are refused.
"""

import os
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from everos_provider import staging
from everos_provider.scratch import scratch_folder
from everos_provider.store import Objects, is_url
from include import redo
from include.archive import is_named_as_archive
from include.errors import ChatImportError, ExportError
from include.layout import private_folder
from include.parsers import Export


@dataclass(frozen=True)
class Source:
    """Where a source lies for everybody, and where this task finds it."""

    place: str
    """A path, or an address."""

    path: Path

    def located(self, export: Export) -> Export:
        """Return an export of this source as every worker can find it."""
        if not is_url(self.place):
            return export
        lists = tuple(msgspec.structs.replace(part, path=self._address(part.path)) for part in export.lists)
        return msgspec.structs.replace(export, path=self._address(export.path), lists=lists)

    def _address(self, path: str) -> str:
        inside = Path(path).relative_to(self.path).as_posix()
        return self.place if inside == "." else f"{self.place.rstrip('/')}/{inside}"


@contextmanager
def opened(source: str) -> Iterator[Source]:
    """
    Give all of a source.

    :param source: The run's parameter.
    :raises ConfigurationError: it names a run that has left nothing to correct.
    :raises ExportError: there is nothing at that address. A folder may be empty when its address ends in ``/``.
    """
    if redo.is_redo(source) and staging.is_on():
        place = staging.place_of(redo.run_of(source), "corrections.json")
        missing: ChatImportError = redo.nothing_to_correct(source, place)
    elif is_url(source):
        local = _local(source)
        if local:
            yield Source(source, local)
            return
        place = source
        missing = ExportError(
            f"{source}: there is nothing at this address, nothing was read. Check it; that of a folder which may be "
            "empty ends in /"
        )
    else:
        path = redo.path_of(source)
        yield Source(str(path), path)
        return
    with _brought(place, missing, lambda _: True) as path:
        yield Source(place, path)


@contextmanager
def opened_export(export: Export) -> Iterator[Export]:
    """Give one export, and the lists of another part of it, where this task finds them; the rest stays where it is."""
    with ExitStack() as stack:

        def here(address: str, wanted: Callable[[str], bool]) -> str:
            if not is_url(address):
                return address
            if local := _local(address):
                return str(local)
            gone = ExportError(f"{address}: the {export.format} export found before is gone; run the import again")
            return str(stack.enter_context(_brought(address, gone, wanted)))

        yield msgspec.structs.replace(
            export,
            path=here(export.path, lambda name: _may_belong(name, export.root)),
            lists=tuple(
                msgspec.structs.replace(part, path=here(part.path, partial(_may_be_among, part.names)))
                for part in export.lists
            ),
        )


def _may_be_among(names: tuple[str, ...], name: str) -> bool:
    """Tell whether an object may be one of the files of an archive, or the archive."""
    return name.endswith(names) or is_named_as_archive(name)


def _local(address: str) -> Path | None:
    """Return the path that an address stands for; ``None`` if it is in a store, or there is nothing at that path."""
    path = Objects.below(address).local_path
    return path if path and os.path.lexists(path) else None


@contextmanager
def _brought(address: str, missing: ChatImportError, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """
    Bring what lies at an address; empty files stand for what is not wanted.

    Names alone tell which folder an export begins in: so they must be the same for every task.
    """
    objects = Objects.below(address)
    names = objects.versions()
    if not names and not address.endswith("/"):
        raise missing
    with scratch_folder() as scratch:
        top = scratch / PurePosixPath(address).name
        paths = {name: top / name for name in names}
        objects.bring({name: path for name, path in paths.items() if not name or wanted(name)})
        for path in paths.values():
            private_folder(path.parent)
            path.touch(mode=0o600)
        if not names:
            private_folder(top)
        yield top


def _may_belong(name: str, root: str) -> bool:
    """Tell whether a file may be part of an export; a folder that holds everything is not part of ``root``."""
    if not root:
        return not is_named_as_archive(name)  # each of them is an export of its own
    name, root = (unicodedata.normalize("NFC", text.replace("\\", "/")) for text in (name, root))
    return name.startswith(root) or name.partition("/")[2].startswith(root)
