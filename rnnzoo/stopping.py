"""Ctrl-C and SIGTERM as requests to stop, honoured between steps."""

import signal
import threading


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came; `signal` is its number."""

    def __init__(self, number):
        super().__init__()
        self.signal = number


class Stop:
    """While it is entered, Ctrl-C and SIGTERM have the next `check` raise `Stopped`; a second one raises it at once.

    Not the first: it can come anywhere, in a destructor for one, where what is raised is printed and lost. Nothing is
    changed in a thread other than the main one, which gets no signals, nor of a signal that is ignored.
    """

    def __init__(self):
        self._asked, self._before = None, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # None: set by something other than Python, which could not be put back
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def asked(self):
        """Whether there was a request."""
        return self._asked is not None

    def check(self):
        """Raises `Stopped` where there was a request."""
        if self.asked:
            raise Stopped(self._asked)

    def _ask(self, number, _):
        first, self._asked = not self.asked, number
        if not first:
            raise Stopped(number)
