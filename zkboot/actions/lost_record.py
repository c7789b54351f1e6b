"""The record, missing while its ensemble serves, is written again."""

from zkboot import record as records
from zkboot.actions.given import Act
from zkboot.errors import Stale
from zkboot.model import Claim, Record, State
from zkboot.steps import step
from zkboot.words import majority


def adopt(a: Act) -> str | None:
    """Write the record again from the live ensemble: ids and addresses from its configuration, instances by address."""
    quorum, group, identity = a.words.quorum, a.words.group, a.seen.disk.identity
    assert quorum is not None and identity is not None
    if group is None:
        raise Stale("waiting: the record can be written again once EC2 says which instance has which address")
    living = {i.address: i for i in group.instances.values() if i.address and i.state in ("pending", "running")}
    members = {}
    reports = list(records.read_reports(a.world.store, a.settings.cluster).values())
    for server in quorum.configuration.servers:
        # By its own report, also when its instance is gone meanwhile; else by the address, which only the living hold. Ids and
        # addresses are given again: the living one's report counts before a dead one's.
        instance = living.get(server.address)
        own = [r for r in reports if (r.server_id, r.address) == (server.id, server.address)]
        report = max(own, key=lambda r: (instance is not None and r.instance_id == instance.id, r.modified), default=None)
        if report is not None:
            members[server.id] = Claim(report.instance_id, server.address, instance.zone if instance else "", group.date)
        elif instance is not None:
            members[server.id] = Claim(instance.id, server.address, instance.zone, group.date)
    epochs = (a.seen.disk.data.current_epoch, a.seen.disk.data.accepted_epoch) if a.seen.disk.data else (0,)
    # The promise of `created` is made again only by as many voters as it takes; else row 6 makes it later.
    whole = len(a.words.voters_serving) >= majority(a.words.target)
    new = Record(
        revision=max((r.revision for r in reports), default=0),
        nonce="",
        cluster_id=identity.cluster_id,
        scope=a.me.scope,
        generation=identity.generation,
        state=State.CREATED if whole else State.RESEEDING,
        seed=a.me.instance_id,
        started=True,
        created=(identity.generation,) if whole else (),
        zk_epoch=max(*epochs, quorum.configuration.version >> 32),
        members=members,
    )
    with step("adopt"):
        records.create(a.world.store, a.settings.cluster, new)
    return None
