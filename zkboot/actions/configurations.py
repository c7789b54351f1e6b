"""Which configuration a server starts with."""

from zkboot.actions.given import Act
from zkboot.errors import Stale
from zkboot.model import Configuration, Record, Role, Server


def first_version(record: Record) -> int:
    """The version of the configuration that the generation begins with, above all of the generations before; 0 where none was."""
    return (record.zk_epoch + 1) << 32 if record.zk_epoch else 0


def with_me_watching(known: Configuration, me: Server) -> Configuration:
    """What a joiner starts with: the members and itself as an observer; whoever had its id or its address before is left out. A
    member that joins again listens where its line says.

    A server that looks for a leader takes over the first newer configuration that it hears, and then asks those members alone. So
    this one is just older than what it is made from: it takes that over from whoever serves, and nothing older from others that
    wait too, who would hold each other to members that are gone.
    """
    others = tuple(s for s in known.servers if s.id != me.id and s.address != me.address)
    mine = next((s for s in known.servers if s.id == me.id and s.address == me.address), me)
    return Configuration(max(known.version - 1, 0), (*others, mine._replace(role=Role.OBSERVER)))


def seed_alone(a: Act, record: Record) -> Configuration:
    """What a joiner beside the seed knows: the seed, and nobody else."""
    found = next(((i, c) for i, c in record.members.items() if c.instance_id == record.seed), None)
    if found is None:
        raise Stale("waiting: the seed has no claim in the record yet")
    return Configuration(first_version(record), (a.words.line(found[0], found[1].address),))


def configuration_to_take_over(a: Act, own: Configuration) -> Configuration | None:
    """What stands in the place of the committed configuration on this disk before a start; None where that stays."""
    quorum, own_id = a.words.quorum, a.words.own_id
    assert own_id is not None
    if quorum is not None and a.words.own_server is not None and own.version < quorum.configuration.version:
        # Whoever was away while all others were replaced asks only for them, and is never answered.
        return quorum.configuration
    if a.words.is_own(own) is None:
        # Only a proposal names this node as yet: a server that its own file does not name would not start at all.
        return with_me_watching(quorum.configuration if quorum else own, a.words.line(own_id, a.me.address))
    return None


def address_of(configuration: Configuration, server_id: int) -> str:
    server = configuration.server(server_id)
    assert server is not None
    return server.address
