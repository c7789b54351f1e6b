"""The server on this node and its data: stopped, archived, started."""

from zkboot.actions.configurations import configuration_to_take_over
from zkboot.actions.given import Act
from zkboot.actions.writing import look_again
from zkboot.errors import UnknownFact
from zkboot.steps import step
from zkboot.zookeeper.zoo_cfg import super_digest


def fence_on_disk(a: Act) -> None:
    with step("fence on disk"):
        a.world.disk.fence()


def archive(a: Act) -> None:
    look_again(a)
    with step("archive"):
        a.world.disk.archive()


def release(a: Act) -> None:
    with step("release"):
        a.world.disk.release()


def start(a: Act, secret: str | None) -> None:
    with step("configure"):
        a.world.disk.prepare_start(super_digest(secret) if secret else None, a.decision.aside)
    with step("start"):
        a.world.server.start()


def start_own(a: Act) -> str:
    """With AWS away, or the parameter out of reach, the super digest in place is kept: a member's configuration holds it."""
    secret, kept = None, ""
    if a.words.record is not None:
        look_again(a)
        try:
            secret = a.world.store.secret(a.settings.aws.secret)
        except UnknownFact as e:
            kept = f"; the super digest in place is kept, for {e}"
    data, disk = a.seen.disk.data, a.seen.disk
    if disk.promised:
        release(a)
    if disk.seeded and not disk.fenced and a.words.record is not None:
        fence_on_disk(a)  # killed right after the fence: the record says `started`, or no row would start this disk
    if data is not None and data.committed is not None and disk.identity and a.words.own_id:
        known = configuration_to_take_over(a, data.committed)
        if known is not None:
            with step("set up"):
                a.world.disk.build_joiner(disk.identity, a.words.own_id, known)
    start(a, secret)
    return a.decision.reason + kept


def restart(a: Act) -> str:
    stop(a)
    return start_own(a)


def stop(a: Act) -> None:
    if a.seen.server.running:
        with step("stop"):
            a.world.server.stop()


def await_seed(a: Act) -> str | None:
    stop(a)
    return None
