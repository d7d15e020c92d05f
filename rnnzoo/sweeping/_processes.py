"""The processes of trials: started, listened to, ended."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

PROGRAM = Path(__file__).with_name("_trial.py")
ROOT = Path(__file__).parent.parent.parent
# A process that was asked to end has so many seconds.
PATIENCE = 10


class Process:
    """A trial's process.

    Args:
        trial: whose it is.
        job: what it is told.
        log: the path of a file for what it prints.
        heard: called, in a thread, with this process and each thing that it says, and with `None` at its end.
    """

    def __init__(self, trial, job, log, heard):
        self.trial, self.log, self.said = trial, log, None
        environment = os.environ
        if job["threads"]:  # one of several: none may take all of a GPU's memory
            environment = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **environment}
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the sweep, which ends it
            )
        self.pid = self._process.pid
        with contextlib.suppress(OSError):  # it has ended already, which is heard
            self._process.stdin.write(json.dumps({"root": str(ROOT), **job}).encode() + b"\n")
            self._process.stdin.flush()
        threading.Thread(target=self._listen, args=[heard], daemon=True).start()

    def _listen(self, heard):
        with contextlib.suppress(ValueError, OSError), self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # cut short by a kill
                    heard(self, json.loads(line))
        self._process.wait()
        heard(self, None)

    @property
    def ended_by(self):
        """In words, how it ended."""
        code = self._process.returncode
        return f"signal {-code}" if code and code < 0 else f"exit code {code}"

    def end(self, keep=False):
        """Ends it, if it is there still, waits for that, and removes its log unless that is to be kept."""
        self._process.kill()  # it keeps nothing that could be damaged
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(OSError):
            if not keep or self.log.stat().st_size == 0:
                self.log.unlink()
