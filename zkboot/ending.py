"""The last line of a boot, said by `zkboot timers`: how this node serves, or where to look and what to ask."""

from typing import TYPE_CHECKING

from zkboot.errors import SettingsError, UnknownFact
from zkboot.model import Mode, Role

if TYPE_CHECKING:
    from zkboot.settings import Settings

RECOVERY = "zkboot-recover"
SERVER = "zookeeper"


def ending(settings: "Settings", *, backups: bool) -> str:
    """One sentence of what the own server and the configuration beside it say; nobody else is asked. `backups`: whether a timer
    looks after them."""
    recovery = f"recovery every {period(settings.timing.recover_interval)}"
    try:
        how = serving(settings)
    except SettingsError:
        how = ""
    except UnknownFact as error:
        return f"it is unknown whether this node serves ({error}); {recovery} goes on from here: {look(settings)}"
    following = f"{recovery}; {next_backup(settings)}" if backups else recovery
    return f"{how}; {following}" if how else f"not serving; {recovery} goes on from here: {look(settings)}"


def serving(settings: "Settings") -> str:
    """How this node serves as a member; "" when it does not. Raises UnknownFact, SettingsError."""
    from zkboot.zookeeper import configuration, files
    from zkboot.zookeeper.server import NodeServer

    mode = NodeServer(settings).process().mode
    with files.unknown_on_error():
        server_id = configuration.own_id(settings.node.data_dir)
        members = configuration.committed(settings.node.conf_dir)
    own = members.server(server_id) if members and server_id is not None else None
    if mode is Mode.NONE or own is None or members is None:
        return ""
    voters = ", ".join(str(voter.id) for voter in members.voters)
    if own.role is Role.OBSERVER:
        return f"serving as {mode}, server {own.id}, a spare beside the voters {voters}"
    return f"serving as {mode}, server {own.id} of {len(members.voters)} ({voters})"


def next_backup(settings: "Settings") -> str:
    """By when there is one, on whichever node: the timer makes it a look before the interval has passed (`backup.turn`)."""
    interval = settings.backup.interval
    if not interval:
        return "no backups, as backup.interval is 0"
    hours = interval / 3600
    return f"next backup within {hours:g} h" if hours == int(hours) else f"next backup within {interval / 60:.0f} min"


def look(settings: "Settings") -> str:
    """Where to look, and what to run."""
    if settings.node.service == "systemd":
        return f"see journalctl -u {RECOVERY} and journalctl -u {SERVER}, and ask zkboot plan --why"
    return f"see {settings.node.state_dir}/zookeeper.log, and ask zkboot plan --why"


def period(seconds: float) -> str:
    return "minute" if seconds == 60 else f"{seconds:g} s"
