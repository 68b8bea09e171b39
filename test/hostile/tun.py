# Joins two network namespaces by a TUN device in each, and passes packets on with faults: some are lost, some come late
# and so out of order, some come twice. Works on kernels without netem.
#   python3 tun.py NAMESPACE_A NAMESPACE_B SEED
import ctypes, fcntl, heapq, os, random, select, struct, sys, time

LOSS, LATE, TWICE = 0.03, 0.10, 0.02
CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 0x0001, 0x1000
libc = ctypes.CDLL(None, use_errno=True)
chance = random.Random(int(sys.argv[3]))


def open_tun(namespace):
    with open(f"/var/run/netns/{namespace}") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"lossy", IFF_TUN | IFF_NO_PI))
    return tun


a, b = (open_tun(namespace) for namespace in sys.argv[1:3])
print('"ready"', flush=True)
late = []
count = 0
while True:
    timeout = max(0, late[0][0] - time.monotonic()) if late else None
    for tun in select.select([a, b, sys.stdin], [], [], timeout)[0]:
        if tun is sys.stdin:
            sys.exit()
        try:
            packet = os.read(tun, 65536)
        except OSError:  # the device is still down
            continue
        if chance.random() < LOSS:
            continue
        to = b if tun is a else a
        for _ in range(2 if chance.random() < TWICE else 1):
            delay = chance.uniform(0.002, 0.015) if chance.random() < LATE else 0
            count += 1
            heapq.heappush(late, (time.monotonic() + delay, count, to, packet))
    while late and late[0][0] <= time.monotonic():
        _, _, to, packet = heapq.heappop(late)
        try:
            os.write(to, packet)
        except OSError:
            pass
