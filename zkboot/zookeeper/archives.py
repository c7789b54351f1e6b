"""Data renamed aside: `archive/<generation>-<UTC time>/` beside the data folder, on the same file system.

The manifest `moving.json` is the decision to archive; the renames follow, and then it is called `archive.json`. Back it goes the
same way: `returning.json`, the renames, `returned.json`. Configuration files may lie on another file system: they are copied,
without the super digest, before they are removed.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

from zkboot.errors import UnknownFact
from zkboot.model import Archive, Identity
from zkboot.zookeeper import configuration, contents, files, zoo_cfg
from zkboot.zookeeper.generation import SCHEMA, read_json

MOVING = "moving.json"
MANIFEST = "archive.json"
RETURNING = "returning.json"
RETURNED = "returned.json"


class Archives:
    """The archives of one node. Every method raises OSError or UnknownFact."""

    def __init__(self, data_dir: str, log_dir: str, conf_dir: str) -> None:
        self._data_dir = data_dir
        self._log_dir = log_dir
        self._conf_dir = conf_dir
        self._folder = f"{os.path.dirname(data_dir)}/archive"
        self._log_folder = f"{os.path.dirname(log_dir)}/archive"

    def read(self) -> tuple[Archive, ...]:
        """Every archive, an unfinished one too, by name; not one that was brought back."""
        return self._having(MANIFEST, MOVING, RETURNING)

    def unfinished(self) -> Archive | None:
        """The archive that was begun or is to be brought back, and whose renames may not all have been made."""
        return next(iter(self._having(MOVING, RETURNING)), None)

    def begin(self, identity: Identity | None, epoch: int, zxid: int, now: float, damaged: bool) -> Archive:
        """Decide that all goes aside: from here on the disk counts as empty. `now` is seconds since 1970, for the name."""
        archive = Archive(self._new_name(identity.generation if identity else 0, now), identity, epoch, zxid, damaged)
        files.make_folder(f"{self._folder}/{archive.name}")
        self._write(archive, MOVING)
        return archive

    def clear(self, name: str) -> tuple[str, str]:
        """Room for an archive whose files are not this disk's: the folders for what would be in dataDir and in dataLogDir. What
        was left of an earlier attempt at the very same goes."""
        folders = dict.fromkeys((f"{self._folder}/{name}", f"{self._log_folder}/{name}"))
        for manifest in (MANIFEST, RETURNED):
            files.remove(f"{self._folder}/{name}/{manifest}")
        for folder in folders:
            if files.exists(folder):
                shutil.rmtree(folder)
            files.make_folder(folder)
        data = f"{self._folder}/{name}/data"
        return data, data if self._log_dir == self._data_dir else f"{self._log_folder}/{name}/log"

    def enter(self, archive: Archive) -> None:
        """Those folders are whole: from here on they are an archive."""
        self._write(archive, MANIFEST)

    def _write(self, archive: Archive, manifest: str) -> None:
        identity = archive.identity
        fields = {
            "schema": SCHEMA,
            "cluster_id": identity.cluster_id if identity else None,
            "generation": identity.generation if identity else None,
            "current_epoch": archive.current_epoch,
            "zxid": f"0x{archive.zxid:x}",
            "damaged": archive.damaged,
        }
        files.write(f"{self._folder}/{archive.name}/{manifest}", json.dumps(fields, sort_keys=True, indent=1) + "\n")

    def begin_return(self, name: str) -> None:
        """Decide that an archive becomes the disk again, which is empty."""
        files.rename(f"{self._folder}/{name}/{MANIFEST}", f"{self._folder}/{name}/{RETURNING}")

    def finish(self) -> None:
        """Make the renames that were decided, in either direction; nothing when there are none."""
        for archive in self._having(MOVING):
            self._move_configuration(f"{self._folder}/{archive.name}/conf")
            for folder, part, target in self._parts(archive.name):
                files.make_folder(folder)
                if not files.exists(f"{folder}/{part}") and files.exists(target):
                    files.rename(target, f"{folder}/{part}")
            files.rename(f"{self._folder}/{archive.name}/{MOVING}", f"{self._folder}/{archive.name}/{MANIFEST}")
        for archive in self._having(RETURNING):
            for folder, part, target in self._parts(archive.name):
                self._move_back(folder, part, target)
            files.rename(f"{self._folder}/{archive.name}/{RETURNING}", f"{self._folder}/{archive.name}/{RETURNED}")

    def _parts(self, name: str) -> Iterator[tuple[str, str, str]]:
        """The archive's folder, the name in it, and where that came from."""
        yield f"{self._folder}/{name}", "data", self._data_dir
        if self._log_dir != self._data_dir:
            yield f"{self._log_folder}/{name}", "log", self._log_dir

    def _move_back(self, folder: str, part: str, target: str) -> None:
        """Without the configuration: whoever brings data back writes a new one. What stands in the way, no data, goes aside."""
        if files.exists(f"{folder}/{part}"):
            if files.exists(target):
                files.rename(target, f"{folder}/{self._free(folder)}")
            files.rename(f"{folder}/{part}", target)

    def _free(self, folder: str) -> str:
        taken = set(files.listing(folder))
        return next(n for n in (f"replaced-{i}" for i in range(1, 1000)) if n not in taken)

    def set_aside_leftovers(self, now: float) -> None:
        """Empty the folders of a disk that holds no data: epoch files go, anything else is renamed aside."""
        for source, folder, part in ((self._data_dir, self._folder, "data"), (self._log_dir, self._log_folder, "log")):
            version_2 = f"{source}/version-2"
            names = set(files.listing(version_2))
            if names - {contents.CURRENT_EPOCH, contents.ACCEPTED_EPOCH}:
                aside = f"{folder}/{self._new_name(0, now)}"
                files.make_folder(aside)
                files.rename(version_2, f"{aside}/{part}")
            elif files.exists(version_2):
                for name in names:
                    files.remove(f"{version_2}/{name}")
                files.sync_folder(version_2)

    def _move_configuration(self, target: str) -> None:
        """Copies first, then no pointer to them, then they go. The static part and the digest stay for the next start."""
        names = configuration.dynamic_names(self._conf_dir)
        static = files.read_text(configuration.zoo_cfg(self._conf_dir))
        if static is None and not names:
            return
        files.make_folder(target)
        for name in names:
            files.write(f"{target}/{name}", files.read_text(f"{self._conf_dir}/{name}") or "")
        if static is not None and not files.exists(f"{target}/zoo.cfg"):
            lines = [line for line in static.splitlines() if not line.startswith(zoo_cfg.DIGEST)]
            files.write(f"{target}/zoo.cfg", "".join(f"{line}\n" for line in lines))
        if static is not None:
            configuration.point_to(self._conf_dir, None)
        for name in names:
            files.remove(f"{self._conf_dir}/{name}")

    def _new_name(self, generation: int, now: float) -> str:
        name = f"{generation}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
        taken = set(files.listing(self._folder)) | set(files.listing(self._log_folder))
        return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in taken)

    def _having(self, *manifests: str) -> tuple[Archive, ...]:
        """The archives with one of these manifests, by name."""
        found = (self._manifest(name, manifest) for name in files.listing(self._folder) for manifest in manifests)
        return tuple(archive for archive in found if archive is not None)

    def _manifest(self, name: str, manifest: str) -> Archive | None:
        path = f"{self._folder}/{name}/{manifest}"
        fields: dict[str, Any] | None = read_json(path)
        if fields is None:
            return None
        try:
            identity = Identity(fields["cluster_id"], fields["generation"]) if fields["cluster_id"] is not None else None
            return Archive(name, identity, fields["current_epoch"], int(fields["zxid"], 16), bool(fields["damaged"]))
        except (KeyError, ValueError, TypeError) as error:
            raise UnknownFact(f"{path}: not an archive's manifest ({error!r}); a person must look at it") from error
