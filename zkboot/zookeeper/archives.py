"""Data renamed aside: `archive/<generation>-<UTC time>/` beside the data folder, on the same file system.

The manifest `moving.json` is the decision to archive; the renames follow, and then it is called `archive.json`. Configuration
files may lie on another file system: they are copied, without the super digest, before they are removed.
"""

import json
import os
import time
from typing import Any

from zkboot.errors import UnknownFact
from zkboot.model import Archive, Identity
from zkboot.zookeeper import configuration, contents, files, zoo_cfg
from zkboot.zookeeper.generation import SCHEMA, read_json

MOVING = "moving.json"
MANIFEST = "archive.json"


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
        names = files.listing(self._folder)
        whole = (self._manifest(name, MANIFEST) for name in names if files.exists(f"{self._folder}/{name}/data"))
        found = (*whole, *(self._manifest(name, MOVING) for name in names))
        return tuple(archive for archive in found if archive is not None)

    def unfinished(self) -> Archive | None:
        """The archive that was begun, and whose renames may not all have been made."""
        found = (self._manifest(name, MOVING) for name in files.listing(self._folder))
        return next((archive for archive in found if archive is not None), None)

    def begin(self, identity: Identity | None, epoch: int, zxid: int, now: float, damaged: bool) -> Archive:
        """Decide that all goes aside: from here on the disk counts as empty. `now` is seconds since 1970, for the name."""
        archive = Archive(self._new_name(identity.generation if identity else 0, now), identity, epoch, zxid, damaged)
        files.make_folder(f"{self._folder}/{archive.name}")
        fields = {
            "schema": SCHEMA,
            "cluster_id": identity.cluster_id if identity else None,
            "generation": identity.generation if identity else None,
            "current_epoch": epoch,
            "zxid": f"0x{zxid:x}",
            "damaged": damaged,
        }
        files.write(f"{self._folder}/{archive.name}/{MOVING}", json.dumps(fields, sort_keys=True, indent=1) + "\n")
        return archive

    def finish(self) -> None:
        """Make the renames of an archive that was begun; nothing when there is none."""
        archive = self.unfinished()
        if archive is None:
            return
        folder = f"{self._folder}/{archive.name}"
        self._move_configuration(f"{folder}/conf")
        self._move(self._data_dir, f"{folder}/data")
        if self._log_dir != self._data_dir:
            files.make_folder(f"{self._log_folder}/{archive.name}")
            self._move(self._log_dir, f"{self._log_folder}/{archive.name}/log")
        files.rename(f"{folder}/{MOVING}", f"{folder}/{MANIFEST}")

    def bring_back(self, name: str) -> None:
        """Make the archive the disk again, the data last; what stood there (no data) goes where the archive was. Not the
        configuration: whoever brings data back writes a new one."""
        if self._log_dir != self._data_dir:
            self._swap(self._log_dir, f"{self._log_folder}/{name}", "log")
        self._swap(self._data_dir, f"{self._folder}/{name}", "data")

    def _swap(self, target: str, folder: str, part: str) -> None:
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

    def _move(self, source: str, target: str) -> None:
        if not files.exists(target) and files.exists(source):
            files.rename(source, target)

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
