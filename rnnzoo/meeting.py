"""The workers of one training meet and stay in touch, so that each of them knows who is gone.

They meet at the chief's address, before TensorFlow takes its port: the first worker listens there, the others come, and what
they came on stays open beside TensorFlow's own connections. Over it they tell each other values, and every few seconds that
they are alive. Like TensorFlow's own, these connections know no passwords: they are for a network that is trusted.
"""

import contextlib
import json
import os
import re
import select
import socket
import struct
import threading
import time

from rnnzoo.errors import InputError, WorkerLost

# Seconds: how often a worker says that it is alive, after how long a silence it is taken for gone, for how long the others
# are waited for, and after how long it is said who is.
BEAT, SILENCE, PATIENCE, NOTICED = 2.0, 15.0, 600.0, 5.0
# Who is no worker has so many seconds, and bytes, to say so.
HELLO_SECONDS, HELLO_BYTES = 5.0, 1 << 16
MAGIC, PROTOCOL = b"rnnzoo", 1
HEADER = struct.Struct(">6ssQ")
HELLO, VALUE, ALIVE, LEFT = b"H", b"V", b"A", b"L"


def parse_workers(workers, index):
    """The addresses of workers and which of them this one is.

    Args:
        workers: `"host1:port,host2:port"`, or a list of such addresses; the first is the chief's.
        index: which of them this process is, from 0.

    Returns:
        A list of (host, port), and the index.

    Raises:
        InputError: an address is none or stands twice, or there are not so many.
    """
    given = workers.split(",") if isinstance(workers, str) else list(workers)
    addresses = [_address(str(text).strip()) for text in given]
    if not addresses:
        raise InputError("workers: expected addresses host:port, with commas between them")
    for address in addresses:
        if addresses.count(address) > 1:
            raise InputError(f"workers: {name(address)} stands there twice; each worker has an address of its own")
    if index is None:
        raise InputError("workers: which of them is this one? give its index too, from 0, the chief's")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(addresses):
        last = len(addresses) - 1
        raise InputError(
            f"index {index}: there are {len(addresses)} workers; expected a number from 0, the chief's, to {last}"
        )
    return addresses, index


def _address(text):
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:,\[\]/@]+):([0-9]{1,5})", text)
    if found is None or not 0 < int(found[2]) < 2**16:
        raise InputError(f"workers: '{text}': expected host:port, for example 10.0.0.1:4000, with commas between them")
    return found[1].strip("[]"), int(found[2])


def name(address):
    """An address as it is written: host:port."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def workers_of_environment(environment=os.environ):
    """What `TF_CONFIG` says, as TensorFlow reads it: a pair as of `parse_workers`, or `None` where it names no cluster.

    A chief of its own is the first worker.

    Raises:
        InputError: it is no JSON, or names tasks that a data-parallel training has not.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return None
    expected = '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        cluster = config.get("cluster", {})
        jobs = {job: list(addresses) for job, addresses in cluster.items()}
        if not jobs:
            return None
        task, index = config["task"]["type"], config["task"]["index"]
        index = int(index)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"TF_CONFIG: expected JSON such as {expected}") from None
    for job in (*jobs, task):
        if job not in ("chief", "worker"):
            raise InputError(f"TF_CONFIG: the task '{job}': expected workers and at most one chief alone")
    chiefs, others = jobs.get("chief", []), jobs.get("worker", [])
    if len(chiefs) > 1:
        raise InputError(f"TF_CONFIG: {len(chiefs)} chiefs; expected one at most")
    if not 0 <= index < len(jobs.get(task, [])):
        raise InputError(f"TF_CONFIG: {task} {index}: the cluster has {len(jobs.get(task, []))} of that type")
    try:
        return parse_workers([*chiefs, *others], index + (len(chiefs) if task == "worker" else 0))
    except InputError as error:
        raise InputError(f"TF_CONFIG: {error}") from None


