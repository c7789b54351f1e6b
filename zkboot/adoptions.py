"""`zkboot adopt`: a member of an ensemble that others built becomes zkboot's; or the record follows to this node's group.

It stops nobody, and has no intent in the record.
"""

import uuid

from zkboot import record as records
from zkboot.actions.promises import withdraw
from zkboot.actions.seeding import put_secrets
from zkboot.actions.writing import id_of
from zkboot.commands import Refused, acting, known_record
from zkboot.errors import Halted
from zkboot.model import Claim, Disk, DiskState, Identity, Me, Mode, Record, State
from zkboot.notes import Notes
from zkboot.observe import observe
from zkboot.reconcile import Say
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.turns import bootstrap
from zkboot.words import ADOPTED, Words
from zkboot.world import View, World
from zkboot.zookeeper.zoo_cfg import super_digest


def adopt_live(world: World, settings: Settings, say: Say, through: str) -> int:
    """Take this node's part of an ensemble that others built: its data, its id, its place in the record; then start
    it as zkboot does.

    One member after the other: its server stopped by whoever runs it, the rest serving. The first one writes the record, and the
    first whose server serves puts the identity into the ensemble.
    """
    me, disk = world.metadata.me(), world.disk.read()
    found = records.read(world.store, settings.cluster)
    if found is None or disk.identity != Identity(found[0].cluster_id, found[0].generation):
        record = take_in(world, settings, me, disk, found[0] if found else None, through)
    elif is_of_record(found[0], me, disk.server_id) and world.server.view(through).identity is None:
        record = found[0]  # killed before its proof
    else:
        return bootstrap(world, settings, say)
    take_promise_back(world, settings)
    secret = world.store.secret(settings.aws.secret)
    assert secret is not None
    if not world.server.process().running:
        with step("configure"):
            world.disk.prepare_start(super_digest(secret), False)
        with step("start"):
            world.server.start()
    await_service(world, settings)
    with step("prove"):
        world.server.prove(me.address, secret, Identity(record.cluster_id, record.generation))
    return bootstrap(world, settings, say)


def take_promise_back(world: World, settings: Settings) -> None:
    """That of an empty disk, given before others set the server up: it serves from here on."""
    found = observe(world, settings, Notes(world))
    if Words(found.observation).promised:
        withdraw(acting(world, settings, found))


def take_in(world: World, settings: Settings, me: Me, disk: Disk, known: Record | None, through: str) -> Record:
    """This node's data and id become the record's, which the first one writes. Raises Refused before anything was changed."""
    if world.server.process().running:
        raise Refused("this node's server runs: stop it first (the others go on), then run this again")
    if disk.state is not DiskState.DATA or disk.data is None:
        raise Refused(
            f"{settings.node.data_dir} holds nothing to take in ({disk.why or disk.state}); node.data_dir must be its dataDir"
        )
    view = world.server.view(through)
    own = next((s for s in view.configuration.servers if s.address == me.address), None)
    if own is None:
        raise Refused(f"the ensemble at {through} has no server at {me.address}: this node is no member of it")
    port = settings.zookeeper.client_port
    elsewhere = [f"server {s.id} at {s.client_port}" for s in view.configuration.servers if s.client_port != port]
    if elsewhere:
        raise Refused(
            f"zookeeper.client_port is {port}, where zkboot looks for every server, and clients are served by "
            f"{', '.join(elsewhere)}: nothing was done. Give all servers one port (reconfig, or their zoo.cfg) and set it here"
        )
    if known is None and view.identity is not None:
        raise Refused(
            f"the ensemble at {through} belongs to cluster {view.identity.cluster_id}, whose record is missing: put it back"
        )
    record = known if known is not None else adopted_record(world, settings, me, view, disk)
    identity = Identity(record.cluster_id, record.generation)
    first = view.identity is None and is_of_record(record, me, own.id)
    if record.scope != me.scope:
        raise Refused(
            f"the record of cluster {settings.cluster} belongs to {'/'.join(record.scope)}, this node to {'/'.join(me.scope)}: "
            "nothing was done. Give this group another cluster name"
        )
    if view.identity is None and not first and record.source == ADOPTED:
        others = ", ".join(sorted(claim.instance_id for claim in record.members.values()))
        raise Refused(
            f"the ensemble at {through} belongs to no cluster yet, and the record that {record.seed} wrote of {settings.cluster} "
            f"does not have this node: nothing was done. Adopt one first that it has: {others}"
        )
    if view.identity != identity and not first:
        raise Refused(
            f"the ensemble at {through} belongs to {view.identity or 'no cluster yet'}, the record of {settings.cluster} to "
            f"{identity}: nothing was done. Name a member of that with --through, or give this group another cluster name"
        )
    put_secrets(world, settings, record)
    if id_of(me.instance_id, record) is None:
        claim_adopted(world, settings, me, own.id)
    with step("take in"):
        world.disk.adopt(identity, own.id, view.configuration)
    return record


