"""A cold backup: this one node's server is stopped while its files are copied, and started again whatever fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zkboot.backup.node import Node
from zkboot.backup.verify import Tell
from zkboot.errors import UnknownFact
from zkboot.lock import node_lock
from zkboot.model import Quorum, Role
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.words import majority
from zkboot.world import World
from zkboot.zookeeper import configuration, files


def refusal(quorum: Quorum | None, server_id: int | None) -> str:
    """Why this server may not be stopped now, or "": the ensemble must keep its quorum, and its leader, without it."""
    own = quorum.configuration.server(server_id) if quorum is not None and server_id is not None else None
    if quorum is None or own is None or own.id not in quorum.serving:
        return "this node is not seen to serve as a member of an ensemble with a quorum"
    if own.id == quorum.leader:
        return "this node leads: a cold backup is made on another member"
    voters = {server.id for server in quorum.configuration.voters}
    left = len((voters & quorum.serving) - {own.id})
    if own.role is not Role.OBSERVER and left < majority(len(voters)):
        return f"{left} of {len(voters)} voters would be left, which is no quorum"
    return ""


@contextmanager
def stopped(world: World, settings: Settings, look: Callable[[], Node], tell: Tell) -> Iterator[Node]:
    """The server stopped until the context ends; gives the node as it was seen right before.

    The node's lock is held meanwhile, so that recovery does not start the server in the middle; killed here, the lock is free,
    and recovery's next turn starts it. Raises UnknownFact where the server may not be stopped now.
    """
    with node_lock(settings.node.state_dir, settings.timing.start_limit, tell, world.clock):
        node = look()
        why = refusal(node.quorum, node.server_id) or ("a reconfiguration is under way" if pending(settings) else "")
        if why:
            raise UnknownFact(f"no cold backup: {why}")
        try:
            tell(f"stopping server {node.server_id} for a cold backup; the others serve")
            with step("stop server"):
                world.server.stop()
            yield node
        finally:
            start_again(world, settings, tell)


def start_again(world: World, settings: Settings, tell: Tell) -> None:
    """As it ran before: its configuration is in place. A start would delete a pending one, which only recovery keeps."""
    if pending(settings):
        tell("a reconfiguration has begun meanwhile: recovery's next turn starts the server")
        return
    with step("start server"):
        world.server.start()
    tell("the server is started again")


def pending(settings: Settings) -> bool:
    with files.unknown_on_error():
        return files.exists(configuration.next_file(settings.node.conf_dir))
