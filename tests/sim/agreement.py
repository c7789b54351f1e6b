"""Scenarios that a simulated and a real ZooKeeper must end alike: each returns what was seen, as plain facts.

Nobody is elected by a race in them: where a tie is decided, it is decided by epoch, zxid and id, all servers there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.integration.servers import IDENTITY, PASSWORD
from tests.sim.members import Player
from zkboot.errors import Stale, UnknownFact
from zkboot.model import SERVING, Change, Configuration, Mode, Role

MARGIN = 65_536
Facts = list[Any]


class Scenario(NamedTuple):
    """`play` takes so many members. What is `long` is left to `make test-long`."""

    members: int
    play: Callable[..., Facts]
    long: bool = False


# --- words


def version(member: Player) -> int:
    return member.server.view(member.address).configuration.version


def roles(configuration: Configuration) -> str:
    """`1,2,3o`: the ids, an `o` behind an observer's."""
    return ",".join(f"{s.id}{'o' if s.role is Role.OBSERVER else ''}" for s in sorted(configuration.servers))


def shown(member: Player) -> str:
    return roles(member.server.view(member.address).configuration)


def on_disk(member: Player) -> tuple[str, str]:
    """Its committed and its pending configuration."""
    data = member.disk.read().data
    assert data is not None
    return tuple(roles(c) if c else "none" for c in (data.committed, data.pending))  # type: ignore[return-value]


def serve(*members: Player) -> list[str]:
    """Wait until each of them serves; what each then said."""
    return [str(member.wait_for(*SERVING)) for member in members]


def modes(*members: Player) -> list[str]:
    return [str(member.mode()) for member in members]


def leader(*members: Player) -> Player:
    found: list[Player] = []

    def one_leads() -> bool:
        found[:] = [m for m in members if m.mode() is Mode.LEADER]
        return bool(found) and all(m.mode() in SERVING for m in members)

    members[0].wait("a leader, and the others behind it", one_leads)
    return found[0]


def grow(*members: Player) -> None:
    """The first creates, the others join it as voters."""
    members[0].create()
    for other in members[1:]:
        join(other, members[0])
    serve(*members)


def kill(*members: Player) -> None:
    for member in members:
        member.kill()


def start(*members: Player) -> None:
    for member in members:
        member.start()


def write(member: Player) -> None:
    """A transaction that a quorum has, asked for again while there is none."""
    member.wait("a write", lambda: answer(lambda: member.server.prove(member.address, PASSWORD, IDENTITY)) == "done")


def answer(call: Callable[[], object]) -> str:
    try:
        call()
        return "done"
    except Stale:
        return "refused"
    except UnknownFact:
        return "unknown"


def change(through: Player, joining: tuple[Any, ...], leaving: tuple[int, ...] = ()) -> str:
    """A reconfiguration that comes about in the end; the roles after it."""

    def ask() -> Configuration | None:
        try:
            now = through.server.view(through.address).configuration
            if all(s in now.servers for s in joining) and not any(now.server(i) for i in leaving):
                return now
            through.server.reconfigure(through.address, PASSWORD, Change(joining, leaving, now.version))
        except (Stale, UnknownFact):
            pass
        return None

    return roles(through.wait("a reconfiguration", ask))


def join(member: Player, through: Player, role: Role = Role.PARTICIPANT, leaving: tuple[int, ...] = ()) -> str:
    member.follow(through.server.view(through.address).configuration)
    return change(through, (member.line(role),), leaving)


# --- elections