class Meeting:
    """A worker's connections: the chief's to all others, the others' to the chief.

    Attributes:
        addresses: (host, port) of all workers.
        index: which of them this is.
        lost: a line that says who is gone, or `None`.
        on_loss: called with that line, in a thread, as soon as it is known.
    """

    def __init__(self, addresses, index, links):
        self.addresses, self.index, self.lost, self.on_loss = addresses, index, None, lambda line: None
        self._changed, self._closed, self._finished = threading.Condition(), False, set()
        self._links = links
        for peer, link in self._links.items():
            link.stay()
            threading.Thread(target=self._read, args=(peer, link), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    @property
    def count(self):
        """How many workers there are."""
        return len(self.addresses)

    @property
    def is_chief(self):
        """Whether this one is the first."""
        return self.index == 0

    @classmethod
    def open(cls, addresses, index, *, notice=lambda line: None, check=lambda: None, patience=None):
        """Waits until all workers are there.

        Args:
            addresses: as of `parse_workers`.
            index: likewise.
            notice: called with a line that says who is waited for.
            check: called several times a second; what it raises ends the waiting.
            patience: for how many seconds; `PATIENCE` if `None`.

        Raises:
            InputError: this one's port is taken, the chief has other workers, or somebody does not come.
        """
        patience = PATIENCE if patience is None else patience
        wait = _Wait(notice, check, patience, addresses)
        hello = {"protocol": PROTOCOL, "index": index, "workers": [name(address) for address in addresses]}
        with _listen(addresses[index]) as listener:
            if index == 0:
                return cls(addresses, index, _welcome(listener, addresses, hello, wait))
        return cls(addresses, index, {0: _come(addresses, hello, wait)})

    def exchange(self, value, check=lambda: None):
        """Everybody's values, in the order of the workers, each of which calls this with its own: what JSON can say.

        Args:
            value: this worker's.
            check: called several times a second while it waits; what it raises ends that.

        Raises:
            WorkerLost: somebody is gone.
        """
        return [json.loads(part) for part in self._exchange(json.dumps(value).encode(), check)]

    def from_chief(self, content):
        """The bytes that the chief calls this with; the others call it with nothing."""
        return self._exchange(content if self.is_chief else b"")[0]

    def await_loss(self):
        """The line that says who is gone, waited for a while where somebody must be; `None` where nobody is."""
        with self._changed:
            self._changed.wait_for(lambda: self.lost is not None, SILENCE + 2 * BEAT)
        return self.lost

    def _exchange(self, own, check=lambda: None):
        if self.is_chief:
            parts = [own, *(self._take(peer, check) for peer in range(1, self.count))]
            told = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
            for link in self._links.values():
                self._send(link, VALUE, told)
            return parts
        self._send(self._links[0], VALUE, own)
        told, parts, at = self._take(0, check), [], 0
        while at < len(told):
            size = int.from_bytes(told[at : at + 8], "big")
            parts.append(told[at + 8 : at + 8 + size])
            at += 8 + size
        return parts

    def _take(self, peer, check):
        """The next value that a peer sent."""
        values = self._links[peer].values
        with self._changed:
            while not values:
                check()
                self.check()
                self._changed.wait(0.2)  # and signals are seen to
            return values.pop(0)

    def check(self):
        """Raises `WorkerLost` where somebody is gone."""
        if self.lost is not None:
            raise WorkerLost(self.lost)

    def leave(self, reason=None):
        """Ends the connections; with a reason the others are told why this worker stops."""
        self._closed = True
        for link in self._links.values():
            with contextlib.suppress(OSError):
                link.send(LEFT, json.dumps({"who": self.index, "reason": reason}).encode())
        for link in self._links.values():
            link.close()

    def named(self, peer):
        """What a worker is called."""
        return f"{'the chief' if peer == 0 else f'worker {peer}'} ({name(self.addresses[peer])})"

    def _send(self, link, kind, content):
        try:
            link.send(kind, content)
        except OSError:
            # The thread that reads knows more.
            with self._changed:
                self._changed.wait_for(lambda: self.lost is not None, BEAT)
            self.check()
            raise WorkerLost("the connection to the other workers ended") from None

    def _read(self, peer, link):
        try:
            while True:
                kind, content = link.receive()
                if kind == VALUE:
                    with self._changed:
                        link.values.append(content)
                        self._changed.notify_all()
                elif kind == LEFT:
                    said = json.loads(content)
                    who = said["who"] if peer == 0 and isinstance(said["who"], int) else peer
                    if said["reason"] is None:
                        self._finished.add(who)
                        return
                    self._lose(who, str(said["reason"]))
                    return
        except (OSError, ValueError, KeyError, TypeError):
            if peer not in self._finished:
                self._lose(peer, "is gone: its connection ended")

    def _beat(self):
        while not self._closed:
            time.sleep(BEAT)
            for peer, link in self._links.items():
                if self._closed or peer in self._finished:
                    continue
                with contextlib.suppress(OSError):
                    link.send(ALIVE, b"", patient=False)
                silent = time.monotonic() - link.heard
                if silent > SILENCE:
                    self._lose(peer, f"is gone: nothing was heard of it for {silent:.0f} s")

    def _lose(self, peer, what):
        """Notes that a worker is gone; the chief tells the others."""
        with self._changed:
            if self.lost is not None or self._closed:
                return
            self.lost = f"{self.named(peer)} {what}"
            self._changed.notify_all()
        if self.is_chief:
            for other, link in self._links.items():
                if other != peer:
                    with contextlib.suppress(OSError):
                        link.send(LEFT, json.dumps({"who": peer, "reason": what}).encode(), patient=False)
        self.on_loss(self.lost)


class _Link:
    """One connection: frames of a kind and a content."""

    def __init__(self, connection):
        self.connection, self.values, self.heard = connection, [], time.monotonic()
        self._sending = threading.Lock()
        connection.settimeout(HELLO_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def stay(self):
        """From now on waits for frames however long it takes."""
        self.connection.settimeout(None)
        # What is sent to a host that is gone must end, too; without this option the silence is noticed all the same.
        with contextlib.suppress(OSError, AttributeError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(SILENCE), 0))

    def gone(self):
        """Whether the other end has closed it; of a connection that has sent nothing."""
        try:
            return not self.waiting(0) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def waiting(self, seconds):
        """Whether within so many seconds there is nothing to be received."""
        return not select.select([self.connection], [], [], seconds)[0]

    def send(self, kind, content, patient=True):
        """Sends a frame; one that is not patient is not sent where another is being sent."""
        if not self._sending.acquire(blocking=patient):
            return
        try:
            self.connection.sendall(HEADER.pack(MAGIC, kind, len(content)) + content)
        finally:
            self._sending.release()

    def receive(self, limit=None):
        """The next frame's kind and content."""
        magic, kind, size = HEADER.unpack(self._bytes(HEADER.size))
        if magic != MAGIC or (limit is not None and size > limit):
            raise OSError("no frame of rnnzoo's")
        return kind, self._bytes(size)

    def _bytes(self, size):
        parts = []
        while size:
            part = self.connection.recv(min(size, 1 << 20))
            if not part:
                raise OSError("the connection ended")
            self.heard = time.monotonic()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class _Wait:
    """Waiting for others: who is waited for is said once, and for how long, and whose name is not known."""

    def __init__(self, notice, check, patience, addresses=()):
        self.notice, self.check, self.patience, self.addresses = notice, check, patience, addresses
        self._began, self._said = time.monotonic(), set()

    def tick(self, who):
        """Called several times a second with who is waited for."""
        self.check()
        waited = time.monotonic() - self._began
        if waited > self.patience:
            raise InputError(
                f"waited {waited:.0f} s for {who}; start each worker with the same --workers and its own --index"
            )
        if waited > NOTICED and who not in self._said:
            self.notice(f"waiting for {who}, for up to {self.patience:.0f} s")
            for host in () if self._said else dict.fromkeys(host for host, _ in self.addresses):
                try:
                    socket.getaddrinfo(host, None)
                except (OSError, UnicodeError) as error:  # not the end: on a cluster it may be known in a while
                    reason = getattr(error, "strerror", None) or error
                    self.notice(f"workers: the name {host} is not known here so far: {reason}")
            self._said.add(who)


def _listen(address):
    """A socket that listens at this worker's port, on all of the host's addresses, as TensorFlow's server will."""
    port = address[1]
    try:
        if socket.has_dualstack_ipv6():
            listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        else:
            listener = socket.create_server(("", port))
    except OSError as error:
        raise InputError(f"workers: {name(address)}: this host's port {port} cannot be had: {error.strerror}") from None
    listener.settimeout(0.25)
    return listener


def _welcome(listener, addresses, hello, wait):
    """The chief's links to the others, by their index, once they are all there."""
    there = {}
    try:
        while len(there) < len(addresses) - 1:
            for peer in [peer for peer, link in there.items() if link.gone()]:
                there.pop(peer).close()
            absent = [i for i in range(1, len(addresses)) if i not in there]
            wait.tick(", ".join(f"worker {i} ({name(addresses[i])})" for i in absent))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            link = _Link(connection)
            peer, reason = _greeted(link, hello, there)
            if peer is None:  # no worker: what else looks at ports
                link.close()
            elif reason is None:
                there[peer] = link
            else:
                wait.notice(f"a worker {peer} was sent away: {reason}")
                with contextlib.suppress(OSError):
                    link.send(LEFT, json.dumps({"who": 0, "reason": reason}).encode())
                link.close()
        for link in there.values():
            link.send(HELLO, b"{}")
    except BaseException:
        for link in there.values():
            link.close()
        raise
    return there


def _greeted(link, hello, there):
    """Who came, or `None`, and why it is sent away, or `None`."""
    try:
        kind, content = link.receive(HELLO_BYTES)
        theirs = json.loads(content)
        peer, workers, protocol = theirs["index"], theirs["workers"], theirs["protocol"]
        if kind != HELLO or not isinstance(peer, int):
            raise ValueError("no hello")
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
    reason = None
    if protocol != hello["protocol"]:
        reason = "it is of another version of rnnzoo"
    elif workers != hello["workers"]:
        reason = f"its workers are {','.join(map(str, workers))}, and the chief's {','.join(hello['workers'])}"
    elif not 0 < peer < len(workers) or peer in there:
        reason = f"worker {peer} is there already; each has an index of its own"
    return peer, reason


def _come(addresses, hello, wait):
    """The link to the chief, once all workers are there."""
    chief = f"the chief ({name(addresses[0])})"
    while True:
        wait.tick(chief)
        try:
            link = _Link(socket.create_connection(addresses[0], timeout=HELLO_SECONDS))
        except (OSError, UnicodeError):  # the latter of names that cannot be any
            time.sleep(0.25)
            continue
        try:
            link.send(HELLO, json.dumps(hello).encode())
            while link.waiting(0.25):
                wait.tick("other workers, who are not all with the chief yet")
            kind, content = link.receive(HELLO_BYTES)
            if kind == LEFT:
                raise InputError(f"workers: {chief} sent this worker away: {json.loads(content)['reason']}")
            return link
        except InputError:
            link.close()
            raise
        except (OSError, ValueError, KeyError, TypeError):
            link.close()
            time.sleep(0.25)  # what answers there is no chief yet, or one that was ended
        except BaseException:
            link.close()
            raise
