"""The own server and the ensemble as it answers: ServerApi on real servers."""

from typing import TYPE_CHECKING

from zkboot.errors import SettingsError
from zkboot.model import Change, Configuration, Identity, Mode, Process
from zkboot.world import Peer, View
from zkboot.zookeeper import configuration, files, fourletter, membership, service

if TYPE_CHECKING:
    from zkboot.settings import Settings


class NodeServer:
    """See zkboot.world.ServerApi."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._service = service.of(settings)
        self._port = settings.zookeeper.client_port
        self._timeout = settings.timing.client_timeout

    def process(self) -> Process:
        with files.unknown_on_error():
            age = self._service.age()
            if age is None:
                self._service.check()  # before anything is told or claimed by a node that could never serve
                return Process(running=False)
            return Process(running=True, age=age, mode=self._own_mode())

    def start(self) -> None:
        self._service.start()

    def stop(self) -> None:
        self._service.stop()

    def ask(self, addresses: frozenset[str]) -> dict[str, Peer | None]:
        answers = fourletter.ask([(address, self._port) for address in addresses], self._settings.timing.ask_timeout)
        return {address: peer for (address, _), peer in answers.items()}

    def view(self, address: str) -> View:
        return membership.view(address, self._port, self._timeout)

    def reconfigure(self, address: str, password: str, change: Change) -> Configuration:
        return membership.reconfigure(address, self._port, self._timeout, password, change)

    def prove(self, address: str, password: str, identity: Identity, former: Identity | None = None) -> None:
        membership.prove(address, self._port, self._timeout, password, identity, former)

    def _own_mode(self) -> Mode:
        node = self._settings.node
        server_id = configuration.own_id(node.data_dir)
        own = configuration.own_server(node.conf_dir, server_id) if server_id is not None else None
        if own is None:
            return Mode.NONE
        endpoint = own.address, own.client_port
        if own.client_port != self._port:
            raise SettingsError(
                f"zookeeper.client_port: this node's server listens at {own.client_port}, by the ensemble's configuration,"
                f" and zkboot would look for all at {self._port}: set it to {own.client_port}"
            )
        peer = fourletter.ask([endpoint], self._settings.timing.ask_timeout)[endpoint]
        return peer.mode if peer is not None else Mode.NONE
