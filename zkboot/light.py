"""The light turn: whether a `recover` may end at once, because all is well with this node as far as the node itself can see.

It asks the local server, the configuration beside it, the instance metadata and the small state that full turns leave; not AWS.
Whatever is not plainly well, and any error, leads to the full turn. It changes nothing but what the figures
remember, and so takes no lock.

A healthy node pays for this every minute: nothing dear may be imported on the way.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from zkboot.model import SERVING, Configuration, Mode, Role

if TYPE_CHECKING:
    from zkboot.settings_keys import Settings
    from zkboot.world import Peer


class Facts(NamedTuple):
    """What a light turn knows. `uptime` and `audit_interval` in seconds."""

    taken: bool
    state: Mapping[str, Any]  # what full turns left (`zkboot.notes`)
    generation: Mapping[str, Any]  # the generation file
    configuration: Configuration | None  # beside zoo.cfg
    answer: "Peer | None"  # of the own server
    boot_id: str
    uptime: float
    audit_interval: float


class Command(NamedTuple):
    """A command line as far as a light turn understands it."""

    config: str | None
    overrides: Mapping[str, str]
    json: bool
    quiet: bool


def ends_here(argv: list[str]) -> bool:
    """Whether the turn of this command line ended here: all is well, and its sentence is printed."""
    command = understood(argv)
    if command is None:
        return False
    try:
        settings = _load(command)
        facts = _gather(settings)
        if doubt(facts):
            return False
        _write_figures(settings)
    except Exception:
        # The loop's edge: whatever stands in the way here, the full turn meets it again and tells it.
        return False
    if not command.quiet:
        _tell(command, facts)
    return True


def understood(argv: list[str]) -> Command | None:
    """The options of a plain `recover`; None for anything else."""
    config, overrides, as_json, quiet, commands = None, {}, False, False, []
    words = iter(argv)
    for word in words:
        option, _, value = word.partition("=")
        if option in ("--config", "--set"):
            value = value or next(words, "")
            if option == "--config":
                config = value
            else:
                key, _, text = value.partition("=")
                overrides[key] = text
        elif word == "--json":
            as_json = True
        elif word == "--quiet":
            quiet = True
        elif word != "--debug":
            commands.append(word)
    return Command(config, overrides, as_json, quiet) if commands == ["recover"] else None


def doubt(facts: Facts) -> str:
    """Why this turn cannot end here, or "" when all is well."""
    state, answer = facts.state, facts.answer
    if facts.taken:
        return "the group is taking this instance"
    if answer is None or answer.mode not in SERVING:
        return "the server does not serve"
    if state.get("created") is None or state["created"] != facts.generation.get("generation"):
        return "the disk's generation was not seen created"
    if state.get("let_in") is not True:
        return "the launch hook is not known to be done"
    if state.get("healthy") is not True:
        return "the last full turn found more to do"
    return _not_member(facts, answer.mode) or (_not_whole(facts, answer) if answer.mode is Mode.LEADER else "")


def _not_member(facts: Facts, mode: Mode) -> str:
    """A server that is no member says `follower` too: only its configuration tells."""
    configuration, state = facts.configuration, facts.state
    own = configuration.server(state.get("server_id", 0)) if configuration else None
    if configuration is None or own is None or own.address != state.get("address") or own.id != facts.generation.get("server_id"):
        return "the configuration does not name this node"
    if configuration.version != state.get("version"):
        # Whoever wants the members to look at AWS (a person's command) puts the configuration again.
        return "the configuration has changed since the last full turn"
    if (own.role is Role.OBSERVER) != (mode is Mode.OBSERVER):
        return f"the configuration has this node as {own.role}, the server says {mode}"
    return ""


def _not_whole(facts: Facts, answer: "Peer") -> str:
    """What the leader alone looks after."""
    if answer.synced_followers + 1 != answer.quorum_size:
        return f"{answer.synced_followers + 1} of {answer.quorum_size} voters are in step"
    audited = facts.state.get("audited") if facts.state.get("boot") == facts.boot_id else None
    if audited is None or not 0 <= facts.uptime - audited < facts.audit_interval:
        return "an audit is due"
    return ""


def _load(command: Command) -> "Settings":
    from zkboot.settings import load

    return load(command.config, command.overrides)


def _write_figures(settings: "Settings") -> None:
    from zkboot import figures

    figures.write(settings, figures.HEALTHY)


def _gather(settings: "Settings") -> Facts:
    """The facts, cheapest first; raises anything where one cannot be learned."""
    from zkboot.aws.imds import Imds
    from zkboot.clock import NodeClock
    from zkboot.zookeeper import configuration, fourletter

    state = _read_json(f"{settings.node.state_dir}/state.json")
    server = (state["address"], settings.zookeeper.client_port)
    clock = NodeClock()
    return Facts(
        state=state,
        generation=_read_json(f"{settings.node.data_dir}/zkboot.json"),
        configuration=configuration.committed(settings.node.conf_dir),
        answer=fourletter.ask([server], settings.timing.ask_timeout)[server],
        taken=Imds(settings.aws.metadata_endpoint).taken(),
        boot_id=clock.boot_id(),
        uptime=clock.monotonic(),
        audit_interval=settings.timing.audit_interval,
    )


def _read_json(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    if not isinstance(content, dict) or content.get("schema", 1) != 1:
        raise ValueError(path)
    return content


def _tell(command: Command, facts: Facts) -> None:
    import time

    from zkboot import say

    assert facts.answer is not None
    sentence = f"healthy: server {facts.state['server_id']} serves as {facts.answer.mode} in generation {facts.state['created']}"
    tell = say.as_json if command.json else say.as_text
    print(tell(time.time(), sentence, {}))
