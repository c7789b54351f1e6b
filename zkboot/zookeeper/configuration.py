"""ZooKeeper's membership files, read and written: `server.N=` lines, and the files beside zoo.cfg that hold them.

Format: "Dynamic Reconfiguration" in ZooKeeper's documentation and `QuorumPeerConfig`, `QuorumPeer.QuorumServer` in its source.
zoo.cfg names the committed configuration (`dynamicConfigFile=`), whose version is the hex suffix of the file's name;
`zoo.cfg.dynamic.next` is a proposed one, with its version on a line. A start deletes that: zkboot keeps a copy, `pending`.

A light turn reads these: nothing dear may be imported here.
"""

import os

from zkboot.errors import UnknownFact
from zkboot.model import Configuration, Ports, Role, Server
from zkboot.zookeeper import files

POINTER = "dynamicConfigFile"
UNFINISHED = (".next", ".tmp", ".zkboot-new")  # proposed only, or being written by ZooKeeper or zkboot


def zoo_cfg(conf_dir: str) -> str:
    return f"{conf_dir}/zoo.cfg"


def dynamic_file(conf_dir: str, version: int) -> str:
    """Where a configuration of that version lies; version 0 has no suffix."""
    return f"{conf_dir}/zoo.cfg.dynamic" + (f".{version:x}" if version else "")


def next_file(conf_dir: str) -> str:
    return f"{conf_dir}/zoo.cfg.dynamic.next"


def kept_file(conf_dir: str) -> str:
    return f"{conf_dir}/pending"


def parse(text: str, version: int = 0, client_port: int = Ports().client) -> Configuration:
    """The configuration of a file's or of /zookeeper/config's text; a `version=` line counts more than `version`, and
    `client_port` is that of lines without one.

    Raises ValueError for what zkboot cannot count votes by.
    """
    servers = []
    for key, value in properties(text).items():
        if key == "version":
            version = int(value, 16)
        elif key.startswith("server."):
            servers.append(_parse_server(int(key.removeprefix("server.")), value, client_port))
        elif key.startswith(("group", "weight")):
            raise ValueError(f"hierarchical quorums are not supported: {key}={value}")
    if not servers:
        raise ValueError("no server line")
    return Configuration(version, tuple(sorted(servers)))


def server_line(server: Server) -> str:
    """As ZooKeeper writes it: server.4=10.0.0.4:2888:3888:participant;10.0.0.4:2181"""
    address = f"[{server.address}]" if ":" in server.address else server.address
    ports = f"{server.quorum_port}:{server.election_port}"
    return f"server.{server.id}={address}:{ports}:{server.role.value};{address}:{server.client_port}"


def text_of(configuration: Configuration) -> str:
    """The text of a committed configuration's file, where a version line would be fatal."""
    return "".join(f"{server_line(s)}\n" for s in configuration.servers)


def properties(text: str) -> dict[str, str]:
    """Java properties, as far as zoo.cfg and its companions use them."""
    pairs = (line.partition("=") for line in map(str.strip, text.splitlines()) if line and line[0] not in "#!")
    return {key.strip(): value.strip() for key, _, value in pairs}


def pointer(conf_dir: str) -> str | None:
    """The file that zoo.cfg names as the committed configuration. Raises OSError."""
    text = files.read_text(zoo_cfg(conf_dir))
    return properties(text).get(POINTER) if text is not None else None


def committed(conf_dir: str) -> Configuration | None:
    """The configuration that zoo.cfg names; None when it names none. Raises UnknownFact, OSError."""
    path = pointer(conf_dir)
    if path is None:
        return None
    found = _read(path, _version_of_name(path))
    if found is None:
        raise UnknownFact(f"{zoo_cfg(conf_dir)} names {path}, which is not there: put it back, or archive the node's data")
    return found


def proposed(conf_dir: str) -> Configuration | None:
    """The uncommitted configuration a server left. Raises UnknownFact, OSError."""
    return _read(next_file(conf_dir), 0)


def kept(conf_dir: str) -> Configuration | None:
    """zkboot's copy of an uncommitted configuration. Raises UnknownFact, OSError."""
    return _read(kept_file(conf_dir), 0)


def own_id(data_dir: str) -> int | None:
    """The server's own id, as its `myid` has it; None when there is none. Raises OSError."""
    text = (files.read_text(f"{data_dir}/myid") or "").strip()
    return int(text) if text.isdecimal() else None


def own_server(conf_dir: str, server_id: int) -> Server | None:
    """Where the own server listens: its line in the committed configuration, else in the newest of the files that names it.

    A joiner is not in the committed one, which it adopts, nor is one that was removed. Raises UnknownFact, OSError.
    """
    now = committed(conf_dir)
    if now is not None and (found := now.server(server_id)) is not None:
        return found
    names = [n for n in files.listing(conf_dir) if n.startswith("zoo.cfg.dynamic") and not n.endswith(UNFINISHED)]
    older = [c for n in names if (c := _read(f"{conf_dir}/{n}", _version_of_name(n))) is not None]
    naming = [s for c in sorted(older, key=lambda c: c.version) if (s := c.server(server_id)) is not None]
    return naming[-1] if naming else None


def write(conf_dir: str, configuration: Configuration) -> None:
    """Put a configuration in place as the committed one: its file first, then the pointer. Raises OSError."""
    path = dynamic_file(conf_dir, configuration.version)
    files.write(path, text_of(configuration))
    point_to(conf_dir, path)


def point_to(conf_dir: str, path: str | None) -> None:
    """Make zoo.cfg name that file (or none) and leave its other lines. Raises OSError."""
    old = files.read_text(zoo_cfg(conf_dir)) or ""
    lines = [line for line in old.splitlines() if line.partition("=")[0].strip() != POINTER]
    if path is not None:
        lines.append(f"{POINTER}={path}")
    files.write(zoo_cfg(conf_dir), "".join(f"{line}\n" for line in lines))


def dynamic_names(conf_dir: str) -> list[str]:
    """The names of every membership file beside zoo.cfg. Raises OSError."""
    return [n for n in files.listing(conf_dir) if n.startswith(("zoo.cfg.dynamic", "pending"))]


def _read(path: str, version: int) -> Configuration | None:
    text = files.read_text(path)
    if text is None:
        return None
    try:
        return parse(text, version)
    except ValueError as error:
        raise UnknownFact(f"{path}: not a configuration that zkboot understands: {error}") from error


def _version_of_name(path: str) -> int:
    try:
        return int(os.path.basename(path).rpartition(".")[2], 16)
    except ValueError:
        return 0


def _parse_server(server_id: int, value: str, client_port: int) -> Server:
    """ADDRESS:QUORUM:ELECTION[:ROLE][;[ADDRESS:]CLIENT], an IPv6 address in brackets."""
    peer, _, client = value.partition(";")
    address, fields = _split_address(peer)
    if len(fields) not in (2, 3) or "|" in value:
        raise ValueError(f"server.{server_id}={value}")
    role = Role(fields[2].lower()) if len(fields) == 3 else Role.PARTICIPANT
    port = int(client.rpartition(":")[2]) if client else client_port
    return Server(server_id, address, role, port, int(fields[0]), int(fields[1]))


def _split_address(text: str) -> tuple[str, list[str]]:
    if text.startswith("["):
        address, _, rest = text[1:].partition("]:")
    else:
        address, _, rest = text.partition(":")
    return address, rest.split(":")
