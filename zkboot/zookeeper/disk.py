"""The node's own disk: DiskApi on real folders. What it holds, and how it is built, archived and made ready for a start.

Every method can be killed anywhere: the next call finishes it or begins anew. Nothing of a server's data is ever deleted.

- An archive is made when its manifest appears in the archive's folder; the renames that follow are finished by whoever changes
  the disk next, and a reader takes them as done.
- A build from nothing writes the generation file last; without it a disk belongs to no generation.
- A build from the own data first notes what was (`zkboot-build.json`). Until the generation file is of the new generation a
  reader sees what was, and a start puts it back.
"""

import json
import os
import time
from typing import TYPE_CHECKING, Any

from zkboot.errors import UnknownFact, ZkbootError
from zkboot.model import Archive, Configuration, Data, Disk, DiskState, Identity
from zkboot.zookeeper import configuration, contents, files, sizing, zoo_cfg
from zkboot.zookeeper.archives import Archives
from zkboot.zookeeper.contents import ACCEPTED_EPOCH, CURRENT_EPOCH
from zkboot.zookeeper.generation import Build, Generation, read_json

if TYPE_CHECKING:
    from zkboot.settings import Settings

VOLUME_MARKER = ".zkboot-volume"


class NodeDisk:
    """See zkboot.world.DiskApi."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        node = settings.node
        self._data_dir = node.data_dir
        self._log_dir = node.data_log_dir or node.data_dir
        self._conf_dir = node.conf_dir
        self._state_dir = node.state_dir
        self._marker = f"{self._log_dir}/initialize"  # ZooKeeper looks in dataLogDir, whatever its documentation says
        self._contents = contents.Reader(self._data_dir, self._log_dir, 2 * settings.zookeeper.jute_maxbuffer)
        self._archives = Archives(self._data_dir, self._log_dir, self._conf_dir)

    # --- reading

    def read(self) -> Disk:
        promised = True  # while it cannot be known, the server stays stopped
        try:
            with files.unknown_on_error():
                promised = files.exists(self._promise)
                self._expect_volume()
                archives = self._archives.read()
                if self._archives.unfinished() is not None:
                    return Disk(DiskState.EMPTY, promised=promised, archives=archives)
                return self._read()._replace(promised=promised, archives=archives)
        except UnknownFact as error:
            return Disk(DiskState.UNKNOWN, str(error), promised=promised)

    def _read(self) -> Disk:
        generation, build = Generation.read(self._data_dir), Build.read(self._data_dir)
        held = self._contents.read()
        if build is not None and not build.finished(generation):
            return build.as_it_was(held)._replace(over=generation is not None and generation.over)
        disk = Disk(
            state=DiskState.EMPTY if held.empty else DiskState.DAMAGED if held.damage else DiskState.DATA,
            why=held.damage,
            marked=files.exists(self._marker),
            data=None if held.empty else self._data(held),
        )
        if generation is None:
            return disk._replace(myid=configuration.own_id(self._data_dir))
        return disk._replace(**generation._asdict())

    def _data(self, held: contents.Contents) -> Data:
        committed = configuration.committed(self._conf_dir)
        return Data(held.current_epoch, held.accepted_epoch, held.zxid, committed, self._pending(committed, held))

    def _pending(self, committed: Configuration | None, held: contents.Contents) -> Configuration | None:
        """The uncommitted configuration that still counts: what the server left, or zkboot's copy of it."""
        kept = configuration.kept(self._conf_dir)
        if kept is not None and held.zxid >> 32 > kept.version >> 32:
            kept = None  # a later leader's transactions are here, and it is not committed: it never will be
        both = [c for c in (configuration.proposed(self._conf_dir), kept) if c is not None]
        newest = max(both, key=lambda c: c.version, default=None)
        if newest is None or (committed is not None and newest.version <= committed.version):
            return None
        return newest

    def _expect_volume(self) -> None:
        volume = self._settings.node.volume
        if volume and not files.exists(f"{volume}/{VOLUME_MARKER}"):
            why = "; journalctl -u zkboot-volume tells why" if self._settings.node.service == "systemd" else ""
            raise UnknownFact(f"{volume} is not mounted: {VOLUME_MARKER} is missing there; mount the data volume{why}")

    # --- archiving and building

    def archive(self) -> Archive | None:
        with files.unknown_on_error():
            self._expect_volume()
            unfinished = self._archives.unfinished()
            self._archives.finish()
            disk = self._known()
            if disk.state is DiskState.EMPTY:
                self._clear()
                return unfinished
            data = disk.data or Data(0, 0, contents.NOTHING, None)
            damaged = disk.state is DiskState.DAMAGED
            # A damaged disk may hold no whole transaction at all.
            epoch, zxid = max(data.current_epoch, 0), max(data.zxid, 0)
            made = self._archives.begin(disk.identity, epoch, zxid, time.time(), damaged)
            self._archives.finish()
            return made

    def bring_back(self, name: str) -> None:
        with files.unknown_on_error():
            self._expect_volume()
            self._archives.finish()
            disk = self._known()
            if disk.state is DiskState.EMPTY and any(a.name == name for a in disk.archives):
                self._clear()
                self._archives.begin_return(name)
                self._archives.finish()

    def adopt(self, identity: Identity, server_id: int, configuration: Configuration) -> None:
        with files.unknown_on_error():
            disk = self._known()
            if disk.state is not DiskState.DATA or disk.identity not in (None, identity):
                raise ZkbootError(f"{self._data_dir} cannot be taken in: {disk.why or disk.identity or disk.state.value}")
            self._put(server_id, configuration)
            Generation(identity, server_id, seeded=False).write(self._data_dir)

    def build_empty(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        with files.unknown_on_error():
            self._expect_room_for(identity, keeping_data=False)
            self._clear()
            if epoch:
                self._set_epochs(accepted=epoch, current=epoch)
            self._put(server_id, configuration)
            files.write(self._marker, "")
            Generation(identity, server_id, seeded=True).write(self._data_dir)

    def build_joiner(self, identity: Identity, server_id: int, configuration: Configuration) -> None:
        if configuration.server(server_id) is None:
            raise ZkbootError(f"a joiner's configuration must name the joiner, server {server_id}, itself")
        with files.unknown_on_error():
            disk = self._expect_room_for(identity, keeping_data=True)
            if disk.state is DiskState.EMPTY:
                self._clear()
            files.remove(self._marker)
            self._put(server_id, configuration)
            seeded = disk.state is DiskState.DATA and disk.seeded
            Generation(identity, server_id, seeded, fenced=seeded and disk.fenced).write(self._data_dir)

    def build_from_own(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        with files.unknown_on_error():
            self._archives.finish()
            disk = self._known()
            if disk.state is not DiskState.DATA or disk.data is None:
                raise ZkbootError(f"{self._data_dir} holds nothing to seed from: {disk.why or disk.state.value}")
            highest = max(disk.data.accepted_epoch, disk.data.zxid >> 32)
            if epoch < highest:
                raise ZkbootError(f"epoch {epoch} is below {highest}, which this node has seen: it could not lead")
            if disk.identity != identity:
                Build.begin(self._data_dir, identity, disk)
            self._set_epochs(accepted=epoch, current=epoch)
            self._drop_pending()
            self._put(server_id, configuration)
            files.remove(self._marker)
            Generation(identity, server_id, seeded=True).write(self._data_dir)
            Build.end(self._data_dir)

    def fence(self) -> None:
        with files.unknown_on_error():
            generation = Generation.read(self._data_dir)
            if generation is None or not generation.seeded:
                raise ZkbootError(f"{self._data_dir} was not built by this node as a seed: nothing to fence")
            generation._replace(fenced=True).write(self._data_dir)

    def mark_over(self) -> None:
        with files.unknown_on_error():
            generation = Generation.read(self._data_dir)
            if generation is None:
                raise ZkbootError(f"{self._data_dir} belongs to no generation: nothing to mark")
            generation._replace(over=True).write(self._data_dir)

    def _expect_room_for(self, identity: Identity, *, keeping_data: bool) -> Disk:
        """The disk, an interrupted archive finished; it must be empty, or hold data of that very generation where it is kept."""
        self._archives.finish()
        disk = self._known()
        fits = disk.state is DiskState.EMPTY or (keeping_data and disk.state is DiskState.DATA and disk.identity == identity)
        if not fits:
            raise ZkbootError(f"{self._data_dir} holds data of {disk.identity or 'no generation'} in the way: archive it first")
        return disk

    def _known(self) -> Disk:
        disk = self.read()
        if disk.state is DiskState.UNKNOWN:
            raise UnknownFact(disk.why)
        return disk

    def _put(self, server_id: int, members: Configuration) -> None:
        """myid and the committed configuration, in that order: the generation file follows."""
        for folder in (self._data_dir, self._log_dir, self._conf_dir):
            files.make_folder(folder)
        files.write(f"{self._data_dir}/myid", f"{server_id}\n")
        configuration.write(self._conf_dir, members)

    def _clear(self) -> None:
        """Make an empty disk of no generation: what was not data goes, the generation file first."""
        Generation.remove(self._data_dir)
        Build.end(self._data_dir)
        files.remove(self._marker)
        self._archives.set_aside_leftovers(time.time())
        if configuration.pointer(self._conf_dir) is not None:
            configuration.point_to(self._conf_dir, None)
        for name in configuration.dynamic_names(self._conf_dir):
            files.remove(f"{self._conf_dir}/{name}")

    def _set_epochs(self, accepted: int, current: int) -> None:
        """At no moment is the accepted epoch below the current one, which no server starts from."""
        folder = f"{self._data_dir}/version-2"
        files.make_folder(folder)
        now = self._contents.read().current_epoch
        order = [(ACCEPTED_EPOCH, accepted), (CURRENT_EPOCH, current)]
        for name, epoch in order if current >= now else reversed(order):
            files.write(f"{folder}/{name}", f"{epoch}\n")

    # --- the start

    def prepare_start(self, digest: str | None, aside: bool) -> None:
        with files.unknown_on_error():
            self._expect_volume()
            self._archives.finish()
            self._undo_build()
            self._settle_pending(aside)
            digest = digest or zoo_cfg.digest_in_place(self._conf_dir)
            if digest is None:
                raise UnknownFact(f"{self._conf_dir}/zoo.cfg holds no super digest yet, and the secret was not given")
            held = self._contents.read()
            init_limit = sizing.init_limit(held.snapshot.size if held.snapshot else 0, self._settings.zookeeper.tick_time)
            text = zoo_cfg.render(self._settings, init_limit, digest, configuration.pointer(self._conf_dir))
            files.make_folder(self._conf_dir)
            files.write(configuration.zoo_cfg(self._conf_dir), text)

    def _settle_pending(self, aside: bool) -> None:
        """A start deletes `.next`: keep a copy and put it back before each, as long as it may still be committed."""
        if aside:
            self._drop_pending()
            return
        held = self._contents.read()
        pending = self._pending(configuration.committed(self._conf_dir), held)
        left, kept = configuration.next_file(self._conf_dir), configuration.kept_file(self._conf_dir)
        if pending is None:
            files.remove(left)
            files.remove(kept)
            return
        for path in (kept, left):
            files.write(path, configuration.text_of(pending) + f"version={pending.version:x}\n")

    def _drop_pending(self) -> None:
        """Out of the server's way, and of zkboot's, but still there for a person to see."""
        left, kept = configuration.next_file(self._conf_dir), configuration.kept_file(self._conf_dir)
        for path in (left, kept):
            if files.exists(path):
                files.rename(path, f"{kept}.aside")

    def _undo_build(self) -> None:
        """Put back what an unfinished build from the own data has changed."""
        build = Build.read(self._data_dir)
        if build is None:
            return
        if not build.finished(Generation.read(self._data_dir)):
            self._set_epochs(accepted=build.accepted_epoch, current=build.current_epoch)
            if build.server_id is not None:
                files.write(f"{self._data_dir}/myid", f"{build.server_id}\n")
            if build.committed is not None:
                configuration.write(self._conf_dir, build.committed)
            if build.pending is not None:
                text = configuration.text_of(build.pending) + f"version={build.pending.version:x}\n"
                files.write(configuration.kept_file(self._conf_dir), text)
        Build.end(self._data_dir)

    # --- the root disk's memory

    @property
    def _promise(self) -> str:
        return f"{self._state_dir}/promise"

    def promise(self) -> None:
        with files.unknown_on_error():
            files.make_folder(self._state_dir)
            files.write(self._promise, "")

    def release(self) -> None:
        with files.unknown_on_error():
            files.remove(self._promise)
            if os.path.isdir(self._state_dir):
                files.sync_folder(self._state_dir)

    def load(self) -> dict[str, object]:
        with files.unknown_on_error():
            state: dict[str, Any] | None = read_json(f"{self._state_dir}/state.json")
        return state or {}

    def save(self, state: dict[str, object]) -> None:
        with files.unknown_on_error():
            files.make_folder(self._state_dir)
            files.write(f"{self._state_dir}/state.json", json.dumps(state, sort_keys=True, indent=1) + "\n")
