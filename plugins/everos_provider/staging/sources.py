"""
The source of a run: a path on the workers, an address in an object store, or the rejected messages of another run.

Objects are copied to a scratch folder: all of them to find the exports, then for each export only its own. An address
that begins with ``file://`` is not copied; it is read like a path, and links that lead out of it are refused.
"""

import os
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from everos_provider.staging import task_files
from everos_provider.staging.object_store import Objects, is_url
from everos_provider.staging.scratch import scratch_folder
from include import corrections
from include.archive import is_named_as_archive
from include.errors import ChatImportError, ExportError
from include.files import private_folder
from include.parsers import Export


@dataclass(frozen=True)
class Source:
    """A source and its local copy."""

    address: str
    """Path or address of the source; the same for all workers."""

    path: Path
    """Local path for this task."""

    @property
    def is_copy(self) -> bool:
        """Whether every task that reads it makes a copy of its own."""
        return is_url(self.address) and _local_path(self.address) is None

    def for_workers(self, export: Export) -> Export:
        """Return an export of this source with paths or addresses that every worker can read."""
        if not is_url(self.address):
            return export
        lists = tuple(msgspec.structs.replace(part, path=self._address_of(part.path)) for part in export.lists)
        return msgspec.structs.replace(export, path=self._address_of(export.path), lists=lists)

    def _address_of(self, path: str) -> str:
        inside = Path(path).relative_to(self.path).as_posix()
        return self.address if inside == "." else f"{self.address.rstrip('/')}/{inside}"


@contextmanager
def local_source(source: str) -> Iterator[Source]:
    """
    Give a local copy of a whole source.

    :param source: The run's parameter ``source``.
    :raises ConfigurationError: it names a run without rejected messages.
    :raises ExportError: there is nothing at that address. A folder may be empty if its address ends in ``/``.
    """
    if corrections.is_corrections(source) and task_files.is_staged():
        address = task_files.file_address(corrections.run_of(source), "corrections.json")
        missing: ChatImportError = corrections.no_corrections(source, address)
    elif is_url(source):
        local = _local_path(source)
        if local:
            yield Source(source, local)
            return
        address = source
        missing = ExportError(
            f"{source}: there is nothing at this address, nothing was read. Check the address; if it is a folder that "
            "may be empty, end it with /"
        )
    else:
        path = corrections.path_of(source)
        yield Source(str(path), path)
        return
    with _downloaded(address, missing, lambda _: True) as path:
        yield Source(address, path)


@contextmanager
def local_export(export: Export) -> Iterator[Export]:
    """Give a local copy of one export, and of its lists that are in another part; other objects are not copied."""
    with ExitStack() as stack:

        def local(address: str, wanted: Callable[[str], bool]) -> str:
            if not is_url(address):
                return address
            if path := _local_path(address):
                return str(path)
            gone = ExportError(f"{address}: the {export.format} export found before is gone; run the import again")
            return str(stack.enter_context(_downloaded(address, gone, wanted)))

        yield msgspec.structs.replace(
            export,
            path=local(export.path, lambda name: _may_be_part(name, export.root)),
            lists=tuple(
                msgspec.structs.replace(part, path=local(part.path, partial(_may_be_list, part.names)))
                for part in export.lists
            ),
        )


def _may_be_list(names: tuple[str, ...], name: str) -> bool:
    """Return whether an object may be one of the lists, or an archive that holds them."""
    return name.endswith(names) or is_named_as_archive(name)


def _local_path(address: str) -> Path | None:
    """Return the local path of an address; ``None`` for a store, or if the path does not exist."""
    path = Objects.below(address).local_path
    return path if path and os.path.lexists(path) else None


@contextmanager
def _downloaded(address: str, missing: ChatImportError, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """
    Download the wanted objects; create empty placeholders for the others.

    An export's root is found by names alone, so each task must see the same names.
    """
    objects = Objects.below(address)
    names = objects.versions()
    if not names and not address.endswith("/"):
        raise missing
    with scratch_folder() as scratch:
        top = scratch / PurePosixPath(address).name
        paths = {name: top / name for name in names}
        objects.download({name: path for name, path in paths.items() if not name or wanted(name)})
        for path in paths.values():
            private_folder(path.parent)
            path.touch(mode=0o600)
        if not names:
            private_folder(top)
        yield top


def _may_be_part(name: str, root: str) -> bool:
    """Return whether an object may be part of the export at ``root``."""
    if not root:
        return not is_named_as_archive(name)  # each archive is a separate export
    name, root = (unicodedata.normalize("NFC", text.replace("\\", "/")) for text in (name, root))
    return name.startswith(root) or name.partition("/")[2].startswith(root)
