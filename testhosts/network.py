"""The fleet's network: a bridge in a namespace of its own, a veth pair into the namespace of each host."""

from __future__ import annotations

from pathlib import Path

from testhosts.system import HostsError, run

BRIDGE = "br0"
FIRST_HOST = 11
LAST_HOST = 254


class Network:
    """Namespaces ``lf.FLEET`` and ``lf.FLEET.HOST``; hosts are 10.77.SUBNET.11 and up, the bridge has .1."""

    def __init__(self, fleet: str, subnet: int) -> None:
        self.namespace = f"lf.{fleet}"
        self._subnet = subnet

    def address(self, number: int) -> str:
        """IPv4 address of a host by its number."""
        return f"10.77.{self._subnet}.{number}"

    def namespace_of(self, host: str) -> str:
        """Name of a host's network namespace."""
        return f"{self.namespace}.{host}"

    def path_of(self, host: str) -> Path:
        """The file that stands for a host's network namespace."""
        return _path(self.namespace_of(host))

    def inside(self, *command: str) -> list[str]:
        """A command, to be run in the fleet's namespace."""
        return ["nsenter", f"--net={_path(self.namespace)}", *command]

    def create(self) -> None:
        """Namespace and bridge; what is there already stays."""
        if not _path(self.namespace).exists():
            run("ip", "netns", "add", self.namespace)
        if BRIDGE in self._links():
            return
        # A host that asks for the rest of the world hears "unreachable" at once instead of waiting for nobody.
        run(*self.inside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
        self._ip(
            "link set lo up",
            f"link add {BRIDGE} type bridge",
            f"addr add {self.address(1)}/24 dev {BRIDGE}",
            f"link set {BRIDGE} up",
            "route add unreachable default",
        )

    def attach(self, host: str, number: int) -> None:
        """The host's namespace with its eth0 on the bridge; a half-made one is made again."""
        namespace = self.namespace_of(host)
        if port(number) in self._links():
            return
        if _path(namespace).exists():
            run("ip", "netns", "del", namespace)
        run("ip", "netns", "add", namespace)
        self._ip(f"link add {port(number)} type veth peer name eth0 netns {namespace}")
        commands = [
            "link set lo up",
            f"addr add {self.address(number)}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {self.address(1)}",
        ]
        run("ip", "-n", namespace, "-batch", "-", text="\n".join(commands))
        self._ip(f"link set {port(number)} master {BRIDGE}")

    def plug(self, number: int) -> None:
        """Plug a host's cable in."""
        self._ip(f"link set {port(number)} up")

    def pull(self, number: int) -> None:
        """Pull a host's cable."""
        self._ip(f"link set {port(number)} down")

    def divert(self, number: int, tap: str) -> None:
        """Let what is behind ``tap`` carry the host's frames to and from the bridge."""
        self._ip(f"link set {port(number)} promisc on nomaster", f"link set {tap} master {BRIDGE} up")

    def rejoin(self, number: int) -> None:
        """The end of :meth:`divert`."""
        self._ip(f"link set {port(number)} promisc off master {BRIDGE}")

    def processes(self) -> list[int]:
        """Processes of this machine inside the fleet's namespace."""
        if not _path(self.namespace).exists():
            return []
        return [int(pid) for pid in run("ip", "netns", "pids", self.namespace).split()]

    def remove(self) -> None:
        """All namespaces of the fleet."""
        for namespace in _namespaces():
            if namespace == self.namespace or namespace.startswith(f"{self.namespace}."):
                run("ip", "netns", "del", namespace)

    def _ip(self, *commands: str) -> None:
        run("ip", "-n", self.namespace, "-batch", "-", text="\n".join(commands) + "\n")

    def _links(self) -> set[str]:
        lines = run("ip", "-n", self.namespace, "-brief", "link").splitlines()
        return {line.split()[0].partition("@")[0] for line in lines}


def port(number: int) -> str:
    """The bridge's end of a host's cable."""
    return f"h{number}"


def _path(namespace: str) -> Path:
    return Path("/run/netns") / namespace


def _namespaces() -> list[str]:
    try:
        return [entry.name for entry in Path("/run/netns").iterdir()]
    except FileNotFoundError:
        return []


def number_for(taken: set[int]) -> int:
    """The lowest free host number."""
    for number in range(FIRST_HOST, LAST_HOST + 1):
        if number not in taken:
            return number
    raise HostsError(f"a fleet has room for {LAST_HOST - FIRST_HOST + 1} hosts")