def the_most_transactions_lead(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    kill(three)
    write(leader(one, two))
    kill(one, two)
    start(one, three)
    first = leader(one, three).number
    return [first, modes(one, three)]


def of_equals_the_highest_id_leads(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    write(one)
    kill(one, two, three)
    start(one, two)
    first = leader(one, two)
    return [first.number, version(first) >> 32, shown(one)]


def a_higher_epoch_leads_before_a_higher_id(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    kill(one, two, three)
    data = one.disk.read().data
    assert data is not None and data.committed is not None
    one.disk.build_from_own(IDENTITY, 1, data.committed, data.accepted_epoch + MARGIN)
    start(one, three)
    first = leader(one, three)
    three.kill()
    after = three.disk.read().data
    assert after is not None
    return [first.number, after.current_epoch - data.current_epoch]


def empty_disks_elect_nobody(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    write(one)
    now = one.server.view(one.address).configuration
    kill(one, two, three)
    for emptied in (one, two):
        emptied.disk.archive()
        emptied.disk.build_joiner(IDENTITY, emptied.number, now)
    start(one, two)
    two.looks_in_vain()
    alone = modes(one, two)
    three.start()
    three.looks_in_vain()
    return [alone, modes(one, two, three)]


def a_survivor_with_a_later_epoch_leads_alone_and_the_old_follow(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    write(one)
    kill(one, two, three)
    data = one.disk.read().data
    assert data is not None
    epoch = data.accepted_epoch + MARGIN
    one.disk.build_from_own(IDENTITY._replace(generation=2), 1, Configuration((epoch + 1) << 32, (one.line(),)), epoch)
    start(one)
    one.wait_for(Mode.LEADER)
    start(three)
    three.wait_for(*SERVING)
    return [modes(one, three), version(one) - ((epoch + 1) << 32), shown(three)]


# --- configurations


def members_come_change_and_go(one: Player, two: Player, three: Player) -> Facts:
    one.create()
    found = [join(two, one), join(three, one, Role.OBSERVER), str(three.wait_for(Mode.OBSERVER))]
    found.append(change(one, (three.line(),)))
    found.append(change(one, (three.line(Role.OBSERVER),)))
    found.append(change(one, (), (3,)))
    return [*found, version(one) >> 32]


def what_is_refused(one: Player, two: Player, three: Player) -> Facts:
    one.create()
    created = version(one)
    two.follow(one.server.view(one.address).configuration)

    def ask(change: Change) -> str:
        return answer(lambda: one.server.reconfigure(one.address, PASSWORD, change))

    stale = ask(Change((two.line(),), (), created - 1))
    absent = ask(Change((three.line(), three.line()._replace(id=9, address="127.0.0.9")), (), created))
    spare = ask(Change((two.line(Role.OBSERVER),), (), created))
    two.wait_for(Mode.OBSERVER)
    promoted = ask(Change((two.line(),), (), version(one)))
    return [stale, absent, spare, promoted, shown(one)]


def a_leader_takes_itself_out(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    first = leader(one, two, three)
    others = [m for m in (one, two, three) if m is not first]
    after = change(others[0], (), (first.number,))
    leader(*others)
    # A leader out of its own configuration goes on saying `leader` until it misses its followers.
    said = first.wait_for(Mode.FOLLOWER, Mode.OBSERVER)
    return [after == ",".join(str(m.number) for m in others), str(said), shown(first) == after]


def a_joiner_not_let_in_does_not_start_again(one: Player, two: Player) -> Facts:
    one.create()
    now = one.server.view(one.address).configuration
    two.follow(now)
    before = shown(two)
    two.kill()
    two.start()
    two.exits()
    two.follow(now)
    return [before, serve(one, two)]


def a_proposal_unheard_decides_over_starts(one: Player, two: Player) -> Facts:
    one.create()
    now = one.server.view(one.address).configuration
    two.follow(now)
    two.freeze()
    asked = answer(lambda: one.server.reconfigure(one.address, PASSWORD, Change((two.line(),), (), now.version)))
    two.thaw()
    two.kill()
    found: Facts = [asked]
    for _ in range(2):
        one.kill()
        found.append(on_disk(one))
        one.start()
        one.looks_in_vain()
        found.append(modes(one))
    one.kill()
    one.start(aside=True)
    one.wait_for(Mode.LEADER)
    return [*found, shown(one)]


def a_change_that_its_voters_cannot_commit_is_led_on_with_until_a_start(
    one: Player, two: Player, three: Player, four: Player
) -> Facts:
    grow(one, two, three)
    join(four, one, Role.OBSERVER)
    four.wait_for(Mode.OBSERVER)
    first = leader(one, two, three)
    kept, leaving = (m for m in (one, two, three) if m is not first)
    now = version(first)
    kept.freeze()
    asked = answer(lambda: first.server.reconfigure(first.address, PASSWORD, Change((four.line(),), (leaving.number,), now)))

    def missed() -> bool:
        peer = first.server.ask(frozenset({first.address}))[first.address]
        return peer is not None and peer.synced_followers == 1

    first.wait("the frozen one to be missed", missed)
    kept.thaw()
    kept.kill()
    found: Facts = [asked, modes(first, leaving, four), answer(lambda: version(first)), on_disk(first), on_disk(four)]
    first.kill()
    first.start()
    leader(first, leaving, four)
    return [*found, shown(first), on_disk(leaving)]


def an_older_configuration_gives_way(one: Player, two: Player, three: Player, four: Player) -> Facts:
    grow(one, two, three)
    kill(three)
    write(leader(one, two))
    after = join(four, one, leaving=(3,))
    serve(one, two, four)
    kill(one, two, four)
    start(one, three)
    one.looks_in_vain()
    alone = modes(one, three)
    four.start()
    leader(one, four)
    return [after, alone, serve(three), shown(three)]


def joiners_of_a_new_generation_draw_an_old_member_along(one: Player, two: Player, three: Player, four: Player) -> Facts:
    grow(one, two, three)
    kill(one, two, three)
    new, first = IDENTITY._replace(generation=2), (MARGIN + 1) << 32
    four.disk.build_empty(new, 4, Configuration(first, (four.line(),)), MARGIN)
    start(one, four)
    four.wait_for(Mode.LEADER)
    for joiner in (two, three):
        joiner.disk.archive()
        joiner.disk.build_joiner(new, joiner.number, Configuration(first - 1, (four.line(), joiner.line(Role.OBSERVER))))
        joiner.start()
    return [serve(two, three, one), shown(one), version(one) == first]


def who_was_away_while_all_others_changed_is_told(one: Player, two: Player, three: Player, four: Player, five: Player) -> Facts:
    grow(one, two, three)
    kill(three)
    found: Facts = [join(four, one), join(five, one)]
    found.append(change(four, (), (1, 2)))
    kill(one, two)
    leader(four, five)
    three.start()
    three.looks_in_vain()
    found.append(modes(three))
    three.kill()
    three.disk.build_joiner(IDENTITY, 3, four.server.view(four.address).configuration)
    three.start()
    return [*found, serve(three), shown(three)]


# --- who is cut off


def a_leader_whose_followers_stand_still_stops_in_the_end(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    first = leader(one, two, three)
    others = [m for m in (one, two, three) if m is not first]
    for other in others:
        other.freeze()
    proved = answer(lambda: first.server.prove(first.address, PASSWORD, IDENTITY))
    first.wait_for(Mode.NONE)
    for other in others:
        other.thaw()
    leader(one, two, three)
    write(first)
    return [proved, shown(first)]


def two_of_three_go_on_and_one_does_not(one: Player, two: Player, three: Player) -> Facts:
    grow(one, two, three)
    leader(one, two, three).kill()
    left = [m for m in (one, two, three) if m.server.process().running]
    second = leader(*left)
    write(second)
    second.kill()
    (last,) = (m for m in left if m is not second)
    last.looks_in_vain()
    return [modes(last)]


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(3, the_most_transactions_lead, long=True),
    Scenario(3, of_equals_the_highest_id_leads),
    Scenario(3, a_higher_epoch_leads_before_a_higher_id),
    Scenario(3, empty_disks_elect_nobody, long=True),
    Scenario(3, a_survivor_with_a_later_epoch_leads_alone_and_the_old_follow, long=True),
    Scenario(3, members_come_change_and_go),
    Scenario(3, what_is_refused),
    Scenario(3, a_leader_takes_itself_out),
    Scenario(2, a_joiner_not_let_in_does_not_start_again, long=True),
    Scenario(2, a_proposal_unheard_decides_over_starts),
    Scenario(4, a_change_that_its_voters_cannot_commit_is_led_on_with_until_a_start),
    Scenario(4, an_older_configuration_gives_way),
    Scenario(4, joiners_of_a_new_generation_draw_an_old_member_along),
    Scenario(5, who_was_away_while_all_others_changed_is_told, long=True),
    Scenario(3, a_leader_whose_followers_stand_still_stops_in_the_end),
    Scenario(3, two_of_three_go_on_and_one_does_not, long=True),
)
