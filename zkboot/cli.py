"""The command line: what may be typed, how errors and signals end it. What the commands do is in `cli_commands`."""

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple, NoReturn

from zkboot import __version__
from zkboot.errors import FAILED, UsageError, ZkbootError

EXIT_CODES = """\
exit codes:
  0  done, or healthy
  1  failed
  2  the command line or the settings cannot be used
  3  waiting, or a fact is unknown: try again later
  4  halted: a person must decide
  128+N  ended by signal N (130: Ctrl-C)"""


class Help(NamedTuple):
    """What one command teaches about itself."""

    what: str
    more: str
    example: str


COMMANDS = {
    "wait": Help(
        "wait until all instances of the group are registered",
        "The first call at boot: registers this instance and ends when as many instances are registered as the group desires,\n"
        "or at once when a record or a quorum exists. Prints who is there and who is not. Fails after timing.bootstrap_timeout.",
        "zkboot wait",
    ),
    "bootstrap": Help(
        "make this node a serving member of the ensemble",
        "The second call at boot, and safe at any other time: it observes, decides and acts until the server serves as a\n"
        "member, and never starts an empty ensemble over an existing one. Fails after timing.bootstrap_timeout; the timer goes\n"
        "on from there.",
        "zkboot bootstrap",
    ),
    "recover": Help(
        "heal whatever is wrong with this node or, from the leader, with the ensemble",
        "What the timer calls, and a reboot, and the server's unexpected end. A healthy node is found so without a call to AWS;\n"
        "otherwise turns repeat until all is settled, at most for timing.recover_interval.",
        "zkboot recover",
    ),
    "timers": Help(
        "enable the timers, so that recovery runs from now on",
        "The third call at boot. Calling it again changes nothing.",
        "zkboot timers",
    ),
    "leave": Help(
        "take this node out of the ensemble and stop its server",
        "What a group does to an instance that it takes, by hand: out of the configuration in one reconfiguration that keeps a\n"
        "quorum, then the server is stopped. Waits where that is not possible yet. Recovery lets this node in again within a\n"
        "minute; to keep it out, stop that first: systemctl disable --now zkboot-recover.timer",
        "zkboot leave",
    ),
    "status": Help(
        "show the ensemble, its members and this node",
        "Reads only. The exit code is that of the state: 0 healthy, 3 waiting or unknown, 4 halted.",
        "zkboot status --json | jq .decision",
    ),
    "plan": Help(
        "show what the next turn would do, and why",
        "Reads only. The exit code is that of the state: 0 healthy, 3 waiting or unknown, 4 halted.",
        "zkboot plan",
    ),
    "config": Help(
        "show every setting and where it comes from",
        "Checks the settings whole on the way: every problem is named with file, line and key.",
        "zkboot config --set zookeeper.tick_time=1000",
    ),
    "reseed": Help(
        "a person's way out: go on from what this node holds",
        "Too few voters remain, and zkboot halted: every living member stops and reports, then this node seeds the next\n"
        "generation from its own disk, and the others join it. What they held beyond it is kept in their archives.\n"
        "`zkboot plan` says who holds the most. Asks for the cluster's name.",
        "zkboot reseed",
    ),
    "create": Help(
        "a person's way out: begin again with an empty tree",
        "Everything the members hold is archived on them, and a new, empty generation is created. Asks for the cluster's name.",
        "zkboot create --accept-data-loss",
    ),
    "adopt": Help(
        "take the cluster over into this node's group, or take in an ensemble that others built",
        "For a group that was replaced by another: the record follows to this node's group.\n"
        "With --through, for an ensemble that others built: on one member after the other, its server stopped and the rest\n"
        "serving, this takes its data and its place in and starts it. Until then zkboot leaves what a member holds as it is,\n"
        "and says so. Asks for the cluster's name.",
        "zkboot adopt --through 10.0.0.5",
    ),
    "backup": Help(
        "copy what this node holds into the bucket, and read it back",
        "A backup of this node, now: its newest whole snapshot and the logs after it, every checksum verified, in one\n"
        "archive, whose manifest comes last and makes it a backup. No write is delayed; with backup.mode = cold this node's\n"
        "server is stopped for it, where the others keep the quorum. Where nothing was written since the newest backup,\n"
        "that one is marked as still current instead. Without a quorum it copies all the same, and says so,\n"
        "unless the newest backup is ahead of this node; data of an earlier generation too, which a person may want back.\n"
        "With --scheduled, which the timer of every node calls, only when one is due and this node is the one to make it.",
        "zkboot backup",
    ),
    "backups": Help(
        "list the backups",
        "Each with its age, the last transaction in it, its size, and when it was read back whole. The exit code is 1 when a\n"
        "manifest cannot be read.",
        "zkboot backups --json",
    ),
    "prune": Help(
        "delete the backups that no rule keeps any more",
        "What backup.keep_count, keep_days, keep_daily, keep_weekly and keep_monthly ask for; each scheduled backup ends with\n"
        "it. Only verified backups count; the newest of them is never deleted, nor anything while a listing or a manifest\n"
        "cannot be read. --dry-run says of every backup why it would be kept, and deletes nothing.",
        "zkboot prune --dry-run",
    ),
    "verify": Help(
        "read a backup back to its last record",
        "Every byte of the archive against its checksums, the snapshot and every record in it, and that none is missing\n"
        "between them. What is found whole is marked as verified; what is not is named, with the offset. With --drill a server\n"
        "of its own is started from it on a loopback port, with a bounded heap: its znodes are counted, and the digest of its\n"
        "tree is compared with the one that the ensemble had; how long restoring took and how old the data are is recorded.",
        "zkboot verify 20261122T104700Z",
    ),
    "restore": Help(
        "a person's way back: go on from a backup",
        "The backup is verified, if it never was. Then every living member stops and reports, this node seeds the next\n"
        "generation from the backup, which is verified once more as it is unpacked beside the data, and the others join it.\n"
        "What the members held is kept in their archives. Without a name it is the newest that is not known to be damaged.\n"
        "Another cluster's backups lie under another backup.prefix; one is taken in with --adopt-cluster-id, and the ensemble\n"
        "keeps its own id. Where the cluster has no record (another region, a new bucket) and nobody holds data of it, it\n"
        "begins from the backup; with --adopt-cluster-id too where nothing else tells that this is its cluster. Asks\n"
        "for the name.",
        "zkboot restore --before 2026-11-22T10:47:00Z",
    ),
    "logs": Help(
        "read the ensemble's story: the logs of all its instances, in the order of time",
        "What zkboot, the servers and cloud-init say on every instance, and the trouble of everything else there, from the log\n"
        "group: without SSH, and of instances that are gone too. It runs on a node, or anywhere with credentials that may read\n"
        "the log group (logs:FilterLogEvents), given --cluster and --region. The units are zkboot-recover, zookeeper,\n"
        "cloud-init-main, kernel and so on; --unit metrics shows the figures of each minute, which are left out otherwise.",
        "zkboot logs --cluster orders --region eu-west-1 --since 2h --unit zookeeper --follow",
    ),
    "ship": Help(
        "send this instance's journal to the log group, from where it stopped",
        "What zkboot-logs.service runs, until it is stopped. Each line arrives at least once. While AWS is away the journal\n"
        "keeps what there is to send, within its own bound on disk (journald.conf).",
        "zkboot ship",
    ),
    "version": Help("show the version", "", "zkboot version"),
}
LATER = ("pause", "resume")
STATED = ("reseed", "restore", "create")  # of which the intent stands in the record until it is carried out or withdrawn