def is_of_record(record: Record, me: Me, server_id: int | None) -> bool:
    """Whether this member's ensemble is the record's although nobody has put the identity there: this node wrote the record, or
    it was written for an ensemble that has this node, by that very id."""
    return record.seed == me.instance_id or (record.source == ADOPTED and id_of(me.instance_id, record) == server_id)


def adopted_record(world: World, settings: Settings, me: Me, view: View, disk: Disk) -> Record:
    """The first record of an ensemble that others built."""
    group = world.group.describe(frozenset({me.instance_id}))
    living = {i.address: i for i in group.instances.values() if i.address and i.state in ("pending", "running")}
    new = Record(
        revision=0,
        nonce="",
        cluster_id=uuid.uuid4().hex,
        scope=me.scope,
        generation=1,
        state=State.CREATED,
        seed=me.instance_id,
        started=True,
        created=(1,),
        zk_epoch=max(disk.data.current_epoch, disk.data.accepted_epoch) if disk.data else 0,
        members={
            s.id: Claim(living[s.address].id, s.address, living[s.address].zone, group.date)
            for s in view.configuration.servers
            if s.address in living
        },
        source=ADOPTED,
    )
    with step("adopt"):
        return records.create(world.store, settings.cluster, new)[0]


def claim_adopted(world: World, settings: Settings, me: Me, server_id: int) -> None:
    """The record names this node for the id it always had. Raises Stale when another was first; then run the command again."""
    found = records.read(world.store, settings.cluster)
    if found is None:
        raise Refused("the record is gone; run the command again")
    record, etag = found
    mine = Claim(me.instance_id, me.address, me.zone, world.group.describe(frozenset({me.instance_id})).date)
    with step("claim adopted"):
        records.replace(world.store, settings.cluster, record._replace(members={**record.members, server_id: mine}), etag)


def await_service(world: World, settings: Settings) -> None:
    end = world.clock.monotonic() + settings.timing.start_limit
    while world.server.process().mode is Mode.NONE:
        if world.clock.monotonic() >= end:
            raise Halted("the server was started with the ensemble's configuration and does not serve; see its log")
        world.clock.sleep(settings.timing.turn_pause / 10)


def follow_group(world: World, settings: Settings) -> str:
    """Make the record follow to this node's group: the group of before was replaced, its ensemble or its data goes on."""
    found = observe(world, settings, Notes(world))
    record, me = known_record(found), found.observation.me
    if record.scope == me.scope:
        raise Refused(f"the record is of this node's group {me.scope.group} already: nothing to adopt")
    if record.scope.region_of_account != me.scope.region_of_account:
        raise Refused(
            f"the record is of region {record.scope.region} of account {record.scope.account}, whose instances EC2 does not "
            f"know in {me.scope.region} of {me.scope.account}: that ensemble may serve, and nothing was done. Give this one "
            "a bucket of its own; `zkboot restore --adopt-cluster-id` takes a copy of the data in"
        )
    left_behind = still_there(world, record, me)
    if left_behind:
        raise Refused(
            f"{', '.join(left_behind)} of group {record.scope.group} would halt once the record is another group's, and leave "
            "the ensemble one after the other: nothing was done. Empty that group first (its last member leaves a backup); then "
            "adopt, and go on with `zkboot restore`"
        )
    with step("follow group"):
        records.replace(world.store, settings.cluster, record._replace(scope=me.scope), found.etag)
    return (
        f"cluster {settings.cluster} follows from group {record.scope.group} to {me.scope.group}; its instances join from now on"
    )


def still_there(world: World, record: Record, me: Me) -> list[str]:
    """Members that live, as far as EC2 knows them here, and do not belong to this node's group."""
    claimed = frozenset(claim.instance_id for claim in record.members.values())
    found = world.group.describe(claimed | {me.instance_id}).instances
    return sorted(i for i in claimed & found.keys() if found[i].state != "terminated" and not found[i].lifecycle)
