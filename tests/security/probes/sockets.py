# SPDX-License-Identifier: Apache-2.0
"""socket(2) and socketpair(2): every family and type, also with bits that the kernel ignores."""
import probe
from probe import call

TABLE = probe.Table()

UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, DGRAM, RAW, SEQPACKET, PACKET = 1, 2, 3, 5, 10
FLAGS = 0o2004000  # SOCK_CLOEXEC | SOCK_NONBLOCK
REFUSED = "EPERM EACCES EAFNOSUPPORT"
ALLOWED = {
    "strict": set(),
    "default": {UNIX, INET, INET6},
    "network": {UNIX, INET, INET6, NETLINK},
}
NAMES = {
    0: "UNSPEC", 1: "UNIX", 2: "INET", 3: "AX25", 4: "IPX", 5: "APPLETALK", 6: "NETROM",
    9: "X25", 10: "INET6", 11: "ROSE", 15: "KEY", 16: "NETLINK", 17: "PACKET", 21: "RDS",
    26: "LLC", 29: "CAN", 30: "TIPC", 31: "BLUETOOTH", 33: "RXRPC", 34: "ISDN", 35: "PHONET",
    38: "ALG", 39: "NFC", 40: "VSOCK", 41: "KCM", 42: "QIPCRTR", 43: "SMC", 44: "XDP",
}  # fmt: skip
# Families that Debian's kernels do not all have: the control cannot show more than this.
RARE = "*"


def wanted(family):
    """OK when the policy allows the family, else refused before the kernel looks at the call."""
    return lambda policy: "OK" if family in ALLOWED.get(policy, set()) else "EPERM"


for _family in range(0, 47):
    _name = NAMES.get(_family, str(_family))
    _kind = DGRAM
    _protocol = 0
    _control = "OK" if _family in (UNIX, INET, INET6, NETLINK, 17) else RARE
    if _family == 17:
        _kind = RAW
    TABLE.add("socket:" + _name, call(41, _family, _kind, _protocol), wanted(_family), _control)
    if _family not in (UNIX, INET, INET6, NETLINK):
        # The kernel's family is an int: the high half is not looked at.
        TABLE.add(
            "socket:high:" + _name, call(41, (1 << 32) | _family, _kind, _protocol), "EPERM", RARE
        )

for _family in (INET, INET6):
    for _flags, _suffix in ((0, ""), (FLAGS, ":flags"), (1 << 32, ":high")):
        TABLE.add(
            "raw:%s%s" % (NAMES[_family], _suffix),
            call(41, _family, RAW | _flags, 1 if _family == INET else 58),
            "EPERM",
            "OK",
        )
    TABLE.add("type-packet:" + NAMES[_family], call(41, _family, PACKET, 0), "EPERM", RARE)
for _family in (INET, INET6):
    # Multipath TCP, SCTP, UDP-Lite, ICMP: other protocols of the same families and types.
    for _kind, _protocol in ((STREAM, 262), (STREAM, 132), (SEQPACKET, 132), (DGRAM, 136), (DGRAM, 1), (DGRAM, 58)):
        TABLE.add(
            "protocol:%s:%d:%d" % (NAMES[_family], _kind, _protocol),
            call(41, _family, _kind, _protocol),
            "EPERM",
            RARE,
        )
    for _kind, _protocol in ((STREAM, 6), (DGRAM, 17), (STREAM | FLAGS, 0), (DGRAM | FLAGS, 0)):
        TABLE.add(
            "protocol:%s:%d:%d" % (NAMES[_family], _kind, _protocol),
            call(41, _family, _kind, _protocol),
            wanted(_family),
            "OK",
        )
TABLE.add("packet:cooked", call(41, 17, DGRAM, 0), "EPERM", "OK")
TABLE.add("alg", call(41, 38, SEQPACKET, 0), "EPERM", "OK EAFNOSUPPORT")
TABLE.add("vsock", call(41, 40, STREAM, 0), "EPERM", "OK EAFNOSUPPORT ENODEV")
TABLE.add("key", call(41, 15, RAW, 2), "EPERM", RARE)
TABLE.add("xdp", call(41, 44, RAW, 0), "EPERM", "OK EAFNOSUPPORT")


def netlink_wanted(policy):
    return "OK" if policy == "network" else "EPERM"


TABLE.add("netlink:ROUTE", call(41, NETLINK, RAW, 0), netlink_wanted, "OK")
for _name, _protocol in {
    "SOCK_DIAG": 4, "NFLOG": 5, "XFRM": 6, "SELINUX": 7, "AUDIT": 9, "CONNECTOR": 11,
    "NETFILTER": 12, "KOBJECT_UEVENT": 15, "GENERIC": 16, "CRYPTO": 21,
}.items():  # fmt: skip
    TABLE.add("netlink:" + _name, call(41, NETLINK, RAW, _protocol), "EPERM", "!EPERM")
    TABLE.add(
        "netlink:high:" + _name, call(41, NETLINK, RAW, (1 << 32) | _protocol), "EPERM", "!EPERM"
    )
for _family in (17, 38, 40):
    TABLE.add("socketpair:%s" % NAMES[_family], call(53, _family, STREAM, 0, 1), "EPERM", RARE)

# No program for a socket, also with high bits set: what it is compiled into is short on the machine.
for _name, _option in (("FILTER", 26), ("BPF", 50), ("REUSEPORT_CBPF", 51), ("REUSEPORT_EBPF", 52)):
    TABLE.add("attach:" + _name, call(54, -1, 1, _option, 1, 16), "EPERM", "EBADF")
    TABLE.add("attach:high:" + _name, call(54, -1, 1 << 32 | 1, 1 << 32 | _option, 1, 16), "EPERM", "EBADF")
TABLE.add("option:plain", call(54, -1, 1, 2, 1, 4), "EBADF", "EBADF")

if __name__ == "__main__":
    probe.main(TABLE)