class Ended(BaseException):
    """A signal asked to end. No Exception, so that nothing on the way mistakes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(argv: list[str]) -> int:
    """Parse a command line and carry it out; the exit code."""
    return guarded(lambda: _dispatch(parse(argv)), argv)


def guarded(work: Callable[[], int], argv: list[str]) -> int:
    """Carry out, with every ending told in one message on standard error: a signal, an error on purpose, a bug."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # the terminal's end is none for what nohup has started
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, _end) for number in numbers}
    try:
        return work()
    except Ended as ended:
        code = 128 + ended.number
        _complain(f"ended by {signal.Signals(ended.number).name}; {_what_stands(argv)}", code, argv)
        return code
    except BrokenPipeError:
        # Who read the output has gone (`zkboot status | head`); the interpreter would complain while flushing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ZkbootError as error:
        _complain(str(error), error.exit_code, argv)
        return error.exit_code
    except Exception as error:
        advice = "" if "--debug" in argv else "; please report it with the output of the same command and --debug"
        _complain(f"this is a bug in zkboot: {type(error).__name__}: {error}{advice}", FAILED, argv)
        return FAILED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _what_stands(argv: list[str]) -> str:
    """What is left to do after a command that ended early."""
    typed = next((word for word in argv if word in STATED), "")
    if not typed or "--abort" in argv:
        return "the next turn goes on from here"
    return f"members that it has stopped stay stopped: run it again, or withdraw it: zkboot {typed} --abort"


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line as a namespace: command, config, set (a dict), json, debug. Raises UsageError."""
    later = [word for word in argv if word in LATER]
    if later and not any(word in COMMANDS for word in argv):
        raise ZkbootError(f"`zkboot {later[0]}` is not available in this version ({__version__}); see zkboot --help for what is")
    options, rest = _parser().parse_known_args(argv)
    if rest:
        raise UsageError(f"zkboot {options.command} does not know {' '.join(rest)}; see zkboot {options.command} --help")
    options.set = dict(_override(text) for text in (*options.set_before, *options.set_after))
    return options


def _dispatch(options: argparse.Namespace) -> int:
    from zkboot import cli_commands

    run_command: Callable[[argparse.Namespace], int] = getattr(cli_commands, options.command)
    return run_command(options)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise Ended(number)


def _complain(message: str, code: int, argv: list[str]) -> None:
    if "--debug" in argv:
        traceback.print_exc()
    print(json.dumps({"error": message, "exit_code": code}) if "--json" in argv else f"zkboot: {message}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="zkboot",
        description="ZooKeeper ensembles on EC2 that build and keep themselves.",
        epilog=f"{EXIT_CODES}\n\n`zkboot COMMAND --help` tells more, with an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(parser, "set_before", config=None, switch=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name, about in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=about.what,
            description="\n\n".join(filter(None, (about.what[0].upper() + about.what[1:] + ".", about.more))),
            epilog=f"example:\n  {about.example}\n\n{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_own(command, name)
        # What stands before the command's name must not be overwritten by a default after it.
        _add_common(command, "set_after", config=argparse.SUPPRESS, switch=argparse.SUPPRESS)
    return parser


def _add_own(parser: argparse.ArgumentParser, name: str) -> None:
    """The options that not every command has."""
    if name == "recover":
        parser.add_argument("--quiet", action="store_true", help="say nothing when all is well (the timer's way)")
    if name == "plan":
        parser.add_argument("--why", action="store_true", help="say of every row above the one that matched why it did not")
    if name == "backup":
        parser.add_argument(
            "--scheduled", action="store_true", help="only when one is due and it is this node's turn (the timer's way)"
        )
    if name == "prune":
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be deleted and what kept, and why; delete nothing"
        )
    if name in ("backups", "verify"):
        parser.add_argument("--copies", action="store_true", help="those in the second bucket (backup.copy_bucket)")
    if name == "verify":
        which = parser.add_mutually_exclusive_group()
        which.add_argument("name", metavar="NAME", nargs="?", help="as zkboot backups lists it")
        which.add_argument("--latest", action="store_true", help="the newest one, as without a name")
        parser.add_argument("--drill", action="store_true", help="also start a scratch server from it and compare the whole tree")
        parser.add_argument(
            "--scheduled",
            action="store_true",
            help="with --drill: only when one is due and it is this node's turn (the timer's way)",
        )
    if name == "restore":
        which = parser.add_mutually_exclusive_group()
        which.add_argument("name", metavar="NAME", nargs="?", help="as zkboot backups lists it")
        which.add_argument("--latest", action="store_true", help="the newest one, as without a name")
        which.add_argument("--before", metavar="TIME", help="the newest that was whole by then, such as 2026-11-22T10:47:00Z")
        parser.add_argument("--adopt-cluster-id", action="store_true", help="also the backup of another cluster")
    if name == "logs":
        _add_logs(parser)
    if name not in ("reseed", "restore", "create", "adopt"):
        return
    parser.add_argument("--confirm", metavar="CLUSTER", default="", help="the cluster's name, instead of typing it when asked")
    if name == "adopt":
        parser.add_argument("--through", metavar="ADDRESS", help="a serving member of an ensemble that others built")
        return
    parser.add_argument("--replace-live", action="store_true", help="also while an ensemble serves: it is stopped for this")
    parser.add_argument("--abort", action="store_true", help="withdraw the command that stands in the record")
    if name == "create":
        parser.add_argument("--accept-data-loss", action="store_true", help="say that the tree may be lost; required")


def _add_logs(parser: argparse.ArgumentParser) -> None:
    when = "how long ago (90s, 30m, 2h, 3d), or an instant (2026-11-22T07:16:02Z)"
    parser.add_argument("--since", metavar="WHEN", default="1h", help=f"{when}; 1h unless given")
    parser.add_argument("--until", metavar="WHEN", help=f"{when}; now unless given")
    parser.add_argument("--unit", metavar="UNIT", help="of this unit alone")
    parser.add_argument("--instance", metavar="ID", help="of this instance alone; the beginning of its id will do")
    parser.add_argument("--follow", action="store_true", help="go on with what comes, until interrupted")
    parser.add_argument("--cluster", metavar="NAME", help="the cluster, on a machine without its settings")
    parser.add_argument("--region", metavar="REGION", help="its region, where neither settings nor environment name it")
    parser.add_argument("--log-group", metavar="NAME", help="the log group; /zkboot/CLUSTER, or what the settings name")


def _add_common(parser: argparse.ArgumentParser, overrides: str, config: object, switch: object) -> None:
    """The options of every command; `overrides` names where the --set are kept, the others are defaults."""
    settings = "the settings ($ZKBOOT_CONFIG, else /etc/zkboot/zkboot.toml)"
    parser.add_argument("--config", metavar="FILE", default=config, help=settings)
    one = "override one setting, such as zookeeper.tick_time=1000; may be given again"
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest=overrides, help=one)
    parser.add_argument("--json", action="store_true", default=switch, help="print JSON, one object a line")
    parser.add_argument("--debug", action="store_true", default=switch, help="print a traceback with an error")


def _override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: write KEY=VALUE, such as zookeeper.tick_time=1000")
    return key.strip(), value
